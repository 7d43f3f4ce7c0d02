"""Where a run computes, and how exactly."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from zoo.devices import existing_device
from zoo.errors import ConfigError
from zoo.training.config import Experiment, TrainingConfig


def choose_device(name: str) -> torch.device:
    """``auto`` is a CUDA device where there is one, else the CPU.

    Raises ConfigError for a device that is not there, or of a kind whose random state cannot be
    saved, so that a run on it could not be resumed.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = existing_device(name)
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"zoo trains on 'cpu' or 'cuda', not on {name!r}; use 'auto'")
    return device


def made_definite(
    experiment: Experiment, began: TrainingConfig | None
) -> tuple[Experiment, torch.device]:
    """The experiment with ``auto`` made definite, and its device.

    What a run ``began`` with is what it goes on with: its precision anywhere, its device where that
    is here. Of a new run bfloat16 on an accelerator that has it, else float32. Raises ConfigError
    for a device that is not there.
    """
    asked = experiment.train
    device = choose_device(asked.device)
    if asked.device == "auto" and began is not None and _is_here(began.device):
        device = choose_device(began.device)
    automatic = device.type == "cuda" and torch.cuda.is_bf16_supported()
    usual = "bfloat16" if automatic else "float32"
    known = [each.precision for each in (asked, began) if each and each.precision != "auto"]
    made = {"precision": known[0] if known else usual, "device": str(device)}
    train = asked.model_copy(update=made)
    return experiment.model_copy(update={"train": train}), device


def _is_here(name: str) -> bool:
    try:
        choose_device(name)
    except ConfigError:
        return False
    return True


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 matrix products where asked for."""
    if config.precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def precision_warning(config: TrainingConfig, device: torch.device) -> str | None:
    """What to say where bfloat16 is asked of a CPU that has no instructions for it."""
    asked = config.precision == "bfloat16" and device.type == "cpu"
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # not in all builds
    if not asked or supported is None or supported():
        return None
    return (
        "this CPU has no matrix products in bfloat16 and emulates them, far slower than "
        "those in float32; set train.precision=float32"
    )


def deterministic_convolutions() -> AbstractContextManager[None]:
    """Resuming bit for bit needs the same algorithm every time on an accelerator too."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True
    )
    return flags
