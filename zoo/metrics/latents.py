"""What the latents are used for."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from zoo.errors import UnsupportedError
from zoo.evaluation.evaluate import largest_batch
from zoo.evaluation.representation import active_units, informative
from zoo.evaluation.results import ACTIVE_GROUP
from zoo.evaluation.text import group_use
from zoo.metrics.base import Measured, Metric, need_evidence, need_text
from zoo.metrics.subject import MOST_POSTERIORS, Subject
from zoo.settings import Settings


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


class GroupsInUse(Metric):
    """How many latent groups are worth at least 0.1 nats to the decoder; of sentences.

    A group's worth is what log p(x|z) falls, on average, when its part of the code of x is drawn
    from the prior and the others stay: :func:`zoo.evaluation.text.group_use`. A KL that cannot
    vanish says nothing of that.
    """

    version = 1
    unit = "groups"
    better = "neither"

    def check(self, subject: Subject) -> None:
        need_text(subject)

    def measure(self, subject: Subject) -> Measured:
        size, sentences = largest_batch(subject.model), need_text(subject)
        use = group_use(subject.model, sentences, size, lambda done: None)
        return Measured.of_all(sum(each >= ACTIVE_GROUP for each in use))


class _OfPosteriors(Metric):
    """Known of models whose posterior has a density."""

    version = 2
    unit = "nats"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"

    def check(self, subject: Subject) -> None:
        need_evidence(subject)


class MutualInformation(_OfPosteriors):
    r"""I(x; z) >= E[log q(z|x) - log 1/M sum_j q(z|x_j)], of M examples.

    M^2 densities are computed. A lower bound that cannot exceed log M (Poole et al. 2019,
    arXiv:1905.06922, equation 12), so that figures of another M do not stand beside it.
    """

    class Config(Settings):
        """M, the ``examples``: no more than there are."""

        examples: int = Field(MOST_POSTERIORS, ge=2, le=10_000)

    config: Config

    def measure(self, subject: Subject) -> Measured:
        table = subject.posteriors(self.config.examples).double()
        return Measured.of_each("mutual information", informative(table).cpu())


class AggregateKL(_OfPosteriors):
    r"""KL(q(z) || p(z)) = E[KL(q(z|x) || p(z))] - I(x; z) (Hoffman & Johnson 2016).

    How far the codes of data are from the prior that samples are drawn of; an upper bound, as the
    mutual information is a lower one.
    """

    better = "lower"

    def measure(self, subject: Subject) -> Measured:
        rate = subject.draws[0].terms.kl.sum(-1)
        information = informative(subject.posteriors().double()).cpu()
        places = subject.examples.places(len(information))
        return Measured.of_each("KL(q(z) || p(z))", rate[places.cpu()] - information)
