"""Entries of the registry, and learning curves, that releases write."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

import zoo
from zoo.files import write_atomically
from zoo.yaml_files import dump

CURVE = (
    "epoch", "step", "lr", "kl_weight", "train_elbo", "validation_elbo", "validation_kl",
    "validation_bound",
)  # fmt: skip


def write_curve(path: Path, runs: list[zoo.Run]) -> None:
    """One line for each epoch; a fine-tuning's epochs begin again from 1."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(CURVE)
        for record in (record for run in runs for record in run.history):
            lines.writerow(f"{record[key]:.6g}" if key in record else "" for key in CURVE)


def write_entry(registry: Path, section: str, name: str, entry: dict[str, Any]) -> None:
    """Replace one entry in its section, which is written anew, sorted; the rest stays as it is."""
    with FileLock(registry.with_suffix(".lock")):
        text = registry.read_text(encoding="utf-8")
        entries = {**(yaml.safe_load(text)[section] or {}), name: entry}
        written = dump({section: dict(sorted(entries.items()))}, width=96)
        # A section ends with its last indented line; what comments on the next one stays.
        pattern = re.compile(rf"^{section}:.*\n(?:\n* .*\n)*", re.MULTILINE)
        replaced, count = pattern.subn(lambda _: written, text)
        if count != 1:
            raise SystemExit(f"error: {registry} has no section {section}: write '{section}: {{}}'")
        write_atomically(registry, replaced.encode())
