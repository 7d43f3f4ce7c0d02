"""Independent 8-bit intensities, each a discretised logistic (PixelCNN++, arXiv:1701.05517)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent

from zoo.distributions.discretized_logistic import DiscretizedLogistic
from zoo.distributions.precision import full_precision
from zoo.likelihoods.base import Likelihood


class DiscretizedLogisticPixels(Likelihood):
    """Maps (..., 2C, H, W), or (..., 2D), to intensities 0, 1/255, ..., 1; a probability mass.

    Each has a scale of its own.
    """

    reads = "unit"
    measure = "mass"

    @property
    def channels(self) -> int:
        return 2 * self.shape[0]

    def forward(self, parameters: Tensor) -> Distribution:
        offset, log_scale = full_precision(parameters).chunk(2, dim=-len(self.shape))
        # Start in mid-grey and a quarter of the range wide.
        pixels = DiscretizedLogistic(0.5 + 0.25 * offset, log_scale - 2.0, validate_args=False)
        return Independent(pixels, len(self.shape), validate_args=False)
