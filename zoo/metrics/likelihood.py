"""What a model makes of each example, in nats: its bounds, and what they are made of."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch

from zoo.errors import UnsupportedError
from zoo.evaluation.evaluate import largest_batch
from zoo.evaluation.passes import prior_pass
from zoo.metrics.base import Measured, Metric, need_evidence
from zoo.metrics.subject import Subject

NATS = "nats per example"


class _OfEvidence(Metric):
    """Known of models with log p(x) alone."""

    version = 1
    unit = NATS
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"

    def check(self, subject: Subject) -> None:
        need_evidence(subject)


class NegativeLogLikelihood(_OfEvidence):
    r"""-log p(x) = -log E_q[p(x, z) / q(z|x)], by K importance samples (Burda et al. 2016).

    An upper bound in expectation, the tighter the larger K is.
    """

    samples_matter = True

    def measure(self, subject: Subject) -> Measured:
        found = subject.evidence
        return Measured.of_each("-log p(x)", -found.log_p, found.variance, subject.basis)


class BitsPerDimension(NegativeLogLikelihood):
    r"""-log p(x) / (D ln 2), D being pixels times channels."""

    unit = "bits per dimension"

    def check(self, subject: Subject) -> None:
        super().check(subject)
        if not subject.model.modality.in_bits or subject.examples.observed is not None:
            raise UnsupportedError(
                f"{subject.model.modality.name} of {subject.data.name} have no bits for each "
                "dimension; take 'nll', or whole images"
            )

    def measure(self, subject: Subject) -> Measured:
        bits = math.prod(subject.examples.shape) * math.log(2)
        values, variance = -subject.evidence.log_p / bits, subject.evidence.variance / bits**2
        return Measured.of_each("-log p(x)", values, variance, subject.basis)


class EvidenceLowerBound(_OfEvidence):
    r"""E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma & Welling 2014), of one draw."""

    better = "higher"

    def measure(self, subject: Subject) -> Measured:
        first, again = subject.draws
        varied = first.terms.variance(again)
        values = first.terms.log_likelihood - first.terms.kl.sum(-1)  # (N,)
        variance = varied.log_likelihood + varied.kl.sum(-1)
        return Measured.of_each("ELBO", values, variance, subject.basis)


class Distortion(Metric):
    r"""-E_q[log p(x|z)] (Alemi et al. 2018), of one draw; of an autoencoder at its code."""

    version = 1
    unit = NATS
    better = "neither"  # lower at a higher rate

    def measure(self, subject: Subject) -> Measured:
        first, again = subject.draws
        values = -first.terms.log_likelihood
        varied = first.terms.variance(again).log_likelihood
        if not subject.model.has_evidence:
            varied = torch.zeros_like(values)
        return Measured.of_each("-log p(x|z)", values, varied, subject.basis)


class PriorDistortion(Metric):
    r"""-log p(x|z) of codes z ~ p(z) that know nothing of x, of one draw.

    What the decoder uses its latents for is how much this exceeds the distortion; where it does
    not, they have collapsed.
    """

    version = 1
    unit = NATS
    better = "neither"

    def measure(self, subject: Subject) -> Measured:
        size = largest_batch(subject.model)
        first, again = (
            prior_pass(subject.model, subject.examples, size, lambda done: None) for _ in range(2)
        )
        varied = (first - again).square() / 2
        return Measured.of_each("-log p(x|z), z ~ p(z)", -first, varied, subject.basis)


class Rate(_OfEvidence):
    r"""KL(q(z|x) || p(z)), over all latent groups (Alemi et al. 2018)."""

    better = "neither"

    def measure(self, subject: Subject) -> Measured:
        first, again = subject.draws
        varied = first.terms.variance(again).kl
        return Measured.of_each("KL", first.terms.kl.sum(-1), varied.sum(-1))


class SquaredError(Metric):
    """Of the deterministic reconstruction, averaged over the numbers of an example."""

    version = 3
    unit = "squared, a number"
    better = "lower"

    def check(self, subject: Subject) -> None:
        if not subject.model.modality.has_squared_error:
            raise UnsupportedError(
                f"{subject.model.modality.name} have no squared error; it is of images and vectors"
            )

    def measure(self, subject: Subject) -> Measured:
        values = subject.squared_error
        if values is None or not values.isfinite().all():
            raise UnsupportedError(
                "p(x|z) has no mean, so that no reconstruction is the best in squares; take 'nll'"
            )
        basis = subject.reading(subject.model.input_kind)
        return Measured.of_each("squared error", values, torch.zeros_like(values), basis)
