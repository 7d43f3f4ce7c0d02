"""What a posterior is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.core.component import Component, Selected, component_class
from zoo.core.draws import LatentDraw, drawn
from zoo.core.latent_space import Euclidean, LatentSpace, Sphere, Spheres
from zoo.errors import ConfigError, UnsupportedError, ZooError
from zoo.registry import registry

Projection: TypeAlias = Callable[[int], nn.Module]
"""Makes the layer from a network's features (..., F) to so many numbers (..., n)."""


class Posterior(Component, nn.Module, ABC):
    """Features (..., F) to q(z|x), batch shape (...), over codes of ``dim`` numbers.

    A subclass is made as ``Posterior(config, project, dim)``; ``project`` comes of the network it
    stands in, so that one posterior serves vectors, maps and sequences.
    """

    section = "posteriors"
    space: ClassVar[type[Euclidean] | type[Sphere] | type[Spheres]]
    """Where codes live."""
    of_x_alone: ClassVar[bool] = True
    """Whether q(z|x) is the same whatever other examples stand beside x in training."""
    factorises: ClassVar[bool] = True
    """Whether coordinates in a flat space are independent of each other given x."""

    @classmethod
    def space_of(cls, config: Any, dim: int) -> LatentSpace:
        """The space of codes of ``dim`` numbers. Override it where the settings have a say.

        Raises UnsupportedError for a width that it cannot have.
        """
        return cls.space(dim)

    @abstractmethod
    def forward(self, features: Tensor, prior: Distribution | None) -> Distribution:
        """q(z|x), which may be said relative to the prior where there is one."""

    def draw(self, q: Distribution, prior: Distribution, shape: tuple[int, int]) -> LatentDraw:
        """S draws for each of B examples, where ``shape`` is (S, B): see :func:`drawn`.

        Override it where drawing finds a density that the draw alone tells less exactly or less
        cheaply, and where draws of one example are not independent.
        """
        return LatentDraw(drawn(q, shape), q, prior, shape)

    def code(self, q: Distribution) -> Tensor:
        """The deterministic code: the mode, or the mean where there is none.

        Raises UnsupportedError where a distribution has neither; override this method then.
        """
        for name in ("mode", "mean"):
            try:
                found: Tensor = getattr(q, name)
                return found
            except (AttributeError, NotImplementedError):
                continue
        raise UnsupportedError(
            f"{type(self).__name__} has neither mode nor mean, so it must say itself what the "
            "code of an example is: override its method code(q)"
        )


def space_of(posterior: Selected[Posterior], dim: int) -> LatentSpace:
    """Where codes of ``dim`` numbers of a posterior with its settings live."""
    return posterior.component.space_of(posterior.config, dim)


def check_space(posterior: Selected[Posterior], space: type[LatentSpace]) -> None:
    """Raise ConfigError for a posterior of another space, with the names of those that fit."""
    lives = posterior.component.space
    if lives is not space:
        raise ConfigError(
            f"the posterior {posterior.name!r} lives in a space {lives.__name__}, the latents here "
            f"in a space {space.__name__}; choose one of {', '.join(posteriors_in(space))}"
        )


def posteriors_in(space: type[LatentSpace]) -> list[str]:
    """The registered posteriors that live in a space."""
    return [name for name in registry().posteriors if _lives_in(name, space)]


def _lives_in(name: str, space: type[LatentSpace]) -> bool:
    try:
        return component_class("posteriors", name).space is space
    except ZooError:  # of a broken plug-in, which is not what went wrong here
        return False
