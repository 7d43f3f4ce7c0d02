"""Scores of how well the factors are predicted from the code."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.evaluation.disentanglement.checked import checked, halves
from zoo.randomness import short_seed

TREES = 50
LEAST_LEAF = 3


class Forests(NamedTuple):
    """What random forests make of the codes, one for each factor.

    ``importance`` (D, L) is how much each dimension says of each factor, each column summing to 1
    (to 0 where none says anything); ``explained`` (L,) is R^2 on examples held out: 1 less the mean
    squared error in units of the factor's variance.
    """

    importance: Tensor
    explained: Tensor


def separated_predictability(codes: Tensor, factors: Tensor, seed: int = 0) -> float:
    r"""SAP (Kumar et al. 2018): whether one number alone predicts a factor.

        1/L sum_k (S_first,k - S_second,k)

    of the two dimensions that predict factor k best. S_jk is the accuracy, balanced over the
    values of the factor, of thresholds on z_j: a decision tree with a leaf for each value, fitted
    to a half of the examples and judged on the other. From 0 to 1 less what chance gives.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError for others.

    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(20, 1)
    >>> round(separated_predictability(factors.float(), factors), 1)
    0.5
    """
    codes, factors = checked(codes, factors)
    fitted, judged = halves(len(codes), seed)
    scores = [
        [_thresholds(z[fitted], v[fitted], z[judged], v[judged], seed) for z in codes.T]
        for v in factors.T
    ]
    first, second = torch.tensor(scores).topk(2, dim=1).values.T  # (L,) each
    return float((first - second).mean())


def _thresholds(z: Tensor, v: Tensor, z_judged: Tensor, v_judged: Tensor, seed: int) -> float:
    """The balanced accuracy S of thresholds on one number."""
    from sklearn.tree import DecisionTreeClassifier  # slow to import

    leaves = max(2, len(torch.unique(v)))
    tree = DecisionTreeClassifier(
        max_leaf_nodes=leaves, class_weight="balanced", random_state=short_seed(seed)
    ).fit(z[:, None].numpy(), v.numpy())
    right = torch.from_numpy(tree.predict(z_judged[:, None].numpy())) == v_judged
    of_each = v_judged.bincount().double()
    hits = v_judged.bincount(right.double())
    return float((hits / of_each)[of_each > 0].mean())


def forests(codes: Tensor, factors: Tensor, seed: int = 0) -> Forests:
    """Random forests that predict each factor from the code (Eastwood & Williams 2018).

    Factors are taken as numbers, as there. The forests are fitted to a half of the examples and
    judged on the other. Each of 50 trees sees all dimensions at each split, so that none that says
    nothing is split where another tells; importance is the squared error that the splits of a
    dimension take away.

    ``codes`` (N, D), ``factors`` integers (N, L). Raises DataError for others.

    >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4)).repeat(20, 1)
    >>> forests(factors.float(), factors).importance.round(decimals=6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from sklearn.ensemble import RandomForestRegressor  # slow to import

    codes, factors = checked(codes, factors)
    fitted, judged = halves(len(codes), seed)
    importance, explained = [], []
    for v in factors.T.double():
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=LEAST_LEAF, random_state=short_seed(seed)
        )
        forest.fit(codes[fitted].numpy(), v[fitted].numpy())
        importance.append(torch.from_numpy(forest.feature_importances_))
        error = torch.from_numpy(forest.predict(codes[judged].numpy())) - v[judged]
        explained.append(1 - error.square().mean() / v.var(correction=0))
    return Forests(torch.stack(importance, 1), torch.stack(explained))


def disentanglement(importance: Tensor) -> float:
    r"""Whether a dimension says one factor alone (Eastwood & Williams 2018, section 2).

        sum_i rho_i (1 - H_L(P_i)),  P_ij = R_ij / sum_k R_ik,  rho_i = sum_j R_ij / sum_ij R_ij

    of the importance R (D, L), H_L being the entropy in base L. From 0 to 1.

    >>> disentanglement(torch.eye(3)), disentanglement(torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    (1.0, 0.5)
    """
    return _concentrated(importance)


def completeness(importance: Tensor) -> float:
    r"""Whether a factor is said by one dimension alone: as above, with R transposed.

    >>> completeness(torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]])) < 1
    True
    """
    return _concentrated(importance.T)


def _concentrated(importance: Tensor) -> float:
    """1 less the entropy of each row in base of its length, weighted by the row's sum."""
    importance = importance.double()
    weight = importance.sum(1, keepdim=True)  # (rows, 1)
    if weight.sum() == 0:
        return 0.0
    shares = importance / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    width = torch.tensor(importance.shape[1], dtype=torch.float64)
    certain = 1 - torch.special.entr(shares).sum(1) / width.log()  # (rows,)
    return float((certain * weight[:, 0]).sum() / weight.sum())
