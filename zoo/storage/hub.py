"""From the name of a released file of weights to a local file whose size and SHA-256 are right.

The packaged copy is looked at first, then the cache, then the mirrors. The environment:

``ZOO_HOME``     the cache folder (otherwise ``$XDG_CACHE_HOME/zoo`` or ``~/.cache/zoo``)
``ZOO_MIRRORS``  base URLs (http, https or file) tried before the registered ones, separated by
                 commas or spaces; a file is at its base URL + "/" + its name
``ZOO_OFFLINE``  set to 1: never touch the network; mirrors at file:// addresses are still used
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import quote

from zoo.environment import cache_folder
from zoo.errors import CheckpointError, UnknownNameError
from zoo.files import sha256
from zoo.registry import BARE_FILE_NAME, ReleaseSpec, packaged_root, registry
from zoo.registry.sections import singular

# What downloads need (requests, filelock, rich) is imported where it is used: loading a packaged
# checkpoint, the common case, needs none of it, and it would cost more time than all the rest.

BEST = "best.safetensors"


def fetch(name: str, section: str = "checkpoints") -> Path:
    """The verified local file of what is registered as ``name``, downloaded if need be.

    A checkpoint, or what else a ``section`` of the registry releases: a classifier.

    Safe to call from many processes at once: one downloads, the others wait for it.

    Raises UnknownNameError, or CheckpointError when neither the package, the cache nor any mirror
    has a file of the registered size and SHA-256; its message says why for each.
    """
    spec: ReleaseSpec = registry().find(section, name)
    if not re.fullmatch(BARE_FILE_NAME, spec.file):
        raise CheckpointError(
            f"the {singular(section)} {name!r} is registered with the file {spec.file!r}; a bare "
            f"file name is allowed, without folders: correct the registry"
        )
    packaged = packaged_root() / "checkpoints" / spec.file
    cached = cache_folder() / "checkpoints" / spec.file
    for path in (packaged, cached):
        if _is_good(path, spec):
            return path
    reasons = []
    if packaged.exists():
        reasons.append(f"{packaged}: not the registered size or SHA-256; reinstall zoo")
    _download_once(spec, cached, reasons)
    return cached


def locate(source: str | Path) -> Path:
    """The file that ``source`` means: the name of a released checkpoint, a file, or a folder.

    A string that is a released name always means the released, verified file; write ``./name``
    for a file or folder of that name. Of a folder it is its ``best.safetensors`` (a training run),
    or else its only .safetensors file.

    Raises CheckpointError or UnknownNameError, saying which of these came nearest.
    """
    if isinstance(source, str) and source in registry().checkpoints:
        return fetch(source)
    if not isinstance(source, str | os.PathLike):
        raise CheckpointError(f"give a released name, a file or a folder, got {source!r:.100}")
    path = Path(source)
    try:
        path = path.expanduser()
        if str(source) and path.is_file():
            return path
        is_folder = bool(str(source)) and path.is_dir()
        inside = _in_folder(path) if is_folder else []
    except (OSError, RuntimeError) as error:  # RuntimeError: "~name" of a user there is not
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if len(inside) == 1:
        return inside[0]
    if is_folder:
        raise CheckpointError(_about_folder(path, inside))
    raise _unknown(source)


def _in_folder(folder: Path) -> list[Path]:
    best = folder / BEST
    return [best] if best.is_file() else sorted(folder.glob("*.safetensors"))


def _about_folder(folder: Path, inside: list[Path]) -> str:
    if not inside:
        return f"the folder {folder} holds no .safetensors file; name the file or another folder"
    names = ", ".join(path.name for path in inside[:5])
    return f"the folder {folder} holds {len(inside)} checkpoints ({names}, ...); name one of them"


def _unknown(source: str | Path) -> Exception:
    text = str(source)
    known = registry()
    if isinstance(source, Path) or re.search(r"[/\\]|\.(safetensors|pt|pth|ckpt)$", text):
        return CheckpointError(f"there is no file or folder {text}; check the path")
    if text in known.variants:
        trained = [name for name, spec in known.checkpoints.items() if spec.variant == text]
        return CheckpointError(
            f"{text!r} is a variant, not a trained checkpoint: zoo.create({text!r}) or "
            f"zoo.train({text!r}), or load one of its checkpoints: {', '.join(trained) or 'none'}"
        )
    return UnknownNameError("checkpoint", text, known.checkpoints)


def _is_good(path: Path, spec: ReleaseSpec) -> bool:
    """Hashed anew each time: what a file's size and times say can be kept when it is replaced."""
    try:
        status = path.stat()
        is_candidate = stat.S_ISREG(status.st_mode) and status.st_size == spec.bytes
        return is_candidate and sha256(path) == spec.sha256
    except OSError:
        return False


def _download_once(spec: ReleaseSpec, target: Path, reasons: list[str]) -> None:
    """Put the file at ``target``, while every other process that wants it waits."""
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f".{spec.file}.lock"):
            if _is_good(target, spec):  # another process was faster
                return
            target.unlink(missing_ok=True)
            # Whoever writes holds the lock, so these are left from processes that were killed.
            for stale in target.parent.glob(f".{spec.file}.*.part"):
                stale.unlink(missing_ok=True)
            _download(spec, target, reasons)
    except OSError as error:
        raise CheckpointError(
            f"cannot use the cache folder {target.parent}: {error}; set ZOO_HOME to a folder you "
            f"may write to, with room for {spec.bytes} bytes"
        ) from error


def _download(spec: ReleaseSpec, target: Path, reasons: list[str]) -> None:
    from zoo.storage.download import MirrorError, from_mirror

    mirrors = _mirrors(spec)
    for base in mirrors:
        url = f"{base.rstrip('/')}/{quote(spec.file)}"
        try:
            from_mirror(url, spec, target)
            return
        except MirrorError as error:
            reasons.append(_without_password(f"{url}: {error}"))
    if not mirrors:
        reasons.append("no mirror is registered; set ZOO_MIRRORS to the address of one")
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise CheckpointError(
        f"cannot get {spec.file} ({spec.bytes} bytes):{listed}\n"
        f"Download {spec.file} yourself (sha256 {spec.sha256}) and put it at {target}, "
        f"or give zoo.load the path of the file."
    )


def _mirrors(spec: ReleaseSpec) -> list[str]:
    own = re.split(r"[,\s]+", os.environ.get("ZOO_MIRRORS", ""))
    bases = [*own, *spec.mirrors, *registry().mirrors]
    return list(dict.fromkeys(base for base in bases if base))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//***@", text)
