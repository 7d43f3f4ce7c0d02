"""What a rule is, and for which models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.distributions import Distribution

from zoo.core.condition import needed_condition
from zoo.core.draws import closed_form_kl
from zoo.core.latent_space import Codebook, LatentSpace, Product
from zoo.errors import UnsupportedError
from zoo.testing.cases import Case

Tag = Callable[[Case], bool]
"""Whether a model can do something."""


@dataclass(frozen=True)
class Rule:
    """What has to hold of every case with a tag; ``once`` where the likelihood does not matter."""

    check: Callable[[Case], None]
    when: Tag
    once: bool

    @property
    def name(self) -> str:
        """Its function's."""
        return self.check.__name__


class Rules(list[Rule]):
    """A subject's rules, collected by decorator."""

    def add(
        self, *tags: Tag, once: bool = False
    ) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
        """Decorator: a rule for cases that have all ``tags``."""

        def decorate(check: Callable[[Case], None]) -> Callable[[Case], None]:
            self.append(Rule(check, lambda case: all(tag(case) for tag in tags), once))
            return check

        return decorate


def has_evidence(case: Case) -> bool:
    """log p(x) is defined."""
    return case.known.has_evidence


def lacks_evidence(case: Case) -> bool:
    """log p(x) is not defined."""
    return not case.known.has_evidence


def factorises(case: Case) -> bool:
    """The KL is a sum over dimensions."""
    return case.known.infer(case.batch(2)).kl_by_dimension is not None


def has_exact_kl(case: Case) -> bool:
    """Every group's KL is known in closed form."""
    latents = case.known.infer(case.batch(2)).latents
    return bool(latents) and all(
        closed_form_kl(latent.posterior, latent.prior) is not None for latent in latents
    )


def is_told(case: Case) -> bool:
    """It is told a condition, or may be."""
    return case.known.condition_width is not None


def must_be_told(case: Case) -> bool:
    """It is told a condition, and answers nothing without."""
    return needed_condition(case.known) is not None


def infers_what_it_is_not_told(case: Case) -> bool:
    """It infers a class of x, where it is told none."""
    return case.known.has_classes


def is_told_nothing(case: Case) -> bool:
    """It is told nothing beside x."""
    return case.known.condition_width is None


def is_text(case: Case) -> bool:
    """Examples are sentences."""
    return case.known.modality.name == "text"


def is_numbers(case: Case) -> bool:
    """Examples are tensors of floats, not sentences."""
    return case.known.modality.name != "text"


def has_mean(case: Case) -> bool:
    """p(x|z) has a mean in closed form."""
    try:
        return bool(_likelihood(case).mean.isfinite().all())
    except (UnsupportedError, NotImplementedError):
        return False


def has_codebook(case: Case) -> bool:
    """Codes are those of a codebook."""
    return isinstance(case.known.space, Codebook)


def has_no_codebook(case: Case) -> bool:
    """Codes are numbers of any value."""
    return not has_codebook(case)


def has_deviation(case: Case) -> bool:
    """The prior has a standard deviation that a temperature scales, or masses that it sharpens."""
    try:
        case.known.sample_codes(1, 0.5, condition=case.condition(1))
    except UnsupportedError:
        return False
    return True


def has_no_deviation(case: Case) -> bool:
    """The prior has no standard deviation to scale."""
    return not has_deviation(case)


def has_variance(case: Case) -> bool:
    """The variance of codes is one known number."""
    return case.known.code_variance is not None


def has_groups(case: Case) -> bool:
    """Latents come in several groups."""
    return len(case.known.group_widths) > 1


def parts_of(space: LatentSpace) -> Iterator[LatentSpace]:
    """The spaces that a space is made of, none of them a product."""
    if isinstance(space, Product):
        for part in space.parts:
            yield from parts_of(part)
    else:
        yield space


def _likelihood(case: Case) -> Distribution:
    with torch.no_grad():
        return case.known.infer(case.batch(2)).likelihood
