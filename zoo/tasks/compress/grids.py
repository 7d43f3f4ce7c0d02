r"""Latents as whole numbers, and the bits that they cost and give back.

A latent z of a group, with p(z_g|z_<g) = N(mu, sigma^2), is coded as the number k of

    z = mu + sigma w k,    P(k) = the mass of N(0, 1) from w (k - 1/2) to w (k + 1/2),

and its posterior is N((mu_q - mu) / (sigma w), (sigma_q / (sigma w))^2) in the same numbers. The
width w is one for each latent, relative to how sharp its posteriors are: a fixed number of bits for
all would be too few for some and, for the many that no posterior moves, initial bits for nothing.

Buckets are of equal width and not of equal mass: those of equal mass grow without bound where the
prior is thin, and an unusual example has its codes there.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from zoo.core.batch import Batch
from zoo.core.descent import Descending
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.randomness import seeded
from zoo.tasks.compress.stack import REACH, SPAN, Array, Stack

MOST = 64
"""Examples of a batch."""
PROBES = 32
"""Examples of the model's own by which it is known how sharp its posteriors are."""
FINENESS = 2.0**-4
"""The width of a bucket in standard deviations of the posterior, at the most."""
FINEST = 2.0**-7
"""In standard deviations of the prior: eight of them are REACH buckets."""
ASLEEP = 1e-3
"""The KL in nats up to which a latent says nothing: it is not coded, but noise known to both ends.

Not the mean of its prior, though no posterior tells it from noise: networks whose normalisation is
used to the noise do without it badly (4 times the bits of ``nvae-lite-mnist``)."""


class Grid:
    """The numbers of one group's latents; ``widths`` (...) are 0 for those that are not coded."""

    def __init__(self, widths: Tensor) -> None:
        self.widths = widths.double()
        self.coded = widths > 0
        self.count = int(self.coded.sum())
        noise = torch.Generator().manual_seed(0)
        self.noise = torch.randn(MOST, *widths.shape, dtype=torch.float64, generator=noise)

    def push_prior(self, stack: Stack, numbers: Array) -> None:
        """Numbers (n, L) of the L latents that are coded, by their prior."""
        stack.push_centred(numbers.ravel(), self._deviations(len(numbers)))

    def pop_prior(self, stack: Stack, n: int) -> Array:
        """(n, L)."""
        return stack.pop_centred(self._deviations(n)).reshape(n, self.count)

    def push_posterior(
        self, stack: Stack, numbers: Array, p: Distribution, q: Distribution
    ) -> None:
        """Numbers (n, L) by their posterior."""
        stack.push_normal(numbers.ravel(), *self._posterior(p, q))

    def pop_posterior(self, stack: Stack, p: Distribution, q: Distribution) -> Array:
        """(n, L)."""
        popped = stack.pop_normal(*self._posterior(p, q))
        return popped.reshape(q.batch_shape[0], self.count)

    def latents(self, numbers: Array, p: Distribution) -> Tensor:
        """What numbers (n, L) stand for under the prior, (n, ...)."""
        prior = _normal(p)
        standard = self.noise[: len(numbers)].clone()  # (n, ...)
        standard[:, self.coded] = self.widths[self.coded] * torch.from_numpy(numbers).double()
        return torch.addcmul(prior.loc, prior.scale, standard.to(prior.loc.dtype))

    def _deviations(self, n: int) -> Array:
        """Of the prior, in buckets, (n L,)."""
        deviations: Array = (1 / self.widths[self.coded]).repeat(n).numpy()
        return deviations

    def _posterior(self, p: Distribution, q: Distribution) -> tuple[Array, Array]:
        """Means and deviations in buckets, (n L,) both."""
        shift, ratio = (part[:, self.coded] / self.widths[self.coded] for part in relative(p, q))
        mean = shift.flatten().clamp(SPAN - REACH, REACH - SPAN)  # (n L,)
        return mean.numpy(), ratio.flatten().clamp(1e-6, 1e6).numpy()


def grids_of(model: LatentVariableModel) -> list[Grid]:
    """A grid for each group of latents, from the top, by what the model says of its own samples.

    Nothing about them needs to be sent: they follow from the model alone.
    """
    found: list[Grid] = []

    def record(p: Distribution, q: Distribution | None) -> Tensor:
        assert q is not None
        found.append(Grid(_widths(*relative(p, q))))
        return q.sample()

    with seeded(0, torch.device("cpu")):
        x = model.decode(model.sample_codes(PROBES)).sample()
        cast("Descending", model).descend(PROBES, record, Batch(x))
    return found


def relative(p: Distribution, q: Distribution) -> tuple[Tensor, Tensor]:
    """How far q is shifted from p, and the ratio of their deviations, in those of p: (n, ...) both.

    Raises UnsupportedError where one of the two is no diagonal normal.
    """
    prior, posterior = _normal(p), _normal(q)
    scale = prior.scale.double()
    shift, ratio = (posterior.loc.double() - prior.loc) / scale, posterior.scale / scale
    if not (shift.isfinite().all() and ratio.isfinite().all()):
        raise UnsupportedError(
            "the model's posteriors are not finite; a training that diverged makes such models, "
            "choose another checkpoint"
        )
    return shift, ratio


def _widths(shift: Tensor, ratio: Tensor) -> Tensor:
    """Of latents whose posteriors are so, (n, ...) both: (...), powers of 2."""
    kl = (0.5 * (shift.square() + ratio.square() - 1) - ratio.log()).mean(0)  # (...)
    sharpest = ratio.log2().mean(0) + math.log2(FINENESS)  # (...)
    widths = 2.0 ** sharpest.floor().clamp(math.log2(FINEST), 0)
    return torch.where(kl > ASLEEP, widths, 0)


def _normal(distribution: Distribution) -> Normal:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(base, Normal):
        raise UnsupportedError(
            f"latents are coded on a grid that a normal prior and normal posteriors divide, and "
            f"here one is a {type(base).__name__}"
        )
    return base
