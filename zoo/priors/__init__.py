"""Priors p(z): modules that return distributions over codes, one a file."""

from zoo.priors.base import Given, Prior, check_pair, usual_prior

__all__ = ["Given", "Prior", "check_pair", "usual_prior"]
