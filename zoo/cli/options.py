"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

import zoo
from zoo.api.catalogue import KINDS

SplitName = Literal["train", "validation", "test"]

MOST_SEED = 2**63 - 1
"""That torch's generators take."""


def kind_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a kind to."""
    return (kind for kind in KINDS if kind.startswith(incomplete))


def variant_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a variant's name to."""
    return (name for name in zoo.list_variants() if name.startswith(incomplete))


def dataset_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a dataset's name to."""
    return (name for name in zoo.list_datasets() if name.startswith(incomplete))


def benchmark_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a benchmark's name to."""
    return (name for name in zoo.list_benchmarks() if name.startswith(incomplete))


def metric_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a metric's name to."""
    return (name for name in zoo.list_names("metrics") if name.startswith(incomplete))


def paper_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a paper's name to."""
    return (name for name in zoo.list_papers() if name.startswith(incomplete))


def score_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a score's name to."""
    return (name for name in zoo.list_names("scores") if name.startswith(incomplete))


def source_names(incomplete: str) -> Iterator[str]:
    """What the shell completes a checkpoint's name to: released names, files and folders."""
    yield from (name for name in zoo.list_checkpoints() if name.startswith(incomplete))
    yield from (str(path) for path in Path().glob(f"{incomplete}*"))


def absolute(folder: str | None) -> str | None:
    """A run remembers its data's place, and may be resumed from another folder."""
    return folder and str(Path(folder).expanduser().absolute())


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A released name, a file, or a run's folder.",
        autocompletion=source_names,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        help="A name or path; by default the one it was trained on.", autocompletion=dataset_names
    ),
]
SplitOption = Annotated[SplitName, typer.Option(help="Which part of the dataset.")]
AllSplitsOption = Annotated[
    Literal["train", "validation", "test", "all"],
    typer.Option(help="Which part of the dataset; all of them make one to train on."),
]
RootOption = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Where the dataset's files lie.", callback=absolute),
]
SizeOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Resize and crop images to it: a side, or HEIGHTxWIDTH."),
]
ChannelsOption = Annotated[
    int | None, typer.Option(metavar="1|3", help="Make images grey (1) or RGB (3).")
]
SkipOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out damaged files of a folder of images.")
]
LabelledOption = Annotated[
    int | None,
    typer.Option(min=1, help="Know only so many training labels, as many of each class."),
]
ColumnsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Kinds of a table's columns, a .yaml file: age: count."),
]
LabelsOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column of a table that is its label.")
]
UnknownOption = Annotated[
    bool,
    typer.Option("--unknown-is-missing", help="Count values that a column had not as missing."),
]
DeviceOption = Annotated[str, typer.Option(help="For example cuda.")]
ExamplesOption = Annotated[int | None, typer.Option(min=2, help="Only so many, at even distances.")]
ConditionOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS",
        help="What the samples are told: a class for all or 0,1,2 one for each; of a model told "
        "numbers those of one sample. Repeatable.",
    ),
]
DecodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="Of a model that works token by token: greedy, beam=WIDTH, or temperature=T,top-p=P.",
    ),
]
PixelsOption = Annotated[
    Literal["means", "draws"] | None,
    typer.Option(
        help="Of images the means of p(x|z), or draws from it; by default what the model shows, "
        "means but of samples of univae."
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")]
SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Released names, files or folders.",
        autocompletion=source_names,
    ),
]
BenchmarkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="One of 'zoo list benchmarks', or a .yaml file that says one.",
        autocompletion=benchmark_names,
    ),
]
OwnSplitOption = Annotated[SplitName | None, typer.Option(help="Instead of the benchmark's.")]
OwnSamplesOption = Annotated[int | None, typer.Option(min=1, help="Instead of the benchmark's.")]
OwnSeedOption = Annotated[
    int | None, typer.Option(min=0, max=MOST_SEED, help="Instead of the benchmark's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
