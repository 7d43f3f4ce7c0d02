"""The task: with which models it is done, by how many chains, and what these are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.checks import check_generator, check_samples
from zoo.core.condition import needed_condition
from zoo.core.latent_space import Codebook
from zoo.core.model import LatentVariableModel
from zoo.distributions.observed import can_draw_given, factorises
from zoo.errors import UnsupportedError
from zoo.modalities.tokenizer import END
from zoo.randomness import noise_of, seeded
from zoo.settings import Settings
from zoo.tasks.base import Task
from zoo.tasks.impute.chains import Chains
from zoo.tasks.impute.evidence import log_evidence_of_observed
from zoo.tasks.impute.gaps import each, with_mask

BLOCK = 32
"""Examples that share noise, at the most; there are as many or a half, a quarter and so on."""
MOST_ROWS = 2048
"""Codes that are decoded at a time, where one example has no more."""


class Impute(Task):
    r"""What is missing of x, x_m, by what is observed of it, x_o: p(x_m|x_o) of a trained model.

    Chains over codes and missing values (:mod:`zoo.tasks.impute.chains`), whose limit is exact with
    ever more sweeps, whatever the posterior is. What is observed comes back bit by bit.

    Blocks of at most 32 examples have noise of their own, so that memory is bounded, and that the
    result is the same whatever multiple of 32 is given at a time with one generator.

    >>> import zoo
    >>> model = zoo.load("gaussian-vae-digits")
    >>> x = model.sample(2, generator=torch.Generator().manual_seed(0)).round()
    >>> x[..., 4:, :] = torch.nan  # the lower half
    >>> guess = Impute(Impute.Config()).best_guess(model, x)
    >>> guess.shape, torch.equal(guess[..., :4, :], x[..., :4, :])
    (torch.Size([2, 1, 8, 8]), True)
    """

    class Config(Settings):
        """How many ``chains`` the best guess is made of; draws have one each.

        They begin with those codes that fit of ``starts`` codes of the prior. The first half of the
        ``sweeps`` warms up; each of the others weighs so many ``proposals``.
        """

        chains: int = Field(16, ge=1, le=4096)
        proposals: int = Field(4, ge=1, le=4096)
        starts: int = Field(2048, ge=1, le=1_000_000)
        sweeps: int = Field(16, ge=1, le=100_000)

    config: Config

    def check_model(self, model: LatentVariableModel) -> None:
        if not model.has_evidence:
            raise UnsupportedError(
                f"{type(model).__name__} has no density of codes, so that none fits what is "
                "observed better than another; use a variational variant, such as 'gaussian-vae'"
            )
        if isinstance(model.space, Codebook):
            raise UnsupportedError(
                f"the posterior of {type(model).__name__} is certain of one code of each example, "
                "which a chain could never leave; use a variant whose posterior has a density, "
                "such as 'gaussian-vae' or 'nvae-lite'"
            )
        p = _some_likelihood(model)
        if not can_draw_given(p):
            raise UnsupportedError(
                f"p(x|z) of {type(model).__name__} makes pixels in turn, several at once and of "
                "too many values to be told which fit; use a variant whose pixels do not follow "
                "each other, such as 'gaussian-vae' or 'nvae-lite', or binary images"
            )

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """What is observed stays, what is filled in can be read, and a seed decides it."""
        from zoo.testing.expect import differ, expect, same, seed, shaped  # above tasks

        observed = torch.ones_like(batch.x, dtype=torch.bool)
        observed[..., ::2] = False
        observed[0] = True
        if not batch.x.is_floating_point():
            observed |= batch.x <= END  # how long a sentence is cannot be missing
        masked = batch._replace(observed=observed)
        few = Impute(
            self.Config(chains=2, proposals=2, starts=8, sweeps=4)
        )  # what holds, holds of any chains
        draws = few.draw(model, masked, 3, seed(0))
        shaped(draws, (3, *batch.x.shape), "draws")
        guess = few.best_guess(model, masked, seed(0))
        for filled in (*draws, guess):
            same(filled[observed], batch.x[observed], "what is observed")
        expect(guess.isfinite().all(), "a best guess is not finite")
        same(few.draw(model, masked, 3, seed(0)), draws, "draws of one seed")
        differ(draws[0], draws[1], "two draws")
        model.modality.check(draws.flatten(0, 1), model.input_kind)

    def draw(
        self,
        model: LatentVariableModel,
        batch: Tensor | Batch,
        draws: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draws of p(x_m|x_o) beside x_o, (draws, B, ...), each the end of a chain of its own.

        Without a mask NaN is what is missing. Raises DataError for values that the model cannot
        read, and UnsupportedError for a model with which it cannot be done.
        """
        check_samples(draws)

        def end(chains: Chains) -> Tensor:
            for _ in self._weighed_sweeps(chains):
                pass
            return chains.apart(chains.x)

        return self._filled(model, batch, (draws, draws), generator, end)

    def best_guess(
        self,
        model: LatentVariableModel,
        batch: Tensor | Batch,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The mean of p(x_m|x_o), of tokens and classes the commonest, beside x_o: (B, ...).

        Over all chains and their weighed sweeps. Raises what :meth:`draw` raises.
        """

        def guess(chains: Chains) -> Tensor:
            drawn, means = [], []
            for _ in self._weighed_sweeps(chains):
                drawn.append(chains.apart(chains.x))
                means.append(chains.estimate())
            return model.modality.best_guess(torch.cat(drawn), torch.cat(means))[None]

        return self._filled(model, batch, (self.config.chains, 1), generator, guess)[0]

    def log_prob(
        self,
        model: LatentVariableModel,
        batch: Batch,
        draws: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """log p(x_m|x_o) = log p(x) - log p(x_o) of whole examples whose mask hides x_m, (B,).

        Both by importance weights, of ``draws`` for each chain: see
        :func:`zoo.tasks.impute.evidence.log_evidence_of_observed`. Each is a lower bound, their
        difference is none. Raises what :meth:`draw` raises.
        """
        check_samples(draws)
        if not factorises(_some_likelihood(model)):
            raise UnsupportedError(
                f"p(x|z) of {type(model).__name__} does not factorise, so that log p(x_o) is not "
                "known; use a variant whose likelihood does, such as 'gaussian-vae'"
            )
        whole = model.prepared(batch._replace(observed=None))
        log_p = whole.x.new_zeros(len(whole.x)).double()

        def answer(index: Tensor, chains: Chains) -> None:
            for _ in self._weighed_sweeps(chains):
                pass
            rows = each(whole, lambda column: column[index])
            log_x = model.log_prob(rows, draws * (chains.count + 1))
            log_p[index] = (log_x - log_evidence_of_observed(chains, draws)).double()

        self._by_block(model, batch, self.config.chains, generator, answer)
        return log_p

    def _filled(
        self,
        model: LatentVariableModel,
        given: Tensor | Batch,
        counts: tuple[int, int],
        generator: torch.Generator | None,
        answer: Callable[[Chains], Tensor],
    ) -> Tensor:
        """What is observed, bit by bit, and elsewhere what chains answer: (A, B, ...).

        ``counts`` are how many chains an example has, and A.
        """
        batch, observed = with_mask(given)
        found = batch.x.repeat(counts[1], *(1 for _ in batch.x.shape))  # (A, B, ...)

        def fill(index: Tensor, chains: Chains) -> None:
            filled = answer(chains)
            # Intensities beyond [0, 1], which a density may draw, are cut off.
            filled = model.modality.clamped(filled.flatten(0, 1)).view(filled.shape)
            found[:, index] = torch.where(observed[index], found[:, index], filled.to(found.dtype))

        self._by_block(model, batch, counts[0], generator, fill)
        return found

    @torch.no_grad()
    def _by_block(
        self,
        model: LatentVariableModel,
        given: Batch,
        count: int,
        generator: torch.Generator | None,
        use: Callable[[Tensor, Chains], None],
    ) -> None:
        """``use`` the places of the examples that have gaps, and new chains of each, by blocks."""
        check_generator(generator)
        self.check_model(model)
        batch, observed = with_mask(given)
        readable = model.prepared(batch)
        has_gaps = ~observed.flatten(1).all(1)  # (B,)
        every = torch.arange(len(observed), device=observed.device)
        for block in torch.split(every, self._block_size(model, count)):
            with noise_of(generator, observed.device):
                index = block[has_gaps[block]]
                if len(index):
                    rows = each(readable, lambda column: column[index])  # noqa: B023 -- used at once
                    use(index, Chains(model, rows, count, self.config.starts))

    def _weighed_sweeps(self, chains: Chains) -> Iterator[None]:
        """Yields after each sweep that is none of the warm-up."""
        for _ in range(self.config.sweeps // 2):
            chains.warm_up()
        for _ in range(self.config.sweeps // 2, self.config.sweeps):
            chains.sweep(self.config.proposals)
            yield

    def _block_size(self, model: LatentVariableModel, chains: int) -> int:
        """The largest power of 2 whose chains' proposals are decoded at a time."""
        most = min(MOST_ROWS, model.decode_batch) // (chains * (1 + self.config.proposals))
        return min(BLOCK, 1 << int(math.log2(max(1, most))))


def _some_likelihood(model: LatentVariableModel) -> Distribution:
    """p(x|z) of some code; takes none of a caller's noise."""
    told = _anything(model)
    with torch.no_grad(), seeded(0, next(model.parameters()).device):
        return model.decode(model.draw_codes(1, 1.0, None, told), told)


def _anything(model: LatentVariableModel) -> Tensor | None:
    """What a model that must be told something can be told of one example."""
    told = needed_condition(model)
    if told is None:
        return None
    device = next(model.parameters()).device
    if told.classes is None:
        return torch.zeros(1, told.width, device=device)
    return torch.zeros(1, dtype=torch.int64, device=device)
