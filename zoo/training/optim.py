"""Optimisers, schedules, moving averages and the guard against non-finite gradients.

Nothing here waits for the device: counters live beside the weights and are read when logged.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.model import VariationalAutoencoder
from zoo.training.config import TrainingConfig


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The configured optimiser over the trainable parameters, fused where torch has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "adamax":
        return torch.optim.Adamax(
            parameters, config.lr, weight_decay=config.weight_decay, foreach=True
        )
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: TrainingConfig, step: int, total_steps: int) -> float:
    """The rate of step 0, 1, ..., total_steps - 1: linear warm-up, then constant or cosine.

    >>> config = TrainingConfig(lr=1.0, schedule="cosine", warmup_steps=2)
    >>> [round(learning_rate(config, step, 6), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr * (config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine)


def kl_weight(config: TrainingConfig, step: int) -> float:
    """The KL's weight at a step: linear from near 0 to 1 over the warm-up, then 1.

    >>> [kl_weight(TrainingConfig(kl_warmup_steps=4), step) for step in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / max(1, config.kl_warmup_steps))


class MovingAverage:
    """A copy of a model that follows it: a <- d a + (1 - d) w after every step.

    d = min(decay, (1 + step) / (10 + step)), so that the first, random weights are soon forgotten.
    """

    def __init__(self, model: VariationalAutoencoder, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model), decay
        # Walking the modules for these at every step would take as long as the update itself.
        self.averages: list[Tensor] = list(self.model.parameters())
        self.weights: list[Tensor] = list(model.parameters())
        self.buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after its optimiser's step number ``step``, from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, self.weights, weight)
        for average, buffer in self.buffers:
            average.copy_(buffer)


@dataclass
class Trouble:
    """What the guard saw since it was last asked."""

    skipped: int
    step: int
    culprit: str


class _Watch:
    """Some parameters, and which of them had a bad gradient since the last report."""

    def __init__(self, named: Sequence[tuple[str, nn.Parameter]]) -> None:
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.bad = torch.zeros(len(named), dtype=torch.bool, device=self.parameters[0].device)

    def norms(self) -> Tensor:
        """The gradient's norm for each parameter; 0 where there is none."""
        gradients = [p.grad if p.grad is not None else p.new_zeros(1) for p in self.parameters]
        return torch.stack(torch._foreach_norm(gradients))


class GradientGuard:
    """Clips gradients, and lets no step through whose gradient is not finite.

    A bad step is skipped on the device: fused optimisers read ``found_inf`` themselves. Adamax
    has no fused form, so for it alone the flag is read on the host.

    Reading all gradients once more costs a small network 3 % of its step. Without clipping, a
    step therefore inspects the loss and the smallest gradient of each layer, as a rule its bias's.
    That is the sum of the layer's output gradients, so what spoils a weight's gradient spoils it
    too, or came through the layer's input and spoilt the loss.
    """

    def __init__(self, model: nn.Module, max_norm: float | None) -> None:
        self.everything = _Watch([(n, p) for n, p in model.named_parameters() if p.requires_grad])
        self.sentinels = _Watch(list(_smallest_of_each_layer(model)))
        self.max_norm = max_norm
        device = self.everything.bad.device
        self.found_inf = torch.zeros((), device=device)
        self.skipped = torch.zeros((), device=device)
        self.last_bad_step = torch.full((), -1.0, device=device)
        self.norm = torch.zeros((), device=device)
        """Of the whole gradient, before clipping, at the last step that measured it."""

    @torch.no_grad()
    def check(self, step: int, loss: Tensor, measure: bool = False) -> None:
        """Inspect and clip this step's gradients; with ``measure`` all are read in any case."""
        thorough = measure or self.max_norm is not None
        watch = self.everything if thorough else self.sentinels
        norms = watch.norms()
        norm = torch.linalg.vector_norm(norms)
        finite = torch.isfinite(norm + loss.detach())
        torch.logical_not(finite, out=self.found_inf)
        self.skipped += self.found_inf
        self.last_bad_step.copy_(torch.where(finite, self.last_bad_step, float(step)))
        watch.bad.copy_(torch.where(finite, watch.bad, ~torch.isfinite(norms)))
        if thorough:
            self.norm.copy_(torch.where(finite, norm, self.norm))
        if self.max_norm is not None:
            gradients = [p.grad for p in watch.parameters if p.grad is not None]
            torch._foreach_mul_(gradients, (self.max_norm / (norm + 1e-6)).clamp(max=1.0))

    def counters(self) -> dict[str, Tensor]:
        """What a resumed run must know to report the whole of its epoch."""
        return {
            "skipped": self.skipped,
            "last_bad_step": self.last_bad_step,
            "norm": self.norm,
            "bad": self.everything.bad,
            "bad_sentinels": self.sentinels.bad,
        }

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimiser's step unless the gradient was bad, and forget the gradients."""
        if optimizer.defaults.get("fused"):
            # torch's own protocol between a gradient scaler and a fused optimiser.
            optimizer.found_inf = self.found_inf  # type: ignore[attr-defined]
            optimizer.grad_scale = None  # type: ignore[attr-defined]
            optimizer.step()
        elif not self.found_inf.item():
            optimizer.step()
        for parameter in self.everything.parameters:  # what zero_grad does, six times faster
            parameter.grad = None

    def report(self) -> Trouble | None:
        """What went wrong since the last report, or None; waits for the device."""
        skipped = int(self.skipped.item())
        if not skipped:
            return None
        names = [
            name
            for watch in (self.everything, self.sentinels)
            for name, bad in zip(watch.names, watch.bad.tolist(), strict=True)
            if bad
        ]
        trouble = Trouble(skipped, int(self.last_bad_step.item()), _first_few(names))
        self.skipped.zero_()
        self.everything.bad.zero_()
        self.sentinels.bad.zero_()
        return trouble


def _smallest_of_each_layer(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for prefix, layer in model.named_modules():
        own = [(n, p) for n, p in layer.named_parameters(prefix, recurse=False) if p.requires_grad]
        if own:
            yield min(own, key=lambda named: named[1].numel())


def _first_few(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more if listed else "the loss"
