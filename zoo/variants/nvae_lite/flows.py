"""Normalising flows on maps (Kingma et al. 2016, arXiv:1606.04934)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import conv2d, pad, silu

from zoo.core.draws import LatentDraw
from zoo.distributions.precision import full_precision
from zoo.variants.nvae_lite.cells import near_zero_init

KERNEL_SIZE = 5
"""Side of the square around a position in which earlier positions are seen."""


class InverseAutoregressiveFlow(nn.Module):
    """z -> exp(s) z + t, where s and t at a position see the positions before it alone.

    Positions are those of a map, row by row, read backwards where ``reverse``. All are
    transformed at once, and the log-determinant is the sum of s, |s| < 1. Starts close to the
    identity.
    """

    def __init__(self, channels: int, context: int, hidden: int, reverse: bool) -> None:
        super().__init__()
        self.reverse = reverse
        earlier = KERNEL_SIZE * KERNEL_SIZE // 2
        bound = (channels * earlier) ** -0.5
        self.taps = nn.Parameter(torch.empty(hidden, channels, earlier).uniform_(-bound, bound))
        self.context = nn.Conv2d(context, hidden, 1)
        self.to_parameters = near_zero_init(nn.Conv2d(hidden, 2 * channels, 1))

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Transformed maps (B, L, H, W) and the log-determinant (B,)."""
        shift, log_scale = self._affine(z, self.context(context))
        return torch.addcmul(shift, log_scale.exp(), z), log_scale.flatten(1).sum(1)

    def inverse(self, image: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The maps whose image this is, (B, L, H, W), and the log-determinant there, (B,).

        Each round settles one position more, since its s and t see the settled ones alone: exact
        after H W rounds, and as slow as that.
        """
        context_features = self.context(context)
        z, log_scale = torch.zeros_like(image), torch.zeros_like(image)
        for _ in range(image[0, 0].numel()):
            shift, log_scale = self._affine(z, context_features)
            z = (image - shift) * (-log_scale).exp()
        return z, log_scale.flatten(1).sum(1)

    def _affine(self, z: Tensor, context_features: Tensor) -> tuple[Tensor, Tensor]:
        """t and s, (B, L, H, W) each."""
        hidden = conv2d(z, self._kernel(), padding=KERNEL_SIZE // 2) + context_features
        shift, log_scale = full_precision(self.to_parameters(silu(hidden))).chunk(2, dim=1)
        return shift, log_scale.tanh()

    def _kernel(self) -> Tensor:
        """The taps as a square whose middle and later positions are 0."""
        rest = KERNEL_SIZE * KERNEL_SIZE - self.taps.shape[-1]
        square = pad(self.taps, (rest, 0) if self.reverse else (0, rest))  # (C', L, 25)
        return square.view(*self.taps.shape[:2], KERNEL_SIZE, KERNEL_SIZE)  # (C', L, 5, 5)


class Flows(nn.ModuleList):
    """Flows one after the other, which read the rows in turn forwards and backwards.

    Latents are channels last, (N, H, W, L), and the ``context`` is (N, C, H, W). None at all leave
    everything as it is.
    """

    def __init__(self, count: int, latents: int, channels: int) -> None:
        super().__init__(
            InverseAutoregressiveFlow(latents, channels, channels, reverse=bool(index % 2))
            for index in range(count)
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The image of latents, and the log-determinant (N,)."""
        z, log_det = z.movedim(-1, 1), z.new_zeros(z.shape[0])  # (N, L, H, W), (N,)
        for flow in self:
            z, flow_log_det = flow(z, context)
            log_det = log_det + flow_log_det
        return z.movedim(1, -1), log_det  # (N, H, W, L), (N,)

    def inverse(self, image: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The latents whose image this is, and the log-determinant there, (N,)."""
        z, log_det = image.movedim(-1, 1), image.new_zeros(image.shape[0])  # (N, L, H, W), (N,)
        for flow in cast("list[InverseAutoregressiveFlow]", list(self)[::-1]):
            z, flow_log_det = flow.inverse(z, context)
            log_det = log_det + flow_log_det
        return z.movedim(1, -1), log_det  # (N, H, W, L), (N,)

    def posterior(self, base: Distribution, context: Tensor) -> Distribution:
        """The distribution of the images of draws from ``base``, batch shape (N, H, W)."""
        return FlowPosterior(base, self, context) if len(self) else base

    def draw(self, base: LatentDraw, context: Tensor) -> LatentDraw:
        """The image of a draw, whose density comes with it."""
        if not len(self):
            return base
        z, log_det = self(base.z, context)
        log_q = base.log_q - log_det.view(base.shape)  # (S, B)
        posterior = self.posterior(base.posterior, context)
        return LatentDraw(z, posterior, base.prior, base.shape, log_q)


class FlowPosterior(Distribution):
    """What flows make of a distribution of batch shape (N, H, W): a density over whole maps."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, base: Distribution, flows: Flows, context: Tensor) -> None:
        count, *places = base.batch_shape
        event = torch.Size([*places, *base.event_shape])
        super().__init__(torch.Size([count]), event, validate_args=False)
        self.base, self.flows, self.context = base, flows, context

    def log_prob(self, value: Tensor) -> Tensor:
        """Of maps (N, H, W, L), (N,). The flows are inverted, which is exact and slow."""
        z, log_det = self.flows.inverse(value, self.context)
        return self.base.log_prob(z).flatten(1).sum(1) - log_det
