"""The kinds of things the registry knows, and how their names are written."""

from __future__ import annotations

COMPONENTS = (
    "variants",
    "posteriors",
    "priors",
    "likelihoods",
    "backbones",
    "objectives",
    "modalities",
    "columns",
    "tasks",
    "scores",
    "baselines",
    "metrics",
)
"""The sections that hold classes, in the order in which a name is looked for in them."""
SECTIONS = (*COMPONENTS, "datasets", "benchmarks", "papers", "classifiers", "checkpoints")
BARE_FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def singular(section: str) -> str:
    """What one entry of a section is called.

    >>> singular("posteriors"), singular("modalities")
    ('posterior', 'modality')
    """
    return f"{section[:-3]}y" if section.endswith("ies") else section[:-1]
