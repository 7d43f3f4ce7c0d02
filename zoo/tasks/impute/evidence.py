r"""log p(x_o) of what is observed, by importance weights.

The posterior of a whole example is narrower than p(z|x_o), which is its mean over fillings. So
codes are drawn from the mixture of the posteriors of many chains' fillings and of the prior, and
weighed by the density of all of it (multiple importance sampling by the balance heuristic, Veach &
Guibas 1995):

    log p(x_o) ~ log 1/S sum_s p(x_o|z_s) p(z_s) / m(z_s),
    m(z) = 1/(C + 1) (p(z) + sum_c q(z|x_o, x_m^c)).

A lower bound in expectation for any fillings, and tight with ever more draws.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.tasks.impute.chains import Chains


def log_evidence_of_observed(chains: Chains, draws: int) -> Tensor:
    """log p(x_o), (B,), by ``draws`` of each chain's posterior, and as many of the prior."""
    model, count = chains.model, chains.count
    own = model.infer(chains.filled, draws).z  # (S, C B, D)
    of_chains = chains.apart(own.movedim(1, 0)).movedim(-2, 0)  # (S, C, B, D)
    codes = torch.cat([of_chains.flatten(0, 1), chains.prior_codes(draws)])  # (S (C + 1), B, D)
    log_q = model.infer(chains.filled, given=codes.repeat(1, count, 1)).log_q.sum(-1)
    weighed = model.infer(chains.of_examples, given=codes)
    log_p = weighed.log_p.sum(-1)  # (S (C + 1), B)
    parts = torch.cat([chains.apart(log_q.T), log_p.T[None]])  # (C + 1, B, S (C + 1))
    log_m = parts.logsumexp(0).T - math.log(count + 1)  # (S (C + 1), B)
    weights = weighed.log_likelihood + log_p - log_m
    return weights.logsumexp(0) - math.log(len(weights))
