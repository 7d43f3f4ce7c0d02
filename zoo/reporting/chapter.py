"""A part of the page: the models of one dataset side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch

from zoo.core.modes import device_of, evaluation_mode
from zoo.metrics import Scores
from zoo.randomness import seeded
from zoo.reporting.cards import Card, card
from zoo.reporting.charts import Chart, charts
from zoo.reporting.exhibit import Exhibit
from zoo.reporting.living import Living, living
from zoo.reporting.strips import Row, Strip, strips
from zoo.reporting.summary import Summary, summary
from zoo.studies import claims_of


@dataclass(frozen=True)
class Chapter:
    """What the page says of the models of one dataset; ``notes`` are what it cannot say, and why.

    ``lifeless`` says of models by name why their decoders do not run in the page. ``hues`` number
    the models: each has one colour all over the chapter.
    """

    title: str
    protocol: str
    summary: Summary
    strips: Sequence[Strip] = ()
    charts: Sequence[Chart] = ()
    living: Sequence[Living] = ()
    lifeless: Mapping[str, str] = field(default_factory=dict)
    cards: Sequence[Card] = ()
    hues: dict[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    published: Sequence[str] = ()
    """What papers say of models of these kinds on these data."""

    @property
    def aligned(self) -> list[tuple[str, list[Row | None]]]:
        """What stands in one line, by the model's name: that of the data is empty."""
        side = [strip for strip in self.strips if not strip.paired]
        lines = [(name, [strip.of(name) for strip in side]) for name in ("", *self.hues)]
        return [(name, cells) for name, cells in lines if any(cells)]


def chapter(
    title: str,
    exhibits: Sequence[Exhibit],
    scores: Scores | None = None,
    *,
    notes: Sequence[str] = (),
) -> Chapter:
    """Everything that there is to show of models of one dataset, the best of them first.

    Without ``scores`` nothing is compared, and the cards' own figures stand alone. Noise is of each
    exhibit's seed; the models' modes are left as they were.
    """
    table = summary(scores, {each.name: each.card for each in exhibits})
    by_name = {each.name: each for each in exhibits}
    ordered = [by_name[row.model] for row in table.rows]
    hues = {each.name: n for n, each in enumerate(ordered)}
    first = ordered[0]
    with ExitStack() as stack, torch.no_grad(), seeded(first.seed, device_of(first.model)):
        for each in ordered:
            stack.enter_context(evaluation_mode(each.model))
        decoders, reasons = living(ordered)
        return Chapter(
            title=title,
            protocol=_protocol(first, scores),
            summary=table,
            strips=strips(ordered),
            charts=charts(ordered, scores, hues),
            living=decoders,
            lifeless=reasons,
            cards=[card(each) for each in ordered],
            hues=hues,
            notes=[*table.notes, *notes],
            published=_published(ordered),
        )


def _published(exhibits: Sequence[Exhibit]) -> list[str]:
    kinds = {(each.variant, each.dataset): None for each in exhibits}
    return [line for kind in kinds for line in claims_of(*kind)]


def _protocol(exhibit: Exhibit, scores: Scores | None) -> str:
    """On what the figures were measured, and how to read them."""
    if scores is None or exhibit.examples is None:
        return "Nothing was measured here: the figures are those that the cards record."
    parts = exhibit.model.modality.parts
    how = exhibit.model.modality.protocol(exhibit.model.input_kind, exhibit.split, exhibit.seed)
    return (
        f"{scores.title}. Nats are per example, summed over {parts}; ± is one standard error. "
        f"Differences to the best are paired example by example where a metric has a value for "
        f"each; within two of their errors models are tied. {how[0].upper()}{how[1:]}."
    )
