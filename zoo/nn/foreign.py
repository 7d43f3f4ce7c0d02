"""Modules of other libraries, within a model that may be built without memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def foreign(make: Callable[[], M]) -> M:
    """A module whose constructor looks at values, as the masks of many flows are made.

    A checkpoint's model is first built on torch's "meta" device, whose tensors have none. So the
    module is made on the CPU, and then put where all else is made.

    >>> with torch.device("meta"):
    ...     foreign(lambda: nn.Linear(1, int(torch.ones(3).sum()))).weight.shape
    torch.Size([3, 1])
    """
    with torch.device("cpu"):
        module = make()
    return module.to(torch.get_default_device())
