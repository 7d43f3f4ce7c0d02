"""The loss of the VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937)."""

from __future__ import annotations

from pydantic import Field

from zoo.core.draws import Draws
from zoo.core.latent_space import Codebook
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.objectives.base import Loss, Step
from zoo.objectives.elbo import ELBO


class VQ(ELBO):
    r"""-log p(x|z) - w log p(z) + commitment |z_e(x) - sg[z]|^2, means over the batch.

    The square is summed over all places and numbers, as log-likelihoods are over pixels. It keeps
    the encoder's points z_e near the codes z that they chose; the codes follow by their moving
    averages, and their prior p(z) is trained on what is chosen.
    """

    logs = ("log_likelihood", "kl", "commitment", "perplexity")

    class Config(ELBO.Config):
        """``commitment`` is what the squared distance of a point from its code costs."""

        commitment: float = Field(0.25, ge=0, le=1e30)

    config: Config

    def loss(self, draws: Draws, step: Step) -> Loss:
        bound, distance = super().loss(draws, step), draws.auxiliary["commitment"].mean()
        logs = {"commitment": distance.detach(), "perplexity": draws.auxiliary["perplexity"]}
        value = bound.value + self.config.commitment * distance
        return Loss(value, {**bound.logs, **logs})

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        if not isinstance(model.space, Codebook):
            raise ConfigError(
                f"the objective {name!r} holds an encoder to its codebook, and {model.variant!r} "
                "has none; choose the objective 'elbo', or the variant 'vq-vae'"
            )
