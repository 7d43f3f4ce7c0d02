"""How much the pictures of a model's samples vary from pixel to pixel."""

from __future__ import annotations

import zoo
from zoo.errors import UnsupportedError
from zoo.metrics import Measured, Metric, Subject


@zoo.register("sharpness", summary="Mean squared difference of neighbouring pixels of samples")
class Sharpness(Metric):
    """E[(x_ij - x_i,j+1)^2] of the means of p(x|z), z from the prior."""

    version = 1
    unit = "squared, a pixel"
    better = "neither"

    def check(self, subject: Subject) -> None:
        if subject.model.modality.name != "images":
            raise UnsupportedError("only images have neighbouring pixels; choose a model of images")

    def measure(self, subject: Subject) -> Measured:
        x = subject.sampled(len(subject.examples))
        return Measured.of_each("sharpness", x.diff(dim=-1).square().flatten(1).mean(1))
