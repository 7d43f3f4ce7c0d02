"""The spaces that codes live in: their width, their paths, and how the decoder reads them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo.distributions.precision import widen
from zoo.distributions.sphere import unit_vectors
from zoo.errors import UnsupportedError
from zoo.geometry import geodesic_path, great_circle, linear_path, straight_line


class LatentSpace(ABC):
    """Where a code (..., D) lives."""

    usual_prior: ClassVar[str]
    """The registered prior of models that name none."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, the width of a code."""

    @property
    @abstractmethod
    def manifold_dim(self) -> int:
        """How many numbers say where in the space a code is; 0 where it holds points alone."""

    @abstractmethod
    def project(self, points: Tensor) -> Tensor:
        """The codes nearest to points (..., D), which need not lie in the space."""

    @abstractmethod
    def reach(self, deviations: Tensor) -> Tensor:
        """How far codes lie from one another along each axis, (D,): distances, as traversals have.

        ``deviations`` (D,) are those of the codes of examples.
        """

    @abstractmethod
    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Codes on the shortest way between two, both included: (steps, ..., D)."""

    @abstractmethod
    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """Codes at distances ``amounts`` (A,) from ``code`` towards ``direction``: (A, ..., D)."""

    @abstractmethod
    def standardized(self, z: Tensor) -> Tensor:
        """Codes scaled so that a uniform or standard prior has unit variance."""

    def in_floats(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """Codes (..., D) in another type of floats."""
        return z.to(dtype)


@dataclass(frozen=True)
class Euclidean(LatentSpace):
    """Vectors of any length in R^d; distances are Euclidean.

    >>> Euclidean(2).interpolate(torch.zeros(2), torch.ones(2), 3)[1]
    tensor([0.5000, 0.5000])
    """

    d: int
    usual_prior = "standard-normal"

    @property
    def dim(self) -> int:
        return self.d

    @property
    def manifold_dim(self) -> int:
        return self.d

    def project(self, points: Tensor) -> Tensor:
        return points

    def reach(self, deviations: Tensor) -> Tensor:
        """Three deviations."""
        return 3 * deviations

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return linear_path(start, end, steps)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        return straight_line(code, direction, amounts)

    def standardized(self, z: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class Sphere(LatentSpace):
    """Unit vectors in R^m; distances are angles in radians.

    >>> Sphere(2).interpolate(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)[1]
    tensor([0.7071, 0.7071])
    """

    m: int
    usual_prior = "uniform-sphere"

    def __post_init__(self) -> None:
        if self.m < 2:
            raise UnsupportedError(f"a sphere needs codes of at least 2 numbers, got {self.m}")

    @property
    def dim(self) -> int:
        return self.m

    @property
    def manifold_dim(self) -> int:
        return self.m - 1

    def project(self, points: Tensor) -> Tensor:
        return normalize(points, dim=-1)

    def reach(self, deviations: Tensor) -> Tensor:
        """Half a great circle."""
        return torch.full_like(deviations, math.pi)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return geodesic_path(start, end, steps)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        return great_circle(code, direction, amounts)

    def standardized(self, z: Tensor) -> Tensor:
        scaled: Tensor = self.m**0.5 * z
        return scaled

    def in_floats(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """What are unit vectors as exactly as their own type can say, in the other one too.

        >>> z = torch.tensor([0.6, 0.8], dtype=torch.bfloat16)
        >>> round(Sphere(2).in_floats(z, torch.float32).norm().item(), 6)
        1.0
        """
        return unit_vectors(z).to(dtype)


@dataclass(frozen=True)
class Product(LatentSpace):
    """Several spaces side by side: a code is their codes one after the other.

    >>> both = Product((Sphere(2), Euclidean(1)))
    >>> both.interpolate(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 4.0]), 3)[1]
    tensor([0.7071, 0.7071, 2.0000])
    """

    parts: Sequence[LatentSpace]

    @property
    def dim(self) -> int:
        return sum(part.dim for part in self.parts)

    @property
    def manifold_dim(self) -> int:
        return sum(part.manifold_dim for part in self.parts)

    def project(self, points: Tensor) -> Tensor:
        pairs = zip(self.parts, self._apart(points), strict=True)
        return torch.cat([part.project(each) for part, each in pairs], dim=-1)

    def reach(self, deviations: Tensor) -> Tensor:
        pairs = zip(self.parts, self._apart(deviations), strict=True)
        return torch.cat([part.reach(each) for part, each in pairs], dim=-1)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        pairs = zip(self.parts, self._apart(start), self._apart(end), strict=True)
        return torch.cat([part.interpolate(a, b, steps) for part, a, b in pairs], dim=-1)

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        """A part whose direction is zero stays where it is."""
        triples = zip(self.parts, self._apart(code), self._apart(direction), strict=True)
        return torch.cat([_part_of_line(*triple, amounts) for triple in triples], dim=-1)

    def standardized(self, z: Tensor) -> Tensor:
        pairs = zip(self.parts, self._apart(z), strict=True)
        return torch.cat([part.standardized(each) for part, each in pairs], dim=-1)

    def in_floats(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        if z.dtype == dtype:
            return z
        pairs = zip(self.parts, self._apart(z), strict=True)
        return torch.cat([part.in_floats(each, dtype) for part, each in pairs], dim=-1)

    def _apart(self, codes: Tensor) -> Sequence[Tensor]:
        return torch.split(codes, [part.dim for part in self.parts], dim=-1)  # (..., d_i) each


class Spheres(Product):
    """Unit vectors side by side, of so many numbers each (Davidson et al. 2019, arXiv:1910.02912).

    >>> Spheres(3, 2).dim
    5
    """

    usual_prior = "uniform-spheres"

    def __init__(self, *widths: int) -> None:
        super().__init__(tuple(Sphere(m) for m in widths))


@dataclass(frozen=True, eq=False)
class Codebook(LatentSpace):
    """Grids of vectors, each one of K: a code (..., T d) is those of its places, one by one.

    ``vectors`` are the codebook, (K, d), ``places`` are T. Between the codes of a place there is
    nothing, so codes off the codebook stand for the nearest ones: a path, straight through R^(T d),
    goes from code to code and changes one place after another.

    >>> space = Codebook(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), places=2)
    >>> space.nearest(torch.tensor([0.2, 0.1, 0.9, 0.4]))
    tensor([0, 1])
    >>> space.interpolate(torch.zeros(4), torch.ones(4), 4)[1]
    tensor([0., 0., 0., 0.])
    """

    vectors: Tensor
    places: int

    @property
    def dim(self) -> int:
        return self.places * self.vectors.shape[1]

    @property
    def manifold_dim(self) -> int:
        return 0

    def project(self, points: Tensor) -> Tensor:
        return self.codes(self.nearest(points))

    def reach(self, deviations: Tensor) -> Tensor:
        """Three deviations."""
        return 3 * deviations

    def nearest(self, z: Tensor) -> Tensor:
        """The index of the nearest vector at each place of codes (..., T d): (..., T)."""
        points = widen(z.reshape(-1, self.vectors.shape[1]))  # (N, d)
        # A product of matrices alone tells vectors apart that nearly coincide: in double precision.
        vectors = self.vectors.to(points.dtype)
        distances = vectors.square().sum(-1) - 2 * points @ vectors.T  # (N, K), less |z|^2
        return distances.argmin(-1).view(*z.shape[:-1], self.places)

    def codes(self, indices: Tensor) -> Tensor:
        """The codes (..., T d) of indices (..., T)."""
        return self.vectors[indices].flatten(-2)

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        return self.project(linear_path(start, end, steps))

    def traverse(self, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
        return self.project(straight_line(code, direction, amounts))

    def standardized(self, z: Tensor) -> Tensor:
        return z

    def in_floats(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """The nearest codes. Their gradient passes straight through to z, as if they were z."""
        return straight_through(self.project(z).to(dtype), z.to(dtype))


def straight_through(value: Tensor, instead: Tensor) -> Tensor:
    """``value`` exactly, with the gradient of ``instead`` (Bengio et al. 2013, arXiv:1308.3432)."""
    return value + (instead - instead.detach())


def _part_of_line(space: LatentSpace, code: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
    still = (direction == 0).all(-1, keepdim=True)  # (..., 1)
    # Any direction will do where none is followed: the axis that the code has least of.
    least = torch.zeros_like(code).scatter_(-1, code.abs().argmin(-1, keepdim=True), 1.0)
    moved = space.traverse(code, torch.where(still, least, direction), amounts)  # (A, ..., D)
    return torch.where(still, code, moved)
