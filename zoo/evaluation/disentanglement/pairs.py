"""Scores of examples that have the value of one factor in common."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.evaluation.disentanglement.checked import checked

SHARING = 64
"""How many examples, or pairs, share a value in each point that is classified."""
FITTED, JUDGED = 10_000, 5_000
"""How many points a classifier learns from and is judged on, as in Locatello et al. 2019."""


def factor_vae_score(codes: Tensor, factors: Tensor, seed: int = 0) -> tuple[float, float]:
    r"""How often the number of the code that varies least says which factor does not vary.

    The score of FactorVAE (Kim & Mnih 2018, section 4). Of 64 examples that share the value of one
    factor, argmin_j Var(z_j) / Var_all(z_j) is a vote; a dimension stands for the factor that it
    has most votes of, and the score is the share of other votes that are right. From 1/L to 1. The
    second number is the standard error that the draws of the examples make.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError for others, and for a factor of
    which no two examples share a value.

    >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
    >>> factor_vae_score(factors.float(), factors)
    (1.0, 0.0)
    """
    codes, factors = checked(codes, factors)
    generator = torch.Generator("cpu").manual_seed(seed)
    scale = codes.var(0)  # (D,)
    still = scale <= torch.finfo(codes.dtype).eps * scale.max()

    def votes(count: int) -> Tensor:  # (L, D)
        rows = []
        for v in factors.T:
            variance = codes[sharing(v, count, SHARING, generator)].var(1) / scale  # (count, D)
            least = variance.masked_fill(still, torch.inf).argmin(1)  # (count,)
            rows.append(least.bincount(minlength=codes.shape[1]))
        return torch.stack(rows)

    kinds = factors.shape[1]
    stands_for = votes(FITTED // kinds).argmax(0)  # (D,)
    judged = votes(JUDGED // kinds)
    right = judged[stands_for, torch.arange(codes.shape[1])].sum()  # ()
    return _share(right.item(), judged.sum().item())


def beta_vae_score(codes: Tensor, factors: Tensor, seed: int = 0) -> tuple[float, float]:
    r"""How often a linear classifier tells which factor the examples of pairs have in common.

    The score of beta-VAE (Higgins et al. 2017, section 3). A point is the mean of |z_a - z_b| over
    64 pairs that share the value of one factor; the classifier is logistic regression on codes
    of unit variance. From 1/L to 1. The second number is the standard error that the draws of the
    pairs make.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError as :func:`factor_vae_score`.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    codes, factors = checked(codes, factors)
    generator = torch.Generator("cpu").manual_seed(seed)
    codes = codes / codes.std(0).clamp(min=torch.finfo(codes.dtype).tiny)

    def points(count: int) -> tuple[Tensor, Tensor]:  # (L * count, D), (L * count,)
        found = [_differences(codes, v, count, generator) for v in factors.T]
        return torch.cat(found), torch.arange(len(found)).repeat_interleave(count)

    kinds = factors.shape[1]
    (x, y), (x_judged, y_judged) = points(FITTED // kinds), points(JUDGED // kinds)
    classifier = LogisticRegression(max_iter=1000).fit(x.numpy(), y.numpy())
    right = torch.from_numpy(classifier.predict(x_judged.numpy())) == y_judged
    return _share(int(right.sum()), len(right))


def sharing(values: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Examples (count, size) of which each row shares a value, that of an example drawn at random.

    They are drawn with replacement, of those whose value (N,) another example has too. Raises
    DataError where there are none.

    >>> found = sharing(torch.tensor([0, 1, 0, 2]), 2, 9, torch.Generator().manual_seed(0))
    >>> found.shape, sorted(set(found.flatten().tolist()))
    (torch.Size([2, 9]), [0, 2])
    """
    sizes = values.bincount()
    several = (sizes[values] > 1).nonzero().flatten()
    if not len(several):
        raise DataError(
            f"no two of {len(values)} examples share a value of a factor; give more of them"
        )
    drawn = torch.randint(len(several), (count,), generator=generator, device="cpu")
    value = values[several[drawn]].unsqueeze(1)  # (count, 1)
    place = torch.rand(count, size, generator=generator, dtype=torch.float64, device="cpu")
    starts = sizes.cumsum(0) - sizes
    within = (place * sizes[value]).long()  # (count, size)
    return values.argsort(stable=True)[starts[value] + within]


def _differences(codes: Tensor, v: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The mean of |z_a - z_b| over 64 pairs, each of which shares some value; (count, D)."""
    first, second = sharing(v, count * SHARING, 2, generator).T  # (count * SHARING,) each
    return (codes[first] - codes[second]).abs().view(count, SHARING, -1).mean(1)


def _share(right: float, count: float) -> tuple[float, float]:
    share = right / count
    return share, (share * (1 - share) / count) ** 0.5
