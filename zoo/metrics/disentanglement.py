"""How far the numbers of the code and the factors of the data stand for one another.

Of data whose labels are factors, integers (N, L), as 'sprites'. Each score is a function of
:mod:`zoo.evaluation.disentanglement`, of at most 10,000 of the examples.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.core.condition import refuse_told_labels
from zoo.errors import UnsupportedError
from zoo.evaluation.disentanglement import (
    beta_vae_score,
    compactness,
    completeness,
    disentanglement,
    factor_vae_score,
    modularity,
    mutual_information_gap,
    separated_predictability,
)
from zoo.metrics.base import Measured, Metric, need_factors
from zoo.metrics.subject import Subject
from zoo.settings import Settings


class _OfFactors(Metric):
    """Known where the labels are factors."""

    version = 1
    unit = ""
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"

    def check(self, subject: Subject) -> None:
        refuse_told_labels(subject.model)
        need_factors(subject)
        if subject.model.code_dim < 2:
            raise UnsupportedError(
                "a code of one number has no dimensions to tell apart; choose a model with "
                "latent_dim of 2 or more"
            )


class MutualInformationGap(_OfFactors):
    """MIG; see :func:`zoo.evaluation.disentanglement.mutual_information_gap`."""

    def measure(self, subject: Subject) -> Measured:
        return Measured.with_jackknife(
            [mutual_information_gap(*each) for each in subject.jackknifed]
        )


class InfoModularity(_OfFactors):
    """InfoM; see :func:`zoo.evaluation.disentanglement.modularity`."""

    def measure(self, subject: Subject) -> Measured:
        return Measured.with_jackknife([modularity(table) for table in subject.information])


class InfoCompactness(_OfFactors):
    """InfoC; see :func:`zoo.evaluation.disentanglement.compactness`."""

    def measure(self, subject: Subject) -> Measured:
        return Measured.with_jackknife([compactness(table) for table in subject.information])


class SeparatedAttributePredictability(_OfFactors):
    """SAP; see :func:`zoo.evaluation.disentanglement.separated_predictability`."""

    def measure(self, subject: Subject) -> Measured:
        return Measured.of_all(separated_predictability(*subject.coded_factors, subject.seed))


class DCI(_OfFactors):
    """Disentanglement, completeness or informativeness (Eastwood & Williams 2018).

    See :func:`zoo.evaluation.disentanglement.forests`, of which all three are read, and the
    functions of the names of the first two. Informativeness is the mean R^2 over the factors.
    """

    class Config(Settings):
        """Which ``part``."""

        part: Literal["disentanglement", "completeness", "informativeness"] = "disentanglement"

    config: Config

    def measure(self, subject: Subject) -> Measured:
        importance, explained = subject.forests
        if self.config.part == "informativeness":
            return Measured.of_all(explained.mean().item())
        score = disentanglement if self.config.part == "disentanglement" else completeness
        return Measured.of_all(score(importance))


class FactorVAEScore(_OfFactors):
    """See :func:`zoo.evaluation.disentanglement.factor_vae_score`; from 1/L to 1."""

    def measure(self, subject: Subject) -> Measured:
        return _drawn(*factor_vae_score(*subject.coded_factors, subject.seed))


class BetaVAEScore(_OfFactors):
    """See :func:`zoo.evaluation.disentanglement.beta_vae_score`; from 1/L to 1."""

    def measure(self, subject: Subject) -> Measured:
        return _drawn(*beta_vae_score(*subject.coded_factors, subject.seed))


def _drawn(value: float, error: float) -> Measured:
    """A score whose error is that of draws from the examples, and not that of other examples."""
    return Measured(value, monte_carlo=error)
