"""Where tensors are to be, as a caller names it."""

from __future__ import annotations

import torch

from zoo.errors import ConfigError


def existing_device(device: str | torch.device) -> torch.device:
    """The device of that name, found to be there.

    Raises ConfigError for what is no device, and for one that this machine lacks.

    >>> existing_device("cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"device {str(device)!r} is not available here: {reason}. Use 'cpu', or a device that "
            "torch finds on this machine."
        ) from error
    return found
