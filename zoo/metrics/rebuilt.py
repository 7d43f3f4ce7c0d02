"""What becomes of sentences that are encoded and decoded."""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.errors import UnsupportedError
from zoo.metrics.base import Measured, Metric, need_text
from zoo.metrics.subject import GROUPS, Subject


class _OfRebuilt(Metric):
    """Of greedy reconstructions: the likeliest token after another, at the posterior's mode.

    What is unknown never counts as rebuilt.
    """

    version = 1
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"

    def check(self, subject: Subject) -> None:
        need_text(subject)


class ExactMatch(_OfRebuilt):
    """The share of the sentences that come back whole."""

    unit = "share of the examples"

    def measure(self, subject: Subject) -> Measured:
        return Measured.of_each("exact match", subject.rebuilt.whole, basis=subject.form)


class ReconstructionAccuracy(_OfRebuilt):
    """The share of a sentence's words that stand where they stood, averaged over sentences.

    Characters are counted where words are not separated by spaces.
    """

    unit = "share of words or characters"

    def measure(self, subject: Subject) -> Measured:
        return Measured.of_each("accuracy", subject.rebuilt.placed, basis=subject.form)


class BLEU(_OfRebuilt):
    r"""min(1, e^(1 - r/c)) exp(1/4 sum_n log p_n), in 0..100 (Papineni et al. 2002).

    p_n is the share of the n-grams of all reconstructions, n = 1 to 4, that stand in the sentences
    they are of; r and c are the lengths of both. It is sacrebleu's, of words or of characters. The
    error is the jackknife's over ten groups of sentences.
    """

    unit = "of 100"

    def check(self, subject: Subject) -> None:
        super().check(subject)
        if len(subject.examples) < 2:
            raise UnsupportedError("its error needs at least 2 sentences; take more examples")

    def measure(self, subject: Subject) -> Measured:
        found = subject.rebuilt
        groups = min(GROUPS, len(found.originals))
        parts = [found, *(found.without(each, groups) for each in range(groups))]
        return Measured.with_jackknife([part.bleu for part in parts], subject.form)
