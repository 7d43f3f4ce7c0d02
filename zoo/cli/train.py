"""``zoo train``: a new run, or one that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

import zoo
from zoo.cli.app import app
from zoo.cli.options import (
    ChannelsOption,
    ColumnsOption,
    JsonOption,
    LabelledOption,
    LabelsOption,
    RootOption,
    SizeOption,
    SkipOption,
    dataset_names,
    source_names,
    variant_names,
)
from zoo.cli.output import echo_mapping, hint
from zoo.cli.settings import parse_settings_of
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from zoo import Experiment, Run


class _AnySetting(TyperCommand):
    """Reads ``--KEY VALUE`` and ``--KEY=VALUE`` as ``--set KEY=VALUE`` where KEY is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._rewritten(args, ctx.help_option_names)))

    def _rewritten(self, args: list[str], known: list[str]) -> Iterator[str]:
        known = [*known, *(name for option in self.params for name in option.opts)]
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if not word.startswith("--") or word == "--" or name in known:
                yield word
                continue
            if near := get_close_matches(name, known, n=1, cutoff=0.85):
                raise ConfigError(f"unknown option {name}; did you mean {near[0]}?")
            value = value if equals else next(words, "--")
            if value.startswith("--"):
                raise ConfigError(f"{name} needs a value, as in {name}=1")
            yield from ("--set", f"{name[2:].replace('-', '_')}={value}")


@app.command(
    cls=_AnySetting,
    epilog="Any setting of the training, the model or the objective is an option too. "
    "Example: zoo train beta-vae --dataset mnist --epochs 20 --lr 1e-3 --latent-dim 10 --beta 2 "
    "--backbone.hidden [256,128]",
)
def train(
    variant: Annotated[
        str | None,
        typer.Argument(help="One of 'zoo list variants'.", autocompletion=variant_names),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A name, folder, .npy, .npz, .csv or .txt file.",
            show_default="digits",
            autocompletion=dataset_names,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting by its name, or as train.*, model.* or objective.*; YAML.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Short for --set train.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for --set train.seed=N.")] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            help="Of the run; the default tells settings apart.",
            show_default="runs/VARIANT-DATASET-sSEED[-HASH]",
        ),
    ] = None,
    data_root: RootOption = None,
    image_size: SizeOption = None,
    image_channels: ChannelsOption = None,
    skip_unreadable: SkipOption = False,
    labelled: LabelledOption = None,
    columns: ColumnsOption = None,
    labels: LabelsOption = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Begin with a checkpoint's weights.",
            autocompletion=source_names,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the run in this folder, with --epochs for longer than it began with, "
            "with --dataset where its data lie elsewhere now.",
            metavar="DIRECTORY",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a variant, or go on with an interrupted run."""
    new = {"VARIANT": variant, "--set": settings, "--seed": seed, "--directory": directory,
           "--data-root": data_root, "--image-size": image_size,
           "--image-channels": image_channels, "--skip-unreadable": skip_unreadable,
           "--labelled": labelled, "--columns": columns, "--labels": labels,
           "--start-from": start_from}  # fmt: skip
    given = [name for name, value in new.items() if value not in (None, [], False)]
    if resume is not None and given:
        raise ConfigError(f"--resume takes its settings from the run; leave out {', '.join(given)}")
    with hint("interrupted; run the same command again to go on with this run"):
        if resume is not None:
            run = _resumed(resume, epochs, dataset)
        else:
            short = {"epochs": epochs, "seed": seed}
            images = (image_size, image_channels, skip_unreadable)
            places = (data_root, *images, labelled, columns, labels, start_from)
            experiment = _experiment(variant, dataset, settings, short, *places)
            from zoo.api.train import default_directory

            run = zoo.train_experiment(experiment, directory or default_directory(experiment))
    echo_mapping({"directory": str(run.directory), "metrics": run.metrics}, as_json)


def _resumed(directory: Path, epochs: int | None, dataset: str | None) -> Run:
    try:
        return zoo.resume(directory, epochs=epochs, dataset=dataset)
    except ConfigError as error:
        if "unknown variant" not in str(error):
            raise
        raise ConfigError(
            f"{error} What a script registers is known here by a registry file (--registry FILE, "
            "or ZOO_REGISTRY) or by an entry point of its package."
        ) from error


def _experiment(
    variant: str | None,
    dataset: str | None,
    settings: list[str] | None,
    short: dict[str, int | None],
    data_root: str | None,
    image_size: str | None,
    image_channels: int | None,
    skip_unreadable: bool,
    labelled: int | None,
    columns: Path | None,
    labels: str | None,
    start_from: str | None,
) -> Experiment:
    if variant is None:
        raise ConfigError("name a variant to train (see 'zoo list variants'), or use --resume")
    sections = parse_settings_of(variant, settings or [])
    sections["train"] |= {key: value for key, value in short.items() if value is not None}
    return zoo.Experiment.build(
        variant,
        dataset or "digits",
        model=sections["model"],
        train=sections["train"],
        objective=sections["objective"],
        data_root=data_root,
        image_size=image_size,
        image_channels=image_channels,
        skip_unreadable=skip_unreadable,
        labelled=labelled,
        columns=columns,
        labels=labels,
        start_from=start_from,
    )
