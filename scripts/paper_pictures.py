"""The pictures of the first paper on VAEs made anew: manifolds of digits and of a face.

    python scripts/paper_pictures.py --data-root DIR --frey DIR/faces/frey.npz

Figure 4 of Kingma & Welling 2014 (arXiv:1312.6114): what a plane of codes, at quantiles of its
prior, looks like, learned of MNIST and of the Frey faces. Then MNIST under cross-entropy (Bernoulli
pixels) beside squared error (normal pixels of variance 1/2), one network for both: codes of test
images, and the manifold, each model a row. Runs lie in --runs; one that was killed goes on. Of the
faces only the picture may be published, no weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image

import zoo
from zoo.files import write_atomically
from zoo.pictures.grids import png_bytes

OUTPUT = Path(__file__).parents[1] / "docs" / "images"
DIGITS: dict[str, Any] = {
    "backbone": {"name": "mlp", "hidden": [256, 128]},
    "latent_dim": 2,
    "epochs": 10,
    "lr": 1e-3,
}
FACES: dict[str, Any] = {
    "backbone": {"name": "mlp", "hidden": [200, 200]},
    "latent_dim": 2,
    "epochs": 100,
    "lr": 1e-3,
    "batch_size": 64,
    "likelihood": {"name": "gaussian", "scale": 0.13},
}
PAPER = (255, 255, 255)
GAP = 16


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing and write the pictures."""
    options = parse_arguments(arguments)
    faces = trained("frey", options.frey, options, FACES)
    digits, squared = (
        trained(f"mnist-{likelihood}", "mnist", options, {**DIGITS, "likelihood": likelihood})
        for likelihood in ("bernoulli", "gaussian")
    )
    of_digits, of_faces, of_squared = (
        zoo.draw("manifold", run, n=options.side).picture for run in (digits, faces, squared)
    )
    height = of_digits.height // 2  # as small as it can be read
    both = in_a_row(scaled(of_digits, height), scaled(of_faces, height))
    save(options.output / "manifolds.png", both)
    maps = [
        zoo.draw("latent-map", run, data_root=options.data_root).picture
        for run in (digits, squared)
    ]
    planes = [scaled(picture, height) for picture in (of_digits, of_squared)]
    rows = [in_a_row(plane, scaled(each, height)) for plane, each in zip(planes, maps, strict=True)]
    save(options.output / "cross-entropy-and-squared-error.png", in_a_column(*rows))
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frey", required=True, help="an .npz file of the faces' images")
    parser.add_argument("--data-root", help="folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=int, help="instead of those of each run")
    parser.add_argument("--side", type=int, default=20, help="codes along a side of a manifold")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR")
    return parser.parse_args(arguments)


def trained(
    name: str, dataset: str, options: argparse.Namespace, settings: dict[str, Any]
) -> zoo.Run:
    """The run of a name, or what is missing of it."""
    settings = settings if options.epochs is None else {**settings, "epochs": options.epochs}
    directory = options.runs / f"paper-{name}"
    root = options.data_root
    return zoo.train(
        "gaussian-vae", dataset=dataset, data_root=root, directory=directory, **settings
    )


def in_a_row(*pictures: Image.Image) -> Image.Image:
    """Side by side, on white."""
    size = (
        sum(p.width for p in pictures) + GAP * (len(pictures) - 1),
        max(p.height for p in pictures),
    )
    sheet, left = Image.new("RGB", size, PAPER), 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    return sheet


def in_a_column(*pictures: Image.Image) -> Image.Image:
    """Below each other, on white."""
    turned = [picture.transpose(Image.Transpose.TRANSPOSE) for picture in pictures]
    return in_a_row(*turned).transpose(Image.Transpose.TRANSPOSE)


def scaled(picture: Image.Image, height: int) -> Image.Image:
    """In colour, and of that height."""
    width = round(picture.width * height / picture.height)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def save(path: Path, picture: Image.Image) -> None:
    """Write it and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = picture.quantize(256, dither=Image.Dither.NONE)  # half the bytes
    write_atomically(path, png_bytes(small))
    print(path)


if __name__ == "__main__":
    raise SystemExit(main())
