# Sourced by scripts/test and scripts/demo: make the checkout's .venv ready, once.
#
#   prepare_venv ROOT EXTRA     EXTRA is "dev" or "flows"
#
# Installs only when pyproject.toml or constraints.txt changed since the last installation that
# succeeded: their checksum is kept in a stamp file inside .venv.

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
    found=$(python3 --version 2>&1) || found='no python3 at all'
    fail "zoo needs Python 3.10 or newer on the PATH; found $found"
}

create_venv() {
    python=$(find_python) || exit 1
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"
    "$python" -m venv --clear "$1" || fail "could not create $1"
}

prepare_venv() {
    root=$1 extra=$2 venv=$1/.venv
    # A virtual environment cannot be moved, and does not outlive the Python it was made with.
    if [ "$(cat "$venv/.place" 2>/dev/null)" != "$venv" ] ||
        ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        create_venv "$venv"
        printf '%s\n' "$venv" >"$venv/.place"
    fi
    wanted=$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)
    # What the tests need includes what the demo needs.
    for stamp in "$venv/.installed-$extra" "$venv/.installed-dev"; do
        [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    done
    printf 'installing into %s (the first time takes a few minutes)\n' "$venv" >&2
    rm -f "$venv"/.installed-*
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$root/constraints.txt" --editable "$root[$extra]" >&2 ||
        fail "the installation failed; mend the cause shown above and run this again"
    printf '%s\n' "$wanted" >"$venv/.installed-$extra"
}
