"""What is shipped: the wheel, what it depends on, and the scripts that install a checkout."""

from __future__ import annotations

import ast
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

import zoo

ROOT = Path(zoo.__file__).parents[1]
SHIPPED = ("LICENSE", "README.md", "pyproject.toml", "registry.yaml", "checkpoints", "docs", "zoo")
IGNORED = shutil.ignore_patterns("__pycache__")

BUILD = """
import sys
from hatchling import build
print(build.build_wheel(sys.argv[1]), build.build_sdist(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy of the checkout."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, check=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("vae_zoo-*-py3-none-any.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def files_below(folder: Path) -> set[str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix() for path in paths if path.suffix != ".pyc"}


def test_wheel_holds_the_package_the_registry_and_the_checkpoints(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {f"zoo/{name}" for name in files_below(ROOT / "zoo")}
    expected |= {f"zoo/_data/checkpoints/{name}" for name in files_below(ROOT / "checkpoints")}
    assert inside == expected | {"zoo/_data/registry.yaml"}
    assert wheel.read("zoo/_data/registry.yaml") == (ROOT / "registry.yaml").read_bytes()


def test_wheel_declares_version_command_and_licence(
    wheel: zipfile.ZipFile, metadata: email.message.Message
) -> None:
    assert metadata["Name"] == "vae-zoo"
    assert metadata["Version"] == zoo.__version__
    assert metadata["License-Expression"] == "MIT"
    (entry_points,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    assert "zoo = zoo.cli:main" in wheel.read(entry_points).decode()


def test_installed_wheel_lists_its_own_registry(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = "from zoo.registry import packaged_root; print(packaged_root())"
    for arguments, expected in (
        (["-c", code], str(tmp_path / "site" / "zoo" / "_data")),
        (["-m", "zoo", "list", "checkpoints", "--json"], None),
    ):
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, check=True)  # fmt: skip
        if expected is not None:
            assert done.stdout.strip() == expected
        else:
            assert list(json.loads(done.stdout)["checkpoints"]) == zoo.list_checkpoints()


def test_source_distribution_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (archive,) = built.glob("vae_zoo-*.tar.gz")
    with tarfile.open(archive) as source:
        inside = {member.name.partition("/")[2] for member in source if member.isfile()}
    for name in SHIPPED:
        below = files_below(ROOT / name) if (ROOT / name).is_dir() else ()
        expected = {f"{name}/{file}" for file in below} or {name}
        assert expected <= inside


def requirement_names(lines: list[str]) -> set[str]:
    names = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines}
    return {normal(name) for name in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(metadata: email.message.Message) -> tuple[set[str], set[str]]:
    """The names of the runtime dependencies, and of those of the extra ``dev``."""
    lines = metadata.get_all("Requires-Dist") or []
    runtime = [line for line in lines if "extra ==" not in line]
    return requirement_names(runtime), requirement_names([li for li in lines if li not in runtime])


def imported_distributions() -> set[str]:
    """The distributions whose modules the package imports, wherever in a file it does."""
    modules = set()
    for path in (ROOT / "zoo").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    owners = module_owners()
    foreign = modules - set(sys.stdlib_module_names) - {"zoo"}
    return {owners[module] for module in foreign}


def module_owners() -> dict[str, str]:
    """The distribution of each module; importlib's own list has gaps on Python 3.10."""
    owners = {}
    for distribution in distributions():
        modules = {
            f.parts[0].removesuffix(".py") for f in distribution.files or () if f.suffix == ".py"
        }
        owners |= dict.fromkeys(modules, normal(distribution.metadata["Name"]))  # a file parsed
    return owners


def test_every_import_is_declared_and_every_dependency_is_imported(
    metadata: email.message.Message,
) -> None:
    # torch.utils.tensorboard imports the one, zoo.data.torchvision_compat the other by its name.
    indirect = {"tensorboard", "torchvision"}
    part_of_pydantic = {"pydantic-core"}  # which it requires in one exact version
    runtime, _ = declared(metadata)
    assert (imported_distributions() | indirect) - part_of_pydantic == runtime


def test_constraints_pin_every_direct_dependency(metadata: email.message.Message) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._-]+==[0-9]", pin) for pin in pins)
    runtime, dev = declared(metadata)
    assert runtime | dev <= requirement_names(pins)


# The scripts, with a stand-in for python3 that records what it is asked

STAND_IN = """#!/bin/sh
[ "$1" = -c ] && exit 0
case "$*" in
    "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    *"-m pip install"*) printf '%s\\n' "$*" >>"$LOG"; exit "${PIP_FAILS:-0}" ;;
    *) printf '%s in %s\\n' "$*" "$PWD" ;;
esac
"""


class Checkout:
    """A copy of the scripts with a ``python3`` of our own first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.root, self.tools, self.log = folder / "a checkout", folder / "tools", folder / "log"
        (self.root / "scripts").mkdir(parents=True)
        self.tools.mkdir()
        (self.root / ".ci").mkdir()
        for name in ("scripts/_venv.sh", "scripts/demo", "scripts/test", ".ci/other_pythons",
                     "pyproject.toml", "constraints.txt"):  # fmt: skip
            shutil.copy(ROOT / name, self.root / name)
        for name in ("bash", "cat", "cksum", "cp", "dirname", "mkdir", "mktemp", "rm", "sh",
                     "tail", "timeout"):  # fmt: skip
            (self.tools / name).symlink_to(shutil.which(name) or name)
        self.provide("python3", STAND_IN)

    def provide(self, name: str, script: str) -> None:
        (self.tools / name).write_text(script)
        (self.tools / name).chmod(0o755)

    def run(
        self, script: str, *arguments: str, cwd: Path | None = None, pip_fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.tools),
            "HOME": str(self.root),
            "LOG": str(self.log),
            "PIP_FAILS": str(int(pip_fails)),
        }
        command = [str(self.root / script), *arguments]
        return subprocess.run(
            command, cwd=cwd or self.root, env=environment, capture_output=True, text=True
        )

    @property
    def installations(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


SCRIPTS = (
    ("scripts/test", "sh"),
    ("scripts/demo", "sh"),
    (".ci/run", "bash"),
    (".ci/other_pythons", "bash"),
)


def test_scripts_are_valid_and_executable() -> None:
    for name, shell in SCRIPTS:
        assert os.access(ROOT / name, os.X_OK)
        subprocess.run([shell, "-n", str(ROOT / name)], check=True)


def test_demo_installs_once_and_runs_where_it_is_called(checkout: Checkout, tmp_path: Path) -> None:
    for _ in range(2):
        done = checkout.run("scripts/demo", "--out", "a b", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{checkout.root}/scripts/demo.py --out a b in {tmp_path}\n"
    (command,) = checkout.installations
    assert command.endswith(
        f"--constraint {checkout.root}/constraints.txt --editable {checkout.root}[flows]"
    )


def test_tests_run_in_the_checkout_with_the_dev_extra(checkout: Checkout, tmp_path: Path) -> None:
    done = checkout.run("scripts/test", "-k", "name", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-m pytest -n auto")
    assert done.stdout.endswith(f"-k name in {checkout.root}\n")
    assert checkout.run("scripts/demo").returncode == 0  # needs nothing more
    (command,) = checkout.installations
    assert command.endswith("[dev]")


def test_what_is_installed_follows_the_pins_and_the_place(checkout: Checkout) -> None:
    checkout.run("scripts/demo")
    with (checkout.root / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    checkout.run("scripts/demo")
    assert len(checkout.installations) == 2
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    checkout.run("scripts/demo")
    assert checkout.installations[-1].endswith("moved[flows]")


def test_a_failed_installation_is_reported_and_tried_again(checkout: Checkout) -> None:
    done = checkout.run("scripts/test", pip_fails=True)
    assert done.returncode == 1
    assert "error: the installation failed" in done.stderr
    assert done.stdout == ""
    assert checkout.run("scripts/test").returncode == 0
    assert len(checkout.installations) == 2


def test_a_missing_or_old_python_is_an_error_that_helps(checkout: Checkout) -> None:
    old = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit\nexit 1\n'
    checkout.provide("python3", old)
    done = checkout.run("scripts/demo")
    assert done.returncode == 1
    assert done.stderr == "error: zoo needs Python 3.10 or newer on the PATH; found Python 3.9.1\n"
    (checkout.tools / "python3").unlink()
    done = checkout.run("scripts/demo")
    assert done.returncode == 1
    assert "found no python3 at all" in done.stderr


def test_another_python_is_used_where_python3_is_too_old(checkout: Checkout) -> None:
    checkout.provide("python3", "#!/bin/sh\nexit 1\n")
    checkout.provide("python3.12", STAND_IN)
    assert checkout.run("scripts/demo").returncode == 0


def test_a_missing_venv_module_is_an_error_that_helps(checkout: Checkout) -> None:
    no_venv = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n'
    checkout.provide("python3", no_venv)
    done = checkout.run("scripts/demo")
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


# The other Pythons, stand-ins that say which version they are

OTHER = """#!/bin/sh
version={version}
case "$*" in
    "-c "*) echo "$version" ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *"-m pip download"*) {download} ;;
    *"-m pip install"*) printf '%s\\n' "$*" >>"$LOG"; {install} ;;
    *) echo "$version runs $*"; {tests} ;;
esac
"""
FETCH = 'for folder; do [ -d "$folder" ] && touch "$folder/torch-1.whl"; done; true'


def other_python(
    version: str, download: str = FETCH, install: str = "true", tests: str = "true"
) -> str:
    return OTHER.format(version=version, download=download, install=install, tests=tests)


@pytest.fixture
def with_others(checkout: Checkout) -> Checkout:
    """The checkout's own Python is 3.11, and python3.11 is that one."""
    own = checkout.root / ".venv" / "bin"
    own.mkdir(parents=True)
    checkout.provide("python3.11", other_python("3.11"))
    (own / "python").symlink_to(checkout.tools / "python3.11")
    (checkout.tools / "touch").symlink_to(shutil.which("touch") or "touch")
    return checkout


def test_every_other_python_runs_its_tests_or_says_why_not(with_others: Checkout) -> None:
    with_others.provide("python3.13", other_python("3.13"))
    with_others.provide("python3.10", "#!/bin/sh\necho no such version >&2; exit 127\n")
    with_others.provide("python3.14", other_python("3.14", download="echo too large; exit 1"))
    managed = with_others.root / ".pyenv" / "versions" / "3.12.9" / "bin"
    managed.mkdir(parents=True)
    (managed / "python").write_text(other_python("3.12", install="echo no wheel; exit 1"))
    (managed / "python").chmod(0o755)
    done = with_others.run(".ci/other_pythons")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[:2] == [
        "not run on Python 3.14: no torch for it within 300 MB (too large)",
        "not run on Python 3.10: there is none on this machine",
    ]
    assert lines[2].startswith("Python 3.13: tests/test_package.py ")
    assert lines[3].startswith("3.13 runs -m pytest -q -n auto --maxprocesses 8 tests/test_package")
    assert lines[4:] == ["not run on Python 3.12: not installed within 480 s (no wheel)"]
    first, _ = with_others.installations
    assert "--constraint constraints.txt --editable .[dev]" in first
    assert first.endswith("/torch-1.whl")


def test_a_failure_on_another_python_is_one(with_others: Checkout) -> None:
    with_others.provide("python3.13", other_python("3.13", tests="exit 1"))
    with_others.provide("python3.12", other_python("3.12"))
    done = with_others.run(".ci/other_pythons")
    assert done.returncode == 1
    assert done.stderr == "failed on Python: 3.13\n"
    assert "3.12 runs -m pytest" in done.stdout


def test_the_tests_named_for_other_pythons_exist() -> None:
    text = (ROOT / ".ci" / "other_pythons").read_text()
    names = re.findall(r"tests/\w+\.py", text)
    assert {"tests/test_package.py", "tests/test_cli.py"} <= set(names)
    assert all((ROOT / name).exists() for name in names)
