"""Posteriors q(z|x): modules from features to distributions over codes, one a file."""

from zoo.posteriors.base import Posterior, Projection, space_of

__all__ = ["Posterior", "Projection", "space_of"]
