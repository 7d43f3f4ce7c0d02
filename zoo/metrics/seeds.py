"""Several trainings that differ in their seed alone, as one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from zoo.metrics.base import Measured
from zoo.metrics.run import Outcome
from zoo.metrics.scores import Scores


class Group(NamedTuple):
    """Models that become one column: its name, and their places; one alone stays as it is."""

    name: str
    places: Sequence[int]


def averaged(scores: Scores, groups: Sequence[Group]) -> Scores:
    """Each group's figures averaged, with their standard deviation over its models.

    A model of a group that does not have a metric leaves the group without it.
    """
    rows = [
        tuple(_mean([row[place] for place in group.places]) for group in groups)
        for row in scores.outcomes
    ]
    members = {
        group.name: tuple(scores.models[place] for place in group.places)
        for group in groups
        if len(group.places) > 1
    }
    names = tuple(group.name for group in groups)
    return replace(scores, models=names, outcomes=tuple(rows), members=members)


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    if len(outcomes) == 1:
        return outcomes[0]
    found = [each.measured for each in outcomes if each.measured is not None]
    if len(found) < len(outcomes):
        return next(each for each in outcomes if each.measured is None)
    return Outcome(
        mean_of_runs(found),
        reused=all(each.reused for each in outcomes),
        seconds=sum(each.seconds for each in outcomes),
        unrecorded=next((each.unrecorded for each in outcomes if each.unrecorded), None),
    )


def mean_of_runs(figures: Sequence[Measured]) -> Measured:
    """The mean of several runs' figures, with their deviation, and of the values of examples.

    The standard error stays that over examples, which are the same for all runs.

    >>> found = mean_of_runs([Measured(1.0, 0.2), Measured(3.0, 0.2)])
    >>> found.value, found.stderr, round(found.deviation, 3), found.runs
    (2.0, 0.2, 1.414, 2)
    """
    errors = [each.stderr for each in figures if each.stderr is not None]
    values = [each.values for each in figures if each.values is not None]
    known = len(errors) == len(figures)
    return Measured(
        statistics.fmean(each.value for each in figures),
        math.sqrt(statistics.fmean(error**2 for error in errors)) if known else None,
        values=torch.stack(values).mean(0) if len(values) == len(figures) else None,
        basis=figures[0].basis,
        deviation=statistics.stdev(each.value for each in figures),
        runs=len(figures),
    )
