"""Show every released checkpoint: samples, reconstructions, figures, on one page.

    scripts/demo [FOLDER] [--samples K] [--examples N] [--data-root FOLDER]

Nothing is downloaded. Checkpoints whose test examples are not on this machine are shown by their
samples and recorded figures alone.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

import zoo
from zoo.data import Examples, load_for_model
from zoo.evaluation import Evaluation
from zoo.metrics import Scores
from zoo.registry import CheckpointSpec
from zoo.report import (
    Picture,
    Section,
    Sentences,
    checkpoint_section,
    grid,
    reconstruction_grid,
    write_page,
)
from zoo.report.pictures import enlargement

COLUMNS = 8
METRICS = ("nll", "bits-per-dim", "elbo", "rate", "distortion", "squared-error", "weights")
"""Of the tables: those that need no training split."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page and print the tables."""
    options = _parse(arguments)
    os.environ.setdefault("ZOO_OFFLINE", "1")
    models, notes = _load_all()
    comparisons, evaluations = _compare_all(models, notes, options)
    sections = [
        _section(name, models.get(name), evaluations.get(name), notes[name], options.data_root)
        for name in zoo.list_checkpoints()
    ]
    page = write_page(options.folder / "index.html", comparisons, sections, title="zoo: a tour")
    for comparison in comparisons:
        print(f"\n{comparison}")
    print(f"\n{len(models)} checkpoints; the page is {page.resolve()}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show every released checkpoint on one page.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo-report"))
    parser.add_argument("--samples", type=int, default=50, help="importance samples (50)")
    parser.add_argument("--examples", type=int, default=200, help="test examples of each set (200)")
    parser.add_argument("--data-root", help="where datasets lie, looked at first")
    return parser.parse_args(arguments)


def _load_all() -> tuple[dict[str, zoo.LatentVariableModel], dict[str, list[str]]]:
    """The models that load, and for each checkpoint what the page has to say of its troubles."""
    models: dict[str, zoo.LatentVariableModel] = {}
    notes: dict[str, list[str]] = defaultdict(list)
    for name in zoo.list_checkpoints():
        try:
            models[name] = zoo.load(name)
        except zoo.ZooError as error:
            _note(notes, [name], f"not loaded: {error}")
    return models, notes


def _compare_all(
    models: dict[str, zoo.LatentVariableModel],
    notes: dict[str, list[str]],
    options: argparse.Namespace,
) -> tuple[list[Scores], dict[str, Evaluation]]:
    """One table for each dataset, and what its models are measured to be."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in models:
        groups[_card(name).dataset].append(name)
    protocol = {key: getattr(options, key) for key in ("samples", "examples", "data_root")}
    comparisons, evaluations = [], {}
    for dataset, names in sorted(groups.items()):
        print(f"{dataset}: {', '.join(names)}", flush=True)
        try:
            comparisons.append(zoo.compare(names, METRICS, dataset=dataset, **protocol))
            evaluations |= {
                name: zoo.evaluate(models[name], dataset=dataset, **protocol) for name in names
            }
        except zoo.ZooError as error:
            _note(notes, names, f"not evaluated here: {error}")
    return comparisons, evaluations


def _section(
    name: str,
    model: zoo.LatentVariableModel | None,
    evaluation: Evaluation | None,
    notes: list[str],
    data_root: str | None,
) -> Section:
    pictures: list[Picture] = []
    sentences: list[Sentences] = []
    if model is not None:
        test = None
        if evaluation is not None:
            test = load_for_model(model.config, evaluation.dataset, root=data_root).test
        if model.input_kind == "tokens":
            sentences = _sentences(model, test)
        else:
            pictures = _pictures(model, test)
    return checkpoint_section(
        name, _card(name), evaluation, pictures=pictures, sentences=sentences, notes=notes
    )


def _pictures(model: zoo.LatentVariableModel, test: Examples | None) -> list[Picture]:
    seeded = torch.Generator().manual_seed(0)
    told = _conditions(model, test, 4 * COLUMNS)
    if model.conditioning is not None and told is None:
        return []  # of numbers, which only the data have
    samples = model.sample(4 * COLUMNS, generator=seeded, condition=told)
    scale = enlargement(samples)
    pictures = [Picture("Samples", grid(samples, COLUMNS, scale=scale))]
    if test is not None:
        batch = test.batch(torch.arange(2 * COLUMNS), kind=model.input_kind, generator=seeded)
        pairs = reconstruction_grid(batch.x, model.reconstruct(batch), COLUMNS, scale=scale)
        pictures.append(Picture("Test images, each row above its reconstructions", pairs))
    return pictures


def _conditions(
    model: zoo.LatentVariableModel, test: Examples | None, n: int
) -> torch.Tensor | None:
    """What the model is told for ``n`` samples: each class in turn, or what the examples have."""
    told = model.conditioning
    if told is None or told.classes is None:
        return None if told is None or test is None else test.conditions(n)
    return torch.arange(n) % told.classes


def _sentences(model: zoo.LatentVariableModel, test: Examples | None) -> list[Sentences]:
    codes = model.sample_codes(2 * COLUMNS, generator=torch.Generator().manual_seed(0))
    shown = [Sentences("The likeliest tokens of codes from the prior", model.show(codes))]
    if test is not None:
        x = test.batch(torch.arange(COLUMNS), kind=model.input_kind).x
        pairs = zip(model.modality.write(x), model.reconstruct(x), strict=True)
        lines = [line for pair in pairs for line in pair]
        shown.append(Sentences("Test sentences, each above its reconstruction", lines))
    return shown


def _card(name: str) -> CheckpointSpec:
    spec = zoo.info(name)
    assert isinstance(spec, CheckpointSpec)  # the names of checkpoints are looked up first
    return spec


def _note(notes: dict[str, list[str]], names: Sequence[str], text: str) -> None:
    print(f"{', '.join(names)}: {text}")
    for name in names:
        notes[name].append(text)


if __name__ == "__main__":
    main()
