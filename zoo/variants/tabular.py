"""Variational autoencoders of tables: columns of several kinds, with gaps."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor

from zoo.columns import Layout, TableSchema
from zoo.core.batch import Batch
from zoo.core.component import Selected, default
from zoo.core.condition import as_condition
from zoo.likelihoods import Likelihood
from zoo.modalities.tables import Tables
from zoo.randomness import noise_of
from zoo.variants.vae import VAE, VAEConfig


class TabularConfig(VAEConfig):
    """A VAE of rows whose columns the ``table`` says, which data decide."""

    table: TableSchema
    likelihood: Selected[Likelihood] = default("columns")


class TabularVAE(VAE):
    r"""p(x|z) = prod_i p_i(x_i|z) over a table's columns, each of the distribution of its kind.

    The bound is that of what is observed, E_q[log p(x_o|z)] - KL(q(z|x_o) || p(z)) (Nazabal et al.
    2020, arXiv:1807.03653, section 3): what is missing reaches neither the likelihood nor the
    encoder, which sees 0 there, and beside all features which of the values are observed. That is a
    bound on log p(x_o), and right to learn from, where what is missing does not depend on what
    would stand there (missing at random). With the objective "iwae" it is MIWAE (Mattei & Frellsen
    2019, arXiv:1812.02633).

    Samples are draws of rows, x ~ p(x|z) with z ~ p(z), in the units of the data: means of rows
    would be like no row.

    >>> from zoo.columns import Column
    >>> kinds = {"name": "binary", "values": ["no", "yes"]}, {"name": "real", "mean": 4, "std": 2}
    >>> columns = [Column(name=name, kind=kind) for name, kind in zip("ab", kinds)]
    >>> model = TabularVAE(TabularConfig(input_shape=(2,), table=TableSchema(columns=columns)))
    >>> draws = model(torch.tensor([[1.0, 3.5], [torch.nan, 4.0]]))
    >>> draws.log_likelihood.shape, model.sample(3).shape
    (torch.Size([1, 2]), torch.Size([3, 2]))
    """

    Config: ClassVar[type[TabularConfig]] = TabularConfig
    config: TabularConfig
    reads: ClassVar[tuple[str, ...]] = ("tables",)

    def __init__(self, config: TabularConfig) -> None:
        super().__init__(config, config.table)

    @property
    def layout(self) -> Layout:
        """The columns, those of one kind together."""
        return cast("Tables", self.modality).layout

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        return (self.layout.width,)

    def encoded(self, batch: Batch) -> Tensor:
        observed = cast("Tensor", batch.observed)  # of a batch that has been prepared
        features: Tensor = self.encoder(self.layout.features(batch.x, observed))
        return features

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        condition: object = None,
    ) -> Tensor:
        """``n`` rows (n, D) drawn from p(x|z), z from the prior.

        ``model.modality.records(rows)`` says them by the names of columns and values.
        """
        told = as_condition(self, condition, n)
        z = self.sample_codes(n, temperature, generator, told)
        with noise_of(generator, z.device):
            drawn: Tensor = self.decode(z, told).sample()
        return drawn
