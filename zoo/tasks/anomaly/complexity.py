"""How unlikely an image is beside how simple it is."""

from __future__ import annotations

import io
import math

import torch
from PIL import Image
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.likelihoods import InputKind
from zoo.tasks.anomaly.likelihood import NegativeLogLikelihood


class Complexity(NegativeLogLikelihood):
    """-log p(x) - L(x): the nats that a general compressor, PNG, does better than the model.

    L(x) is the length of the PNG file of the image (Serra et al. 2020, arXiv:1909.11480), of black
    and white pixels of one bit each, of real ones rounded to 8 bits. Its header is the same for
    all images of one size, so that only differences of the score mean anything.

    >>> import zoo
    >>> model = zoo.load("gaussian-vae-digits")
    >>> score = Complexity(Complexity.Config())
    >>> score(model, Batch(torch.zeros(3, 1, 8, 8))).shape
    torch.Size([3])
    """

    def check_model(self, model: LatentVariableModel) -> None:
        super().check_model(model)
        name, shape = model.modality.name, model.modality.shape
        if name != "images" or shape[0] not in (1, 3):
            raise UnsupportedError(
                f"the complexity is that of a PNG file of a grey or RGB image, and the model reads "
                f"{name} {shape}; choose the score 'likelihood'"
            )

    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        unlikely = super().__call__(model, batch)
        return unlikely - png_nats(batch.x, model.input_kind).to(unlikely)


def png_nats(images: Tensor, kind: InputKind) -> Tensor:
    """The length in nats of the PNG file of each image (B, C, H, W) in [0, 1], (B,).

    >>> png_nats(torch.zeros(1, 1, 8, 8), "binary") < png_nats(torch.rand(1, 1, 8, 8), "real")
    tensor([True])
    """
    levels = (images.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    lengths = [_png_bytes(image.permute(1, 2, 0).contiguous(), kind) for image in levels]
    return torch.tensor(lengths) * (8 * math.log(2))


def _png_bytes(image: Tensor, kind: InputKind) -> int:
    """Of levels (H, W, C)."""
    picture = Image.fromarray(image.squeeze(-1).numpy() if image.shape[-1] == 1 else image.numpy())
    file = io.BytesIO()
    (picture.convert("1") if kind == "binary" else picture).save(file, "PNG", optimize=True)
    return len(file.getvalue())
