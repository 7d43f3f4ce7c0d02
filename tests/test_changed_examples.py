"""Objectives that look at other versions of an example: moved, corrupted, or a little further."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel
from zoo.objectives import Objective, Step
from zoo.objectives.contractive import Contractive
from zoo.objectives.denoising import Denoising
from zoo.objectives.motion import Motion
from zoo.testing.cases import Case, cases_of

STILL = {"rotation": 0.0, "shift": 0.0, "zoom": 0.0}


def images(levels: int, *size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, levels, (16, 2, *size), generator=generator) / (levels - 1)


def case_of(variant: str, likelihood: str, kind: str = "images") -> Case:
    (found,) = [c for c in cases_of(variant, {"likelihood": likelihood}) if kind in c.name]
    return found


def objective(name: str, **settings: Any) -> Objective:
    return Selected.parse("objectives", {"name": name, **settings}).build()


def farthest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is moved as far as it may be."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **kind: torch.ones(*shape, **kind))


# Motion


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (1, 6)])
def test_an_image_that_is_not_moved_stays_as_it_is(size: tuple[int, int]) -> None:
    x = images(256, *size)
    assert torch.equal(Motion(**STILL).moved(Batch(x)).x, x)


@pytest.mark.parametrize("levels", [2, 256])
def test_moved_images_have_the_levels_they_had(levels: int) -> None:
    x = images(levels, 9, 7)
    moved = Motion(rotation=60.0, shift=0.3, zoom=0.5).moved(Batch(x)).x
    assert torch.isin(moved, x.unique()).all()
    assert not torch.equal(moved, x)
    assert moved.shape == x.shape


def test_images_turn_about_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    farthest(monkeypatch)
    square, oblong = images(256, 8, 8), images(256, 9, 7)
    quarter = Motion(rotation=90.0, shift=0.0, zoom=0.0).moved(Batch(square)).x
    assert torch.equal(quarter, square.rot90(1, (-2, -1)))
    half = Motion(rotation=180.0, shift=0.0, zoom=0.0).moved(Batch(oblong)).x
    assert torch.equal(half, oblong.flip(-2, -1))


def test_pixels_keep_their_form_when_an_oblong_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a turn, of what is left within the frame."""
    farthest(monkeypatch)
    x = images(256, 9, 5)
    moved = Motion(rotation=90.0, shift=0.0, zoom=0.0).moved(Batch(x)).x
    assert torch.equal(moved[..., 2:7, :], x[..., 2:7, :].rot90(1, (-2, -1)))
    assert not moved[..., [0, 1, 7, 8], :].any(), "nothing comes from beyond the margin"


def test_a_shift_is_a_part_of_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    farthest(monkeypatch)
    x = images(256, 8, 8)
    moved = Motion(rotation=0.0, shift=0.25, zoom=0.0).moved(Batch(x)).x
    assert torch.equal(moved[..., :6, :6], x[..., 2:, 2:])
    assert not moved[..., 6:, :].any()


def test_twice_the_size_shows_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *shape, **kind: torch.full(shape, 0.9999, **kind))
    x = images(256, 8, 8)
    moved = Motion(rotation=0.0, shift=0.0, zoom=0.999).moved(Batch(x)).x
    middle = x[..., 2:6, 2:6]
    assert torch.equal(moved, middle.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_each_image_moves_in_its_own_way_and_masks_with_them() -> None:
    x = images(256, 8, 8)[:1].expand(16, 2, 8, 8)
    observed = x > 0.5
    moved = Motion(rotation=30.0, shift=0.2, zoom=0.2).moved(Batch(x, observed=observed))
    assert len(moved.x.unique(dim=0)) > 8
    assert moved.observed is not None
    assert torch.equal(moved.observed, moved.x > 0.5)


# Consistency


@pytest.mark.parametrize("variant", ["gaussian-vae", "cvae", "vmf-vae", "nvae-lite", "univae"])
def test_posteriors_of_what_does_not_move_are_consistent(variant: str) -> None:
    case = case_of(variant, "bernoulli")
    model, batch = case.model().train(), case.batch(6)
    for settings, still in ((STILL, True), ({"rotation": 90.0}, False)):
        torch.manual_seed(0)
        chosen = objective("consistency", **settings)
        value, logs = chosen.loss(chosen.draws(model, batch), Step())
        assert (abs(logs["consistency"].item()) < 1e-6) is still
    assert value.isfinite()


def test_the_consistency_is_the_divergence_of_the_posteriors() -> None:
    """And the loss has the bounds of both: arithmetic on two answers of the model."""
    case = case_of("gaussian-vae", "bernoulli")
    model, batch = case.model(), case.batch(6)
    chosen = objective("consistency", strength=3.0, rotation=90.0)
    torch.manual_seed(1)
    draws = chosen.draws(model, batch)
    value, logs = chosen.loss(draws, Step(0.5))
    torch.manual_seed(1)
    first = model(batch)
    moved = chosen.config.moved(batch)  # type: ignore[attr-defined]
    second = model(moved)
    q, r = (each.posteriors[0].base_dist for each in (second, first))
    apart = ((r.scale / q.scale).log() - 0.5).sum(-1)
    apart = apart + ((q.scale**2 + (q.mean - r.mean) ** 2) / (2 * r.scale**2)).sum(-1)
    torch.testing.assert_close(logs["consistency"], apart.mean())
    bounds = [each.log_likelihood.mean() - 0.5 * each.kl.mean() for each in (first, second)]
    torch.testing.assert_close(value, 3 * apart.mean() - sum(bounds))
    assert logs["log_likelihood"] == first.log_likelihood.mean()


@pytest.mark.parametrize("settings", [{}, {"posterior": "batch-norm"}, {"flows": 1}], ids=str)
def test_a_path_gone_in_training_says_what_a_pass_of_its_own_would(
    settings: dict[str, Any],
) -> None:
    """Also to the gradients; with statistics of the batch, and with flows after the posteriors."""
    case = next(each for each in cases_of("nvae-lite", settings) if each.name == "images-bernoulli")
    model, batch = case.model().train(), case.batch(6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # the first ones ignore x
    draws, moved = model(batch), model(Motion(rotation=90.0).moved(batch))
    apart = model.infer(batch, given=moved.z).posteriors
    found = moved.posteriors_of(draws)
    assert found is not None and len(found) == len(model.group_widths) > 1
    for latent, ours, theirs in zip(moved.latents, found, apart, strict=True):
        density = ours.log_prob(latent.z)
        torch.testing.assert_close(density, theirs.log_prob(latent.z))
        assert not torch.allclose(density, latent.posterior.log_prob(latent.z))
    weights = list(model.parameters())
    slopes = (
        torch.autograd.grad(
            sum(q.log_prob(m.z.detach()).sum() for q, m in zip(each, moved.latents, strict=True)),
            weights,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for each in (found, apart)
    )
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    model.eval()
    assert model(batch).posteriors_of(draws) is None


# Denoising


@pytest.mark.parametrize("variant", ["autoencoder", "gaussian-vae"])
def test_the_clean_example_is_scored_at_the_code_of_the_corrupted_one(variant: str) -> None:
    case = case_of(variant, "bernoulli")
    model, batch = case.model().train(), case.batch(5)
    chosen = objective("denoising", amount=1.0)  # all is masked
    draws = chosen.draws(model, batch)
    torch.testing.assert_close(draws.code, model.encode(torch.zeros_like(batch.x)))
    expected = model.decode(draws.z).log_prob(batch.x)
    torch.testing.assert_close(draws.log_likelihood, expected)
    clean = objective("denoising", amount=0.0).draws(model, batch)
    torch.testing.assert_close(clean.code, model.encode(batch))


def test_masks_and_noise_are_fresh_and_of_their_amount() -> None:
    x = torch.ones(200, 500)
    masked = Denoising(Denoising.Config(amount=0.3))
    found = masked.corrupted(x)
    assert found.unique().tolist() == [0.0, 1.0]
    assert found.mean().item() == pytest.approx(0.7, abs=0.01)
    assert not torch.equal(found, masked.corrupted(x))
    noise = Denoising(Denoising.Config(noise="gaussian", amount=0.5)).corrupted(x) - x
    assert noise.std().item() == pytest.approx(0.5, abs=0.01)


def test_what_is_missing_is_not_scored() -> None:
    case = case_of("autoencoder", "gaussian", "vectors")
    x = case.examples(4)
    x[:, 0] = torch.nan
    observed = x.isfinite()
    for name in ("denoising", "contractive"):
        chosen = objective(name)
        model = case.model().train()
        value = chosen.loss(chosen.draws(model, Batch(x, observed=observed)), Step()).value
        value.backward()
        assert value.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# Contraction


def norm(model: LatentVariableModel, batch: Batch) -> Tensor:
    """|J|_F^2 of each example, by automatic differentiation of one code after the other."""
    found = jacobian(lambda x: model.encode(batch._replace(x=x)).sum(0), batch.x)  # (D, B, ...)
    assert isinstance(found, Tensor)
    return found.square().flatten(2).sum((0, 2))


def test_over_all_signs_the_estimate_is_the_norm_of_the_jacobian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = case_of("autoencoder", "gaussian", "vectors")
    model, batch = case.model().train(), case.batch(3)
    signs = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 5)  # (32, 5)
    monkeypatch.setattr(torch, "randint_like", lambda x, high: signs.repeat(len(x) // 32, 1))
    repeated = Batch(batch.x.repeat_interleave(32, 0))
    draws = Contractive(Contractive.Config()).draws(model, repeated)
    found = draws.auxiliary["jacobian"].view(3, 32).mean(1)
    torch.testing.assert_close(found, norm(model, batch))


@pytest.mark.parametrize("backbone", ["mlp", "conv"])
def test_on_average_the_estimate_is_the_norm_of_the_jacobian(backbone: str) -> None:
    settings = {"likelihood": "bernoulli", "backbone": backbone}
    (case,) = cases_of("autoencoder", settings)
    model, batch = case.model(), case.batch(1)
    many = Batch(batch.x.repeat(2000, 1, 1, 1))
    found = Contractive(Contractive.Config()).draws(model, many).auxiliary["jacobian"]
    error = found.std() / len(found) ** 0.5
    assert (found.mean() - norm(model, batch)[0]).abs() < 5 * error < 0.2 * found.mean()


def test_the_penalty_reaches_the_encoder_alone() -> None:
    case = case_of("autoencoder", "bernoulli")
    model = case.model().train()
    chosen = objective("contractive", strength=2.0)
    draws = chosen.draws(model, case.batch(4))
    value, logs = chosen.loss(draws, Step())
    torch.testing.assert_close(value, 2 * logs["jacobian"] - draws.log_likelihood.mean())
    draws.auxiliary["jacobian"].sum().backward()
    reached = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert reached == {"encoder", "to_code"}
