"""Optimisers, schedules and the guard against non-finite gradients.

Nothing here waits for the device: counters live beside the weights and are read when logged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.errors import TrainingError
from zoo.training.config import TrainingConfig
from zoo.training.muon import Muon


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The configured optimiser over the trainable parameters, fused where torch has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "adamax":
        return torch.optim.Adamax(
            parameters, config.lr, weight_decay=config.weight_decay, foreach=True
        )
    if config.optimizer == "muon":
        return Muon(parameters, config.lr, config.weight_decay)
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
    fraction = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * fraction))
    return config.lr * (config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine)


def kl_weight(config: TrainingConfig, step: int) -> float:
    """The KL's weight at a step: linear from near 0 to 1 over the warm-up, then 1.

    >>> [kl_weight(TrainingConfig(kl_warmup_steps=4), step) for step in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / max(1, config.kl_warmup_steps))


@dataclass
class Trouble:
    """The skipped steps of an epoch: how many, the last one, and what was not finite."""

    skipped: int
    step: int
    culprit: str

    def checked(self, epoch: int, rate: float, most: int) -> str:
        """What to warn of; TrainingError where more than ``most`` steps were skipped."""
        message = (
            f"{self.skipped} steps of epoch {epoch} skipped: gradient not finite, "
            f"last at step {self.step} (learning rate {rate:.3g}) in {self.culprit}"
        )
        if self.skipped > most:
            raise TrainingError(f"{message}. Lower train.lr or set train.clip_grad_norm.")
        return message


class GradientGuard:
    """Clips gradients, lets no step through whose gradient is not finite, and keeps the figures.

    A bad step is skipped on the device: fused optimisers read ``found_inf`` themselves. Adamax and
    Muon have no fused form, so for them alone the flag is read on the host.

    Every step of an epoch fills one row of a table on the device: whether it is bad, its loss, what
    is logged beside it, and the gradients' norms. Means and names wait until they are asked for.

    Reading all gradients once more costs a small network 3 % of its step. Without clipping, a
    step therefore inspects the loss and the smallest gradient of each layer, as a rule its bias's.
    That is the sum of the layer's output gradients, so what spoils a weight's gradient spoils it
    too, or came through the layer's input and spoilt the loss. An epoch's last step reads all.
    Where a penalty reaches weights by another way, ``thorough`` makes every step read all.
    """

    def __init__(
        self,
        model: nn.Module,
        steps_per_epoch: int,
        max_norm: float | None,
        logs: Sequence[str],
        thorough: bool = False,
    ) -> None:
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        sentinels = {id(p) for p in _smallest_of_each_layer(model)}
        self.thorough = thorough or max_norm is not None
        if not self.thorough:
            named.sort(key=lambda pair: id(pair[1]) not in sentinels)
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.sentinels = self.parameters[: len(sentinels)]  # all that most steps read
        self.steps_per_epoch, self.max_norm = steps_per_epoch, max_norm
        device = self.parameters[0].device
        self.figures = 2 + len(
            logs
        )  # where the norms begin: behind the flag, the loss and the logs
        self.table = torch.zeros(steps_per_epoch, self.figures + len(named), device=device)
        self.bad, self.measured = self.table[:, 0], self.table[:, 1:]
        self.measured_in_part = self.table[:, 1 : self.figures + len(sentinels)]
        self.found_inf = self.bad[0]
        self.latest_step = 0
        self.norm = torch.zeros((), device=device)
        """Of the whole gradient, before clipping, at the last good step that measured it."""

    def check(self, step: int, figures: Sequence[Tensor]) -> None:
        """Inspect and clip the gradients of a step, numbered from the run's start.

        ``figures`` are the batch's loss and its logs, scalars without a graph.
        """
        position = step % self.steps_per_epoch
        thorough = self.thorough or position == self.steps_per_epoch - 1
        parameters = self.parameters if thorough else self.sentinels
        row = (self.measured if thorough else self.measured_in_part)[position]
        gradients = [p.grad if p.grad is not None else p.new_zeros(1) for p in parameters]
        torch.stack([*figures, *torch._foreach_norm(gradients)], out=row)
        size = torch.linalg.vector_norm(row)
        self.latest_step, self.found_inf = step, self.bad[position]
        # x - x is 0 for a finite x, else nan: half the operations of isfinite.
        torch.nan_to_num(size - size, nan=1.0, out=self.found_inf)
        if thorough:
            norm = torch.linalg.vector_norm(row[self.figures - 1 :])
            self.norm.copy_(torch.where(self.found_inf > 0, self.norm, norm))
            if self.max_norm is not None:
                torch._foreach_mul_(gradients, (self.max_norm / (norm + 1e-6)).clamp(max=1.0))

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimiser's step unless the gradient was bad, and forget the gradients."""
        if optimizer.defaults.get("fused"):
            # torch's own protocol between a gradient scaler and a fused optimiser.
            optimizer.found_inf = self.found_inf  # type: ignore[attr-defined]
            optimizer.grad_scale = None  # type: ignore[attr-defined]
            optimizer.step()
        elif not self.found_inf.item():
            optimizer.step()
        for parameter in self.parameters:  # what zero_grad does, six times faster
            parameter.grad = None

    def means(self) -> list[float]:
        """Loss and logs over the epoch's good steps; waits for the device."""
        rows = self._rows()[:, : self.figures].double().cpu()  # (steps, figures)
        good = rows[rows[:, 0] == 0, 1:]
        means: list[float] = (good.sum(0) / max(1, len(good))).tolist()
        return means

    def report(self) -> Trouble | None:
        """What went wrong in the epoch, or None; waits for the device."""
        rows = self._rows().cpu()
        skipped = rows[:, 0].nonzero().flatten().tolist()
        if not skipped:
            return None
        spoilt = (~rows[skipped, self.figures :].isfinite()).any(0).tolist()
        names = [name for name, bad in zip(self.names, spoilt, strict=True) if bad]
        step = self.latest_step - len(rows) + 1 + skipped[-1]
        return Trouble(len(skipped), step, _first_few(names))

    def _rows(self) -> Tensor:
        return self.table[: self.latest_step % self.steps_per_epoch + 1]


def _smallest_of_each_layer(model: nn.Module) -> Iterator[nn.Parameter]:
    for layer in model.modules():
        own = [p for p in layer.parameters(recurse=False) if p.requires_grad]
        if own:
            yield min(own, key=lambda parameter: parameter.numel())


def _first_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "the loss"
