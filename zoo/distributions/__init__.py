"""Distributions torch does not have, as full ``torch.distributions`` citizens."""

from zoo.distributions.bernoulli_image import BernoulliImage
from zoo.distributions.discretized_logistic import DiscretizedLogistic

__all__ = ["BernoulliImage", "DiscretizedLogistic"]
