"""What an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.component import Component
from zoo.core.draws import Draws
from zoo.core.model import LatentVariableModel
from zoo.data.labels import labelled_of
from zoo.errors import ConfigError
from zoo.settings import Settings

if TYPE_CHECKING:
    import torch

    from zoo.data import Dataset, Examples
    from zoo.training.config import TrainingConfig
    from zoo.variants import Variant


class Step(NamedTuple):
    """Where a training is."""

    kl_weight: float | Tensor = 1.0
    """Of the warm-up, from 0 to 1; on the device while it lasts."""
    examples: int = 0
    """In the training set."""
    labelled: int = 0
    """Of these, those whose class is known."""


class Loss(NamedTuple):
    """What is minimised, a scalar, and what is logged beside it: scalars without a graph."""

    value: Tensor
    logs: dict[str, Tensor]


class Objective(Component, ABC):
    """A loss of draws. Models know nothing of objectives, the trainer none by name.

    A subclass is made as ``Objective(config)``.
    """

    section = "objectives"
    logs: ClassVar[tuple[str, ...]]
    """The names of what :meth:`loss` logs."""
    needs_evidence: ClassVar[bool] = False
    """Whether it reads the densities of prior and posterior, which an autoencoder lacks."""
    weighs_kl: ClassVar[bool] = True
    """Whether it reads the warm-up's weight."""
    needs_classes: ClassVar[bool] = False
    """Whether it reads labels and q(y|x), which only models that infer a class have."""
    sums_over_classes: ClassVar[bool] = True
    """Whether it is right for such a model, whose draws sum over the posteriors of all classes."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    @property
    def samples(self) -> int:
        """Draws of z for each example."""
        return 1

    def draws(self, model: LatentVariableModel, batch: Batch) -> Draws:
        """What a step asks of the model: ``samples`` draws for each example.

        Override it where more is asked, of the encoder or of changed examples; what is found
        stands among the draws' ``auxiliary``, and :meth:`loss` stays arithmetic on draws.
        """
        found: Draws = model(batch, self.samples)
        return found

    @abstractmethod
    def loss(self, draws: Draws, step: Step) -> Loss:
        """The loss of a batch, and its logs by the names of ``logs``."""

    def figures(self, means: Mapping[str, float]) -> dict[str, float]:
        """An epoch's figures, of its mean logs: with the unweighted bound where its terms are."""
        if not {"log_likelihood", "kl"} <= means.keys():
            return dict(means)
        return {**means, "elbo": means["log_likelihood"] - means["kl"]}

    def validation(self, model: LatentVariableModel, batch: Batch) -> dict[str, Tensor]:
        """What is validated beside the ELBO and its terms, (B,) each; nothing as a rule.

        Asked once more for the whole split, with noise of its own.
        """
        return {}

    def selects(self, model: LatentVariableModel) -> str:
        """The figure of the validation by which the best model is picked, higher being better."""
        return "elbo" if model.has_evidence else "log_likelihood"

    def check(self, name: str, variant: Variant, train: TrainingConfig) -> None:
        """Raise ConfigError where a variant, or a training, is not one this objective is for.

        ``name`` is what it is called by. Asked before any data are read.
        """
        if self.needs_evidence and not variant.model.has_evidence:
            raise ConfigError(
                f"the objective {name!r} needs log p(x), which {variant.name!r} does not "
                "define; choose the objective 'elbo', or a variational variant such as "
                "'gaussian-vae'"
            )
        self._check_classes(name, variant)
        if train.kl_warmup_steps and not self.weighs_kl:
            raise ConfigError(
                f"train.kl_warmup_steps = {train.kl_warmup_steps} weighs a KL, and the objective "
                f"{name!r} has none; set it to 0, or choose the objective 'elbo'"
            )

    def _check_classes(self, name: str, variant: Variant) -> None:
        if self.needs_classes and not variant.model.has_classes:
            raise ConfigError(
                f"the objective {name!r} needs q(y|x), a classifier of x, which {variant.name!r} "
                "does not have; choose the variant 'm2', or the objective 'elbo'"
            )
        if variant.model.has_classes and not self.sums_over_classes:
            raise ConfigError(
                f"the objective {name!r} is for draws of one posterior, and {variant.name!r} sums "
                "over those of all classes; choose the objective 'semi-supervised' or 'elbo'"
            )

    def check_data(self, name: str, data: Dataset) -> None:
        """Raise ConfigError where the data lack what it reads of them."""
        if not self.needs_classes:
            return
        if labelled_of(data.train) is None:
            raise ConfigError(
                f"the objective {name!r} reads labels, whole numbers from 0, or -1 where a class "
                f"is not known, and {data.name} has none to train on; give data with labels, or "
                "choose the objective 'elbo'"
            )
        measured = labelled_of(data.validation)
        if measured is None or len(measured) < len(data.validation):
            raise ConfigError(
                f"the objective {name!r} counts errors on the validation split, and not all labels "
                f"of that of {data.name} are known; give a validation split that has them"
            )

    def arranged(
        self, order: Tensor, examples: Examples, batch_size: int, generator: torch.Generator
    ) -> Tensor:
        """An epoch's random ``order`` (N,) of examples, changed where batches are to be alike."""
        return order

    def check_model(self, name: str, model: LatentVariableModel) -> None:
        """Raise ConfigError where a model is not one this objective is for.

        As :meth:`check`, for what only settings and data decide: where codes live, what examples
        are. Asked before the first step.
        """
