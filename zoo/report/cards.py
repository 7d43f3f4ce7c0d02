"""What the registry records of a checkpoint, beside what was measured here."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.evaluation import Estimate, Evaluation
from zoo.registry import CheckpointSpec, MetricSpec
from zoo.report.page import Picture, Section, Sentences

_UNITS = {
    "nll": "nats per example",
    "nll_known": "nats per example",
    "elbo": "nats per example",
    "log_likelihood": "nats per example",
    "kl": "nats per example",
    "bits_per_dim": "bits per dimension",
    "mse_per_pixel": "squared intensity",
    "active_units": "dimensions",
    "active_groups": "groups",
    "prior_log_likelihood": "nats per example",
    "exact_match": "share of sentences",
    "accuracy": "share of words or characters",
}

_DIGITS = {
    "bits_per_dim": 4,
    "mse_per_pixel": 5,
    "active_units": 0,
    "active_groups": 0,
    "exact_match": 3,
    "accuracy": 3,
}


def checkpoint_section(
    name: str,
    spec: CheckpointSpec,
    evaluation: Evaluation | None = None,
    *,
    pictures: Sequence[Picture] = (),
    sentences: Sequence[Sentences] = (),
    notes: Sequence[str] = (),
) -> Section:
    """The card of a released checkpoint: origin, licence, how it was made, and its figures.

    With an ``evaluation`` the figures recomputed here stand beside the recorded ones, and a note
    says under which protocol.
    """
    recipe = spec.recipe
    facts = {
        "variant": (evaluation and evaluation.variant) or spec.variant,
        "dataset": f"{spec.dataset} ({spec.data_license})",
        "licence of the weights": spec.license,
        "file": f"{spec.file}, {spec.bytes:,} bytes, SHA-256 {spec.sha256}",
        "command": recipe.command,
        "seed": str(recipe.seed),
        "revision": recipe.revision,
        "hardware": f"{recipe.hardware}, {recipe.duration}",
    }
    rows = [_row(metric, recorded, evaluation) for metric, recorded in spec.metrics.items()]
    titles = ("figure", "unit", "recorded", "K", "recomputed here")
    protocol = [] if evaluation is None else [_protocol(spec, evaluation)]
    return Section(
        title=name,
        summary=spec.summary,
        facts=facts,
        table=[titles, *rows] if rows else (),
        notes=[*protocol, *notes],
        pictures=pictures,
        sentences=sentences,
    )


def _row(metric: str, recorded: MetricSpec, evaluation: Evaluation | None) -> tuple[str, ...]:
    return (
        metric,
        _UNITS.get(metric, ""),
        _text(metric, recorded) + (f" ({recorded.note})" if recorded.note else ""),
        "-" if recorded.samples is None else str(recorded.samples),
        _text(metric, None if evaluation is None else evaluation.figure(metric)),
    )


def _text(metric: str, figure: MetricSpec | Estimate | float | None) -> str:
    digits = _DIGITS.get(metric, 2)
    if figure is None:
        return "-"
    if isinstance(figure, (int, float)):
        return f"{figure:.{digits}f}"
    error = "" if figure.stderr is None else f" ± {figure.stderr:.{digits}f}"
    return f"{figure.value:.{digits}f}{error}"


def _protocol(spec: CheckpointSpec, evaluation: Evaluation) -> str:
    recorded_on = sorted({m.test_set for m in spec.metrics.values() if m.test_set is not None})
    recorded = f"Recorded on {'; '.join(recorded_on)}. " if recorded_on else ""
    return (
        f"{recorded}Recomputed on {evaluation.test_set}, K = {evaluation.samples}. Fewer "
        f"importance samples give a larger NLL, and fewer examples a larger error."
    )
