"""Codes whose scores are known, in the place of those of a model."""

from __future__ import annotations

from torch import Tensor

from zoo.api.make import create
from zoo.data import Dataset, VectorSplit
from zoo.metrics import Subject


class Coded(Subject):
    """Codes (N, D) that are given, whatever the model; its examples are the codes, too.

    ``labels`` are (N,) or (N, L), and those of the training split ``train_labels`` where these are
    others.

    >>> import torch
    >>> from zoo.core.component import Selected
    >>> factors = torch.cartesian_prod(torch.arange(4), torch.arange(3)).repeat(20, 1)
    >>> mig = Selected.parse("metrics", "mig").build()
    >>> round(mig.measure(Coded(standard(factors), factors)).value, 6)
    1.0
    """

    def __init__(self, codes: Tensor, labels: Tensor, train_labels: Tensor | None = None) -> None:
        rows = VectorSplit(codes.float(), labels)
        known = VectorSplit(codes.float(), labels if train_labels is None else train_labels)
        data = Dataset("codes", known, rows, rows, "gaussian", "none")
        super().__init__(create("gaussian-vae", dataset=data, latent_dim=codes.shape[1]), data)
        self.codes, self.train_codes = codes, codes


def standard(factors: Tensor) -> Tensor:
    """Codes that are the factors (N, L), each of mean 0 and variance 1, in float64."""
    numbers = factors.double()
    return (numbers - numbers.mean(0)) / numbers.std(0)
