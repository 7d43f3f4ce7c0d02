"""Draw what the latents of a hierarchical VAE, or of a UniVAE of images, control.

``temperatures``, of an nvae-lite: one row of samples for each temperature, all rows from the same
random numbers.

``scales``, of an nvae-lite: for each test image a row: the image, its reconstruction, and then for
every scale, from the finest to the coarsest, images that keep the posterior's means of all coarser
scales and draw this one and the finer ones from the prior. What changes from left to right is what
the next coarser scale holds; what is still alike is decided above it.

``groups``, of a univae: for each test image a row: the image, images drawn token by token from its
code, and then for every latent images whose code has this one drawn from the prior.

    python scripts/draw_latents.py nvae-lite-digits --output DIR [--data-root DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

import zoo
from zoo.data.loading import load_for_model
from zoo.report.pictures import save_grid
from zoo.storage import checkpoint, hub
from zoo.variants.nvae_lite import NVAELite
from zoo.variants.univae import UniVAE
from zoo.variants.univae.decoding import Draw

TEMPERATURES = (0.5, 0.7, 0.85, 1.0)
SAMPLES = 16
IMAGES = 8
SIDE = 56
"""Of an image in the pictures, in pixels, where it is smaller than that."""
DRAWS = 4
"""Of what is resampled, for each image."""


def by_temperature(model: NVAELite) -> Tensor:
    """Rows of samples, (len(TEMPERATURES) SAMPLES, C, H, W)."""
    return torch.cat(
        [
            model.sample(SAMPLES, temperature, torch.Generator().manual_seed(0))
            for temperature in TEMPERATURES
        ]
    )


@torch.no_grad()
def by_scale(model: NVAELite, x: Tensor) -> Tensor:
    """Rows of 2 + DRAWS x scales images for the images x (B, C, H, W)."""
    code = model.encode(x)
    columns = [x, model.decode(code).mean]
    for scale in reversed(range(len(model.config.scales))):
        kept = min(group.start for group in model.groups if group.scale == scale)
        columns += [model.decode(code[:, :kept]).mean for _ in range(DRAWS)]
    return torch.stack(columns, dim=1).flatten(0, 1).clamp(0, 1)


def by_group(model: UniVAE, x: Tensor) -> Tensor:
    """Rows of 1 + DRAWS x (1 + groups) images for the images x (B, C, H, W)."""
    columns = [x]
    for groups in ([], *([group] for group in range(model.config.groups))):
        for _ in range(DRAWS):
            columns.append(cast("Tensor", model.edit(x, groups, decoding=Draw())))
    return torch.stack(columns, dim=1).flatten(0, 1)


def pictures(model: NVAELite | UniVAE, x: Tensor) -> dict[str, tuple[Tensor, int]]:
    """The images of each picture, and how many stand in a row."""
    if isinstance(model, UniVAE):
        return {"groups": (by_group(model, x), 1 + DRAWS * (1 + model.config.groups))}
    columns = 2 + DRAWS * len(model.config.scales)
    return {
        "temperatures": (by_temperature(model), SAMPLES),
        "scales": (by_scale(model, x), columns),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write temperatures.png and scales.png, or groups.png."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a released name, a run's folder or a checkpoint's file")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--data-root", help="folder that holds the dataset")
    options = parser.parse_args(arguments)
    try:
        model = zoo.load(options.model)
        if not isinstance(model, NVAELite | UniVAE) or model.input_kind == "tokens":
            parser.error(f"{options.model} is neither an nvae-lite nor a univae of images")
        dataset = checkpoint.read_metadata(hub.locate(options.model)).dataset
        if dataset is None:
            parser.error(f"{options.model} does not say which dataset it was trained on")
        data = load_for_model(model.config, dataset, root=options.data_root)
    except zoo.ZooError as error:
        raise SystemExit(f"error: {error}") from error
    test = data.test.take(IMAGES).fixed(model.input_kind, seed=0)
    x = test.batch(torch.arange(len(test)), kind="real").x
    torch.manual_seed(0)
    for name, (images, columns) in pictures(model, x).items():
        path = options.output / f"{name}.png"
        print(save_grid(path, images, columns, scale=max(1, SIDE // images.shape[-1])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
