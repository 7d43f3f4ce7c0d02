"""8-bit pixels, each given those before it (PixelCNN++, Salimans et al. 2017, arXiv:1701.05517)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.discretized_logistic_mixture import DiscretizedLogisticMixture
from zoo.likelihoods.pixelcnn import PixelCNN


class PixelCNN8Bit(PixelCNN):
    """As :class:`PixelCNN`, over images of intensities 0, 1/255, ..., 1; a mass.

    A pixel is a mixture of discretised logistics, of which each channel follows from those before
    it.
    """

    reads = "unit"

    class Config(PixelCNN.Config):
        """``components`` of each pixel's mixture."""

        components: int = Field(5, ge=1, le=100)

    def expected(self, x: Tensor, maps: Tensor) -> Tensor:
        """The draw itself: the means of colours that follow each other take longer than draws."""
        return x

    def pixel_likelihood(self, config: PixelCNN.Config, shape: tuple[int, ...]) -> Likelihood:
        assert isinstance(config, self.Config)
        mixture = DiscretizedLogisticMixture.Config(components=config.components)
        return DiscretizedLogisticMixture(mixture, shape)
