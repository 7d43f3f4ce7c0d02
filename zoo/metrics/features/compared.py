"""Generated images beside real ones, in the features of a classifier."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from zoo.data import Examples, Split
from zoo.metrics.features.classifier import Classifier

if TYPE_CHECKING:
    from zoo.metrics.subject import Subject

BATCH = 1000
"""Images read at a time."""

Pixels: TypeAlias = Literal["draws", "means"]
"""What a sample is: a draw x ~ p(x|z), which is an example of the kind that the model reads, or the
mean of p(x|z), an image of grey levels also where the model draws binary pixels."""
Role: TypeAlias = Literal["model", "training", "halves"]
"""What stands in the place of samples: those of the model, training images, which a model that only
copies would make, or every second real image, beside the others."""


class Images:
    """Images and what a classifier makes of them, when it is first asked for."""

    def __init__(self, classifier: Classifier, examples: Examples) -> None:
        self.classifier, self.examples = classifier, examples

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def classes(self) -> Tensor | None:
        """Of each image (N,), of samples what they were to be; None where that is not known."""
        return self.examples.labels

    @cached_property
    @torch.no_grad()
    def features(self) -> Tensor:
        """See :class:`Classifier`; (N, D) in float64."""
        batches = self.examples.batches(BATCH, "real")
        return torch.cat([self.classifier.features(batch.x).double() for batch in batches])

    @cached_property
    @torch.no_grad()
    def recognised(self) -> Tensor:
        """The class that each image is taken for, (N,)."""
        return self.classifier.classify(self.features.float())


class Compared(NamedTuple):
    """Samples, as many real images, and those trained on, all binarised or all grey."""

    samples: Images
    real: Images
    train: Images


def compare(subject: Subject, n: int, pixels: Pixels, role: Role) -> Compared:
    """At most ``n`` samples and as many real images, at even distances in the split."""
    kind = subject.kind_of(pixels)
    real, train = subject.read_as(kind), subject.training_images(kind)
    if role == "halves":
        pairs = torch.arange(len(real) // 2 * 2, device=subject.device).view(-1, 2)
        ours, real = (real.select(half).evenly(n) for half in pairs.unbind(1))
    elif role == "training":
        real = real.evenly(n)
        ours = train.examples.evenly(len(real))
    else:
        real = real.evenly(n)
        ours = _samples(subject, len(real), pixels)
    return Compared(Images(subject.classifier, ours), Images(subject.classifier, real), train)


def _samples(subject: Subject, n: int, pixels: Pixels) -> Split:
    """As images in [0, 1], what a density draws beyond cut off."""
    return Split(subject.sampled(n, pixels).float().clamp(0, 1), subject.told(n))
