"""What repeats a released training on the command line."""

from __future__ import annotations

import json
import shlex
from typing import Any

FINE_TUNING = "fine-tuning"
"""How the folder of a second run, within the first one's, begins."""


def command(recipe: dict[str, Any]) -> str:
    """The command line, or the two, that repeat the training."""
    begins = ["--start-from", recipe["start_from"]] if "start_from" in recipe else []
    if "fine_tune" not in recipe:
        return train_command(recipe, recipe, *begins)
    run = f"runs/{recipe['variant']}-{recipe['dataset']}-s{first_seed(recipe)}"
    first = train_command(recipe, recipe, *begins, "--directory", run)
    places = ["--start-from", run, "--directory", f"{run}/{FINE_TUNING}"]
    return f"{first} && {train_command(recipe, recipe['fine_tune'], *places)}"


def first_seed(recipe: dict[str, Any]) -> int:
    """That of the first run; the commands tell that of the second."""
    seed: int = recipe.get("train", {}).get("seed", 0)
    return seed


def train_command(recipe: dict[str, Any], stage: dict[str, Any], *options: str) -> str:
    """The command line of one run."""
    parts = ["zoo", "train", recipe["variant"], "--dataset", recipe["dataset"], *options]
    if "labelled" in recipe:
        parts += ["--labelled", str(recipe["labelled"])]
    for section in ("model", "objective", "train"):
        for key, value in stage.get(section, {}).items():
            parts += ["--set", f"{section}.{key}={json.dumps(value)}"]
    return shlex.join(parts)
