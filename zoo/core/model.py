"""The contract every variant fulfils. Trainer, evaluation and command line know nothing else."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import field_validator
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.bounds import log_evidence, log_posteriors
from zoo.core.checks import (
    check_draws,
    check_generator,
    check_groups,
    check_rows,
    check_temperature,
)
from zoo.core.component import Component, Selected
from zoo.core.condition import ConditionConfig, as_condition, check_told
from zoo.core.draws import Draws
from zoo.core.latent_space import LatentSpace
from zoo.core.moments import LatentMoments
from zoo.core.quantiles import Quantiles
from zoo.core.reading import as_codes, floats_of, read_batch
from zoo.errors import ConfigError
from zoo.likelihoods.base import InputKind, Likelihood, Measure
from zoo.modalities import Form, modality_of
from zoo.randomness import noise_of
from zoo.settings import Settings

MOST_NUMBERS = 2**24
"""Of one example, in all: no file makes a model of more."""


class ModelConfig(Settings):
    """What every variant's configuration holds; a variant extends it with fields of its own."""

    input_shape: tuple[int, ...]

    @field_validator("input_shape")
    @classmethod
    def _has_a_size(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if min(shape, default=0) < 1 or math.prod(shape) > MOST_NUMBERS:
            raise ValueError(f"each side is at least 1, and their product at most {MOST_NUMBERS}")
        return shape


class LatentVariableModel(Quantiles, Component, nn.Module, ABC):
    """A prior p(z|c), a posterior q(z|x, c) and a likelihood p(x|z, c) under one interface.

    A variant says how to :meth:`infer`, to :meth:`decode` and to draw codes; the rest is written
    here, once. Wherever a batch is asked for, a bare tensor of examples will do. All quantities are
    natural logarithms for each example, summed over its dimensions.
    """

    section = "variants"
    Config: ClassVar[type[ModelConfig]] = ModelConfig
    has_evidence: ClassVar[bool] = True
    """Whether log p(x) is defined: False for a deterministic autoencoder."""
    reads: ClassVar[tuple[str, ...]] = ("images", "vectors")
    """The modalities of the examples that it can be made for; its parts may read fewer."""
    has_classes: ClassVar[bool] = False
    """Whether it infers a class y of x: ``classify(x)`` is q(y|x), its draws are ClassDraws."""
    variant: str | None = None
    """The registered name it was made by."""
    latent_moments: LatentMoments | None = None
    """Of its codes, as it was last validated. Whoever changes its weights sets it to None."""
    space: LatentSpace
    likelihood: Likelihood

    def __init__(self, config: ModelConfig, form: Form = None) -> None:
        super().__init__()
        self.config = config
        self.modality = modality_of(config.input_shape, form)

    @abstractmethod
    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        """``samples`` draws z ~ q(z|x) for each example, and what follows from them.

        With codes ``given`` (S, B, D) these stand for the draws: what a posterior says of them.
        """

    @abstractmethod
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|z, c) for codes (..., D) and what they are told, batch shape (...)."""

    @abstractmethod
    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """``n`` codes from the prior, (n, D); see :meth:`sample_codes`."""

    def forward(self, batch: Tensor | Batch, samples: int = 1) -> Draws | dict[str, Tensor]:
        """What wrappers see, :meth:`infer`; of its draws torch.export sees the parts by name."""
        draws = self.infer(batch, samples)
        return draws.tensors() if torch.compiler.is_exporting() else draws

    def likelihood_of(self, chosen: Selected[Likelihood]) -> Likelihood:
        """p(x|z) over whole examples. Raises ConfigError for one of another modality's."""
        kind, modality = chosen.component.reads, self.modality
        if kind not in modality.kinds:
            raise ConfigError(
                f"the likelihood {chosen.name!r} is one of {kind}, and {modality.name} are read as "
                f"{', '.join(modality.kinds)}; leave it out: the data decide"
            )
        return chosen.build(*modality.for_likelihood)

    @property
    def input_kind(self) -> InputKind:
        """How examples are prepared for this model."""
        return self.likelihood.reads

    @property
    def measure(self) -> Measure:
        """Whether its likelihoods are probability masses or densities."""
        return self.likelihood.measure

    @property
    def code_dim(self) -> int:
        """D, the width of a code."""
        return self.space.dim

    @property
    def code_variance(self) -> float | None:
        """Of each coordinate of a code under the prior; None where it is not one known number."""
        return None

    @property
    def group_widths(self) -> tuple[int, ...]:
        """How many numbers of a code each latent group has, in their order."""
        return (self.code_dim,)

    @property
    def decode_batch(self) -> int:
        """How many examples are decoded at a time where memory is to be bounded."""
        return 2048

    @property
    def conditioning(self) -> ConditionConfig | None:
        """What it is told beside x; None for a model that is told nothing."""
        return None

    @property
    def condition_width(self) -> int | None:
        """How many classes or numbers the condition has; None for a model that is told nothing."""
        return None if self.conditioning is None else self.conditioning.width

    def prepared(self, batch: Tensor | Batch) -> Batch:
        """What was given, as a batch that this model can read; 0 where x is not observed.

        Floats become those of its weights. Raises DataError for examples of another type, shape or
        range, UnsupportedError for a model in half precision and for a condition of which it is
        told nothing. A look at values makes the host wait: a training's are its own, and what is
        compiled is called by what has looked.
        """
        return read_batch(self, batch)

    def encode(self, batch: Tensor | Batch) -> Tensor:
        """The deterministic code of each example, (B, D)."""
        return self.infer(batch).code

    def log_prob(self, batch: Tensor | Batch, samples: int, chunk: int = 1024) -> Tensor:
        """log p(x|c), (B,), importance-weighted: see :func:`zoo.core.bounds.log_evidence`."""
        return log_evidence(self, Batch.of(batch), samples, chunk).log_p

    def log_posteriors(self, batch: Tensor | Batch) -> Tensor:
        """log q(z_i|x_j) of one draw z_i ~ q(z|x_i) for each example: (B, B)."""
        return log_posteriors(self, Batch.of(batch))

    def sample_codes(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        condition: object = None,
    ) -> Tensor:
        """``n`` draws from the prior, its standard deviation scaled by ``temperature``: (n, D).

        Where codes are those of a codebook, its log-probabilities are divided by the temperature.
        ``condition`` is one class or vector of numbers for all, or one for each. Raises
        UnsupportedError for what is none, for a prior without deviation, and in half precision.
        """
        check_draws(n)
        check_generator(generator)
        floats_of(self)
        self.check_temperature(temperature)
        told = as_condition(self, condition, n)
        return self.draw_codes(n, temperature, generator, told)

    def check_temperature(self, temperature: float) -> None:
        """Raise UnsupportedError for what the prior's standard deviation cannot be scaled by."""
        check_temperature(temperature)

    def resample_groups(
        self,
        codes: Tensor,
        groups: Sequence[int],
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """``codes`` (B, D) with the latents of ``groups``, from 0, drawn from the prior."""
        check_groups(groups, len(self.group_widths))
        check_rows(codes, self.code_dim)
        check_told(self, condition)
        check_generator(generator)
        return self.redraw(as_codes(self, codes), groups, generator, condition)

    def redraw(
        self,
        codes: Tensor,
        groups: Sequence[int],
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """What :meth:`resample_groups` does, for groups that the prior draws independently."""
        drawn = self.draw_codes(len(codes), 1.0, generator, condition)
        kept, new = (torch.split(each, list(self.group_widths), dim=-1) for each in (codes, drawn))
        parts = [new[g] if g in groups else kept[g] for g in range(len(kept))]  # (B, D_g) each
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        condition: object = None,
    ) -> Tensor | list[str]:
        """What ``n`` codes from the prior look like: (n, C, H, W) in [0, 1], or sentences."""
        told = as_condition(self, condition, n)
        return self.show(self.sample_codes(n, temperature, generator, told), told)

    @torch.no_grad()
    def reconstruct(self, batch: Tensor | Batch) -> Tensor | list[str]:
        """What the code of each example looks like: (B, C, H, W) in [0, 1], or sentences."""
        batch = Batch.of(batch)
        return self.show(self.encode(batch), batch.condition)

    @torch.no_grad()
    def edit(
        self, batch: Tensor | Batch, groups: Sequence[int], generator: torch.Generator | None = None
    ) -> Tensor | list[str]:
        """Reconstructions in which the latents of ``groups``, from 0, are drawn from the prior.

        The others keep what they say of x, so this shows what each decides. Raises
        UnsupportedError for a group there is not.
        """
        batch = Batch.of(batch)
        codes = self.resample_groups(self.encode(batch), groups, generator, batch.condition)
        with noise_of(generator, codes.device):
            return self.show(codes, batch.condition)

    @torch.no_grad()
    def show(self, z: Tensor, condition: Tensor | None = None) -> Tensor | list[str]:
        """What codes (B, D) look like: of images :meth:`estimate`, (B, C, H, W) in [0, 1]."""
        return self.modality.shown(self.estimate(z, condition))

    def estimate(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """One example for each code (B, D), on which errors are measured: the mean of p(x|z).

        A model whose p(x|z) has no mean in closed form takes another and says so.
        """
        return self.likelihood.estimate(self.decode(z, condition))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Codes on the shortest way between two codes (..., D), both included: (steps, ..., D)."""
        start, end = (as_codes(self, code, self.code_dim) for code in (start, end))
        return self.space.interpolate(start, end, steps)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """Codes at the distances ``amounts`` (A,) from ``code`` towards ``direction``: (A, ..., D).

        Distances are Euclidean, on a sphere angles in radians. A direction's length does not count.
        """
        code, direction = (as_codes(self, each, self.code_dim) for each in (code, direction))
        return self.space.traverse(code, direction, amounts)

    def fit_codes(self, codes: Tensor) -> None:
        """Called once after training with the codes of the training set, (N, D).

        A model whose prior is fitted to its codes afterwards does so here; others ignore it.
        """

    def penalty(self) -> Tensor | None:
        """What training adds to the loss of an example besides the objective, a scalar.

        For instance a spectral regularisation. Called once for each step, in full precision and in
        training mode, in which it may keep state in buffers; evaluation never sees it.
        """
        return None
