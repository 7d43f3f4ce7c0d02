"""Entries of the registry, and learning curves, that releases write."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

import zoo
from zoo.evaluation import Estimate, Evaluation
from zoo.files import write_atomically
from zoo.yaml_files import dump

FIGURES = (
    "nll", "elbo", "log_likelihood", "kl", "mse_per_pixel",  # and of text:
    "nll_known", "prior_log_likelihood", "exact_match", "accuracy",
)  # fmt: skip
WEIGHTED = ("nll", "nll_known")
CURVE = (
    "epoch", "step", "lr", "kl_weight", "train_elbo", "validation_elbo", "validation_kl",
    "validation_bound",
)  # fmt: skip


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """The recorded figures, each with its error and what it was measured on."""
    recorded: dict[str, Any] = {}
    for figure in FIGURES:
        estimate = evaluation.figure(figure)
        if isinstance(estimate, Estimate):
            recorded[figure] = {
                "value": round(estimate.value, 5),
                "stderr": round(estimate.stderr, 5),
                "samples": evaluation.samples if figure in WEIGHTED else None,
                "test_set": evaluation.test_set,
            }
    if evaluation.text and evaluation.text.unknown_sentences:
        recorded["nll"]["note"] = f"unknown tokens: {evaluation.text.unknown_tokens}"
    if evaluation.active_units is not None:
        recorded["active_units"] = {
            "value": evaluation.active_units,
            "test_set": evaluation.test_set,
            "note": f"of {evaluation.code_dim}",
        }
    if len(evaluation.kl_per_group) > 1:
        recorded["active_groups"] = {
            "value": evaluation.active_groups,
            "test_set": evaluation.test_set,
            "note": f"KL in nats: {evaluation.groups}",
        }
    return {
        figure: {key: value for key, value in entry.items() if value is not None}
        for figure, entry in recorded.items()
    }


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
