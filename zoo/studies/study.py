"""A study: models that are trained alike but for what is compared, and measured alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from zoo.core.component import Selected
from zoo.data.paths import dataset_of
from zoo.errors import ConfigError, UnknownNameError, did_you_mean
from zoo.mappings import merge
from zoo.metrics import Metric
from zoo.registry import registry
from zoo.settings import Settings
from zoo.training.config import Experiment
from zoo.yaml_files import read_mapping

PAPERS = Path(__file__).parents[1] / "papers"


Part = Annotated[
    dict[str, Any],
    BeforeValidator(lambda given: {"name": given} if isinstance(given, str) else given),
]
"""Settings of a part, or its bare name for all its defaults."""


class Column(Settings):
    """A figure of each model: what a metric says, ``times`` a factor where papers write it so.

    Or, in place of a metric, the seconds of work ``until`` the validation's bound (its ELBO, where
    the objective has no other) first is that high at the end of an epoch: those of the machine.

    ``doubt`` says why what the paper has in this column is no figure to compare with.
    """

    metric: str | dict[str, Any] | None = None
    until: float | None = None
    times: float = 1.0
    digits: int = Field(2, ge=0, le=6)
    doubt: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.metric is None) == (self.until is None):
            raise ValueError("a column has either a metric or until, the bound that it waits for")
        if self.metric is not None:
            Selected.parse("metrics", self.metric)
        return self

    @property
    def selected(self) -> Selected[Metric] | None:
        """The metric with its settings, where it is one."""
        return None if self.metric is None else Selected.parse("metrics", self.metric)


class Point(Settings):
    """What a model has of its own, and what the paper says of it, by column.

    Of so many training examples the classes are known as ``labelled`` says, of all where it is
    null; a point that does not say it has the study's. A claim is a figure, or a figure and its
    deviation over the paper's runs.
    """

    labelled: int | None = Field(None, ge=1)
    variant: str | None = None
    model: dict[str, Any] = {}
    objective: Part = {}
    train: dict[str, Any] = {}
    claims: dict[str, float | tuple[float, float]] = {}


class Source(Settings):
    """The paper whose table a study repeats, and of how many ``runs`` its figures are means."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    where: str
    runs: int | None = Field(None, ge=1)


class Study(Settings):
    """What a file of one says.

    ``model``, ``objective`` and ``train`` are merged with those of each point; ``variant`` and
    ``labelled`` are those of the points that say none.

    ``departures`` say in words where the runs are not the paper's; ``baseline`` is the point that
    the others are to be held against, seed by seed.
    """

    title: str
    paper: Source | None = None
    departures: tuple[str, ...] = ()
    baseline: str | None = None
    dataset: str
    split: Literal["train", "validation", "test"] = "test"
    samples: int = Field(1000, ge=1)
    examples: int | None = Field(None, ge=1)
    labelled: int | None = Field(None, ge=1)
    variant: str | None = None
    model: dict[str, Any] = {}
    objective: Part = {}
    train: dict[str, Any] = {}
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    columns: dict[str, Column] = Field(min_length=1)
    points: dict[str, Point] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_points(self) -> Self:
        folders: dict[str, str] = {}
        for name, point in self.points.items():
            if point.variant is None and self.variant is None:
                raise ValueError(f"{name!r} has no variant: give it one, or all of them one")
            if (other := folders.setdefault(_folder(name), name)) != name:
                raise ValueError(
                    f"the runs of {other!r} and {name!r} would lie in one folder, "
                    f"{_folder(name)!r}: give one of them another name"
                )
            for column in point.claims:
                if column not in self.columns:
                    raise ValueError(
                        f"{name!r} claims {column!r}, which is no column"
                        f"{did_you_mean(column, self.columns)} Columns: {', '.join(self.columns)}"
                    )
        return self

    @model_validator(mode="after")
    def _check_baseline(self) -> Self:
        if self.baseline is not None and self.baseline not in self.points:
            raise ValueError(
                f"the baseline {self.baseline!r} is no point"
                f"{did_you_mean(self.baseline, self.points)} Points: {', '.join(self.points)}"
            )
        return self

    @property
    def metrics(self) -> list[Selected[Metric]]:
        """Those of the columns that have one."""
        selected = (column.selected for column in self.columns.values())
        return [metric for metric in selected if metric is not None]

    def trials(
        self,
        points: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        data_root: str | None = None,
    ) -> Iterator[Trial]:
        """Every run, or those of some points and seeds. Raises ConfigError for unknown ones."""
        for name in _chosen(points, self.points):
            for seed in _numbers(self.seeds if seeds is None else seeds):
                yield Trial(self, name, seed, self._experiment(self.points[name], seed, data_root))

    def _experiment(self, point: Point, seed: int, data_root: str | None) -> Experiment:
        variant = point.variant or self.variant
        assert variant is not None
        return Experiment.build(
            variant,
            self.dataset,
            model=merge(self.model, point.model),
            train={**merge(self.train, point.train), "seed": seed},
            objective=merge(self.objective, point.objective),
            labelled=point.labelled if "labelled" in point.model_fields_set else self.labelled,
            data_root=data_root,
        )


@dataclass(frozen=True)
class Trial:
    """One training of a study."""

    study: Study
    point: str
    seed: int
    experiment: Experiment

    @property
    def folder(self) -> str:
        """A name for its run, the same whichever others there are."""
        return f"{_folder(self.point)}-s{self.seed}"

    @property
    def protocol(self) -> str:
        """A digest of all that its figures depend on: results of another are not its own."""
        study = self.study
        said: dict[str, Any] = {
            "experiment": {**self.experiment.identity, "dataset": Path(study.dataset).name},
            "split": study.split,
            "samples": study.samples,
            "examples": study.examples,
            "metrics": [[metric.dump(), metric.component.version] for metric in study.metrics],
        }
        waits = {name: each.until for name, each in study.columns.items() if each.until is not None}
        if waits:
            said["until"] = waits
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def read_study(path: Path) -> Study:
    """That of a file, beside which its data lie unless they are registered.

    Raises ConfigError for a file that says none, naming the place.
    """
    study = Study.parse(read_mapping(path), str(path))
    return study.model_copy(update={"dataset": dataset_of(path, study.dataset)})


def find_paper(name: str) -> tuple[Study, Path]:
    """The study of a registered paper, and the file of what is recorded of it.

    Raises UnknownNameError, which names the nearest.
    """
    path = PAPERS / registry().find("papers", name).file
    return read_study(path), path.with_suffix(".json")


def _folder(point: str) -> str:
    """Its letters and digits, with a dash for all that lies between them."""
    words = "".join(c if c.isalnum() else "-" for c in point.lower())
    return "-".join(filter(None, words.split("-")))


def _chosen(asked: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    if isinstance(asked, str):
        raise ConfigError(f"give a list of points, for one as [{asked!r}]")
    for name in asked or ():
        if name not in known:
            raise UnknownNameError("point", name, list(known))
    return list(known if asked is None else asked)


def _numbers(seeds: object) -> Sequence[int]:
    if not isinstance(seeds, Sequence) or not all(isinstance(each, int) for each in seeds):
        raise ConfigError(f"give a list of seeds, for one as [0], got {seeds!r:.100}")
    return seeds
