"""The columns of a table, each of its kind."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from zoo.columns import Layout, TableSchema
from zoo.likelihoods.base import Likelihood
from zoo.settings import Settings


class Columns(Likelihood):
    r"""Numbers (..., N) to p(x|z) = prod_i p_i(x_i|z) over the columns of a table, in its units.

    Each column is of the distribution of its kind: masses of categories, ordinals, counts and
    binary values, densities of real numbers. log p(x|z) of a row is thus one with respect to the
    product of counting and Lebesgue measures, and comparable between models of the same columns.
    """

    reads = "columns"
    measure = "density"

    def __init__(self, config: Settings, shape: tuple[int, ...], schema: TableSchema) -> None:
        super().__init__(config, shape)
        self.layout = Layout(schema)

    @property
    def channels(self) -> int:
        return self.layout.numbers

    def forward(self, parameters: Tensor) -> Distribution:
        return self.layout.likelihood(parameters)

    def estimate(self, p: Distribution) -> Tensor:
        """Of each column what is typical: means, medians of positive numbers, modes of values."""
        return self.layout.typical(p)
