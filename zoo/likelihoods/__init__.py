"""Likelihoods p(x|z): modules from a decoder's output to distributions over examples."""

from zoo.likelihoods.base import InputKind, Likelihood, Measure

__all__ = ["InputKind", "Likelihood", "Measure"]
