"""How unlikely an example is."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.model import LatentVariableModel
from zoo.settings import Settings
from zoo.tasks.anomaly.score import Score, check_evidence


class NegativeLogLikelihood(Score):
    """-log p(x), importance-weighted (Bishop 1994, Novelty detection and neural networks).

    The score for vectors, and for examples of the kind that the model has learned. Of images it
    measures above all how much there is to see: plain ones of another kind, which cost few nats,
    look more normal than the normal ones (Nalisnick et al. 2019, arXiv:1810.09136).
    :class:`~zoo.tasks.anomaly.likelihood_ratio.LikelihoodRatio` and
    :class:`~zoo.tasks.anomaly.complexity.Complexity` mend that.

    >>> import torch, zoo
    >>> model = zoo.load("gaussian-vae-digits")
    >>> noise = torch.rand(4, 1, 8, 8).round()
    >>> score = NegativeLogLikelihood(NegativeLogLikelihood.Config())
    >>> bool((score(model, Batch(noise)) > 30).all())
    True
    """

    class Config(Settings):
        """``samples`` draws for each example: more rank those that are alike more surely."""

        samples: int = Field(32, ge=1, le=100_000)

    config: Config

    @property
    def draws(self) -> int:
        return self.config.samples

    def check_model(self, model: LatentVariableModel) -> None:
        check_evidence(model)

    def __call__(self, model: LatentVariableModel, batch: Batch) -> Tensor:
        return -model.log_prob(batch, self.config.samples, model.decode_batch)
