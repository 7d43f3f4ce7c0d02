"""The verb report: several models of one dataset on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from zoo.api.arguments import seed_number
from zoo.api.benchmark import MetricName, named_benchmark
from zoo.api.compare import Progress, compare
from zoo.api.source import Opened, Source, dataset_for, entries_of, named_apart
from zoo.data import Dataset, Kept
from zoo.errors import ConfigError
from zoo.files import as_path
from zoo.metrics import Scores
from zoo.registry import registry
from zoo.reporting.chapter import Chapter, chapter
from zoo.reporting.exhibit import Exhibit, Point, curve_of_run, released_curve
from zoo.reporting.page import write_page
from zoo.training.launch import Run

MAIN: tuple[MetricName, ...] = ("elbo", "rate", "distortion")
"""What is measured unless told otherwise: one draw for each example says it."""


def report(
    sources: Sequence[Source] | Mapping[str, Source],
    *,
    out: str | Path,
    benchmark: str | Path | None = None,
    dataset: object | None = None,
    metrics: Iterable[MetricName] | Literal["all"] | None = None,
    split: str | None = None,
    samples: int | None = None,
    examples: int | None = None,
    seed: int | None = None,
    data_root: str | None = None,
    image_channels: int | None = None,
    device: str | torch.device = "cpu",
    scores: Scores | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a page that shows several models of one dataset side by side; returns its path.

    One HTML file, without links to anything outside it: a table of ``metrics`` with paired
    differences to the best, what each model makes of the same test examples, samples beside the
    training images nearest to them, charts, what codes mean, and decoders that run in the page.

    ``sources`` are what :func:`zoo.evaluate` takes: released names, files, runs. The figures are
    those of :func:`zoo.compare`, which has the other arguments too: what is recorded is not
    measured again. By default they are the ELBO, the rate and the distortion; ``"all"`` are those
    of the benchmark. ``scores`` are what :func:`zoo.compare` has found of the same sources, and
    nothing is measured then.

    Raises what :func:`zoo.compare` raises, and ConfigError for models of different datasets and for
    a file that cannot be written.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> page = report(
    ...     ["gaussian-vae-digits"], benchmark="digits", examples=20, out=f"{folder.name}/page.html"
    ... )
    >>> "gaussian-vae-digits" in page.read_text(encoding="utf-8")
    True
    >>> folder.cleanup()
    """
    path = writable(out)
    named, entries = named_apart(sources), entries_of(sources, device)
    refuse_other_datasets(entries, _dataset_of(benchmark, dataset))
    _check_scores(scores, entries, {"metrics": metrics, "samples": samples, "examples": examples})
    given = {"split": split, "samples": samples, "examples": examples, "seed": seed,
             "data_root": data_root, "image_channels": image_channels, "device": device,
             "progress": progress}  # fmt: skip
    if scores is None:
        whole, _ = compared(named, entries, benchmark, dataset, metrics, given)
    else:
        whole = shown(named, entries, scores, benchmark, dataset, given)
    try:
        return write_page(path, [whole], title=f"{len(entries)} models of {whole.title}")
    except OSError as error:
        raise ConfigError(f"out {path}: cannot write it: {error.strerror or error}") from error


def compared(
    named: Mapping[str, Source],
    entries: Sequence[Opened],
    benchmark: str | Path | None,
    dataset: object | None,
    metrics: Iterable[MetricName] | Literal["all"] | None,
    given: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> tuple[Chapter, Scores]:
    """The models measured and shown; ``given`` are further arguments of :func:`zoo.compare`."""
    chosen = MAIN if metrics is None else None if metrics == "all" else metrics
    scores = compare(entries, chosen, benchmark=benchmark, dataset=dataset, **given)
    return shown(named, entries, scores, benchmark, dataset, given, notes), scores


def shown(
    named: Mapping[str, Source],
    entries: Sequence[Opened],
    scores: Scores,
    benchmark: str | Path | None,
    dataset: object | None,
    given: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Chapter:
    """The models with what was measured of them; arguments as :func:`compared` has them."""
    known = None if benchmark is None else named_benchmark(benchmark)
    of, kept = _dataset_of(benchmark, dataset), Kept()  # in memory once for all that read alike
    root, channels = given["data_root"], given.get("image_channels")
    data = {
        each.name: dataset_for(each, of, root, image_channels=channels, kept=kept)
        for each in entries
    }
    split, seed = ("test", 0) if known is None else (known.spec.split, known.spec.seed)
    split = given.get("split") or split
    seed = seed if given["seed"] is None else seed_number(given["seed"])
    exhibits = [exhibit(named[each.name], each, data[each.name], split, seed) for each in entries]
    title = (known and known.name) or data[entries[0].name].name
    return chapter(title, exhibits, scores, notes=notes)


def check_page(
    sources: Sequence[Source] | Mapping[str, Source],
    out: str | Path,
    benchmark: str | Path | None,
    dataset: object | None,
    option: str = "out",
) -> None:
    """Raise ConfigError for a page that cannot be made, before anything is measured for it."""
    writable(out, option)
    refuse_other_datasets(entries_of(sources, "cpu"), _dataset_of(benchmark, dataset))


def _dataset_of(benchmark: str | Path | None, dataset: object | None) -> object | None:
    return dataset if benchmark is None else named_benchmark(benchmark).spec.dataset


def _check_scores(
    scores: Scores | None, entries: Sequence[Opened], given: Mapping[str, object]
) -> None:
    """Raise ConfigError for scores of other models, and for settings of what was measured."""
    if scores is None:
        return
    for name, value in given.items():
        if value is not None:
            raise ConfigError(f"give either {name} or scores: what was measured has its own")
    names = tuple(each.name for each in entries)
    if names != scores.models:
        raise ConfigError(
            f"the scores are of {', '.join(scores.models):.500}, the page of "
            f"{', '.join(names):.500}; give the same sources as to compare"
        )


def exhibit(
    source: Source, entry: Opened, data: Dataset | None, split: str = "test", seed: int = 0
) -> Exhibit:
    """A model with what is known of where it comes from."""
    card = registry().checkpoints.get(source) if isinstance(source, str) else None
    variant = entry.described or type(entry.model).__name__
    return Exhibit(entry.name, entry.model, variant, card, curve(source), data, split, seed)


def curve(source: Source) -> Sequence[Point]:
    """How the training of a source went, where that is known."""
    if isinstance(source, Run):
        return curve_of_run(source.directory)
    if isinstance(source, str) and source in registry().checkpoints:
        return released_curve(source)
    if isinstance(source, str | Path) and (folder := as_path(source, "source")).is_dir():
        return curve_of_run(folder)
    return []


def refuse_other_datasets(entries: Sequence[Opened], dataset: object | None) -> None:
    """Raise ConfigError for models of different data, or of other data than these."""
    listing = ", ".join(f"{each.name}: {each.dataset or 'unknown'}" for each in entries)
    if len({each.dataset for each in entries} - {None}) > 1:
        raise ConfigError(
            f"a page shows models of one dataset, and these are of several ({listing:.500}); make "
            "a page for each"
        )
    known = registry().datasets
    for each in entries:
        named = isinstance(dataset, str) and dataset in known
        if named and each.dataset in known and each.dataset != dataset:
            raise ConfigError(
                f"{each.name} was trained on {each.dataset}, and the page is of {dataset}; choose "
                f"the benchmark or the dataset {each.dataset!r}, or leave the model out"
            )


def writable(out: str | Path, option: str = "out") -> Path:
    """The page's path, before anything is computed. Raises ConfigError for what can be none."""
    path = as_path(out, option)
    if path.suffix not in (".html", ".htm"):
        raise ConfigError(
            f"{option} {path}: the page is a file .html, for example {path.name}.html"
        )
    if path.is_dir():
        raise ConfigError(f"{option} {path}: there is a folder of that name")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise ConfigError(f"{option} {path}: {there} is no folder")
    return path
