"""The space that generated and real images are compared in: features of a small classifier."""

from zoo.metrics.features.classifier import Classifier, ClassifierConfig
from zoo.metrics.features.files import (
    classifier_of,
    load_classifier,
    save_classifier,
    sha256_of_classifier,
)

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "classifier_of",
    "load_classifier",
    "save_classifier",
    "sha256_of_classifier",
]
