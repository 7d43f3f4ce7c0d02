"""Where tensors are to be, as a caller names it, and what hardware that is."""

from __future__ import annotations

import platform
from pathlib import Path

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
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"device {str(device)!r} is not available here: {reason}. Use 'cpu', or a device that "
            "torch finds on this machine."
        ) from error
    return found


def hardware(device: torch.device) -> str:
    """What computes there, in words: what a figure to the last bit depends on.

    The accelerator's name, or the processor's and the number of threads; the version of torch.

    >>> hardware(torch.device("cpu"))
    '... thread..., torch ...'
    """
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    counted = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{processor()}, {counted}, torch {torch.__version__}"


def processor() -> str:
    """The processor's model, as the machine calls it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or f"an unnamed {platform.machine()}"
