"""Names to typed entries: components, datasets, benchmarks and checkpoints. Never imports torch.

The packaged ``registry.yaml`` is read first, then what plug-ins add, three ways: the files named in
``ZOO_REGISTRY`` (separated as in ``PATH``; :func:`use_registry` adds one), installed distributions
with an entry point in a group ``zoo.SECTION``, and classes decorated with :func:`register`. A name
may be given only once in a section.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.registry.plugins import register
from zoo.registry.process import entries, packaged_root, registry, resolve, use_registry
from zoo.registry.sections import BARE_FILE_NAME, COMPONENTS, SECTIONS

if TYPE_CHECKING:
    from zoo.registry.checking import read_registry
    from zoo.registry.specs import (
        BenchmarkSpec,
        CheckpointSpec,
        ClassifierSpec,
        ComponentSpec,
        DatasetSpec,
        MetricSpec,
        RecipeSpec,
        Registry,
        ReleaseSpec,
        Spec,
        VariantSpec,
    )

__all__ = [
    "BARE_FILE_NAME",
    "COMPONENTS",
    "SECTIONS",
    "BenchmarkSpec",
    "CheckpointSpec",
    "ClassifierSpec",
    "ComponentSpec",
    "DatasetSpec",
    "MetricSpec",
    "RecipeSpec",
    "Registry",
    "ReleaseSpec",
    "Spec",
    "VariantSpec",
    "entries",
    "packaged_root",
    "read_registry",
    "register",
    "registry",
    "resolve",
    "use_registry",
]


def __getattr__(name: str) -> Any:
    """Schemas on first use: their library takes longer to import than a list to print."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "checking" if name == "read_registry" else "specs"
    return getattr(import_module(f"{__name__}.{module}"), name)
