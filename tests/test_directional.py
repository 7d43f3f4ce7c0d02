"""What the distributions on the sphere do with unusual input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import kl_divergence
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
    assert model.elbo_terms(x).elbo.isnan().tolist() == [True, False]


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
