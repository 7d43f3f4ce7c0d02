"""Muon for matrices, AdamW for all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from zoo.errors import ConfigError


class Muon(torch.optim.Optimizer):
    r"""Momentum made orthogonal: W <- W - 0.2 lr sqrt(max(n, m)) U V' of the momentum U S V'.

    Every direction in which a matrix (n, m) has learnt anything lately is stepped by as much, where
    Adam's steps follow the few that dominate (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon). The factor is that of Liu et al. (2025,
    arXiv:2502.16982): entries change by about as much as under Adam, so that one rate fits both.
    Biases, kernels of convolutions and whatever else is no matrix is left to AdamW; tables of
    embeddings are matrices.

    torch's own :class:`torch.optim.Muon` and :class:`torch.optim.AdamW`, as one optimiser. Raises
    ConfigError where torch is too old to have the first.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float) -> None:
        matrices = [p for p in parameters if p.ndim == 2]
        others = [p for p in parameters if p.ndim != 2]
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(
                f"muon needs torch 2.9 or later, here is {torch.__version__}; take adam or adamw"
            )
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts += [
                torch.optim.Muon(matrices, lr, weight_decay, adjust_lr_fn="match_rms_adamw")
            ]
        if others:
            self.parts += [torch.optim.AdamW(others, lr, weight_decay=weight_decay, fused=True)]
        super().__init__([*matrices, *others], {"lr": lr, "weight_decay": weight_decay})
        self._share_groups()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Each part's step."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The parameters' moments, numbered through; each part's groups number their own."""
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        first = 0
        for part in self.parts:
            own = part.state_dict()
            state |= {first + index: moments for index, moments in own["state"].items()}
            groups += own["param_groups"]
            first += sum(len(group["params"]) for group in part.param_groups)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What :meth:`state_dict` gave."""
        first = 0
        for part, group in zip(self.parts, state_dict["param_groups"], strict=True):
            count = len(group["params"])
            own = {
                index - first: moments
                for index, moments in state_dict["state"].items()
                if first <= index < first + count
            }
            part.load_state_dict({"state": own, "param_groups": [group]})
            first += count
        self._share_groups()

    def _share_groups(self) -> None:
        """Whoever sets a group's rate sets the part's."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]
