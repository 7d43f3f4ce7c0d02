"""Components of one's own, each one file that touches nothing of zoo's, pass the contract whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plugins
import pytest
import torch

import zoo
import zoo.testing
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.draws import Draws
from zoo.errors import UnsupportedError
from zoo.objectives import Step
from zoo.testing.contract.numerics import compiled_it_says_the_same
from zoo.training.statistics import refresh_statistics

LINES = {
    "flow_posterior.py": 40,
    "flow_prior.py": 40,
    "vamp_prior.py": 40,
    "beta_tc.py": 40,
    "continuous_bernoulli.py": 30,
    "batch_norm_conv.py": 40,
    "class_conditional.yaml": 5,
    "rate.py": 30,
    "sharpness.py": 40,
}
"""At most, as the guide for contributors says."""
COMPOSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("gaussian-vae", {"posterior": "flow", "likelihood": "gaussian"}),
    ("gaussian-vae", {"prior": "flow", "likelihood": "discretized-logistic"}),
    ("gaussian-vae", {"posterior": "flow", "prior": "flow", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"prior": "my-vamp", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"posterior": "flow", "prior": "my-vamp", "likelihood": "bernoulli"}),
    ("class-conditional-vae", {"prior": "my-vamp", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"likelihood": "continuous-bernoulli"}),
    ("nvae-lite", {"likelihood": "continuous-bernoulli"}),
    ("gaussian-vae", {"backbone": "batch-norm-conv", "likelihood": "bernoulli"}),
    ("class-conditional-vae", {"likelihood": "bernoulli"}),
)
"""That a part works with every likelihood, tests of the variants show."""
COMPILED = (
    ("gaussian-vae", {"prior": "flow", "likelihood": "discretized-logistic"}),
    ("gaussian-vae", {"posterior": "flow", "prior": "my-vamp", "likelihood": "bernoulli"}),
    ("class-conditional-vae", {"prior": "my-vamp", "likelihood": "bernoulli"}),
    ("gaussian-vae", {"likelihood": "continuous-bernoulli"}),
    ("gaussian-vae", {"backbone": "batch-norm-conv", "likelihood": "bernoulli"}),
)
"""Each part once: torch takes seconds for a flow."""


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with plugins.known():
        yield


def checks() -> list[Any]:
    with plugins.known():
        return [
            pytest.param(check, id="-".join([name, *settings.values(), str(check)]))
            for name, settings in COMPOSED
            for check in zoo.testing.checks_of(name, settings)
            if (name, settings) in COMPILED or check.rule.check is not compiled_it_says_the_same
        ]


@pytest.mark.parametrize("check", checks())
def test_contract(check: zoo.testing.Check) -> None:
    check()


def test_a_metric_of_one_s_own_keeps_the_contract() -> None:
    zoo.testing.check_metric("sharpness")


def test_a_score_of_one_s_own_is_a_score_by_name() -> None:
    """With p-values; it is the KL of a known model, and refuses one that has none."""
    digits = zoo.load_dataset("digits")
    x = torch.cat([digits.test.images[:20], torch.full((3, 1, 8, 8), 255, dtype=torch.uint8)])
    found = zoo.anomaly("gaussian-vae-digits", x, score="rate")
    assert (found.p_values[20:] < 0.05).all() and found.p_values[:20].mean() > 0.2
    model = zoo.load("gaussian-vae-digits").eval()
    batch = Batch(torch.rand(5, 1, 8, 8).round())
    (posterior,) = model.infer(batch).posteriors
    mean, scale = posterior.base_dist.loc, posterior.base_dist.scale
    closed_form = 0.5 * (mean**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
    score = Selected.parse("scores", "rate").build()
    torch.testing.assert_close(score(model, batch), closed_form)
    with pytest.raises(UnsupportedError, match="no posterior density"):
        zoo.anomaly("autoencoder-digits", x, score="rate")


@pytest.mark.parametrize(("file", "most"), LINES.items())
def test_a_component_is_a_few_lines(file: str, most: int) -> None:
    written = (plugins.FOLDER / file).read_text(encoding="utf-8").splitlines()
    assert len(written) <= most
    guide = (plugins.FOLDER.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = [line for line in guide.splitlines() if f"`{file}`" in line]
    assert row.endswith(f" {len(written)} |")


def test_the_guide_shows_a_component_as_it_is() -> None:
    guide = (plugins.FOLDER.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for file in ("flow_prior.py", "class_conditional.yaml"):
        assert (plugins.FOLDER / file).read_text(encoding="utf-8") in guide


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("gaussian-vae", {"posterior": "flow"}),
        ("gaussian-vae", {"prior": "flow"}),
        ("gaussian-vae", {"prior": {"name": "my-vamp", "components": 8}}),
        ("gaussian-vae", {"objective": "my-beta-tc"}),
        ("gaussian-vae", {"likelihood": "continuous-bernoulli"}),
        ("gaussian-vae", {"backbone": {"name": "batch-norm-conv", "channels": [4, 8]}}),
        ("class-conditional-vae", {}),
    ],
    ids=json.dumps,
)
def test_trained_saved_and_loaded(variant: str, settings: dict[str, Any], tmp_path: Path) -> None:
    run = zoo.train(variant, directory=tmp_path, epochs=1, latent_dim=3, progress=False, **settings)
    loaded = zoo.load(tmp_path)
    assert torch.tensor(list(run.metrics.values())).isfinite().all()
    x = torch.rand(4, 1, 8, 8).round()
    batch = Batch(x, torch.arange(4) if run.model.condition_width else None)
    torch.testing.assert_close(loaded.encode(batch), run.model.encode(batch), rtol=0, atol=0)


def test_the_statistics_of_all_batch_normalisation_are_those_of_the_training_set() -> None:
    """Of encoder and decoder, of maps and of vectors: the model that is evaluated is measured."""
    model = zoo.create("gaussian-vae", backbone={"name": "batch-norm-conv", "channels": [4, 8]})
    train = zoo.load_dataset("digits").train
    refresh_statistics(model, train)
    norms = [each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    assert len(norms) == 4
    assert all(norm.num_batches_tracked > 0 and not norm.training for norm in norms)
    x = train.batch(torch.arange(len(train)), kind=model.input_kind).x
    first = model.encoder[0](x)
    torch.testing.assert_close(norms[0].running_mean, first.mean((0, 2, 3)), rtol=0.05, atol=0.01)
    assert all(norm.running_var.sub(1).abs().max() > 1e-3 for norm in norms)


def test_with_beta_one_the_total_correlation_does_not_count() -> None:
    draws = _draws()
    objectives = (
        Selected.parse("objectives", {"name": "my-beta-tc", "beta": 1.0}).build(),
        Selected.parse("objectives", "elbo").build(),
    )
    values = [objective.loss(draws, Step(examples=100)).value for objective in objectives]
    torch.testing.assert_close(*values)


def _draws() -> Draws:
    model = zoo.create("gaussian-vae", latent_dim=3)
    return model.infer(torch.rand(8, 1, 8, 8).round())


@pytest.mark.parametrize("posterior", ["gaussian", "flow"])
def test_pseudo_inputs_are_told_what_the_example_is_told(posterior: str) -> None:
    """p(z|c) = 1/K sum_k q(z|u_k, c), here each term by itself."""
    torch.manual_seed(0)
    prior = {"name": "my-vamp", "components": 3}
    model = zoo.create("cvae", prior=prior, posterior=posterior, latent_dim=2)
    told = torch.tensor([4, 0, 4, 9])
    draws = model.infer(Batch(torch.rand(4, 1, 8, 8).round(), told), 5)
    pseudo = model.prior.pseudo.sigmoid()
    for row, label in enumerate(told):
        z = draws.z[:, row]  # (S, d)
        each = [_posterior_of(model, u, label) for u in pseudo]
        expected = torch.stack([q.log_prob(z) for q in each]).exp().mean(0).log()
        torch.testing.assert_close(draws.log_p[:, row, 0], expected)
    p = draws.latents[0].prior.log_prob(draws.z[:1, :1].expand(1, 4, 2))[0]
    torch.testing.assert_close(p[0], p[2])
    assert not torch.allclose(p[0], p[1])


def _posterior_of(model: Any, u: torch.Tensor, label: torch.Tensor) -> Any:
    """q(z|u, c) of one pseudo-input, which the modality need not allow."""
    numbers = torch.nn.functional.one_hot(label, 10).float()
    return model.posterior(torch.cat([model.encoder(u[None])[0], numbers]), None)


def test_examples_of_a_row_are_told_what_the_row_is() -> None:
    """(B, 1, ...), as a prior reads that draws one pseudo-input for each code."""
    torch.manual_seed(0)
    model = zoo.create("cvae", prior={"name": "my-vamp", "components": 3}, latent_dim=2)
    x, told = torch.rand(4, 1, 8, 8), torch.tensor([4, 0, 4, 9])
    posterior = model._given(model.told(told, x)).posterior
    found = posterior(x[:, None])
    assert found.batch_shape == (4, 1) and posterior(x[:2]).batch_shape == (4, 2)
    every = posterior(x)  # (4, 4), of which the diagonal
    torch.testing.assert_close(found.mean[:, 0], torch.einsum("bbd->bd", every.mean))


def test_pseudo_inputs_under_a_flow_are_a_density() -> None:
    """It integrates to one over a plane."""
    torch.manual_seed(0)
    prior = {"name": "my-vamp", "components": 4}
    model = zoo.create("gaussian-vae", prior=prior, posterior="flow", latent_dim=2)
    axis = torch.linspace(-8, 8, 321)
    z = torch.cartesian_prod(axis, axis)[:, None]  # (N, 1, d)
    p = model.infer(torch.zeros(1, 1, 8, 8)).latents[0].prior
    with torch.no_grad():
        total = p.log_prob(z).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-3)
