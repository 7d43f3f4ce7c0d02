"""Names to typed entries: components, datasets, benchmarks and checkpoints. Never imports torch.

The packaged ``registry.yaml`` is read first, then what plug-ins add, three ways: the files named in
``ZOO_REGISTRY`` (separated as in ``PATH``; :func:`use_registry` adds one), installed distributions
with an entry point in a group ``zoo.SECTION``, and classes decorated with :func:`register`. A name
may be given only once in a section.
"""

from zoo.registry.plugins import register
from zoo.registry.process import packaged_root, registry, resolve, use_registry
from zoo.registry.reading import read_registry
from zoo.registry.specs import (
    BARE_FILE_NAME,
    COMPONENTS,
    SECTIONS,
    BenchmarkSpec,
    CheckpointSpec,
    ComponentSpec,
    DatasetSpec,
    MetricSpec,
    RecipeSpec,
    Registry,
    Spec,
    VariantSpec,
)

__all__ = [
    "BARE_FILE_NAME",
    "COMPONENTS",
    "SECTIONS",
    "BenchmarkSpec",
    "CheckpointSpec",
    "ComponentSpec",
    "DatasetSpec",
    "MetricSpec",
    "RecipeSpec",
    "Registry",
    "Spec",
    "VariantSpec",
    "packaged_root",
    "read_registry",
    "register",
    "registry",
    "resolve",
    "use_registry",
]
