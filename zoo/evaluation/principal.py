"""The plane in which codes vary most."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.errors import UnsupportedError


class PrincipalPlane(NamedTuple):
    """The first two principal axes of codes, by scikit-learn.

    ``share`` is that of the codes' variance, in all, that lies in the plane.
    """

    mean: Tensor  # (D,)
    axes: Tensor  # (2, D), of unit length
    deviations: Tensor  # (2,)
    share: float

    def coordinates(self, codes: Tensor) -> Tensor:
        """Where codes (N, D) lie in the plane, (N, 2)."""
        return (codes - self.mean) @ self.axes.T

    def points(self, coordinates: Tensor) -> Tensor:
        """The points (N, D) of the plane at coordinates (N, 2)."""
        return self.mean + coordinates @ self.axes


def principal_plane(codes: Tensor) -> PrincipalPlane:
    """That of codes (N, D). Raises UnsupportedError for fewer than 3, or D below 2.

    >>> line = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [3.0, 0.5, 1.0]])
    >>> plane = principal_plane(line)
    >>> torch.allclose(plane.points(plane.coordinates(line)), line, atol=1e-5)
    True
    """
    from sklearn.decomposition import PCA  # slow to import

    if codes.ndim != 2 or codes.shape[1] < 2 or len(codes) < 3:
        raise UnsupportedError(
            "a plane needs at least 3 codes of at least 2 numbers, got "
            f"{tuple(codes.shape)}; give more examples, or a model with latent_dim=2"
        )
    found = PCA(2, svd_solver="full").fit(codes.detach().cpu().double().numpy())
    parts = (found.mean_, found.components_, found.explained_variance_**0.5)
    mean, axes, deviations = (torch.from_numpy(part).to(codes) for part in parts)
    return PrincipalPlane(mean, axes, deviations, float(found.explained_variance_ratio_.sum()))
