"""A small network that tells the classes of images, whose last hidden layer are features."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.backbones import Backbone
from zoo.core.component import Selected, default
from zoo.settings import Settings


class ClassifierConfig(Settings):
    """The images (C, H, W), how many classes there are, and the network that reads an image."""

    input_shape: tuple[int, int, int]
    classes: int = Field(ge=2, le=2**16)
    backbone: Selected[Backbone] = default("conv")


class Classifier(nn.Module):
    """The encoder of a backbone and a linear layer: intensities (B, C, H, W) in [0, 1] to logits.

    What the linear layer reads are the features. They are given out less a ``centre`` (D,) and over
    a ``scale``, with which those of the training images have the mean 0 and, on average, the
    variance 1.

    >>> classifier = Classifier(ClassifierConfig(input_shape=(1, 8, 8), classes=10))
    >>> images = torch.zeros(5, 1, 8, 8)
    >>> classifier(images).shape, classifier.features(images).shape
    (torch.Size([5, 10]), torch.Size([5, 256]))
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = config.backbone.build().encoder(config.input_shape)
        self.head = nn.Linear(self.encoder.out_features, config.classes)
        self.register_buffer("centre", torch.zeros(self.encoder.out_features))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """The logits of each class, (B, K)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Of images (B, C, H, W): (B, D)."""
        found: Tensor = (self.encoder(x) - self.centre) / self.scale
        return found

    def classify(self, features: Tensor) -> Tensor:
        """The likeliest class of each image by its features (B, D): (B,)."""
        logits: Tensor = self.head(features * self.scale + self.centre)
        return logits.argmax(-1)

    def standardise(self, features: Tensor) -> None:
        """Take ``features`` (N, D), those of the training images, as what is standard."""
        self.centre += self.scale * features.mean(0)
        self.scale *= features.var(0).mean().sqrt()
