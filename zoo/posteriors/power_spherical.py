"""The power spherical posterior (De Cao & Aziz 2020, arXiv:2006.04437): no rejection."""

from zoo.distributions.power_spherical import PowerSpherical
from zoo.posteriors.directional import Directional


class PowerSphericalPosterior(Directional):
    """Around a mean direction mu(x), with a concentration exp(.) + 1 for each x.

    >>> import torch
    >>> from zoo.settings import Settings
    >>> posterior = PowerSphericalPosterior(Settings(), lambda n: torch.nn.Linear(128, n), 11)
    >>> posterior(torch.ones(5, 128), None).rsample().shape
    torch.Size([5, 11])
    """

    family = PowerSpherical
