r"""Draws of what is missing, by Markov chains over codes and missing values.

Their stationary distribution is p(z, x_m | x_o), whatever the posterior is. A chain begins with a
code that fits what is observed (:mod:`zoo.tasks.impute.starts`). Each sweep has two steps:

1. z of p(z|x_o, x_m): S proposals of q(z|x_o, x_m) and the chain's own code are weighed by
   p(x, z) / q(z|x), and one of the S + 1 is chosen in proportion. This is Metropolis within Gibbs
   (Mattei & Frellsen 2018, arXiv:1802.04826) with several proposals in place of one, which leaves
   the target as it is for every S (Andrieu, Lee & Vihola 2018, arXiv:1312.6432).
2. x_m of p(x_m|z, x_o).

A sweep that warms up takes its one proposal as it comes: the pseudo-Gibbs sampler of Rezende et al.
2014 (arXiv:1401.4082), whose limit is exact only where q is, but which soon comes near from
wherever it starts, and by which Mattei & Frellsen begin too.

The weights are of all of x. Those of what is observed alone, p(x_o, z) / q(z|x_o, x_m), would
favour codes whose own fillings were unlikely: q is far narrower than p(z|x_o) is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.batch import Batch, Checked
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.distributions.observed import draw_given, factorises, selected
from zoo.tasks.impute.gaps import each, repeated
from zoo.tasks.impute.starts import first_codes


class Chains:
    """``count`` chains for each of B examples, which have been prepared and say what is observed.

    ``z`` (count B, D) and ``x`` (count B, ...) are where they stand.
    """

    def __init__(self, model: LatentVariableModel, batch: Batch, count: int, pool: int) -> None:
        self.model, self.count, self.of_examples = model, count, Checked(*batch)
        self.given = Checked(*each(batch, lambda column: repeated(column, count)))
        self.x = self.given.x
        self.z = first_codes(model, batch, count, pool)
        self._fill()

    def warm_up(self) -> None:
        """A sweep without weights."""
        self.z = self.model.infer(self.filled).z[0]
        self._fill()

    def sweep(self, proposals: int) -> None:
        """Both steps once."""
        own = self.model.infer(self.filled, given=self.z[None])
        new = self.model.infer(self.filled, proposals)
        weights = torch.cat([weights_of_codes(own), weights_of_codes(new)])  # (S + 1, R)
        self.z = selected(torch.cat([own.z, new.z]), weights)  # (count B, D)
        self._fill()

    def estimate(self) -> Tensor:
        """The mean of p(x_m|z, x_o), (count, B, ...), or a draw where it is not known."""
        if not self.factorises:
            return self.apart(self.x)
        return self.apart(self.model.estimate(self.z, self.given.condition))

    def apart(self, rows: Tensor) -> Tensor:
        """(count B, ...) -> (count, B, ...)."""
        return torch.unflatten(rows, 0, (self.count, -1))

    def prior_codes(self, draws: int) -> Tensor:
        """(draws, B, D)."""
        x, told = self.of_examples.x, self.of_examples.condition
        told = None if told is None else repeated(told, draws)
        codes = self.model.draw_codes(draws * len(x), 1.0, None, told)  # (draws B, D)
        return torch.unflatten(codes, 0, (draws, -1))

    @property
    def filled(self) -> Batch:
        """The examples as they stand, (count B, ...)."""
        return Checked(self.x, self.given.condition)

    def _fill(self) -> None:
        """Step 2."""
        assert self.given.observed is not None
        p = self.model.decode(self.z, self.given.condition)
        self.factorises = factorises(p)
        self.x = draw_given(p, self.x, self.given.observed)


def weights_of_codes(draws: Draws) -> Tensor:
    """log p(x, z) - log q(z|x) of the codes themselves, (S, B): no class in them is summed over."""
    return draws.log_likelihood + (draws.log_p - draws.log_q).sum(-1)
