"""Whether conditional samples are of the class that was asked for."""

from __future__ import annotations

from zoo.errors import UnsupportedError
from zoo.metrics.base import Measured
from zoo.metrics.features.compared import Compared
from zoo.metrics.generated import OfSamples, mean_of_samples
from zoo.metrics.subject import Subject


class SamplesRecognised(OfSamples):
    """The share of samples that the classifier says are of the class that they were to be of.

    The classes are those of the real images. It says nothing of variety: one good image a class
    gets 1. The classifier itself is right about real images as often as the role "halves" says. The
    error is over samples.
    """

    unit = "share of samples"
    better = "higher"

    def check(self, subject: Subject) -> None:
        super().check(subject)
        told = subject.model.conditioning
        if told is None or told.classes is None or told.on != "labels":
            raise UnsupportedError(
                "this model is not told a class, so that no sample can be of the wrong one; it is "
                "of models that are, as 'cvae' or any with condition='labels'"
            )
        if subject.told(1) is None:
            raise UnsupportedError(
                "no class is asked for: the examples tell none; say those of their labels, by "
                "data.conditioned('labels')"
            )

    def compare(self, images: Compared) -> Measured:
        asked = images.samples.classes
        assert asked is not None  # of models that are told classes
        found = images.samples.recognised == asked
        return mean_of_samples("samples recognised", found)
