"""What tests read of a comparison."""

from __future__ import annotations

from zoo.metrics import Scores


def figures(scores: Scores, row: int = 0) -> list[float]:
    """Of one metric that of each model, all of which have it."""
    found = [outcome.measured for outcome in scores.outcomes[row]]
    assert all(each is not None for each in found)
    return [each.value for each in found if each is not None]
