"""beta-VAE (Higgins et al. 2017, ICLR)."""

from __future__ import annotations

from pydantic import Field

from zoo.objectives.elbo import ELBO


class Beta(ELBO):
    """The ELBO with a KL that counts ``beta`` times.

    >>> import torch
    >>> Beta(Beta.Config(beta=4.0)).weighted(torch.tensor([20.0, 5.0]), 0.5)
    tensor(50.)
    """

    class Config(ELBO.Config):
        """Above 1, fewer active and more independent latents."""

        beta: float = Field(4.0, ge=0, le=1e30)

    config: Config

    @property
    def beta(self) -> float:
        return self.config.beta
