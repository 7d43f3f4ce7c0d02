"""What a sentence costs by the token."""

from __future__ import annotations

import math

from torch import Tensor

from zoo.core.bounds import Evidence
from zoo.errors import UnsupportedError
from zoo.evaluation.text import known_sentences, perplexity
from zoo.metrics.base import Measured, Metric, need_evidence, need_text
from zoo.metrics.likelihood import NATS
from zoo.metrics.subject import Subject


class _OfTokens(Metric):
    """Known of models of sentences with log p(x)."""

    version = 1
    better = "lower"
    samples_matter = True

    def check(self, subject: Subject) -> None:
        need_text(subject)
        need_evidence(subject)


class Perplexity(_OfTokens):
    r"""exp(sum_i -log p(x_i) / sum_i T_i) of sentences x_i of T_i tokens, their ends counted.

    -log p(x) is that of K importance samples: papers put the ELBO in its place, and some do not
    count the ends. The error is the delta method's for a ratio of means.
    """

    unit = ""

    def measure(self, subject: Subject) -> Measured:
        tokens = need_text(subject).lengths.double().cpu()  # (N,)
        return of_ratio(subject.evidence, tokens, subject.basis)


class KnownTokensLikelihood(_OfTokens):
    r"""-log p(x) of the sentences without a token that the vocabulary lacks; see ``nll``.

    A model is never taught what is unknown, so that a few such tokens can outweigh the error.
    """

    unit = NATS

    def check(self, subject: Subject) -> None:
        super().check(subject)
        known = int(known_sentences(need_text(subject)).sum())
        if known < 2:
            raise UnsupportedError(
                f"{known} of the sentences have no unknown tokens, and a mean takes two; take "
                "'nll', or a corpus in the words of the model"
            )

    def measure(self, subject: Subject) -> Measured:
        known, found = known_sentences(need_text(subject)), subject.evidence
        values, variance = -found.log_p[known], found.variance[known]
        return Measured.of_each("-log p(x)", values, variance, subject.basis)


def of_ratio(evidence: Evidence, tokens: Tensor, basis: str) -> Measured:
    """The perplexity of sentences of so many ``tokens`` (N,), with both of its errors."""
    nll = Measured.of_each("-log p(x)", -evidence.log_p, evidence.variance)
    assert nll.values is not None and nll.monte_carlo is not None
    mean = tokens.mean().item()
    found = perplexity(nll.value, mean)
    apart = nll.values - nll.value / mean * tokens  # (N,), of mean 0
    error = (apart.std() / math.sqrt(len(apart))).item()
    return Measured(found, found * error / mean, found * nll.monte_carlo / mean, basis=basis)
