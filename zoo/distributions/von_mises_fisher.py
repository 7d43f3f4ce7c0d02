r"""The von Mises-Fisher distribution on the unit sphere, for every dimension and concentration.

The density on the unit sphere of R^m is C exp(k mu.z), with respect to surface area. A draw is
z = w mu + sqrt(1 - w^2) nu: nu is uniform on the directions orthogonal to mu, and w = mu.z has the
density p(w) ~ exp(k w) (1 - w^2)^((m-3)/2) on [-1, 1]. Everywhere 1 - w is kept instead of w, which
for a large concentration is 1 up to rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import register_kl

from zoo.distributions.bessel_ratio import (
    Point,
    kl_from_uniform,
    locate,
    log_growth,
    log_peak,
    log_surface_area,
    mean_resultant,
    mean_resultant_complement,
    mean_resultant_derivative,
)
from zoo.distributions.derivative import applied, is_transformed
from zoo.distributions.directional import (
    Directional,
    as_size,
    broadcast_shape,
    check_same_sphere,
    expanded,
)
from zoo.distributions.hyperspherical_uniform import HypersphericalUniform
from zoo.distributions.meridian import meridian_rate
from zoo.distributions.noise import standard_normal
from zoo.distributions.polar import angle_table, draw_polar, draw_tabulated
from zoo.distributions.precision import full_precision, widen
from zoo.distributions.sphere import unit_vectors


class VonMisesFisher(Directional):
    r"""Vectors on the unit sphere of R^m around the direction ``loc``: p(z) ~ exp(scale loc.z).

    ``loc`` (..., m) has unit length, ``scale`` (..., 1) is the concentration, 0 or larger; their
    batch shapes broadcast. Gradients through :meth:`rsample` are unbiased with respect to both, by
    the concentration up to the error of :func:`~zoo.distributions.meridian.meridian_rate`.

    >>> loc = torch.nn.functional.normalize(torch.ones(5, 3), dim=-1)
    >>> posterior = VonMisesFisher(loc, torch.full((5, 1), 20.0))
    >>> posterior.rsample().shape, posterior.entropy().shape
    (torch.Size([5, 3]), torch.Size([5]))
    >>> torch.distributions.kl_divergence(posterior, HypersphericalUniform(2))[0]
    tensor(2.6889)
    """

    _located: Point | None = None

    @property
    def mean(self) -> Tensor:
        """A(k) mu, inside the sphere."""
        return mean_resultant(self.scale, self.m) * self.loc

    @property
    def variance(self) -> Tensor:
        """Of each coordinate: A'(k) along mu, A(k) / k across it."""
        along = mean_resultant_derivative(self.scale, self.m)
        gap = mean_resultant_complement(self.scale, self.m)
        across = (gap * (2 - gap) - along) / (self.m - 1)
        return along * self.loc.square() + across * (1 - self.loc.square())

    def rsample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> Tensor:
        """Draws (*sample_shape, *batch_shape, m), reparameterised."""
        shape = self._extended_shape(as_size(sample_shape))
        if math.prod(shape) == self.loc.numel():  # one draw of each: nothing is to be expanded
            z = self._draw(self.loc, self.concentration, generator)
            return z if z.shape == shape else z.view(shape)
        k = self.concentration.expand(shape[:-1])
        return self._draw(self.loc.expand(shape), k, generator)

    def _draw(self, loc: Tensor, k: Tensor, generator: torch.Generator | None) -> Tensor:
        noise = standard_normal(loc.shape, loc.dtype, loc.device, generator)
        with torch.no_grad():
            point = self._point()
            gap = self._draw_gap(k, point, generator).unsqueeze(-1)  # (..., 1)
            frame = _frame(loc, gap, noise)
        if not torch.is_grad_enabled():
            return _transported(loc, frame)
        return applied(_Transport, loc, k, *point, gap, *frame)

    def _point(self) -> Point:
        """Of the concentrations: drawing and the KL both ask. No gradients."""
        if self._located is not None:
            return self._located
        with torch.no_grad():
            point = locate(self.concentration, self.m)
        # What is made in a transformation or in inference mode is of no use outside.
        if not (is_transformed() or torch.is_inference_mode_enabled()):
            self._located = point
        return point

    def _draw_gap(self, k: Tensor, point: Point, generator: torch.Generator | None) -> Tensor:
        """Draws of 1 - w for concentrations of any shape."""
        return draw_polar(k, self.m, generator, point)

    def log_prob(self, value: Tensor) -> Tensor:
        """log C + k mu.z, with k (mu.z - 1) as -k |z - mu|^2 / 2."""
        if self._validate_args:
            self._validate_sample(value)
        value = unit_vectors(value)
        k = self.concentration
        distance = (value - self.loc).square().sum(-1)  # (...)
        return log_peak(self.concentration, self.m) - 0.5 * k * distance

    def entropy(self) -> Tensor:
        """log S_m - KL to the uniform distribution, in nats, shape (...)."""
        return log_surface_area(self.m) - self._kl_from_uniform()

    def _kl_from_uniform(self) -> Tensor:
        return kl_from_uniform(self.concentration, self.m, self._point())


class TabulatedVonMisesFisher(VonMisesFisher):
    """One concentration for all, drawn by a lookup in a table of its quantiles, without rejection.

    The table is made once for each concentration and dimension.

    >>> loc = torch.nn.functional.normalize(torch.ones(5, 16), dim=-1)
    >>> TabulatedVonMisesFisher(loc, 32.0).rsample().shape
    torch.Size([5, 16])
    """

    def __init__(
        self, loc: Tensor, concentration: float, validate_args: bool | None = None
    ) -> None:
        if not 0 <= concentration < math.inf:
            raise ValueError(f"concentration must be finite and at least 0, got {concentration}")
        self.fixed_concentration = float(concentration)
        scale = full_precision(loc).new_full((1,), concentration)
        super().__init__(loc, scale, validate_args=validate_args)

    def _like(self, loc: Tensor, scale: Tensor) -> Directional:
        return TabulatedVonMisesFisher(loc, self.fixed_concentration, validate_args=False)

    def _draw_gap(self, k: Tensor, point: Point, generator: torch.Generator | None) -> Tensor:
        table = angle_table(self.fixed_concentration, self.m, k.dtype, k.device)
        return draw_tabulated(table, k.shape, generator)


class _Transport(torch.autograd.Function):
    """z = w mu + sqrt(1 - w^2) nu, nu the direction of noise projected on what is orthogonal to mu.

    Both derivatives are implicit: they are velocities that carry the distribution along, not those
    of this formula. As mu turns, z turns with it by the smallest rotation, dz = (mu.z) dmu -
    (dmu.z) mu. (Projecting the noise anew would have infinite variance at m = 3.) As k grows, z
    moves along its meridian towards mu, see :func:`meridian_rate`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        loc: Tensor, k: Tensor, x: Tensor, r: Tensor, h: Tensor, gap: Tensor, cosine: Tensor,
        sine: Tensor, noise: Tensor, overlap: Tensor, inverse_norm: Tensor, across: Tensor,
    ) -> Tensor:  # fmt: skip
        return _transported(loc, _Frame(cosine, sine, noise, overlap, inverse_norm, across))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        loc, k, x, r, h, gap, cosine, sine, noise, overlap, inverse_norm, across = ctx.saved_tensors
        radial = _dot(grad, loc)
        by_loc = by_k = None
        if ctx.needs_input_grad[0]:
            outward = across * radial
            inward = torch.addcmul(outward * overlap, cosine, radial, value=-1)
            by_loc = torch.addcmul(cosine * grad, outward, noise, value=-1)
            by_loc = by_loc.addcmul(inward, loc)
        if ctx.needs_input_grad[1]:
            tangential = _dot(grad, noise).addcmul(overlap, radial, value=-1).mul_(inverse_norm)
            by_angle = torch.addcmul(sine * radial, cosine, tangential, value=-1)
            point = Point(x, r, h)
            rate = meridian_rate(gap.squeeze(-1), sine.squeeze(-1), k, loc.shape[-1], point)
            by_k = rate * by_angle.squeeze(-1)  # (...)
        return by_loc, by_k, *[None] * 10


class _Frame(NamedTuple):
    """A draw's angle to mu, and the noise that gives its direction around mu; (..., 1) but noise.

    ``noise`` (..., m) is orthogonal to mu but for ``overlap``, what rounding left along mu.
    ``inverse_norm`` is that of its length without it, and ``across`` is sine * inverse_norm.
    """

    cosine: Tensor
    sine: Tensor
    noise: Tensor
    overlap: Tensor
    inverse_norm: Tensor
    across: Tensor


def _frame(loc: Tensor, gap: Tensor, noise: Tensor) -> _Frame:
    """Of draws at 1 - cos = ``gap`` (..., 1)."""
    noise = noise.addcmul(_dot(noise, loc), loc, value=-1)
    # Rounding leaves an overlap, a large one where the noise was close to loc. A second
    # projection removes it; that vector is never made, only the inverse of its length.
    overlap = _dot(noise, loc)
    length = torch.linalg.vector_norm(noise, dim=-1, keepdim=True)
    square = (length - overlap).mul_(length + overlap)
    inverse_norm = square.clamp(min=torch.finfo(loc.dtype).tiny).rsqrt_()
    cosine = 1 - gap
    sine = (cosine + 1).mul_(gap).sqrt_()
    return _Frame(cosine, sine, noise, overlap, inverse_norm, sine * inverse_norm)


def _transported(loc: Tensor, frame: _Frame) -> Tensor:
    """The draws."""
    cosine, _, noise, overlap, _, across = frame
    along = torch.addcmul(cosine, across, overlap, value=-1)
    return torch.addcmul(along * loc, across, noise)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1, keepdim=True)  # (..., 1)


@register_kl(VonMisesFisher, HypersphericalUniform)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_to_uniform(q: VonMisesFisher, p: HypersphericalUniform) -> Tensor:
    """K(k), the same for every mean direction."""
    check_same_sphere(q.m, p.dim + 1)
    kl = q._kl_from_uniform()
    return expanded(kl, broadcast_shape(q.batch_shape, p.batch_shape))


@register_kl(VonMisesFisher, VonMisesFisher)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_to_von_mises_fisher(q: VonMisesFisher, p: VonMisesFisher) -> Tensor:
    """K(k_q) - K(k_p) + k_p (A(k_p) - A(k_q) mu_q.mu_p)."""
    check_same_sphere(q.m, p.m)
    m, (k_q, k_p) = q.m, (widen(each.concentration) for each in (q, p))
    mean_q, mean_p = mean_resultant(k_q, m), mean_resultant(k_p, m)
    complements = mean_resultant_complement(k_q, m) - mean_resultant_complement(k_p, m)
    shift = torch.where(mean_q > 0.5, complements, mean_p - mean_q)  # of the two, what cancels less
    shift = shift + 0.5 * mean_q * (widen(q.loc) - widen(p.loc)).square().sum(-1)  # (...)
    kl = kl_from_uniform(k_q, m) - kl_from_uniform(k_p, m) + k_p * shift
    return kl.to(q.scale.dtype)


@register_kl(HypersphericalUniform, VonMisesFisher)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_from_uniform_prior(q: HypersphericalUniform, p: VonMisesFisher) -> Tensor:
    """F(k): the mean of the uniform distribution is 0."""
    check_same_sphere(q.dim + 1, p.m)
    kl = log_growth(p.concentration, p.m)
    return expanded(kl, broadcast_shape(q.batch_shape, p.batch_shape))
