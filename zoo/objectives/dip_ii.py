"""DIP-VAE-II (Kumar et al. 2018, arXiv:1711.00848)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from zoo.objectives.dip_i import DIPI


class DIPII(DIPI):
    r"""DIP-VAE-I's penalty on the covariance of z ~ q(z) itself: Cov[mu(x)] + E[diag sigma(x)^2].

    Where the means alone are penalised, latents that are not used cost as long as they do not
    vary; here the prior is as good.
    """

    class Config(DIPI.Config):
        """Both squares cost the same unless said."""

        on_diagonal: float = Field(10.0, ge=0, le=1e30)

    config: Config

    def covariance(self, q: Distribution) -> Tensor:
        return super().covariance(q) + torch.diag(q.variance.mean(0).flatten())  # (D, D)
