"""How far samples are from real images, as two clouds of features."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from zoo.distributions.discrepancy import cubic, squared_mmd
from zoo.distributions.frechet import frechet_distance
from zoo.metrics.base import Measured
from zoo.metrics.features.compared import Compared
from zoo.metrics.generated import LEAST, OfSamples, SamplesConfig

RESAMPLED = 30
"""Times that the bootstrap draws both sets anew."""


class FrechetDistance(OfSamples):
    """|m - m_r|^2 + tr(S + S_r - 2 (S S_r)^(1/2)), of features (Heusel et al. 2017).

    See :func:`zoo.distributions.frechet.frechet_distance`. It is no FID, whose features are those
    of an Inception network; here the trace of S is about D, 64, for grey training images. It comes
    out too large, the more so the fewer images there are: compare figures of equally many alone,
    and with those of the halves. The error is that of a bootstrap, up to twice too large where the
    distance is not far from what two halves of the data have.
    """

    unit = "squared, of features"
    better = "lower"

    def compare(self, images: Compared) -> Measured:
        ours, theirs = images.samples.features, images.real.features
        generator = torch.Generator().manual_seed(0)
        again = [
            frechet_distance(_resampled(ours, generator), _resampled(theirs, generator))
            for _ in range(RESAMPLED)
        ]
        return Measured.of_all(
            frechet_distance(ours, theirs).item(), torch.stack(again).std().item()
        )


class KernelDistance(OfSamples):
    """MMD^2 of features with the kernel (x . y / D + 1)^3 (Binkowski et al. 2018), as KID has it.

    The mean over disjoint blocks of images, each unbiased, with the standard error of that mean:
    small sets are right on average, and what is as good as the data may come out below 0.
    """

    class Config(SamplesConfig):
        """Into how many blocks of equally many the images are cut; a rest is left out."""

        blocks: int = Field(10, ge=2, le=LEAST // 2)

    config: Config
    unit = "squared, of features"
    better = "lower"

    def compare(self, images: Compared) -> Measured:
        generator = torch.Generator().manual_seed(0)
        size = len(images.real) // self.config.blocks
        ours, theirs = (
            torch.split(_shuffled(each.features, generator), size)
            for each in (images.samples, images.real)
        )  # (size, D) each
        pairs = list(zip(ours, theirs, strict=True))[: self.config.blocks]
        found = torch.stack([squared_mmd(a, b, cubic) for a, b in pairs])  # (blocks,)
        error = found.std().item() / math.sqrt(len(found))
        return Measured.of_all(found.mean().item(), error)


def _resampled(features: Tensor, generator: torch.Generator) -> Tensor:
    places = torch.randint(len(features), (len(features),), generator=generator)
    return features[places.to(features.device)]


def _shuffled(features: Tensor, generator: torch.Generator) -> Tensor:
    """In another order: that of a dataset may be from clean to unclean."""
    return features[torch.randperm(len(features), generator=generator).to(features.device)]
