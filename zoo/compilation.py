"""torch.compile, where whoever trains or evaluates asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch

from zoo.errors import ConfigError

Made = TypeVar("Made")


def compiled(function: Callable[..., Made]) -> Callable[..., Made]:
    """A function as code made for it, which draws the random numbers that it would draw itself.

    ConfigError is raised at the first call where the machine cannot make such code.

    >>> torch.manual_seed(0).initial_seed(), compiled(lambda: torch.rand(1))().item()
    (0, 0.49625658988952637)
    """
    from torch._dynamo.exc import TorchDynamoException  # all of the compiler, 0.7 s

    def own(*given: Any) -> Made:
        return function(*given)

    # Code of its own: of one code, the ninth function of a process would quietly not be compiled.
    own.__code__ = own.__code__.replace()
    fast = torch.compile(own, options={"fallback_random": True})

    @wraps(function)
    def call(*given: Any) -> Made:
        try:
            return fast(*given)
        except TorchDynamoException as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"it cannot be compiled here ({reason:.200}); leave 'compile' out"
            ) from error

    return call
