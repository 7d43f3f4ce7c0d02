"""Whether samples are training examples over again."""

from __future__ import annotations

import torch

from zoo.metrics.base import Measured
from zoo.metrics.features.compared import Compared
from zoo.metrics.generated import OfSamples, mean_of_samples
from zoo.metrics.neighbours import Neighbours, nearest


class Memorisation(OfSamples):
    """The share of samples nearer to a training example than any other training example is to it.

    One less the authenticity of Alaa et al. 2022 (arXiv:2102.08921): for the training example x
    nearest to a sample, whether the sample is nearer to x than x's nearest other one is. Copies get
    1. New data do not get 0: the role "halves" says what images get that no model has made, and
    only what is above that points to memory. Samples far from all data get 0 too. The error is over
    samples.
    """

    unit = "share of samples"
    better = "neither"  # more than new data get is copying, less is to be far from all data
    reads_training = True

    def compare(self, images: Compared) -> Measured:
        found = nearest_training(images)
        distances, places = found.distances[:, 0], found.places[:, 0]  # (n,) each
        asked, back = torch.unique(places, return_inverse=True)
        train = images.train.features
        own = nearest(train[asked], train, 2).distances[:, 1]  # the nearest is itself
        return mean_of_samples("memorisation", (distances < own[back]))


def nearest_training(images: Compared, count: int = 1) -> Neighbours:
    """The training examples nearest to each sample in features, and how far they are: (n, count).

    ``images.train.examples.select(found.places[:, 0])`` are the nearest, to be looked at beside
    ``images.samples.examples``.
    """
    return nearest(images.samples.features, images.train.features, count)
