"""Cards of released models, of what registry, file and papers say.

What a card shows, its picture or its sentences, is drawn by the release and kept; all else is
written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from _task_tables import packaged
from safetensors import safe_open

import zoo
from zoo.registry.specs import CheckpointSpec
from zoo.storage import checkpoint
from zoo.studies import claims_of
from zoo.variants import Variant

STORED_AS = {8: "int8 with a scale for each row", 16: "float16", 32: "float32"}
SHOWN = re.compile(r"trained on `[^`]+`\.\n\n(.*?)\n\n\| figure \|", re.S)


def shown_by(card: str) -> str:
    """What is kept of a card. Raises ValueError where it has no such part."""
    found = SHOWN.search(card)
    if found is None:
        raise ValueError("this card has no part between its first paragraph and its figures")
    return found[1]


def card_of(name: str, spec: CheckpointSpec, path: Path, shown: str) -> str:
    """The whole card of a released model, of its entry and its file."""
    model, metadata = zoo.load(path), checkpoint.read_metadata(path)
    said = Variant.find(metadata.variant).described(model.config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    made = spec.recipe
    return f"""# {name}

{spec.summary}. Variant `{said}`, trained on `{spec.dataset}`.

{shown}

{_figures(spec)}

`zoo verify {name}` recomputes them. Nats per example are summed over {model.modality.parts}; ± one
standard error over the examples; likelihoods are probability {_kind(model.measure)}. Measured on
{next(iter(spec.metrics.values())).test_set}.

{_beside_papers(metadata.variant, spec.dataset)}- Trained with: `{made.command}`
- Seed {made.seed}, revision {made.revision}, {made.duration} on {made.hardware}
- {parameters:,} parameters stored as {STORED_AS[stored_bits(path)]}
- Learning curve: `curves/{name}.csv`
- {spec.bytes:,} bytes
- SHA-256 `{spec.sha256}`
- Licence of the weights: {spec.license}. Licence of the data: {spec.data_license}
"""


def stored_bits(path: Path) -> int:
    """The fewest in which weights are stored."""
    with safe_open(path, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 -- no mapping
    return 8 if "I8" in kinds else 16 if "F16" in kinds else 32


def _kind(measure: str) -> str:
    return "masses" if measure == "mass" else "densities"


def _figures(spec: CheckpointSpec) -> str:
    return "\n".join(["| figure | value | |", "|---|---|---|", *_rows(spec)])


def _rows(spec: CheckpointSpec) -> Iterator[str]:
    for figure, metric in spec.metrics.items():
        error = "" if metric.stderr is None else f" ± {metric.stderr:g}"
        note = "" if metric.samples is None else f"K = {metric.samples} importance samples"
        notes = "; ".join(filter(None, [note, metric.note]))
        yield f"| {figure} | {metric.value:g}{error} | {notes} |"


def _beside_papers(variant: str, dataset: str) -> str:
    said = [f"- {line}" for line in claims_of(variant, dataset, packaged().papers)]
    return (
        "\n".join(["Published of this variant on these data:", "", *said, "", ""]) if said else ""
    )
