"""What a likelihood is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.component import Component
from zoo.errors import UnsupportedError
from zoo.nn.layers import Layer
from zoo.settings import Settings

InputKind: TypeAlias = Literal["binary", "unit", "real", "tokens", "columns"]
"""What a model reads: pixels in {0, 1}, drawn with probability x; 8-bit intensities 0, 1/255, ...,
1; real numbers; the ids of tokens; or the columns of a table, each of a kind of its own."""
HIGHEST: dict[InputKind, int] = {"binary": 1, "unit": 255}
"""Of values that are symbols: those of a value are 0 to this one, as it goes from 0 to 1."""
Measure: TypeAlias = Literal["mass", "density"]
"""Whether exp(log p(x|z)) sums to one over values or integrates to one."""


class Likelihood(Component, nn.Module, ABC):
    """Numbers (..., K, *rest) to p(x|z) over examples of ``shape`` (C, *rest), batch shape (...).

    A subclass is made as ``Likelihood(config, shape)``; images are (C, H, W), vectors (D,). One of
    tables is told the columns as well. All are normalised: true log-masses or log-densities,
    constants included, in full precision.
    """

    section = "likelihoods"
    reads: ClassVar[InputKind]
    measure: ClassVar[Measure]

    def __init__(self, config: Settings, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    @property
    def channels(self) -> int:
        """K, how many numbers the decoder makes for each place."""
        return self.shape[0]

    @abstractmethod
    def forward(self, parameters: Tensor) -> Distribution:
        """p(x|z) of a decoder's output."""

    def estimate_layers(self) -> list[Layer]:
        """What makes the :meth:`estimate` of the decoder's numbers, as layers.

        Raises UnsupportedError where no layers do.
        """
        raise UnsupportedError(
            f"what is shown of a {type(self).__name__} likelihood is more than layers make; those "
            "of 'bernoulli' and 'gaussian' are"
        )

    def estimate(self, p: Distribution) -> Tensor:
        """One example for each of p(x|z), on which errors are measured: its mean.

        A likelihood without one in closed form takes another and says so. Raises UnsupportedError
        where p says none, as torch's TransformedDistribution. A mean that does not exist and is
        NaN, as of torch's Cauchy, is not found here: that would be a look at values.
        """
        try:
            mean: Tensor = p.mean
            return mean
        except (AttributeError, NotImplementedError) as error:
            raise UnsupportedError(
                f"p(x|z) is a {type(p).__name__} that says no mean, by which samples and "
                "reconstructions are shown; define the property mean in the distribution that the "
                "likelihood makes, or estimate(p) in the likelihood"
            ) from error
