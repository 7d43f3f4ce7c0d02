"""``zoo sample``, ``zoo reconstruct``, ``zoo encode``: files made with a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, get_args

import typer

from zoo.cli.app import app
from zoo.cli.options import (
    AllSplitsOption,
    ChannelsOption,
    ConditionOption,
    DatasetOption,
    DecodingOption,
    PixelsOption,
    RootOption,
    SeedOption,
    SourceArgument,
    SplitName,
    SplitOption,
)
from zoo.cli.output import (
    check_suffix,
    joined,
    say,
    write_arrays,
    write_lines,
    write_picture,
    write_rows,
)
from zoo.cli.settings import decoded_by
from zoo.cli.sources import (
    batch_size,
    check_writable,
    examples_for,
    groups_by,
    open_source,
    sampled_by,
    told_by,
)


@app.command(epilog="Example: zoo sample gaussian-vae-digits --n 64 --out grid.png")
def sample(
    source: SourceArgument,
    out: Annotated[
        Path,
        typer.Option(
            help="A .png picture, a .npy or .npz array; of sentences a .txt file, of tables a .csv."
        ),
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="How many samples.")] = 64,
    temperature: Annotated[
        float, typer.Option(min=0, help="Scale of the prior's standard deviation.")
    ] = 1.0,
    condition: ConditionOption = None,
    decoding: DecodingOption = None,
    pixels: PixelsOption = None,
    seed: SeedOption = 0,
) -> None:
    """Draw images, vectors, sentences or rows of a table from a model's prior."""
    check_suffix(out, (".png", ".npy", ".npz", ".txt", ".csv"))
    import torch

    from zoo.pictures.grids import enlargement, grid

    model = open_source(source).model
    check_writable(model, out)
    generator = torch.Generator().manual_seed(seed)
    draw, most = sampled_by(model, decoding, pixels), batch_size(model)
    told = told_by(model, condition, n)
    parts = torch.split(told, most) if told is not None else [None] * math.ceil(n / most)
    sizes = [min(most, n - start) for start in range(0, n, most)]
    with torch.no_grad():
        drawn = [
            draw(size, temperature, generator, condition=part)
            for size, part in zip(sizes, parts, strict=True)
        ]
    if out.suffix == ".txt":
        write_lines(out, drawn)
    elif out.suffix == ".csv":
        write_rows(out, model.modality, joined(drawn))
    elif out.suffix == ".png":
        images = joined(drawn)
        write_picture(out, grid(images, math.isqrt(n - 1) + 1, scale=enlargement(images)))
    else:
        write_arrays(out, {model.modality.name: joined(drawn)})
    say(f"{n} samples", out)


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
    image_channels: ChannelsOption = None,
) -> None:
    """Show the first examples of a dataset, and under each the model's reconstruction."""
    check_suffix(out, (".png", ".npz", ".txt"))
    import torch

    from zoo.api.source import dataset_for
    from zoo.pictures.grids import enlargement, reconstruction_grid
    from zoo.randomness import seeded

    entry = open_source(source)
    model = entry.model
    check_writable(model, out)
    rebuild = decoded_by(model.reconstruct, decoding)
    data = dataset_for(entry, dataset, data_root, image_channels=image_channels)
    examples = examples_for(data, model, split, seed).take(n)
    originals = list(examples.batches(batch_size(model), "real"))
    shown = [model.modality.shown(batch.x) for batch in originals]
    with seeded(seed, torch.device("cpu")):  # of a decoding that draws
        rebuilt = [rebuild(batch) for batch in originals]
    if out.suffix == ".txt":
        write_lines(out, shown, rebuilt)
    else:
        before, after = joined(shown), joined(rebuilt)
        if out.suffix == ".png":
            columns, scale = max(8, math.isqrt(n)), enlargement(before)
            write_picture(out, reconstruction_grid(before, after, columns, scale=scale))
        else:
            write_arrays(out, {"originals": before, "reconstructions": after})
    say(f"{len(examples)} examples of {split} and their reconstructions", out)


@app.command(
    epilog="Example: zoo encode gaussian-vae-digits --split train --out codes.npz. With --split "
    "all, the file is a dataset: zoo train m2 --dataset codes.npz"
)
def encode(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="A .npz file: codes, and labels if there are any.")],
    dataset: DatasetOption = None,
    split: AllSplitsOption = "test",
    group: Annotated[
        list[int] | None,
        typer.Option(help="Of a hierarchy the latents of this group alone, from 0; repeatable."),
    ] = None,
    seed: SeedOption = 0,
    data_root: RootOption = None,
    image_channels: ChannelsOption = None,
) -> None:
    """Write the codes of a dataset's examples, images resized to the model's size if need be."""
    check_suffix(out, (".npz",))
    import torch

    from zoo.api.source import dataset_for
    from zoo.core.reading import latents_of

    entry, arrays = open_source(source), {}
    groups = groups_by(entry.model, group)
    model, data = entry.model, dataset_for(entry, dataset, data_root, image_channels=image_channels)
    for part in get_args(SplitName) if split == "all" else (split,):
        codes, labels = (part, f"{part}_labels") if split == "all" else ("codes", "labels")
        examples = examples_for(data, model, part, seed)
        with torch.no_grad():
            batches = examples.batches(batch_size(model), "real")
            parts = [latents_of(model, model.encode(batch), groups) for batch in batches]
        arrays[codes] = torch.cat(parts)  # (N, D)
        if examples.labels is not None:
            arrays[labels] = examples.labels
    write_arrays(out, arrays)
    shapes = " and ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
    say(shapes, out)
