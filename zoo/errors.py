"""Every mistake a user can make and mend is a :class:`ZooError`; its message says how to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """A mistake the caller can mend. The command line prints its message without a traceback."""


class ConfigError(ZooError):
    """A configuration that does not fit its schema, or whose parts contradict each other."""


class DataError(ZooError):
    """A dataset that is missing, unreadable, or does not fit the model it is given to."""


class CheckpointError(ZooError):
    """A checkpoint that is missing, damaged, or not what it claims to be."""


class TrainingError(ZooError):
    """A run that cannot start, resume or go on."""


class UnsupportedError(ZooError):
    """A quantity asked of a model that does not define it."""


class UnknownNameError(ZooError):
    """A name that is not registered. ``kind`` is what was looked for, for example ``"variant"``.

    ``notes`` are sentences on what may be the cause, as a plug-in that could not be read.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *notes: str) -> None:
        names = sorted(known)
        listing = ", ".join(names) if names else "none"
        message = f"unknown {kind} {name!r}{did_you_mean(name, names)} Known: {listing}."
        super().__init__(" ".join([message, *notes]))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, whatever its case, or None when nothing is close.

    >>> nearest("Gausian-VAE", ["gaussian-vae", "autoencoder"])
    'gaussian-vae'
    """
    folded = {candidate.casefold(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.5)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a sentence: ``"; did you mean 'x'?"``, or a full stop when nothing is close."""
    match = nearest(name, candidates)
    return f"; did you mean {match!r}?" if match else "."
