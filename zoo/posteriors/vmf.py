"""The von Mises-Fisher posterior (Davidson et al. 2018, arXiv:1804.00891)."""

from zoo.distributions.von_mises_fisher import VonMisesFisher
from zoo.posteriors.directional import Directional


class VMF(Directional):
    """Around a mean direction mu(x), with a concentration exp(.) + 1 for each x.

    >>> import torch
    >>> from zoo.settings import Settings
    >>> posterior = VMF(Settings(), lambda n: torch.nn.Linear(128, n), 11)
    >>> posterior(torch.ones(5, 128), None).rsample().shape
    torch.Size([5, 11])
    """

    family = VonMisesFisher
