"""The command line: the verbs of the public surface, ``zoo VERB --help`` for each.

Exit codes: 0 done, 1 a check failed (verify), 2 a mistake in what was asked, 130 interrupted.
What a command was asked for goes to standard output, everything else to standard error. Nothing
here imports torch before a command needs it, so that ``zoo list`` answers at once.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

import typer
import yaml
from typer.core import TyperGroup

import zoo
from zoo.errors import ConfigError, ZooError, did_you_mean
from zoo.registry import registry

if TYPE_CHECKING:
    from zoo.data import Split
    from zoo.model import VariationalAutoencoder

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended, by the shells' convention (128 + SIGINT)."""
BATCH = 500
"""Images encoded, decoded or drawn at a time."""
SECTIONS = ("train", "model", "objective")

Kind = Literal["variants", "datasets", "benchmarks", "checkpoints"]
SplitName = Literal["train", "validation", "test"]
Progress: TypeAlias = Callable[[int, int], None]

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A released name, a file, or a run's folder.")
]
DatasetOption = Annotated[
    str | None, typer.Option(help="A name or path; by default the one it was trained on.")
]
SplitOption = Annotated[SplitName, typer.Option(help="Which part of the dataset.")]
RootOption = Annotated[
    Path | None, typer.Option(help="Where the dataset's files lie.", resolve_path=True)
]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _Commands(TyperGroup):
    """Turns a user's mistake into a message and an exit code, wherever it is made."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ZooError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    help="A zoo of variational autoencoders: find, load, train, evaluate and compare them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: brackets stay brackets, and rich need not be imported
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script ``zoo``."""
    app(prog_name="zoo")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zoo {zoo.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print it.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("list", epilog="Example: zoo list checkpoints '*mnist*'")
def list_names(
    kind: Annotated[Kind | None, typer.Argument(help="All kinds when left out.")] = None,
    pattern: Annotated[str, typer.Argument(help="A shell pattern for the names.")] = "*",
    as_json: JsonOption = False,
) -> None:
    """List what the zoo knows by name."""
    kinds = (kind,) if kind else get_args(Kind)
    found = {
        each: {
            name: spec.summary
            for name, spec in sorted(getattr(registry(), each).items())
            if fnmatchcase(name, pattern)
        }
        for each in kinds
    }
    if as_json:
        _echo_json(found)
        return
    width = max((len(name) for names in found.values() for name in names), default=0)
    for each, names in found.items():
        typer.echo(f"{each}:" if names else f"{each}: none")
        for name, summary in names.items():
            typer.echo(f"  {name:<{width}}  {summary}")


@app.command(epilog="Example: zoo info gaussian-vae")
def info(
    name: Annotated[str, typer.Argument(help="Of a checkpoint, variant, dataset or benchmark.")],
    as_json: JsonOption = False,
) -> None:
    """Show all that is registered under a name."""
    _echo_mapping(zoo.info(name).model_dump(mode="json", exclude_none=True), as_json)


@app.command(epilog="Example: zoo load gaussian-vae-digits")
def load(source: SourceArgument, as_json: JsonOption = False) -> None:
    """Fetch and check a checkpoint, and show what it is and where it lies."""
    from zoo import checkpoint

    model, path = _open(source)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    metadata = checkpoint.read_metadata(path).model_dump(mode="json")
    _echo_mapping({"path": str(path), "parameters": parameters, **metadata}, as_json)


@app.command(
    epilog="Example: zoo train beta-vae --dataset mnist --epochs 20 --set train.lr=1e-3 "
    "--set model.latent_dim=10 --set objective.beta=2"
)
def train(
    variant: Annotated[str | None, typer.Argument(help="One of 'zoo list variants'.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A name, folder, .npy or .npz file.", show_default="digits")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="train.*, model.* or objective.*; YAML."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Short for --set train.epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for --set train.seed=N.")] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Of the run.", show_default="runs/VARIANT-DATASET-sSEED")
    ] = None,
    data_root: RootOption = None,
    image_size: Annotated[int | None, typer.Option(help="Resize and crop images to it.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder.", metavar="DIRECTORY")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a variant, or go on with an interrupted run."""
    new = {"VARIANT": variant, "--dataset": dataset, "--set": settings, "--epochs": epochs,
           "--seed": seed, "--directory": directory, "--data-root": data_root,
           "--image-size": image_size}  # fmt: skip
    given = [name for name, value in new.items() if value not in (None, [])]
    if resume is not None and given:
        raise ConfigError(f"--resume takes its settings from the run; leave out {', '.join(given)}")
    if resume is None and variant is None:
        raise ConfigError("name a variant to train (see 'zoo list variants'), or use --resume")
    with _hint("interrupted; run the same command again to go on with this run"):
        if resume is not None:
            run = zoo.resume(resume)
        else:
            sections = parse_settings(settings or [])
            short = {"epochs": epochs, "seed": seed}
            sections["train"] |= {key: value for key, value in short.items() if value is not None}
            experiment = zoo.Experiment.build(
                str(variant),
                dataset or "digits",
                model=sections["model"],
                train=sections["train"],
                objective=sections["objective"],
                data_root=None if data_root is None else str(data_root),
                image_size=image_size,
            )
            run = zoo.train_experiment(experiment, directory)
    _echo_mapping({"directory": str(run.directory), "metrics": run.metrics}, as_json)


@app.command(epilog="Example: zoo evaluate gaussian-vae-digits --samples 100")
def evaluate(
    source: SourceArgument,
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of the NLL.")] = 1000,
    examples: Annotated[int | None, typer.Option(min=2, help="Only the first so many.")] = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_size: Annotated[int | None, typer.Option(help="Resize and crop images to it.")] = None,
    device: Annotated[str, typer.Option(help="For example cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure a model: likelihoods in nats per example, with standard errors."""
    with _progress(source) as progress:
        result = zoo.evaluate(
            source,
            dataset=dataset,
            split=split,
            samples=samples,
            examples=examples,
            seed=seed,
            data_root=data_root,
            image_size=image_size,
            device=device,
            progress=progress,
        )
    typer.echo(result.model_dump_json(indent=2) if as_json else result)


@app.command(epilog="Example: zoo compare gaussian-vae-digits beta-vae-digits --benchmark digits")
def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Released names, files or folders.")
    ],
    benchmark: Annotated[str | None, typer.Option(help="One of 'zoo list benchmarks'.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Its test split, by name or path.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Instead of the benchmark's.")] = None,
    examples: Annotated[int | None, typer.Option(min=2, help="Only the first so many.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the benchmark's.")] = None,
    data_root: RootOption = None,
    device: Annotated[str, typer.Option(help="For example cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure several models under one protocol, best first."""
    result = zoo.compare(
        sources,
        benchmark=benchmark,
        dataset=dataset,
        samples=samples,
        examples=examples,
        seed=seed,
        data_root=data_root,
        device=device,
    )
    typer.echo(result.to_json() if as_json else result)


@app.command(epilog="Example: zoo sample gaussian-vae-digits --n 64 --out grid.png")
def sample(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="A .png picture, or a .npy or .npz array.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    temperature: Annotated[
        float, typer.Option(min=0, help="Scale of the prior's standard deviation.")
    ] = 1.0,
    seed: SeedOption = 0,
) -> None:
    """Draw images from a model's prior."""
    import torch

    save = _image_writer(out)
    model, _ = _open(source)
    generator = torch.Generator().manual_seed(seed)
    sizes = [min(BATCH, n - start) for start in range(0, n, BATCH)]
    save(torch.cat([model.sample(size, temperature, generator) for size in sizes]))


@app.command(epilog="Example: zoo reconstruct gaussian-vae-digits --out pairs.png")
def reconstruct(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="A .png picture, or a .npy or .npz array.")],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 8,
    seed: SeedOption = 0,
    data_root: RootOption = None,
) -> None:
    """Show the first images of a dataset, then the model's reconstructions of them."""
    import torch

    save = _image_writer(out, columns=n)
    model, path = _open(source)
    examples = _examples(model, path, dataset, split, seed, data_root).take(n)
    originals = list(_batches(examples))
    save(torch.cat([*originals, *(model.reconstruct(x) for x in originals)]))


@app.command(epilog="Example: zoo encode gaussian-vae-digits --split train --out codes.npz")
def encode(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="A .npz file: codes, and labels if there are any.")],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    seed: SeedOption = 0,
    data_root: RootOption = None,
) -> None:
    """Write the codes of a dataset's images, resized to the model's size if need be."""
    import numpy as np
    import torch

    _check_suffix(out, (".npz",))
    model, path = _open(source)
    examples = _examples(model, path, dataset, split, seed, data_root)
    with torch.no_grad():
        codes = torch.cat([model.encode(x) for x in _batches(examples)])
    arrays = {"codes": codes.numpy()}
    if examples.labels is not None:
        arrays["labels"] = examples.labels.numpy()
    with _atomic(out) as temporary:
        np.savez(temporary, **arrays)


@app.command(epilog="Example: zoo verify --all")
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every released checkpoint.")] = False,
    data_root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute released figures; exit with 1 when one is outside its error."""
    if bool(names) == everything:
        raise ConfigError("name the checkpoints to verify, or use --all")
    results = []
    for name in names or zoo.list_checkpoints():
        with _progress(name) as progress:
            results.append(zoo.verify(name, data_root=data_root, progress=progress))
        if not as_json:
            typer.echo(results[-1])
    if as_json:
        _echo_json([result.model_dump(mode="json") for result in results])
    if not all(result.passed for result in results):
        raise typer.Exit(1)


class _Value(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as YAML 1.2 has it; PyYAML wants 1.0e-3."""


_Value.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_settings(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """``SECTION.KEY=VALUE`` -> the settings of each section; dots nest, values are YAML.

    Raises ConfigError, naming the nearest section, for what is not of that form.

    >>> parse_settings(["train.lr=1e-3", "model.backbone.hidden=[256, 128]"])
    {'train': {'lr': 0.001}, 'model': {'backbone': {'hidden': [256, 128]}}, 'objective': {}}
    """
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for text in assignments:
        place, equals, value = text.partition("=")
        section, *keys = place.strip().split(".")
        if not equals or not all([section, *keys]):
            raise ConfigError(f"--set {text}: write SECTION.KEY=VALUE, for example train.lr=1e-3")
        if section not in SECTIONS or not keys:
            raise ConfigError(
                f"--set {text}: settings begin with {', '.join(f'{s}.' for s in SECTIONS)} "
                f"got {place!r}{did_you_mean(section, SECTIONS)}"
            )
        _assign(sections[section], keys, _parse_value(value, text), text)
    return sections


def _parse_value(value: str, text: str) -> Any:
    try:
        return yaml.load(value, _Value)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"--set {text}: the value is not YAML: {reason}") from error


def _assign(settings: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise ConfigError(
                f"--set {text}: {key} was already set as a whole; "
                f"set its kind as {key}.name=KIND to set other parts of it too"
            )
    settings[keys[-1]] = value


def _open(source: str) -> tuple[VariationalAutoencoder, Path]:
    """The model that ``source`` means, on the CPU, and the file it came from."""
    from zoo import checkpoint, hub

    path = hub.locate(source)
    return checkpoint.load(path), path


def _examples(
    model: VariationalAutoencoder,
    path: Path,
    dataset: str | None,
    split: SplitName,
    seed: int,
    data_root: Path | None,
) -> Split:
    """The images a model is shown: those of its dataset unless told, in its size."""
    from zoo import checkpoint
    from zoo.data import load_dataset

    dataset = dataset or checkpoint.read_metadata(path).dataset
    if dataset is None:
        raise ConfigError(f"{path} does not say what it was trained on; give a --dataset")
    height, width = model.config.input_shape[-2:]
    data = load_dataset(dataset, root=data_root, image_size=height if height == width else None)
    examples: Split = getattr(data, split)
    return examples.binarized(seed) if model.input_kind == "binary" else examples


def _batches(split: Split) -> Iterator[Any]:
    """Model inputs (B, C, H, W) in order."""
    import torch

    for index in torch.arange(len(split)).split(BATCH):
        yield split.batch(index, kind="unit")


def _image_writer(path: Path, columns: int | None = None) -> Callable[[Any], None]:
    """What writes images (N, C, H, W) in [0, 1] to ``path``; ConfigError for another suffix."""
    import numpy as np

    from zoo.report.figures import save_grid

    def write(images: Any) -> None:
        with _atomic(path) as temporary:
            if path.suffix == ".png":
                save_grid(images, temporary, columns=columns)
            elif path.suffix == ".npy":
                np.save(temporary, images.numpy())
            else:
                np.savez(temporary, images=images.numpy())

    _check_suffix(path, (".png", ".npy", ".npz"))
    return write


def _check_suffix(path: Path, allowed: tuple[str, ...]) -> None:
    if path.suffix not in allowed:
        raise ConfigError(f"--out {path}: the name must end in {' or '.join(allowed)}")


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` when the block ends well."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _hint(message: str) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(message, err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _progress(title: str) -> Iterator[Progress | None]:
    """A bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _echo_mapping(values: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        _echo_json(values)
    else:
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
        typer.echo(text.rstrip())


def _echo_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
