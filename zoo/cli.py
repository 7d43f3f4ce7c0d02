"""The command line: the verbs of the public surface, ``zoo VERB --help`` for each.

Exit codes: 0 done, 1 a check failed (verify), 2 a mistake in what was asked, 130 interrupted.
What a command was asked for goes to standard output, everything else to standard error. Nothing
here imports torch before a command needs it, so that ``zoo list`` answers at once.
"""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from typer.core import TyperGroup

import zoo
from zoo.cli_support import (
    INTERRUPTED,
    SplitName,
    batch_size,
    check_suffix,
    decoded_by,
    echo_json,
    echo_mapping,
    examples_for,
    hint,
    is_text,
    joined_images,
    open_source,
    parse_settings,
    progress_bar,
    without_vocabulary,
    write_arrays,
    write_lines,
    write_picture,
)
from zoo.errors import ConfigError, ZooError
from zoo.registry import registry, use_registry

if TYPE_CHECKING:
    from zoo.training.config import Experiment

Kind = Literal["variants", "datasets", "benchmarks", "checkpoints"]

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A released name, a file, or a run's folder.")
]
DatasetOption = Annotated[
    str | None, typer.Option(help="A name or path; by default the one it was trained on.")
]
SplitOption = Annotated[SplitName, typer.Option(help="Which part of the dataset.")]


def _absolute(folder: str | None) -> str | None:
    """A run remembers its data's place, and may be resumed from another folder."""
    return folder and str(Path(folder).expanduser().absolute())


RootOption = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Where the dataset's files lie.", callback=_absolute),
]
DecodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="Of a model that works token by token: greedy, beam=WIDTH, or temperature=T,top-p=P.",
    ),
]
MOST_SEED = 2**63 - 1
"""That torch's generators take."""
SeedOption = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")]
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
    registry_file: Annotated[
        str | None, typer.Option("--registry", metavar="FILE", help="One more registry file.")
    ] = None,
) -> None:
    if registry_file is not None:
        use_registry(registry_file)


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
        echo_json(found)
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
    echo_mapping(zoo.info(name).model_dump(mode="json", exclude_none=True), as_json)


@app.command(epilog="Example: zoo load gaussian-vae-digits")
def load(source: SourceArgument, as_json: JsonOption = False) -> None:
    """Fetch and check a checkpoint, and show what it is and where it lies."""
    model, path = open_source(source)
    from zoo.storage import checkpoint

    parameters = sum(parameter.numel() for parameter in model.parameters())
    metadata = checkpoint.read_metadata(path).model_dump(mode="json")
    if not as_json:
        metadata["config"] = without_vocabulary(metadata["config"])
    echo_mapping({"path": str(path), "parameters": parameters, **metadata}, as_json)


@app.command(
    epilog="Example: zoo train beta-vae --dataset mnist --epochs 20 --set train.lr=1e-3 "
    "--set model.latent_dim=10 --set objective.beta=2"
)
def train(
    variant: Annotated[str | None, typer.Argument(help="One of 'zoo list variants'.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="A name, folder, .npy, .npz or .txt file.", show_default="digits"),
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
    start_from: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Begin with a checkpoint's weights.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the run in this folder, with --epochs for longer than it began with.",
            metavar="DIRECTORY",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a variant, or go on with an interrupted run."""
    new = {"VARIANT": variant, "--dataset": dataset, "--set": settings, "--seed": seed,
           "--directory": directory, "--data-root": data_root, "--image-size": image_size,
           "--start-from": start_from}  # fmt: skip
    given = [name for name, value in new.items() if value not in (None, [])]
    if resume is not None and given:
        raise ConfigError(f"--resume takes its settings from the run; leave out {', '.join(given)}")
    with hint("interrupted; run the same command again to go on with this run"):
        if resume is not None:
            run = zoo.resume(resume, epochs=epochs)
        else:
            short = {"epochs": epochs, "seed": seed}
            places = (data_root, image_size, start_from)
            experiment = _experiment(variant, dataset, settings, short, *places)
            run = zoo.train_experiment(experiment, directory)
    echo_mapping({"directory": str(run.directory), "metrics": run.metrics}, as_json)


def _experiment(
    variant: str | None,
    dataset: str | None,
    settings: list[str] | None,
    short: dict[str, int | None],
    data_root: str | None,
    image_size: int | None,
    start_from: str | None,
) -> Experiment:
    if variant is None:
        raise ConfigError("name a variant to train (see 'zoo list variants'), or use --resume")
    sections = parse_settings(settings or [])
    sections["train"] |= {key: value for key, value in short.items() if value is not None}
    return zoo.Experiment.build(
        variant,
        dataset or "digits",
        model=sections["model"],
        train=sections["train"],
        objective=sections["objective"],
        data_root=data_root,
        image_size=image_size,
        start_from=start_from,
    )


@app.command(epilog="Example: zoo evaluate gaussian-vae-digits --samples 100")
def evaluate(
    source: SourceArgument,
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of the NLL.")] = 1000,
    examples: Annotated[
        int | None, typer.Option(min=2, help="Only so many, spread over the split.")
    ] = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_size: Annotated[int | None, typer.Option(help="Resize and crop images to it.")] = None,
    device: Annotated[str, typer.Option(help="For example cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Measure a model: likelihoods in nats per example, with standard errors."""
    with progress_bar(source) as progress:
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
    examples: Annotated[
        int | None, typer.Option(min=2, help="Only so many, spread over the split.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Instead of the benchmark's.")
    ] = None,
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
    out: Annotated[
        Path, typer.Option(help="A .png picture, a .npy or .npz array; of sentences a .txt file.")
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="How many images or sentences.")] = 64,
    temperature: Annotated[
        float, typer.Option(min=0, help="Scale of the prior's standard deviation.")
    ] = 1.0,
    decoding: DecodingOption = None,
    seed: SeedOption = 0,
) -> None:
    """Draw images or sentences from a model's prior."""
    check_suffix(out, (".png", ".npy", ".npz", ".txt"))
    import torch

    from zoo.report.figures import enlargement, grid

    model, _ = open_source(source)
    text = is_text(model, out)
    generator = torch.Generator().manual_seed(seed)
    draw, most = decoded_by(model.sample, decoding), batch_size(model)
    sizes = [min(most, n - start) for start in range(0, n, most)]
    drawn = [draw(size, temperature, generator) for size in sizes]
    if text:
        write_lines(out, drawn)
        return
    images = joined_images(drawn)
    if out.suffix == ".png":
        write_picture(out, grid(images, math.isqrt(n - 1) + 1, scale=enlargement(images)))
    else:
        write_arrays(out, {"images": images})


@app.command(epilog="Example: zoo reconstruct gaussian-vae-digits --n 8 --out pairs.png")
def reconstruct(
    source: SourceArgument,
    out: Annotated[
        Path, typer.Option(help="A .png picture, a .npz file of both; of sentences a .txt file.")
    ],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    n: Annotated[int, typer.Option("--n", min=1, help="How many examples.")] = 8,
    decoding: DecodingOption = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
) -> None:
    """Show the first examples of a dataset, and under each the model's reconstruction."""
    check_suffix(out, (".png", ".npz", ".txt"))
    import torch

    from zoo.randomness import seeded
    from zoo.report.figures import enlargement, reconstruction_grid

    model, path = open_source(source)
    text, rebuild = is_text(model, out), decoded_by(model.reconstruct, decoding)
    examples = examples_for(model, path, dataset, split, seed, data_root).take(n)
    originals = [batch.x for batch in examples.batches(batch_size(model), "real")]
    shown = [model.write(x) for x in originals]
    with seeded(seed, torch.device("cpu")):  # of a decoding that draws
        rebuilt = [rebuild(x) for x in originals]
    if text:
        write_lines(out, shown, rebuilt)
        return
    before, after = joined_images(shown), joined_images(rebuilt)
    if out.suffix == ".png":
        columns = max(8, math.isqrt(n))
        write_picture(out, reconstruction_grid(before, after, columns, scale=enlargement(before)))
    else:
        write_arrays(out, {"originals": before, "reconstructions": after})


@app.command(epilog="Example: zoo encode gaussian-vae-digits --split train --out codes.npz")
def encode(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="A .npz file: codes, and labels if there are any.")],
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    seed: SeedOption = 0,
    data_root: RootOption = None,
) -> None:
    """Write the codes of a dataset's examples, images resized to the model's size if need be."""
    check_suffix(out, (".npz",))
    import torch

    model, path = open_source(source)
    examples = examples_for(model, path, dataset, split, seed, data_root)
    with torch.no_grad():
        batches = (batch.x for batch in examples.batches(batch_size(model), "real"))
        arrays = {"codes": torch.cat([model.encode(x) for x in batches])}
    if examples.labels is not None:
        arrays["labels"] = examples.labels
    write_arrays(out, arrays)


@app.command(epilog="Example: zoo verify --all")
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every released checkpoint.")] = False,
    data_root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute released figures; exit with 1 when one is outside its error.

    What cannot be recomputed here is an error, reported while the others go on; exit with 2 then.
    """
    if bool(names) == everything:
        raise ConfigError("name the checkpoints to verify, or use --all")
    results: list[dict[str, Any]] = []
    for name in names or zoo.list_checkpoints():
        try:
            with progress_bar(name) as progress:
                result = zoo.verify(name, data_root=data_root, progress=progress)
        except ZooError as error:
            typer.echo(f"error: {name}: {error}", err=True)
            results.append({"passed": False, "name": name, "error": str(error)})
            continue
        results.append({"passed": result.passed, **result.model_dump(mode="json")})
        if not as_json:
            typer.echo(result)
    if as_json:
        echo_json(results)
    if not all(result["passed"] for result in results):
        raise typer.Exit(2 if any("error" in result for result in results) else 1)
