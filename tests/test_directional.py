"""What the distributions on the sphere do with unusual input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import kl_divergence
from torch.func import grad, jacrev, vmap
from torch.nn.functional import normalize

import zoo
from zoo.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    TabulatedVonMisesFisher,
    VonMisesFisher,
)

both = pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])


def directions(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return normalize(torch.randn(shape, generator=generator, dtype=dtype), dim=-1)


@pytest.mark.parametrize("concentration", [math.nan, math.inf])
def test_a_bad_concentration_gives_nan_and_does_not_hang(concentration: float) -> None:
    scale = torch.tensor([[concentration], [5.0]])
    z = VonMisesFisher(directions(2, 4), scale, validate_args=False).sample()
    assert z[0].isnan().all()
    assert z[1].isfinite().all()


def test_a_model_fed_with_nan_does_not_hang() -> None:
    model = zoo.create("vmf-vae", dataset="digits", latent_dim=9)
    x = torch.zeros(2, 1, 8, 8)
    x[0, 0, 0, 0] = math.nan
    assert model.train().infer(x).elbo.isnan().tolist() == [True, False]


@both
@pytest.mark.parametrize("concentration", [-1.0, math.nan, math.inf])
def test_validation_refuses_a_bad_concentration(family: Any, concentration: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        family(directions(2, 4), torch.full((2, 1), concentration), validate_args=True)


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_to_single(family: Any, dtype: torch.dtype) -> None:
    loc, scale = directions(5, 8).to(dtype), torch.full((5, 1), 300.0, dtype=dtype)
    loc = normalize(loc.float(), dim=-1).to(dtype)
    q = family(loc, scale, validate_args=False)
    assert q.sample().dtype == q.entropy().dtype == torch.float32
    exact = family(loc.float(), scale.float(), validate_args=False)
    torch.testing.assert_close(q.entropy(), exact.entropy())


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("m", [2, 3, 64, 1000])
def test_half_precision_directions_are_unit_vectors_up_to_its_rounding(
    family: Any, dtype: torch.dtype, m: int
) -> None:
    loc = directions(200, m).to(dtype)
    q = family(loc, torch.full((1,), 300.0, dtype=dtype), validate_args=True)
    assert (q.loc.norm(dim=-1) - 1).abs().max() < 1e-6
    exact = family(normalize(loc.float(), dim=-1), torch.full((1,), 300.0), validate_args=True)
    torch.testing.assert_close(q.log_prob(loc), exact.log_prob(exact.loc))
    z = q.sample()
    torch.testing.assert_close(
        q.log_prob(z.to(dtype)), exact.log_prob(normalize(z.to(dtype).float(), dim=-1))
    )
    TabulatedVonMisesFisher(loc, 20.0, validate_args=True)
    for wrong in (1.02, 0.98):
        with pytest.raises(ValueError, match="loc"):
            family((wrong * loc.float()).to(dtype), torch.ones(1, dtype=dtype), validate_args=True)
        with pytest.raises(ValueError, match="support"):
            q.log_prob((wrong * loc.float()).to(dtype))


@both
def test_one_dtype_and_floating_point(family: Any) -> None:
    with pytest.raises(ValueError, match="of one dtype, got torch.float32 and torch.float64"):
        family(directions(2, 4), torch.ones(2, 1, dtype=torch.float64))
    with pytest.raises(ValueError, match="floating-point"):
        family(torch.tensor([1, 0, 0]), torch.tensor([1]))


@both
def test_single_precision_directions_may_be_doubled(family: Any) -> None:
    loc = directions(100, 16).double()
    q = family(loc, torch.full((1,), 7.0, dtype=torch.float64), validate_args=True)
    assert q.log_prob(q.sample()).shape == (100,)


@both
def test_empty_batches(family: Any) -> None:
    for batch in ((0,), (2, 0)):
        q = family(directions(*batch, 5), torch.ones(*batch, 1), validate_args=True)
        assert q.rsample((3,)).shape == (3, *batch, 5)
        assert kl_divergence(q, HypersphericalUniform(4)).shape == batch
        assert q.log_prob(q.sample()).shape == batch


@both
def test_a_number_is_a_sample_shape(family: Any) -> None:
    q = family(directions(2, 4), torch.ones(2, 1))
    assert q.sample(5).shape == q.rsample(5).shape == (5, 2, 4)
    assert HypersphericalUniform(3).sample(5).shape == (5, 4)


@both
def test_draws_have_first_derivatives_only(family: Any) -> None:
    loc = directions(3, 4).requires_grad_()
    scale = torch.full((3, 1), 5.0, requires_grad=True)
    z = family(loc, scale, validate_args=False).rsample()
    first = torch.autograd.grad(z[:, 0].square().sum(), (loc, scale), create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first[0].sum().backward()


@both
def test_the_kl_has_the_batch_shape_of_both(family: Any) -> None:
    q, p = family(directions(4), torch.ones(1)), HypersphericalUniform(3).expand((5,))
    assert kl_divergence(q, p).shape == (5,)


def test_kl_of_the_uniform_distribution() -> None:
    uniform = HypersphericalUniform(5)
    assert kl_divergence(uniform, uniform).item() == 0
    p = VonMisesFisher(directions(6), torch.tensor([3.0]))
    z = uniform.sample((200_000,), torch.Generator().manual_seed(0))
    gap = uniform.log_prob(z) - p.log_prob(z)
    assert abs(gap.mean() - kl_divergence(uniform, p)) < 4 * gap.std() / len(gap) ** 0.5
    with pytest.raises(ValueError, match="different spheres"):
        kl_divergence(HypersphericalUniform(4), p)


def test_a_tabulated_distribution_stays_one() -> None:
    q = TabulatedVonMisesFisher(directions(4), 20.0).expand((3, 2))
    assert isinstance(q, TabulatedVonMisesFisher)
    assert q.sample().shape == (3, 2, 4)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        TabulatedVonMisesFisher(directions(4), -1.0)


def test_huge_concentrations() -> None:
    k = torch.tensor([[1e19], [1e20], [1e30]])
    kl = kl_divergence(VonMisesFisher(directions(3, 5), k), HypersphericalUniform(4))
    steps = kl.diff() - 2 * k.squeeze(-1).log().diff()  # K grows as (m-1)/2 log k
    assert steps.abs().max() < 1e-3


def test_a_trace_leaves_no_stand_ins_behind() -> None:
    class Entropy(torch.nn.Module):
        def forward(self, k: torch.Tensor) -> torch.Tensor:
            loc = torch.zeros(37).index_fill(0, torch.tensor([0]), 1.0)
            return VonMisesFisher(loc, k, validate_args=False).entropy()

    torch.export.export(Entropy(), (torch.tensor([2.0]),))
    entropy = Entropy()(torch.tensor([2.0]))
    assert type(entropy) is torch.Tensor
    assert entropy.isfinite().all()


# Under torch.func.

no_batching_rule = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
"""Torch's own: of the gamma derivative there is none."""
BATCH = 400


def closed_forms(family: Any, m: int) -> Any:
    uniform, point = HypersphericalUniform(m - 1, validate_args=False), directions(m).double()

    def total(raw: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        q = family(normalize(raw, dim=-1), scale, validate_args=False)
        parts = (q.log_prob(point), q.entropy(), kl_divergence(q, uniform))
        return sum(parts) + kl_divergence(uniform, q) + q.mean.sum(-1) + q.variance[..., 0]

    return total


@both
@pytest.mark.parametrize("m", [2, 3, 5, 9])
def test_closed_forms_under_func(family: Any, m: int) -> None:
    total = closed_forms(family, m)
    raw = torch.randn(6, m, dtype=torch.float64, requires_grad=True)
    scale = (1 + torch.rand(6, 1, dtype=torch.float64)).requires_grad_()
    value = total(raw, scale)
    expected = torch.autograd.grad(value.sum(), (raw, scale), create_graph=True)
    second = torch.autograd.grad(expected[1].sum(), scale)[0]
    torch.testing.assert_close(vmap(total)(raw, scale), value)
    torch.testing.assert_close(vmap(grad(total, argnums=(0, 1)))(raw, scale), expected)
    torch.testing.assert_close(vmap(jacrev(total, argnums=1))(raw, scale), expected[1])
    twice = jacrev(jacrev(total, argnums=1), argnums=1)
    torch.testing.assert_close(vmap(twice)(raw, scale).view_as(second), second)


@both
@no_batching_rule
@pytest.mark.parametrize("m", [2, 3, 5, 9])
def test_draws_under_func(family: Any, m: int) -> None:
    """vmap draws for each example, with the gradients that a batch has: d E[mu.z] / dk = A'."""
    loc, scale = directions(m), torch.full((BATCH, 1), 4.0)

    def along(scale: torch.Tensor) -> torch.Tensor:
        return family(loc, scale, validate_args=False).rsample() @ loc

    torch.manual_seed(0)
    w = vmap(along, randomness="different")(scale)
    slopes = vmap(grad(along), randomness="different")(scale)
    q = family(loc, scale[0], validate_args=False)
    exact = scale[0].clone().requires_grad_()
    mean = family(loc, exact, validate_args=False).mean @ loc
    (slope,) = torch.autograd.grad(mean, exact)
    for draws, expected in ((w, q.mean @ loc), (slopes, slope)):
        assert abs(draws.mean() - expected) < 4 * draws.std() / BATCH**0.5
    # Where nothing of the distribution is batched, the draws still are.
    shared = vmap(lambda x: x * q.rsample(), randomness="different")(torch.ones(3))
    assert not torch.equal(shared[0], shared[1])
    assert shared.shape == (3, m)
    same = vmap(lambda x: x * q.rsample(), randomness="same")(torch.ones(3))
    assert torch.equal(same[0], same[1])


@both
@no_batching_rule
@pytest.mark.parametrize("m", [2, 3, 5, 9])
def test_the_jacobian_of_a_draw_under_func(family: Any, m: int) -> None:
    raw, scale = torch.randn(m, dtype=torch.float64), torch.full((1,), 3.0, dtype=torch.float64)

    def draw(raw: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return family(normalize(raw, dim=-1), scale, validate_args=False).rsample()

    def row(raw: torch.Tensor, scale: torch.Tensor, i: int) -> torch.Tensor:
        return draw(raw, scale)[i]

    whole = jacrev(draw, argnums=(0, 1))(raw, scale)
    for i in range(m):
        rows = grad(row, argnums=(0, 1))(raw, scale, i)
        for by_row, by_all in zip(rows, whole, strict=True):
            torch.testing.assert_close(by_row, by_all[i])


def test_tables_first_made_under_func_serve_outside_of_it() -> None:
    def draw(loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return VonMisesFisher(loc, scale, validate_args=False).rsample().sum()

    loc, scale = directions(4, 23), torch.ones(4, 1, requires_grad=True)  # a width of no other test
    vmap(grad(draw, argnums=1), randomness="different")(loc, scale.detach())
    with torch.inference_mode():
        VonMisesFisher(directions(24), torch.ones(1)).sample()
    for width in (23, 24):
        draw(directions(4, width), scale).backward()
        assert scale.grad is not None
        assert bool(scale.grad.isfinite().all())
