"""Distributions torch does not have, as full ``torch.distributions`` citizens."""

from zoo.distributions.discretized_logistic import DiscretizedLogistic

__all__ = ["DiscretizedLogistic"]
