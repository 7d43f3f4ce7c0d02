"""What a model's codes are worth: their statistics over a dataset, and what they say of labels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo.core.model import LatentVariableModel
from zoo.data.labels import balanced_draw
from zoo.errors import ConfigError, DataError, did_you_mean
from zoo.evaluation.results import Estimate

if TYPE_CHECKING:
    from zoo.data import Examples

Metric: TypeAlias = Literal["euclidean", "cosine"]
"""How near two codes are: the distance between them, or the angle."""

ITERATIONS = 1000
"""Of a linear probe's fit, at most."""
ACTIVE_THRESHOLD = 0.01
"""Burda et al.'s: a dimension is active when Var_x(E[z|x]) exceeds it."""


def active_units(variance: Tensor, threshold: float = ACTIVE_THRESHOLD) -> int:
    """How many dimensions of the code vary over the data by more than ``threshold``.

    ``variance`` is Var_x(E[z|x]), shape (D,), in units of the prior's variance. On a sphere the
    code is a mean direction, of unit length however vague the posterior, so there the count says
    which axes are used and not how much information they carry.

    >>> active_units(torch.tensor([0.9, 0.0101, 0.01, 0.0]))
    2
    """
    return int((variance > threshold).sum())


def informative(table: Tensor) -> Tensor:
    r"""log q(z_i|x_i) - log 1/M sum_j q(z_i|x_j) of log q(z_i|x_j), (M, M): (M,), in nats.

    Their mean is a lower bound of I(x; z) in expectation that cannot exceed log M (Poole et al.
    2019, arXiv:1905.06922, equation 12).

    >>> informative(torch.zeros(3, 3)).tolist()
    [0.0, 0.0, 0.0]
    """
    mixture = table.logsumexp(1) - math.log(len(table))  # (M,)
    return table.diagonal() - mixture


@torch.no_grad()
def encode_split(
    model: LatentVariableModel, split: Examples, *, seed: int = 0, batch_size: int = 2048
) -> Tensor:
    """The codes of all examples, (N, D), on the device of ``split``, which is the model's.

    The examples are binarised once with ``seed`` where the model reads binary pixels. The model is
    used as it is: put it in eval mode first, as :func:`zoo.load` does.
    """
    batches = split.fixed(model.input_kind, seed).batches(batch_size, "real")
    return torch.cat([model.encode(batch) for batch in batches])


def rightly_inferred(
    model: LatentVariableModel, split: Examples, *, seed: int = 0, batch_size: int = 2048
) -> Tensor:
    """Whether the likeliest class by q(y|x) is the label of an example, (N,), as in encode_split.

    Of models with ``classify``, and examples whose labels are known.
    """
    batches = split.fixed(model.input_kind, seed).batches(batch_size, "real")
    right = [
        model.classify(batch).argmax(-1) == batch.labels  # type: ignore[operator]
        for batch in batches
    ]
    return torch.cat(right)


def knn_accuracy(
    train_codes: Tensor,
    train_labels: Tensor,
    test_codes: Tensor,
    test_labels: Tensor,
    *,
    labels: int,
    neighbours: int = 5,
    repeats: int = 20,
    seed: int = 0,
    metric: Metric = "euclidean",
) -> Estimate:
    """How often the nearest of few labelled codes name the right class: a fraction in [0, 1].

    ``labels`` training examples are drawn without replacement, as many of each class as of any
    other (the rest of the division goes to classes drawn at random), and each test code gets the
    class of most of its ``neighbours`` nearest; among classes with equally many votes the smallest
    label wins, as in scikit-learn. That is repeated with ``repeats`` independent draws: the value
    is their mean, and its standard error is over the draws alone, not over test examples.

    Codes are (N, D) and (M, D), labels integers (N,) and (M,). "euclidean" and "cosine" agree on
    codes of unit length. The draws depend on ``seed`` and the training labels only, so models are
    compared on the same examples.

    Raises ConfigError for an option out of range, DataError for codes and labels that do not fit
    one another or for a class with too few examples.

    >>> codes = torch.tensor([[-1.0], [-1.1], [1.0], [1.1]])
    >>> classes = torch.tensor([0, 0, 1, 1])
    >>> print(knn_accuracy(codes, classes, codes, classes, labels=2, neighbours=1))
    1.00 ± 0.00
    """
    _check_options(labels, neighbours, repeats, metric)
    codes = (train_codes, test_codes)
    known, asked = map(normalize, codes) if metric == "cosine" else codes
    values = few_label_accuracies(
        nearest_neighbours(neighbours),
        (known, train_labels),
        (asked, test_labels),
        labels=labels,
        repeats=repeats,
        seed=seed,
    )
    deviation = statistics.stdev(values)
    return Estimate(value=statistics.mean(values), stderr=deviation / repeats**0.5)


def nearest_neighbours(neighbours: int) -> Callable[[], Any]:
    """How scikit-learn's classifier by the class of most of so many nearest codes is made."""
    # Its brute-force search takes matrix products of chunks of bounded size. Imported here, because
    # most uses of this package do without it and it is slow to import.
    from sklearn.neighbors import KNeighborsClassifier

    return lambda: KNeighborsClassifier(neighbours, algorithm="brute")


def linear_probe() -> Callable[[], Any]:
    """How scikit-learn's logistic regression is made, with its usual penalty."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    return lambda: LogisticRegression(max_iter=ITERATIONS)


def few_label_accuracies(
    classifier: Callable[[], Any],
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    labels: int,
    repeats: int,
    seed: int = 0,
) -> list[float]:
    """The accuracy of a classifier fitted to few labelled codes, for each draw of the labels.

    The mean of each row of :func:`few_label_hits`.
    """
    hits = few_label_hits(classifier, train, test, labels=labels, repeats=repeats, seed=seed)
    accuracies: list[float] = hits.double().mean(1).tolist()
    return accuracies


def few_label_hits(
    classifier: Callable[[], Any],
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    labels: int,
    repeats: int,
    seed: int = 0,
) -> Tensor:
    """Whether each test code is classified rightly, for each draw of the labels; (R, M), boolean.

    ``classifier`` makes an unfitted one, as scikit-learn's are; ``train`` and ``test`` are codes
    (N, D) and (M, D) with their classes. The draws are those of :func:`knn_accuracy`; as many
    labels as there are codes are all of them. Raises DataError for codes and labels that do not fit
    one another or for a class with too few examples.

    >>> codes, classes = torch.tensor([[-1.0], [1.0], [0.9]]), torch.tensor([0, 1, 0])
    >>> few = few_label_hits(nearest_neighbours(1), (codes[:2], classes[:2]), (codes, classes),
    ...                      labels=2, repeats=1)
    >>> few.tolist()
    [[True, True, False]]
    """
    _check_codes(*train, *test)
    known, asked = (codes.detach().cpu().double() for codes, _ in (train, test))
    classes, truth = train[1].cpu(), test[1].cpu()
    generator = torch.Generator().manual_seed(seed)
    hits = []
    for _ in range(repeats):
        every = labels == len(classes)
        drawn = slice(None) if every else balanced_draw(classes, labels, generator)
        fitted = classifier().fit(known[drawn].numpy(), classes[drawn].numpy())
        hits.append(torch.from_numpy(fitted.predict(asked.numpy())) == truth)
    return torch.stack(hits)


def _check_options(labels: int, neighbours: int, repeats: int, metric: str) -> None:
    for option, value, least in (("neighbours", neighbours, 1), ("repeats", repeats, 2)):
        if value < least:
            raise ConfigError(f"{option} must be at least {least}, got {value}")
    if labels < neighbours:
        raise ConfigError(f"{neighbours} neighbours need at least as many labels, got {labels}")
    allowed = get_args(Metric)
    if metric not in allowed:
        raise ConfigError(
            f"unknown metric {metric!r}{did_you_mean(metric, allowed)} Known: {', '.join(allowed)}."
        )


def _check_codes(
    train_codes: Tensor, train_labels: Tensor, test_codes: Tensor, test_labels: Tensor
) -> None:
    for name, codes, labels in (
        ("training", train_codes, train_labels),
        ("test", test_codes, test_labels),
    ):
        if codes.ndim != 2 or labels.shape != codes.shape[:1] or not len(codes):
            raise DataError(
                f"{name} codes must be (N, D) and their labels (N,) with N at least 1, "
                f"got {tuple(codes.shape)} and {tuple(labels.shape)}"
            )
        if labels.is_floating_point():
            raise DataError(f"{name} labels must be integers, got {labels.dtype}")
        if not codes.isfinite().all():
            raise DataError(f"{name} codes hold NaN or infinite values; look at the model")
    if train_codes.shape[1] != test_codes.shape[1]:
        raise DataError(
            f"training codes have {train_codes.shape[1]} numbers, test codes "
            f"{test_codes.shape[1]}; both must come from one model"
        )
