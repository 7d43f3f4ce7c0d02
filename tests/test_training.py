"""The trainer: what it refuses, what it keeps, what it repeats bit for bit."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import zoo
from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.data import Dataset, load_dataset
from zoo.data.dataset import Identity
from zoo.errors import ConfigError, TrainingError
from zoo.storage.tensors import read_tensors
from zoo.training.averages import MovingAverage, exponential
from zoo.training.config import Experiment, TrainingConfig
from zoo.training.launch import Run, train_experiment
from zoo.training.loop import Trainer
from zoo.training.optim import GradientGuard, build_optimizer, learning_rate
from zoo.training.run import RunDirectory
from zoo.training.step_log import Timings
from zoo.variants.vae import VAE

STEPS_PER_EPOCH = 1297 // 128
LOGS = ("log_likelihood", "kl")
FIGURES = torch.tensor([3.0, -2.0, 1.0]).unbind()  # loss, log-likelihood, KL
SMALL = {"hidden": [16], "name": "mlp"}


def train(directory: Path, **overrides: Any) -> Run:
    settings = {"epochs": 2, "latent_dim": 3, "backbone": SMALL, **overrides}
    return zoo.train("gaussian-vae", directory=directory, progress=False, **settings)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_improves_the_bound_and_leaves_everything_in_the_directory(tmp_path: Path) -> None:
    run = train(tmp_path, epochs=8)
    history = run.history
    assert [record["epoch"] for record in history] == list(range(1, 9))
    assert history[-1]["validation_elbo"] > history[0]["validation_elbo"] + 5
    assert run.metrics["validation_elbo"] == max(r["validation_elbo"] for r in history)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["train"]["epochs"] == 8
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert same(weights(zoo.load(tmp_path)), weights(run.model))


def test_recorded_validation_elbo_is_that_of_the_released_file(tmp_path: Path) -> None:
    run = train(tmp_path, epochs=3)
    validation = load_dataset("digits").validation.binarized(0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        x = validation.batch(torch.arange(len(validation)), kind="unit").x
        elbo = zoo.load(tmp_path).infer(x).elbo.mean().item()
    assert run.metrics["validation_elbo"] == pytest.approx(elbo, abs=1e-4)


@pytest.mark.parametrize("variant", ["gaussian-vae", "autoencoder", "vq-vae"])
def test_moments_are_those_of_the_released_files_codes(variant: str, tmp_path: Path) -> None:
    """Of the moving average too, and of what is written once all is trained."""
    made = {"model": {"latent_dim": 3}, "train": {"epochs": 2, "ema_decay": 0.9}}
    zoo.train_experiment(Experiment.build(variant, "digits", **made), tmp_path)
    model = zoo.load(tmp_path)
    validation = load_dataset("digits").validation.binarized(0)
    x = validation.batch(torch.arange(len(validation)), kind=model.input_kind).x
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        z = model.infer(x).z[0].double()
    moments = model.latent_moments
    assert moments is not None and len(moments.mean) == model.code_dim
    torch.testing.assert_close(moments.mean.double(), z.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moments.deviation.double(), z.std(0), rtol=1e-5, atol=1e-5)
    zoo.save(model, tmp_path / "again.safetensors")
    again = zoo.load(tmp_path / "again.safetensors").latent_moments
    assert again is not None and torch.equal(again.mean, moments.mean)


def test_a_seed_determines_everything_and_another_seed_changes_it(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a", seed=1), train(tmp_path / "b", seed=1)
    other = train(tmp_path / "c", seed=2)
    assert same(weights(first.model), weights(second.model))
    assert first.history == second.history
    assert not same(weights(first.model), weights(other.model))


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(tmp_path, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_finished_run_is_returned_without_training_again(tmp_path: Path) -> None:
    first = train(tmp_path)
    written = (tmp_path / "last.safetensors").stat().st_mtime_ns
    again = zoo.resume(tmp_path, progress=False)
    assert (tmp_path / "last.safetensors").stat().st_mtime_ns == written
    assert same(weights(first.model), weights(again.model))
    assert again.metrics == first.metrics


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("gaussian-vae", {"ema_decay": 0.9, "kl_warmup_steps": 3, "warmup_steps": 3}),
        ("autoencoder", {"mixture_components": 3, "latent_dim": 4}),
    ],
)
def test_a_lengthened_run_ends_as_one_so_long_from_the_start(
    tmp_path: Path, variant: str, settings: dict[str, Any]
) -> None:
    def begin(name: str, epochs: int) -> Run:
        where = tmp_path / name
        return zoo.train(variant, directory=where, epochs=epochs, progress=False, **settings)

    whole = begin("whole", 3)
    begin("longer", 1)
    longer = zoo.resume(tmp_path / "longer", progress=False, epochs=3)
    assert longer.history == whole.history
    for name in ("config.yaml", "best.safetensors", "last.safetensors"):
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_lengthening_that_fails_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, epochs=1)
    before = (tmp_path / "config.yaml").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "identity", Identity("other files", "other images"))
        with pytest.raises(TrainingError, match="the data are not those"):
            zoo.resume(tmp_path, progress=False, epochs=3)
    assert (tmp_path / "config.yaml").read_text() == before
    assert len(train(tmp_path, epochs=1).history) == 1


def test_more_epochs_do_not_wake_a_run_that_its_patience_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = train(tmp_path, epochs=50, lr=1e-30, patience=1)
    again = zoo.resume(tmp_path, epochs=60)
    assert again.history == stopped.history
    assert "patience = 1 stopped this run at epoch 2; more epochs" in capsys.readouterr().err


def test_fewer_epochs_or_a_schedule_that_counts_them_cannot_be_changed(tmp_path: Path) -> None:
    train(tmp_path / "constant", epochs=2)
    with pytest.raises(ConfigError, match=r"train\.epochs: 2 -> 1"):
        zoo.resume(tmp_path / "constant", progress=False, epochs=1)
    train(tmp_path / "cosine", epochs=1, schedule="cosine")
    with pytest.raises(ConfigError, match=r"epochs: 1 -> 2.*cosine schedule depends on the number"):
        zoo.resume(tmp_path / "cosine", progress=False, epochs=2)
    with pytest.raises(ConfigError, match=r"'epochs'"):
        zoo.resume(tmp_path / "constant", progress=False, epochs=0)


def test_another_experiment_in_the_same_directory_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(ConfigError, match=r"train\.lr: 0\.001 -> 0\.01.*another directory"):
        train(tmp_path, lr=0.01)


def test_two_processes_never_write_the_same_run(tmp_path: Path) -> None:
    train(tmp_path)
    with FileLock(tmp_path / ".lock"), pytest.raises(TrainingError, match="another process"):
        zoo.resume(tmp_path, progress=False)


@pytest.mark.parametrize("setting", ["kl_warmup_steps", "warmup_steps"])
def test_a_warmup_longer_than_the_run_is_refused(tmp_path: Path, setting: str) -> None:
    steps = 2 * STEPS_PER_EPOCH
    with pytest.raises(ConfigError, match=f"{setting} = {steps + 1} is longer than .* {steps} "):
        train(tmp_path, **{setting: steps + 1})
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_best_model_is_chosen_only_after_the_kl_warmup(tmp_path: Path) -> None:
    run = train(tmp_path, epochs=6, kl_warmup_steps=4 * STEPS_PER_EPOCH)
    assert run.metrics["epoch"] >= 4
    assert [r["kl_weight"] for r in run.history] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_validation_is_unweighted_whatever_the_objective(tmp_path: Path) -> None:
    run = zoo.train("beta-vae", directory=tmp_path, epochs=1, beta=50.0, progress=False)
    record = run.metrics
    difference = record["validation_log_likelihood"] - record["validation_kl"]
    assert record["validation_elbo"] == pytest.approx(difference)
    assert record["train_loss"] > -record["train_elbo"]


def test_patience_stops_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    run = train(tmp_path, epochs=50, lr=1e-30, patience=3)
    assert run.metrics["epoch"] == 1
    assert len(run.history) == 1 + 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_optimiser_and_precision_trains(
    tmp_path: Path, optimizer: str, precision: str
) -> None:
    run = train(
        tmp_path, epochs=3, optimizer=optimizer, precision=precision, lr=5e-3, weight_decay=1e-4
    )
    assert run.history[-1]["validation_elbo"] > run.history[0]["validation_elbo"]
    assert all(p.dtype == torch.float32 for p in run.model.parameters())


@pytest.mark.parametrize("supported", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bfloat16_that_the_cpu_only_emulates_is_warned_of(
    tmp_path: Path,
    precision: str,
    supported: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    train(tmp_path, precision=precision)
    warned = "warning: this CPU has no matrix products in bfloat16" in capsys.readouterr().err
    assert warned == (precision == "bfloat16" and not supported)


def test_a_batch_larger_than_the_dataset_is_the_dataset(tmp_path: Path) -> None:
    run = train(tmp_path, batch_size=10_000)
    assert run.history[-1]["step"] == 2


def test_an_unavailable_device_is_refused_with_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'nonsense' is not available here: .*Use 'cpu'"):
        train(tmp_path, device="nonsense")


def test_moving_average_matches_its_definition() -> None:
    model = zoo.create("gaussian-vae", latent_dim=2, backbone=SMALL)
    weight = model.decoder.layers[0].weight
    average = MovingAverage(model, exponential(0.8))
    expected = weight.detach().clone()
    for step in range(50):
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        average.update(step)
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(average.model.decoder.layers[0].weight.detach(), expected)


def test_the_moving_average_is_what_is_validated_and_released(tmp_path: Path) -> None:
    train(tmp_path, ema_decay=0.9)
    state, _ = read_tensors(tmp_path / "last.safetensors")
    best, _ = read_tensors(tmp_path / "best.safetensors")
    name = "decoder.layers.0.weight"
    assert torch.equal(best[name], state[f"average.{name}"])
    assert not torch.equal(best[name], state[f"model.{name}"])


@pytest.mark.parametrize("warmup", [0, 10])
def test_cosine_schedule_starts_high_and_ends_at_its_fraction(warmup: int) -> None:
    config = TrainingConfig(lr=2.0, schedule="cosine", warmup_steps=warmup, final_lr_fraction=0.1)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert max(rates) == pytest.approx(2.0)
    assert rates[100] == pytest.approx(0.2)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert all(rate > 0 for rate in rates)


def test_clipping_bounds_the_norm_and_keeps_the_direction() -> None:
    model = nn.Linear(4, 4)
    for p in model.parameters():
        p.grad = torch.randn_like(p) * 10
    before = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    guard = GradientGuard(model, 2, 1.0, LOGS)
    guard.check(0, FIGURES)
    after = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(guard.norm, before.norm())
    torch.testing.assert_close(guard.table[0, 4:].norm(), before.norm())
    torch.testing.assert_close(after, before / before.norm(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax", "muon"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_step_with_a_non_finite_gradient_changes_nothing(
    optimizer: str, bad: float, clip: float | None
) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    config = TrainingConfig(optimizer=optimizer)
    guard, optimiser = GradientGuard(model, 3, clip, LOGS), build_optimizer(config, model)

    def step(number: int, poison: float) -> None:
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        model[1].bias.grad[1] += poison
        guard.check(number, FIGURES)
        guard.step(optimiser)

    step(0, 0.0)
    before, moments = weights(model), copy.deepcopy(optimiser.state_dict()["state"])
    step(1, bad)
    assert same(before, weights(model))
    for index, state in optimiser.state_dict()["state"].items():
        assert same(moments[index], state)
    trouble = guard.report()
    assert trouble is not None
    assert (trouble.skipped, trouble.step, trouble.culprit) == (1, 1, "1.bias")
    step(2, 0.0)
    assert not same(before, weights(model))
    step(3, 0.0)
    assert guard.report() is None, "the next epoch begins anew"


@pytest.mark.parametrize("layer", [0, 2])
def test_what_spoils_a_weights_gradient_is_seen_without_reading_it(layer: int) -> None:
    """Without clipping only biases and the loss are read; a bad output or input shows in them."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def spoil(module: nn.Module, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.full_like(gradients[0], math.inf),)

    model[layer].register_full_backward_pre_hook(spoil)
    loss = model(torch.rand(3, 4, requires_grad=True)).sum()
    loss.backward()
    guard = GradientGuard(model, 3, None, LOGS)
    guard.check(0, (loss.detach(), *FIGURES[1:]))
    assert guard.found_inf == 1
    model.zero_grad()
    loss = model(torch.full((3, 4), math.nan, requires_grad=True)).sum()
    loss.backward()
    guard.check(1, (loss.detach(), *FIGURES[1:]))
    trouble = guard.report()
    assert trouble is not None
    assert (trouble.skipped, trouble.step) == (2, 1)


@pytest.mark.parametrize("clip", [None, 1e3])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@given(poison=st.lists(st.integers(0, 6), min_size=5, max_size=5))
@settings(deadline=None, max_examples=20)
def test_an_epochs_figures_are_those_of_its_good_steps(
    clip: float | None, bad: float, poison: list[int]
) -> None:
    """Step ``i`` is spoilt in one of its three figures (0 to 2) or biases (3, 4), or not at all."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    guard = GradientGuard(model, len(poison), clip, LOGS)
    good, last_bad = [], -1
    for step, where in enumerate([6] * len(poison) + poison):  # a good epoch before
        values = [float(step), 10.0 * step, 0.1 * step]
        spoil(model, values, where, bad)
        guard.check(step, [torch.tensor(value) for value in values])
        if step >= len(poison):
            last_bad = step if where < 5 else last_bad
            good += [values] if where >= 5 else []
    means = np.mean(good, axis=0) if good else np.zeros(3)
    assert guard.means() == pytest.approx(means.tolist(), rel=1e-6)
    assert guard.norm.isfinite()
    trouble, skipped = guard.report(), len(poison) - len(good)
    assert (trouble is None) == (skipped == 0)
    if trouble is not None:
        names = [name for i, name in ((3, "0.bias"), (4, "1.bias")) if i in poison]
        culprit = ", ".join(names) or "the loss"
        assert (trouble.skipped, trouble.step, trouble.culprit) == (skipped, last_bad, culprit)


def spoil(model: nn.Sequential, values: list[float], where: int, bad: float) -> None:
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    if where < 3:
        values[where] = bad
    elif where < 5:
        model[where - 3].bias.grad[0] = bad


def test_the_last_step_of_an_epoch_measures_the_whole_gradient() -> None:
    model = nn.Linear(3, 1)
    guard = GradientGuard(model, 2, None, LOGS)
    for step, expected in enumerate([0.0, 2.0, 2.0]):  # four ones have the norm 2
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        guard.check(step, FIGURES)
        assert guard.norm == expected
    model.weight.grad = torch.full((1, 3), math.nan)
    guard.check(3, FIGURES)
    assert guard.norm == 2, "a bad step's norm is not kept"
    trouble = guard.report()
    assert trouble is not None
    assert trouble.culprit == "weight"


def test_a_layer_whose_only_parameter_is_tied_to_another_is_inspected() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    guard = GradientGuard(nn.Sequential(first, second), 2, None, LOGS)
    assert guard.names == ["0.weight", "0.bias"]
    first.weight.grad = torch.full((3, 3), math.nan)
    guard.check(0, FIGURES)
    assert guard.found_inf == 1


@zoo.register("sometimes-nan", config={"backbone": {"name": "mlp", "hidden": [8]}})
class SometimesNaN(VAE):
    """A VAE whose loss is not a number at chosen training steps."""

    bad_steps: frozenset[int] = frozenset()
    calls = 0

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        draws = super().infer(batch, samples, given)
        if self.training:
            SometimesNaN.calls += 1
            poison = math.nan if SometimesNaN.calls - 1 in self.bad_steps else 1.0
            draws.log_likelihood = draws.log_likelihood * poison
        return draws


def test_bad_steps_are_skipped_counted_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SometimesNaN, "calls", 0)
    monkeypatch.setattr(SometimesNaN, "bad_steps", frozenset({3, 7}))
    run = zoo.train("sometimes-nan", directory=tmp_path, epochs=2, latent_dim=2)
    assert [r["skipped_steps"] for r in run.history] == [2, 0]
    assert all(math.isfinite(value) for r in run.history for value in r.values())
    assert "last at step 7 (learning rate 0.001) in encoder" in capsys.readouterr().err


def test_an_interrupted_epoch_is_reported_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad step and means from before the interruption are in the record written after it."""
    monkeypatch.setattr(SometimesNaN, "bad_steps", frozenset({13}))
    options = {"epochs": 2, "latent_dim": 2, "progress": False, "checkpoint_seconds": 0.0}
    monkeypatch.setattr(SometimesNaN, "calls", 0)
    whole = zoo.train("sometimes-nan", directory=tmp_path / "whole", **options)
    warning = capsys.readouterr().err
    assert "1 steps of epoch 2 skipped" in warning
    assert "last at step 13 (learning rate 0.001) in encoder" in warning

    def interrupt(self: Trainer) -> bool:
        if self.position.step == 16:
            self.save()
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(SometimesNaN, "calls", 0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save_is_due", interrupt)
        zoo.train("sometimes-nan", directory=tmp_path / "torn", **options)
    assert SometimesNaN.calls == 16
    assert not capsys.readouterr().err
    torn = zoo.resume(tmp_path / "torn", progress=False)
    assert capsys.readouterr().err == warning
    assert torn.history == whole.history


def test_too_many_bad_steps_end_the_run_saying_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SometimesNaN, "calls", 0)
    monkeypatch.setattr(SometimesNaN, "bad_steps", frozenset(range(10)))
    with pytest.raises(TrainingError, match=r"10 steps of epoch 1 skipped.*train\.lr"):
        zoo.train(
            "sometimes-nan",
            directory=tmp_path,
            epochs=2,
            latent_dim=2,
            max_skipped_steps=5,
            progress=False,
        )


def test_a_line_of_metrics_cut_off_by_a_kill_is_forgotten(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    metrics = directory.metrics
    for step in (10, 20, 30):
        metrics.append({"step": step})
    with metrics.path.open("a") as file:
        file.write('{"step": 4')
    metrics.cut(20)
    assert [json.loads(line)["step"] for line in metrics.path.read_text().splitlines()] == [10, 20]


def test_seconds_are_those_of_work_whatever_lies_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 103.0, 105.0, 900.0, 904.0, 50.0])
    monkeypatch.setattr("zoo.training.step_log.time.monotonic", lambda: next(now))
    run = Timings(tmp_path / "timings.jsonl")
    run.start(0)
    run.note(10)
    run.note(20)  # lost: the state of step 10 is the last one saved
    again = Timings(run.path)
    again.start(10)
    again.note(20)
    assert again.read() == [{"step": 10, "seconds": 3.0}, {"step": 20, "seconds": 7.0}]
    untimed = Timings(tmp_path / "old.jsonl")
    untimed.start(10)
    untimed.note(20)
    assert untimed.read() == []


def test_a_run_is_timed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"latent_dim": 2, "batch_size": 300, "checkpoint_seconds": 0}
    run = zoo.train("gaussian-vae", directory=tmp_path, epochs=2, progress=False, **settings)
    ends = [record["step"] for record in run.history]
    steps, seconds = ([line[key] for line in run.timings] for key in ("step", "seconds"))
    assert steps == list(range(1, ends[-1] + 1)), "at each saved state and each epoch's end"
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert zoo.resume(tmp_path, progress=False).timings == run.timings


def test_resuming_where_no_run_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run in"):
        zoo.resume(tmp_path)


def test_only_what_zoo_left_behind_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "thesis.tmp").write_text("mine")
    (tmp_path / ".zoo-1234.tmp").write_text("half a checkpoint")
    train(tmp_path, epochs=1)
    assert (tmp_path / "thesis.tmp").read_text() == "mine"
    assert not (tmp_path / ".zoo-1234.tmp").exists()


def test_a_run_does_not_go_on_with_other_images(tmp_path: Path) -> None:
    def save(seed: int) -> None:
        images = np.random.default_rng(seed).integers(0, 256, (80, 4, 4), dtype=np.uint8)
        np.save(tmp_path / "mine.npy", images)

    save(0)
    dataset = str(tmp_path / "mine.npy")
    train(tmp_path / "run", dataset=dataset, epochs=1)
    save(1)
    with pytest.raises(TrainingError, match="the data are not those"):
        train(tmp_path / "run", dataset=dataset, epochs=1)


@pytest.mark.parametrize("bad", ["a file", "below a file"])
def test_a_directory_that_cannot_be_one_is_refused(tmp_path: Path, bad: str) -> None:
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" if bad == "a file" else tmp_path / "file" / "run"
    with pytest.raises(TrainingError, match="choose another directory"):
        train(directory)


def test_an_infinite_validation_elbo_is_never_the_best(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="never finite"):
        train(tmp_path, lr=1e30, epochs=1, max_skipped_steps=1000)


def test_a_run_remembers_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "mine.npy", np.zeros((80, 4, 4), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.build("gaussian-vae", "mine.npy", data_root="data")
    assert experiment.dataset == str(tmp_path / "mine.npy")
    assert experiment.data_root == str(tmp_path / "data")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="'seed'"):
        Experiment.build("gaussian-vae", train={"seed": seed})


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("variant: gaussian-vae\nnonsense: 1\n")
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        zoo.resume(tmp_path)


def test_model_settings_are_checked_before_training(tmp_path: Path) -> None:
    experiment = Experiment.build("gaussian-vae", model={"latent_dims": 3})
    with pytest.raises(ConfigError, match="did you mean 'latent_dim'"):
        train_experiment(experiment, tmp_path, progress=False)
    assert not (tmp_path / "config.yaml").exists()


def test_one_colour_image_of_odd_size_trains(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 9, 7, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    run = zoo.train(
        "gaussian-vae",
        dataset=str(tmp_path / "mine.npz"),
        directory=tmp_path / "run",
        backbone="conv",
        epochs=1,
        batch_size=16,
        progress=False,
    )
    assert run.model.sample(2).shape == (2, 3, 9, 7)


def test_a_line_of_metrics_that_zoo_did_not_write_is_named(tmp_path: Path) -> None:
    metrics = RunDirectory(tmp_path).metrics
    metrics.append({"step": 1})
    metrics.path.write_text(metrics.path.read_text() + "garbage\n")
    with pytest.raises(TrainingError, match="jsonl: line 2 is not JSON, .* remove that line"):
        metrics.read()


def test_codes_are_made_of_the_training_set_only_where_something_is_fitted_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "training_codes", lambda *_: pytest.fail("encoded for nothing"))
    zoo.train("gaussian-vae", directory=tmp_path, epochs=1, latent_dim=2, progress=False)


def test_the_first_step_of_a_process_is_compiled_whole() -> None:
    script = """
import torch
from torch.distributions import kl_divergence
from zoo.core.latent_space import Euclidean
from zoo.posteriors.gaussian import Gaussian
from zoo.priors import Given
from zoo.priors.standard_normal import StandardNormal
from zoo.settings import Settings

posterior = Gaussian(Settings(), lambda n: torch.nn.Linear(3, n), 2)
prior = StandardNormal(Settings(), Euclidean(2), (3,))

def kl(features):
    return kl_divergence(posterior(features, None), prior(Given(features)))

x = torch.zeros(4, 3)
torch.testing.assert_close(torch.compile(kl, fullgraph=True, backend="eager")(x), kl(x))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
