"""What an entry of each section of the registry says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, field_validator

from zoo.errors import UnknownNameError
from zoo.registry.sections import BARE_FILE_NAME, IMPORT_PATH, singular
from zoo.settings import Settings


class ComponentSpec(Settings):
    """A class known by name, with defaults for its settings; resolved on use."""

    component: str = Field(pattern=IMPORT_PATH)
    """Import path of the class, ``package.module:Class``."""
    summary: str
    paper: str | None = None
    config: dict[str, Any] = {}


class VariantSpec(ComponentSpec):
    """A model, what it is trained on by default, and how."""

    objective: dict[str, Any] = {"name": "elbo"}
    training: dict[str, Any] = {}

    @field_validator("objective")
    @classmethod
    def _is_named(cls, objective: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(objective.get("name"), str):
            raise ValueError("say which objective, for example {name: elbo}")
        return objective


class DatasetSpec(Settings):
    """A dataset known by name; ``loader`` is an import path, resolved on use."""

    loader: str = Field(pattern=IMPORT_PATH)
    summary: str
    license: str
    shape: tuple[int, int, int] | None = None
    """Of an image; a sentence has the width of the longest."""
    likelihood: str
    validation: int = Field(ge=1)
    classes: int | None = Field(None, ge=1)
    """How many the labels number, so that a model that is told them is made without the data."""
    factors: dict[str, int] = {}
    """What the columns of the labels are, where they are ground-truth factors: how many values."""
    options: dict[str, str] = {}


class ShiftSpec(Settings):
    """Other examples than a benchmark's, or the same ones otherwise: what models did not learn."""

    dataset: str | None = None
    seed: int | None = Field(None, ge=0)
    """Of binarisation and of all noise."""
    rotate: float = 0.0
    """Degrees, counter-clockwise."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of what is added to brightness in [0, 1]."""


class BenchmarkSpec(Settings):
    """A fixed way to compare models: which examples, how many importance samples, which seed."""

    summary: str
    dataset: str
    """A registered name, or a path: one with a slash in it, as ./mine.npz."""
    split: Literal["train", "validation", "test"] = "test"
    samples: int = Field(1000, ge=1)
    examples: int | None = Field(None, ge=1)
    seed: int = 0
    metrics: tuple[str | dict[str, Any], ...] = ("nll", "elbo", "rate", "distortion")
    """What :func:`zoo.compare` measures: names, or mappings of a name and its settings."""
    shifts: dict[str, ShiftSpec] = {}
    """By name, what the same is measured on beside it, and whether that changes ranks."""


class PaperSpec(Settings):
    """A paper whose table is kept as data, to be made anew."""

    summary: str
    file: str
    """A YAML file, :class:`zoo.studies.Study`: of zoo's own papers, or an absolute path."""


class MetricSpec(Settings):
    """A recorded figure in nats per example (or as the metric's name says) with its error."""

    value: float
    stderr: float | None = None
    samples: int | None = None
    test_set: str | None = None
    note: str | None = None


class RecipeSpec(Settings):
    """How a checkpoint was made, so that it can be made again."""

    command: str
    seed: int
    revision: str
    hardware: str
    duration: str


class ReleaseSpec(Settings):
    """A released file of weights, identified by size and SHA-256."""

    dataset: str
    """What it was trained on."""
    summary: str
    file: str = Field(pattern=BARE_FILE_NAME)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    license: str
    data_license: str
    metrics: dict[str, MetricSpec]
    recipe: RecipeSpec
    mirrors: list[str] = []


class ClassifierSpec(ReleaseSpec):
    """A network that tells the classes of a dataset's images: metrics read its features."""


class CheckpointSpec(ReleaseSpec):
    """A trained model."""

    variant: str


Spec = ComponentSpec | DatasetSpec | BenchmarkSpec | PaperSpec | ClassifierSpec | CheckpointSpec
S = TypeVar("S")


class Registry(Settings):
    """Everything known by name, a section for each kind."""

    variants: dict[str, VariantSpec] = {}
    posteriors: dict[str, ComponentSpec] = {}
    priors: dict[str, ComponentSpec] = {}
    likelihoods: dict[str, ComponentSpec] = {}
    backbones: dict[str, ComponentSpec] = {}
    objectives: dict[str, ComponentSpec] = {}
    modalities: dict[str, ComponentSpec] = {}
    columns: dict[str, ComponentSpec] = {}
    tasks: dict[str, ComponentSpec] = {}
    scores: dict[str, ComponentSpec] = {}
    baselines: dict[str, ComponentSpec] = {}
    metrics: dict[str, ComponentSpec] = {}
    datasets: dict[str, DatasetSpec] = {}
    benchmarks: dict[str, BenchmarkSpec] = {}
    papers: dict[str, PaperSpec] = {}
    classifiers: dict[str, ClassifierSpec] = {}
    checkpoints: dict[str, CheckpointSpec] = {}
    mirrors: list[str] = []
    _broken: tuple[str, ...] = PrivateAttr(())
    """What could not be read of plug-ins: said where a name is not found."""

    def names(self, section: str) -> Mapping[str, Spec]:
        """All entries of a section by name."""
        entries: Mapping[str, Spec] = getattr(self, section)
        return entries

    def find(self, section: str, name: str) -> Any:
        """The entry of a component's name; UnknownNameError with the nearest name otherwise."""
        return self._look_up(section, name, getattr(self, section))

    def variant(self, name: str) -> VariantSpec:
        """The variant called ``name``; UnknownNameError with the nearest name otherwise."""
        return self._look_up("variants", name, self.variants)

    def dataset(self, name: str) -> DatasetSpec:
        """The dataset called ``name``; UnknownNameError with the nearest name otherwise."""
        return self._look_up("datasets", name, self.datasets)

    def benchmark(self, name: str) -> BenchmarkSpec:
        """The benchmark called ``name``; UnknownNameError with the nearest name otherwise."""
        return self._look_up("benchmarks", name, self.benchmarks)

    def checkpoint(self, name: str) -> CheckpointSpec:
        """The checkpoint called ``name``; UnknownNameError with the nearest name otherwise."""
        return self._look_up("checkpoints", name, self.checkpoints)

    def _look_up(self, section: str, name: str, specs: Mapping[str, S]) -> S:
        if not isinstance(name, str) or name not in specs:
            raise UnknownNameError(singular(section), name, specs, *self._broken)
        return specs[name]


SCHEMAS: dict[str, type[Settings]] = {
    name: field.annotation.__args__[1]  # type: ignore[union-attr]
    for name, field in Registry.model_fields.items()
    if name != "mirrors"
}
"""Each section's schema of an entry."""
