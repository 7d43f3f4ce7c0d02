"""The likelihood of the observed parts alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    Categorical,
    ContinuousBernoulli,
    Distribution,
    Gamma,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Poisson,
    Uniform,
)

from zoo.distributions import (
    BernoulliImage,
    DiscretizedLogistic,
    MixtureOfDiscretizedLogistics,
    VonMisesFisher,
    observed_log_prob,
)
from zoo.errors import UnsupportedError

SHAPE = (2, 4, 4)


def parameters(n: int) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.rand(3, *SHAPE, requires_grad=True) for _ in range(n)]


def elementwise() -> dict[str, tuple[list[Tensor], Distribution]]:
    """Of each kind of support, with the leaves its gradients go to."""
    a, b, c, d, e, f, g, h = parameters(8)
    weights = torch.rand(3, *SHAPE, 2, requires_grad=True)
    mixture = MixtureSameFamily(Categorical(logits=weights), Normal(weights, weights + 1))
    bases = {
        "normal": ([a], Normal(a, a + 1)),
        "beta": ([b], Beta(b + 1, b + 2)),
        "continuous bernoulli": ([c], ContinuousBernoulli(logits=c)),
        "gamma": ([d], Gamma(d + 1, d + 1)),
        "poisson": ([e], Poisson(e + 1)),
        "uniform": ([f], Uniform(f + 4, f + 6)),
        "discretized logistic": ([g], DiscretizedLogistic(g, g)),
        "mixture": ([weights], mixture),
        "categorical": ([weights], Categorical(logits=weights)),
    }
    cases = {name: (leaves, Independent(base, 3)) for name, (leaves, base) in bases.items()}
    cases["nested"] = [h], Independent(Independent(Normal(h, h + 1), 1), 2)
    cases["bernoulli"] = [a], BernoulliImage(a)
    return cases


CASES = elementwise()


@pytest.mark.parametrize("samples", [(), (5,)])
@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_is_never_read(name: str, samples: tuple[int, ...]) -> None:
    leaves, p = CASES[name]
    value = p.sample(samples)
    observed = torch.rand(value.shape) < 0.6
    gaps = value.clone()
    gaps[~observed] = math.nan if value.is_floating_point() else -1
    result = observed_log_prob(p, gaps, observed)
    assert result.shape == (*samples, 3)
    own = p.log_prob(value) if name == "bernoulli" else None
    if own is None:
        base = p
        while isinstance(base, Independent):
            base = base.base_dist
        expected = (base.log_prob(value) * observed).flatten(-3).sum(-1)
    else:
        every = torch.distributions.Bernoulli(logits=p.logits).log_prob(value)
        expected = (every * observed).flatten(-3).sum(-1)
    torch.testing.assert_close(result, expected)
    gradients = (
        torch.autograd.grad(each.sum(), leaves, retain_graph=True) for each in (result, expected)
    )
    for with_gaps, without in zip(*gradients, strict=True):
        torch.testing.assert_close(with_gaps, without)


@pytest.mark.parametrize("name", CASES)
def test_all_observed_is_the_likelihood_and_none_is_zero(name: str) -> None:
    _, p = CASES[name]
    value = p.sample()
    everything = torch.ones_like(value, dtype=torch.bool)
    torch.testing.assert_close(observed_log_prob(p, value, everything), p.log_prob(value))
    torch.testing.assert_close(
        observed_log_prob(p, torch.full_like(value, -7), ~everything), torch.zeros(3)
    )


@pytest.mark.parametrize("name", ["normal", "bernoulli"])
def test_gradients_by_the_value_pass_through_what_is_observed(name: str) -> None:
    _, p = CASES[name]
    value = torch.full((3, *SHAPE), 1.0, requires_grad=True)
    observed = torch.rand(3, *SHAPE) < 0.5
    (gradient,) = torch.autograd.grad(observed_log_prob(p, value, observed).sum(), value)
    assert bool((gradient[~observed] == 0).all())
    assert bool((gradient[observed] != 0).all())


def test_one_mask_serves_all_examples_and_draws() -> None:
    _, p = CASES["bernoulli"]
    x, mask = p.sample((5,)), torch.rand(1, *SHAPE) < 0.5
    torch.testing.assert_close(
        observed_log_prob(p, x, mask), observed_log_prob(p, x, mask.expand_as(x))
    )
    single = p.sample()[0]
    assert observed_log_prob(p.expand((5, 3)), single, mask[0]).shape == (5, 3)


def mixture(channels: int) -> MixtureOfDiscretizedLogistics:
    torch.manual_seed(1)
    loc = torch.rand(2, 4, channels, 3, 3, requires_grad=True)
    a = torch.zeros(4, channels * (channels - 1) // 2, 3, 3) + 0.3
    return MixtureOfDiscretizedLogistics(torch.zeros(4, 3, 3), loc, torch.full_like(loc, -2), a)


@pytest.mark.parametrize("channels", [1, 3])
def test_whole_pixels_of_a_mixture_can_be_missing(channels: int) -> None:
    p = mixture(channels)
    x = p.sample()
    whole = torch.rand(2, 1, 3, 3) < 0.5
    gaps = torch.where(whole, x, math.nan)
    result = observed_log_prob(p, gaps, whole)
    torch.testing.assert_close(result, observed_log_prob(p, gaps, whole.expand_as(x)))
    there, missing = observed_log_prob(p, x, whole), observed_log_prob(p, x, ~whole)
    torch.testing.assert_close(result, there)
    torch.testing.assert_close(there + missing, p.log_prob(x))
    (gradient,) = torch.autograd.grad(result.sum(), p.loc)
    assert bool(gradient.isfinite().all())
    assert bool((gradient[~whole[:, None].expand_as(gradient)] == 0).all())


def test_half_a_pixel_of_a_mixture_is_refused() -> None:
    p = mixture(3)
    x = p.sample()
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[0, 1, 2, 2] = False
    with pytest.raises(UnsupportedError, match="all channels of a pixel"):
        observed_log_prob(p, x, observed)


@pytest.mark.parametrize(
    "p",
    [
        MultivariateNormal(torch.zeros(4), torch.eye(4)),
        Independent(MultivariateNormal(torch.zeros(2, 4), torch.eye(4)), 1),
        VonMisesFisher(torch.eye(4), torch.ones(1)),
    ],
)
def test_what_does_not_factorise_is_refused(p: Distribution) -> None:
    x = p.sample()
    with pytest.raises(UnsupportedError, match="does not factorise"):
        observed_log_prob(p, x, torch.ones_like(x, dtype=torch.bool))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own
def test_it_compiles_without_graph_breaks() -> None:
    def loss(logits: Tensor, x: Tensor, observed: Tensor) -> Tensor:
        pixels = BernoulliImage(logits, validate_args=False)
        normal = Normal(logits, 1 + logits.square(), validate_args=False)
        values = Independent(normal, 3, validate_args=False)
        return observed_log_prob(pixels, x, observed) + observed_log_prob(values, x, observed)

    logits, x = torch.randn(3, *SHAPE), torch.ones(3, *SHAPE)
    observed = torch.rand(3, *SHAPE) < 0.5
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, x, observed), loss(logits, x, observed))
