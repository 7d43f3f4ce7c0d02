"""From scores to p-values: how many normal examples score as high."""

from __future__ import annotations

import torch
from torch import Tensor


def p_values(scores: Tensor, calibration: Tensor) -> Tensor:
    """(1 + #{calibration >= s}) / (1 + n) of each score s, float64 (N,).

    ``calibration`` (n,) are the scores of normal examples that the model has not learned. Of
    another normal example P(p <= alpha) <= alpha for every alpha, whatever the scores are
    (conformal prediction: Vovk et al. 2005; Bates et al. 2023, arXiv:2104.08279): of n + 1
    exchangeable scores each is as likely to be the highest. Ties count against an anomaly.

    >>> p_values(torch.tensor([0.0, 2.0, 5.0]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([1.0000, 0.7500, 0.2500], dtype=torch.float64)
    """
    ordered = calibration.sort().values
    lower = torch.searchsorted(ordered, scores.contiguous())  # how many are less
    return (1 + len(ordered) - lower).double() / (1 + len(ordered))


def discoveries(p: Tensor, alpha: float) -> Tensor:
    """Which p-values (N,) are rejected with a false discovery rate of at most ``alpha``.

    The i smallest, for the largest i with p_(i) <= i alpha / N (Benjamini & Hochberg 1995), which
    holds for conformal p-values of one calibration set as well (Bates et al. 2023).

    >>> discoveries(torch.tensor([0.03, 0.01, 0.5, 0.9]), 0.1)
    tensor([ True,  True, False, False])
    """
    count = len(p)
    ordered = p.sort().values
    levels = alpha * torch.arange(1, count + 1, dtype=p.dtype, device=p.device) / max(count, 1)
    passing = ordered[ordered <= levels]
    return p <= passing[-1] if len(passing) else torch.zeros_like(p, dtype=torch.bool)
