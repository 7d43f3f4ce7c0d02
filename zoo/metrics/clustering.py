"""How well clusters of the codes, found without a label, agree with the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.core.condition import refuse_told_labels
from zoo.metrics.base import Measured, Metric, need_labels
from zoo.metrics.subject import Subject


class _OfClusters(Metric):
    """Of k-means of the codes, as many clusters as classes; see :attr:`Subject.clusters`."""

    version = 1
    unit = ""
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"

    def check(self, subject: Subject) -> None:
        refuse_told_labels(subject.model)
        need_labels(subject)


class ClusterAccuracy(_OfClusters):
    """The share of examples in the cluster of their class, each cluster standing for one class.

    Which class each stands for is chosen so that the share is the largest (Xie et al. 2016,
    equation 10), by the Hungarian method.
    """

    unit = "share of the examples"

    def measure(self, subject: Subject) -> Measured:
        classes, clusters = _agreeing(subject)
        hits = matched(classes, clusters) == classes
        return Measured.of_each("accuracy", hits.double())


class NormalisedMutualInformation(_OfClusters):
    r"""2 I(y; c) / (H(y) + H(c)) of class y and cluster c (Strehl & Ghosh 2002)."""

    def measure(self, subject: Subject) -> Measured:
        from sklearn.metrics import normalized_mutual_info_score  # slow to import

        return _with_jackknife(normalized_mutual_info_score, *_agreeing(subject))


class AdjustedRandIndex(_OfClusters):
    r"""(RI - E[RI]) / (1 - E[RI]) of the Rand index RI (Hubert & Arabie 1985).

    RI is the share of pairs on which classes and clusters agree, both together or both apart, and
    E[RI] what random clusters of the same sizes have: 0 is chance.
    """

    def measure(self, subject: Subject) -> Measured:
        from sklearn.metrics import adjusted_rand_score  # slow to import

        return _with_jackknife(adjusted_rand_score, *_agreeing(subject))


def matched(classes: Tensor, clusters: Tensor) -> Tensor:
    """The class that the cluster of each example stands for, (N,); -1 where it stands for none.

    No two clusters stand for one class. ``classes`` and ``clusters`` are integers (N,).

    >>> matched(torch.tensor([4, 4, 7, 7]), torch.tensor([1, 1, 0, 1])).tolist()
    [4, 4, 7, 4]
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    names, labels = torch.unique(classes, return_inverse=True)  # (K,), (N,)
    _, groups = torch.unique(clusters, return_inverse=True)
    table = torch.zeros(int(groups.max()) + 1, len(names), dtype=torch.int64)
    table.index_put_((groups, labels), torch.ones_like(labels), accumulate=True)
    of, to = map(torch.from_numpy, linear_sum_assignment(table.numpy(), maximize=True))
    stands_for = torch.full((len(table),), -1)
    stands_for[of] = names[to]
    return stands_for[groups]


def _agreeing(subject: Subject) -> tuple[Tensor, Tensor]:
    """The class and the cluster of each example whose class is known, (N,)."""
    labels = need_labels(subject).cpu()
    known = labels >= 0
    return labels[known], subject.clusters[known]


def _with_jackknife(
    score: Callable[[Tensor, Tensor], float], classes: Tensor, clusters: Tensor
) -> Measured:
    """A score with its jackknife error over examples (Efron & Stein 1981), the clusters held.

    Leaving one example out of a cell of the table of classes and clusters gives one figure,
    whichever it is: as many figures as cells, each as often as the cell has examples.
    """
    pairs = torch.stack([classes, clusters], 1)  # (N, 2)
    _, cell, counts = torch.unique(pairs, dim=0, return_inverse=True, return_counts=True)
    figures = []
    for each in range(len(counts)):
        keep = torch.ones(len(cell), dtype=torch.bool)
        keep[(cell == each).nonzero()[0]] = False
        figures.append(score(classes[keep], clusters[keep]))
    without = torch.tensor(figures, dtype=torch.float64)
    weight = counts.double() / len(cell)
    variance = (weight * (without - (weight * without).sum()).square()).sum()
    error = ((len(cell) - 1) * variance).sqrt().item()
    return Measured.of_all(score(classes, clusters), error)
