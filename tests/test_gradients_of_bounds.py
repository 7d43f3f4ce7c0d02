"""Gradients of the encoder, on a model whose evidence is known: unbiased, and how noisy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.objectives import Step
from zoo.objectives.stl import log_weights_without_score
from zoo.testing.cases import first_case
from zoo.testing.expect import agree
from zoo.testing.known import LinearGaussian, LinearGaussianConfig


class Encoded(LinearGaussian):
    """Its posterior has a mean and a width of its own, which start at the true ones."""

    def __init__(self, config: LinearGaussianConfig) -> None:
        super().__init__(config)
        self.double()
        with torch.no_grad():
            true = self._posterior(torch.stack([self.bias, self.bias + 1]), 1.0)
        self.slope = nn.Parameter((true.mean[1] - true.mean[0]) / len(self.bias))
        self.log_scale = nn.Parameter(true.scale_tril[0, 0, 0].log())

    def posterior(self, x: Tensor) -> MultivariateNormal:
        centred = (x - self.bias.detach()) @ self._along().detach()
        scale = self.log_scale.exp()[None, None].expand(len(x), 1, 1)
        return MultivariateNormal(centred[:, None] * self.slope, scale_tril=scale)

    def _along(self) -> Tensor:
        """The direction in which x tells of z, of length len(x) together with a step of 1."""
        weight = self.weight[:, 0]
        return weight * len(weight) / weight.sum()


def model(moved: float) -> Encoded:
    """Its encoder so far from the true posterior."""
    torch.manual_seed(2)
    made = Encoded(LinearGaussianConfig(input_shape=(3,), latent_dim=1)).train()
    with torch.no_grad():
        made.slope += moved
        made.log_scale += moved
    return made


def gradients(made: Encoded, objective: str, count: int, rows: int = 1, **settings: int) -> Tensor:
    """Of ``count`` steps, each of the mean over ``rows`` copies of one example: (count, 2)."""
    chosen = Selected.parse("objectives", {"name": objective, **settings}).build()
    x = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64).expand(rows, 3)
    found = []
    for _ in range(count):
        value = chosen.loss(chosen.draws(made, x), Step()).value  # type: ignore[arg-type]
        both = torch.autograd.grad(value, (made.slope, made.log_scale))
        found.append(torch.stack([each.squeeze() for each in both]))
    return torch.stack(found)


def exact(made: Encoded) -> Tensor:
    """The gradient of minus the expected ELBO."""
    x = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    both = torch.autograd.grad(-made.expected_elbo(x).sum(), (made.slope, made.log_scale))
    return torch.stack([each.squeeze() for each in both])


def test_the_encoder_starts_at_the_true_posterior() -> None:
    made, x = model(0.0), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(made.expected_elbo(x), made.evidence(x))


@pytest.mark.parametrize("objective", ["elbo", "stl"])
def test_one_draw_gives_the_gradient_of_the_elbo_on_average(objective: str) -> None:
    torch.manual_seed(0)
    made = model(0.3)
    found = gradients(made, objective, 100, rows=128)
    known = exact(made)
    assert known.abs().min() > 0.1
    agree(found, known.expand_as(found), objective)


def test_the_landing_sticks_at_the_true_posterior() -> None:
    """There no draw moves the encoder; with the KL in closed form, every draw does."""
    made = model(0.0)
    assert gradients(made, "stl", 20).abs().max() < 1e-5  # the scale of p(x|z) is rounded
    assert gradients(made, "elbo", 20).std(0).min() > 0.1


def test_both_gradients_of_the_importance_bound_are_the_same_on_average() -> None:
    torch.manual_seed(0)
    made = model(0.3)
    plain, double = (gradients(made, o, 200, 128, samples=4) for o in ("iwae", "dreg"))
    agree(plain, double, "IWAE and DReG")
    assert double.mean(0).abs().min() > 10 * double.std(0).max() / 200**0.5


def test_of_one_draw_the_double_gradient_is_sticking_the_landing() -> None:
    made = model(0.3)
    torch.manual_seed(0)
    double = gradients(made, "dreg", 5, samples=1)
    torch.manual_seed(0)
    torch.testing.assert_close(double, gradients(made, "stl", 5))


def test_more_draws_drown_the_plain_gradient_and_sharpen_the_double_one() -> None:
    """Rainforth et al. (2018): as S^-1/2 and S^1/2."""
    torch.manual_seed(0)
    made = model(0.05)

    def clarity(objective: str, samples: int) -> float:
        found = gradients(made, objective, 150, 64, samples=samples)[:, 1]
        return float(found.mean().abs() / found.std())

    assert clarity("dreg", 64) > 2 * clarity("dreg", 4)
    assert clarity("iwae", 64) < 0.5 * clarity("iwae", 4)


@pytest.mark.parametrize("name", ["gaussian-vae", "vmf-vae"])
def test_the_decoder_has_the_gradient_of_the_plain_bound(name: str) -> None:
    case = first_case(name, {"likelihood": "bernoulli"})

    def of_decoder(objective: str) -> list[Tensor]:
        made = case.model().train()
        chosen = Selected.parse("objectives", {"name": objective, "samples": 3}).build()
        torch.manual_seed(0)
        chosen.loss(chosen.draws(made, case.batch(4)), Step()).value.backward()
        return [p.grad for n, p in made.named_parameters() if n.startswith("decoder")]  # type: ignore[misc]

    for double, plain in zip(of_decoder("dreg"), of_decoder("iwae"), strict=True):
        torch.testing.assert_close(double, plain)


def test_values_are_those_of_the_plain_bounds() -> None:
    made = model(0.3)
    x = torch.randn(5, 3, dtype=torch.float64)
    for name, plain in (("dreg", "log_evidence"), ("stl", "elbo_by_draw")):
        chosen = Selected.parse("objectives", name).build()
        torch.manual_seed(0)
        draws = chosen.draws(made, x)  # type: ignore[arg-type]
        bound = draws.log_weights if plain == "elbo_by_draw" else draws.log_evidence
        expected = -bound.mean()
        torch.testing.assert_close(chosen.loss(draws, Step()).value, expected)


@pytest.mark.parametrize("name", ["nvae-lite", "univae", "vmf-vae"])
def test_what_is_left_out_is_0_on_average(name: str) -> None:
    """Also in a hierarchy, where it is each group's score, and on the sphere."""
    case = first_case(name, {"likelihood": "bernoulli"})
    made, batch = case.model().train(), Batch(case.examples(1).repeat(64, 1, 1, 1))
    heads = [p for n, p in made.named_parameters() if "posterior" in n and n.endswith("weight")]
    assert heads
    found = []
    torch.manual_seed(0)
    for _ in range(60):
        draws = made.infer(batch)
        score = (log_weights_without_score(draws) - draws.log_weights).mean()
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(score, heads)]))
    scores = torch.stack(found)
    assert scores.std(0).max() > 1e-3
    agree(scores, torch.zeros_like(scores), "the score")
