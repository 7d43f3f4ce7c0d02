"""What metrics of samples share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from pydantic import Field
from torch import Tensor

from zoo.errors import DataError, UnsupportedError
from zoo.metrics.base import Measured, Metric
from zoo.metrics.features import sha256_of_classifier
from zoo.metrics.features.compared import Compared, Pixels, Role
from zoo.metrics.subject import Subject
from zoo.settings import Settings

LEAST = 20
"""Samples, and real images, of which anything is said."""


class SamplesConfig(Settings):
    """How many samples, and what a sample is.

    There are as many real images as samples, and of both no more than the split has. With "draws"
    a sample is a draw x ~ p(x|z): of a model of binary pixels it is binary, and is compared with
    binarised images, those of the other metrics. With "means" it is the mean of p(x|z), which most
    papers show, and is compared with the grey images that were binarised.
    """

    samples: int = Field(5000, ge=LEAST)
    pixels: Pixels = "draws"


class OfSamples(Metric):
    """Of new images beside real ones, in the features of the dataset's own small classifier.

    The features are no Inception features, so that no figure stands beside those of papers.
    """

    Config = SamplesConfig
    config: SamplesConfig
    version = 2
    references = ("training", "halves")

    def check(self, subject: Subject) -> None:
        """Of images alone, and of datasets whose classifier is released."""
        if subject.model.modality.name != "images":
            raise UnsupportedError(
                f"samples are compared in the features of a classifier of images, and "
                f"{subject.data.name} holds {subject.model.modality.name}; take 'nll'"
            )
        subject.classifier  # noqa: B018 -- raises where there is none
        if (count := len(subject.examples)) < LEAST:
            raise UnsupportedError(f"{count} real images are too few to compare; give {LEAST}")
        try:
            subject.told(1)
        except DataError as error:
            raise UnsupportedError(f"samples are to be told what examples are: {error}") from error

    def depends_on(self, subject: Subject) -> dict[str, str]:
        return {"classifier": sha256_of_classifier(subject.data)}

    def measure(self, subject: Subject) -> Measured:
        return self.measure_as(subject, "model")

    def measure_as(self, subject: Subject, role: Role) -> Measured:
        """The figure of what stands in the place of samples: of "model" its own.

        A figure by itself says little. That of "halves" of the real images is what samples as good
        as the data would get, that of "training" images what a model that copies them would.
        """
        if role == "halves" and (count := len(subject.examples)) < 2 * LEAST:
            raise UnsupportedError(
                f"{count} real images are too few to compare halves of them; give {2 * LEAST}"
            )
        found = self.compare(subject.compared(self.config.samples, self.config.pixels, role))
        return replace(found, basis=subject.reading(subject.kind_of(self.config.pixels)))

    @abstractmethod
    def compare(self, images: Compared) -> Measured:
        """The figure of samples, whatever they are."""


def mean_of_samples(name: str, values: Tensor) -> Measured:
    """The mean of values (n,) of samples, which are no examples that two models could share."""
    return replace(Measured.of_each(name, values), values=None)
