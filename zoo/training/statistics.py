"""Batch normalisation's running statistics, made those of the model that is validated."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.core.model import LatentVariableModel
from zoo.data import Examples
from zoo.randomness import seeded

EXAMPLES, BATCH = 4096, 256
SEED = 0


@torch.no_grad()
def refresh_statistics(model: LatentVariableModel, train: Examples) -> None:
    """Measure them anew, over random training examples, of a model in evaluation mode.

    Those that training leaves behind are of its last few batches, under dropout, and of other
    weights than the moving average's: a posterior whose means they normalise would be another one
    than was trained. Models without batch normalisation are left alone.
    """
    norms = [each for each in model.modules() if _has_statistics(each)]
    if not norms:
        return
    device = train.rows.device
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # all batches count alike
        norm.train()
    with seeded(SEED, device):
        order = torch.randperm(len(train))[:EXAMPLES].to(device)
        whole = max(1, len(order) // BATCH)
        for index in order.tensor_split(whole):
            # What follows the latents is run only where it is asked for.
            model.infer(train.batch(index, kind=model.input_kind)).likelihood  # noqa: B018
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _has_statistics(module: nn.Module) -> TypeGuard[_BatchNorm]:
    return isinstance(module, _BatchNorm) and module.track_running_stats
