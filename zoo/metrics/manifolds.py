"""Whether samples look real, and whether all that is real is among them: two kinds of mistakes.

The manifold of a set of images is made of balls in features, one around each image, that reach to
its k-th nearest neighbour in the set.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.metrics.base import Measured
from zoo.metrics.features.compared import Compared
from zoo.metrics.generated import LEAST, OfSamples, SamplesConfig, mean_of_samples
from zoo.metrics.neighbours import held, radii


class ThreeNeighbours(SamplesConfig):
    """Balls reach to the k-th nearest ``neighbours``: of Kynkaanniemi et al. the third."""

    neighbours: int = Field(3, ge=1, lt=LEAST)


class FiveNeighbours(SamplesConfig):
    """Balls reach to the k-th nearest ``neighbours``: of Naeem et al. the fifth."""

    neighbours: int = Field(5, ge=1, lt=LEAST)


class Precision(OfSamples):
    """The share of samples in a ball of any real image (Kynkaanniemi et al. 2019).

    How many look real. One outlier of the real images, whose ball is large, lets many in. The error
    is over samples.
    """

    Config = ThreeNeighbours
    config: ThreeNeighbours
    unit = "share of samples"
    better = "higher"

    def compare(self, images: Compared) -> Measured:
        balls = _among_real(images, self.config.neighbours)
        return mean_of_samples("precision", balls > 0)


class Recall(OfSamples):
    """The share of real images in a ball of any sample (Kynkaanniemi et al. 2019).

    How much of the data is made. Scattered samples have large balls, so that noise can have a high
    recall: read it beside the precision, or take the coverage.
    """

    Config = ThreeNeighbours
    config: ThreeNeighbours
    unit = "share of real images"
    better = "higher"

    def compare(self, images: Compared) -> Measured:
        ours = images.samples.features
        found = held(images.real.features, ours, radii(ours, self.config.neighbours))
        return Measured.of_each("recall", found.balls > 0)


class Density(OfSamples):
    """In how many balls of real images a sample lies, over k (Naeem et al. 2020).

    1 on average where samples are as the data are; more where they crowd in what is common. The
    error is over samples.
    """

    Config = FiveNeighbours
    config: FiveNeighbours
    unit = "balls a sample, over k"
    better = "higher"

    def compare(self, images: Compared) -> Measured:
        balls = _among_real(images, self.config.neighbours)
        return mean_of_samples("density", balls / self.config.neighbours)


class Coverage(OfSamples):
    """The share of real images with a sample in their ball (Naeem et al. 2020).

    How much of the data is made; samples have no balls here, so that noise covers nothing. Of as
    many images as samples the data themselves get about 1 - 2^-k: 0.97.
    """

    Config = FiveNeighbours
    config: FiveNeighbours
    unit = "share of real images"
    better = "higher"

    def compare(self, images: Compared) -> Measured:
        theirs = images.real.features
        reach = radii(theirs, self.config.neighbours)
        return Measured.of_each("coverage", held(images.samples.features, theirs, reach).reached)


def _among_real(images: Compared, neighbours: int) -> Tensor:
    """In how many balls of real images each sample lies, (n,)."""
    theirs = images.real.features
    return held(images.samples.features, theirs, radii(theirs, neighbours)).balls
