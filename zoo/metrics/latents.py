"""What the latents are used for."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.evaluation.representation import active_units
from zoo.metrics.base import Measured, Metric, need_evidence
from zoo.metrics.subject import Subject


class ActiveUnits(Metric):
    """How many dimensions of the code vary over the examples (Burda et al. 2016).

    See :func:`zoo.evaluation.representation.active_units`.
    """

    version = 1
    unit = "dimensions"
    better = "neither"

    def check(self, subject: Subject) -> None:
        if subject.model.code_variance is None:
            raise UnsupportedError(
                "its prior has no one variance, in units of which a dimension of the code could "
                "vary or not; use the KL of its groups instead (zoo evaluate)"
            )

    def measure(self, subject: Subject) -> Measured:
        scale = subject.model.code_variance
        assert scale is not None
        return Measured.of_all(active_units(subject.draws[0].codes.variance / scale))


class _OfPosteriors(Metric):
    """Known of models whose posterior has a density."""

    version = 2
    unit = "nats"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"

    def check(self, subject: Subject) -> None:
        need_evidence(subject)


class MutualInformation(_OfPosteriors):
    r"""I(x; z) >= E[log q(z|x) - log 1/M sum_j q(z|x_j)], of M <= 500 examples.

    M^2 densities are computed. A lower bound that cannot exceed log M (Poole et al. 2019,
    arXiv:1905.06922, equation 12).
    """

    def measure(self, subject: Subject) -> Measured:
        return Measured.of_each("mutual information", informative(subject))


class AggregateKL(_OfPosteriors):
    r"""KL(q(z) || p(z)) = E[KL(q(z|x) || p(z))] - I(x; z) (Hoffman & Johnson 2016).

    How far the codes of data are from the prior that samples are drawn of; an upper bound, as the
    mutual information is a lower one.
    """

    better = "lower"

    def measure(self, subject: Subject) -> Measured:
        rate = subject.draws[0].terms.kl.sum(-1)
        information = informative(subject)
        places = subject.examples.places(len(information))
        return Measured.of_each("KL(q(z) || p(z))", rate[places.cpu()] - information)


def informative(subject: Subject) -> Tensor:
    """log q(z_i|x_i) - log 1/M sum_j q(z_i|x_j), (M,)."""
    table = subject.posteriors.double()  # (M, M)
    mixture = table.logsumexp(1) - math.log(len(table))
    return (table.diagonal() - mixture).cpu()
