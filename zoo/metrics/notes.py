"""What stands under a table of figures: the convention, and what is missing or not ranked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.metrics.scores import Scores


def notes_of(scores: Scores) -> Iterator[str]:
    """Each of the notes, a line."""
    yield _convention(scores)
    for (names, refusal), models in _refusals(scores).items():
        have = "has" if len(models) == 1 else "have"
        yield f"{', '.join(models)} {have} no {', '.join(names)}: {refusal}"
    for (model, own, common), metrics in _of_other_bases(scores).items():
        yield (
            f"{model} is not ranked by {', '.join(metrics)}: its figures are of {own}, those of "
            f"the others of {common}"
        )
    for name, runs in scores.members.items():
        yield (
            f"{name} is the mean of {', '.join(runs)}, ± their standard deviation; differences to "
            "it have the errors of seeds and of examples"
        )
    if scores.references:
        yield (
            "not ranked: training images in the place of samples, as a model would that copies "
            "them, and one half of the test images beside the other, as one as good as the data"
            " would of half as many"
        )
    if scores.unrecorded:
        yield scores.unrecorded


def _convention(scores: Scores) -> str:
    """What errors and figures are, and what the likelihoods that are ranked are of."""
    parts = ["± one standard error"]
    if any(metric.component.unit.startswith("nats") for metric in scores.metrics):
        parts.append("nats are summed over an example, averaged over examples")
    common = (scores.basis(row) for row in range(len(scores.metrics)))
    for basis in dict.fromkeys(each for each in common if each.startswith("probability")):
        drawn = ", binarised once with the seed" if "binary" in basis else ""
        parts.append(f"p(x) is a {basis}{drawn}")
    return "; ".join(parts)


def _of_other_bases(scores: Scores) -> dict[tuple[str, str, str], list[str]]:
    """Of a model, its basis and the common one the metrics by which it is not ranked."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in range(len(scores.metrics)):
        common = scores.basis(row)
        for model, outcome in zip(scores.models, scores.outcomes[row], strict=False):
            if outcome.measured is not None and outcome.measured.basis != common:
                key = model, outcome.measured.basis, common
                found.setdefault(key, []).append(scores.named(row))
    return found


def _refusals(scores: Scores) -> dict[tuple[tuple[str, ...], str], list[str]]:
    """Of metrics that models do not have, for one reason, the models."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for row, outcomes in enumerate(scores.outcomes):
        for model, outcome in zip(scores.columns, outcomes, strict=True):
            if outcome.refusal is not None:
                metrics.setdefault((model, outcome.refusal), []).append(scores.named(row))
    found: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (model, refusal), names in metrics.items():
        found.setdefault((tuple(names), refusal), []).append(model)
    return found
