"""Posteriors q(z|x): modules from features to distributions over codes, one a file."""

from zoo.posteriors.base import Posterior, Projection, posteriors_in, space_of

__all__ = ["Posterior", "Projection", "posteriors_in", "space_of"]
