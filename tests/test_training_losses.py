"""What the trainer minimises and records: weighted bounds, balanced groups, penalties."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import zoo
from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.data import load_dataset
from zoo.errors import ConfigError, TrainingError
from zoo.objectives import Loss, Step
from zoo.objectives.elbo import ELBO
from zoo.training.launch import Run
from zoo.training.loop import Trainer
from zoo.variants.vae import VAE

SMALL: dict[str, Any] = {"latent_dim": 3, "backbone": {"name": "mlp", "hidden": [16]}}


def train(directory: Path, variant: str = "gaussian-vae", **overrides: Any) -> Run:
    options = {"epochs": 2, "progress": False, **SMALL, **overrides}
    return zoo.train(variant, directory=directory, **options)


# The importance-weighted objective


def test_iwae_records_the_bound_and_the_elbo_as_what_they_are(tmp_path: Path) -> None:
    for record in train(tmp_path, objective="iwae", samples=8, epochs=3).history:
        assert record["train_loss"] == pytest.approx(-record["train_bound"])
        assert record["train_bound"] > record["train_elbo"]
        assert record["validation_bound"] > record["validation_elbo"]
        assert not {"train_kl", "train_log_likelihood"} & record.keys(), "there is no KL to report"


def test_the_bound_of_one_sample_is_the_elbo(tmp_path: Path) -> None:
    (record,) = train(tmp_path, objective="iwae", samples=1, epochs=1).history
    assert record["train_bound"] == pytest.approx(record["train_elbo"])
    assert record["validation_bound"] == pytest.approx(record["validation_elbo"], abs=0.5)


def test_iwae_keeps_the_model_with_the_best_bound(tmp_path: Path) -> None:
    run = train(tmp_path, objective="iwae", samples=5, epochs=8, lr=1e-2)
    best = max(record["validation_bound"] for record in run.history)
    assert run.metrics["validation_bound"] == best
    validation = load_dataset("digits").validation.binarized(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = validation.batch(torch.arange(len(validation)), kind="unit").x
        assert zoo.load(tmp_path).log_prob(x, 5).mean().item() == pytest.approx(best, abs=1e-4)


@zoo.register("spy")
class Spy(VAE):
    """A VAE that remembers the log-weights training drew."""

    drawn: ClassVar[list[Tensor]] = []

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        draws = super().infer(batch, samples, given)
        if self.training:
            self.drawn.append(draws.log_weights.detach())
        return draws


def test_a_step_of_iwae_reads_all_its_samples(tmp_path: Path) -> None:
    """What is recorded of a step is the bound of the log-weights it drew."""
    drawn = Spy.drawn = []
    (record,) = train(tmp_path, "spy", objective="iwae", samples=6, epochs=1).history
    assert {tuple(weights.shape) for weights in drawn} == {(6, 128)}
    bounds = [(w.logsumexp(0) - math.log(6)).mean().item() for w in drawn]
    assert record["train_bound"] == pytest.approx(math.fsum(bounds) / len(bounds), rel=1e-5)
    elbos = [w.mean().item() for w in drawn]
    assert record["train_elbo"] == pytest.approx(math.fsum(elbos) / len(elbos), rel=1e-5)


def test_the_terminal_and_tensorboard_show_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path, objective="iwae", epochs=1, progress=True)
    record = run.metrics
    line = capsys.readouterr().err
    for split, name, label in (
        ("train", "train_elbo", "train ELBO"),
        ("validation", "validation_elbo", "validation ELBO"),
        ("validation", "validation_bound", "bound"),
        ("validation", "validation_kl", "KL"),
    ):
        assert f"{label} {record[name]:.2f}  " in line, split
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    assert {"train/bound", "train/elbo", "validation/bound", "validation/elbo"} <= scalars
    assert not {"train/kl", "train/log_likelihood"} & scalars


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variant": "autoencoder"}, "needs log p(x), which 'autoencoder' does not define"),
        ({"kl_warmup_steps": 5}, "train.kl_warmup_steps = 5 weighs a KL"),
        ({"free_bits": 1.0}, "unknown option 'free_bits'"),
        ({"balance": True}, "unknown option 'balance'"),
        ({"beta": 2.0}, "unknown option 'beta'"),
        ({"samples": 0}, "'samples'"),
        ({"dataset": "mnist", "variant": "autoencoder", "data_root": "/none"}, "needs log p(x)"),
    ],
)
def test_what_does_not_fit_iwae_is_refused_before_training(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "run", objective="iwae", **options)
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_interrupted_epoch_of_iwae_is_reported_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"objective": "iwae", "samples": 2, "checkpoint_seconds": 0.0}
    whole = train(tmp_path / "whole", **options)

    def interrupt(self: Trainer) -> bool:
        if self.position.step == 16:
            self.save()
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save_is_due", interrupt)
        train(tmp_path / "torn", **options)
    assert zoo.resume(tmp_path / "torn", progress=False).history == whole.history


# Balance


def giving(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[..., Loss]:
    """The ELBO's loss with other logs."""
    original = ELBO.loss

    def loss(self: ELBO, draws: Draws, step: Step) -> Loss:
        value, logs = original(self, draws, step)
        return Loss(value, change(logs))

    return loss


def test_logs_are_recorded_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order in which an objective gives them."""
    plain = train(tmp_path / "plain")
    monkeypatch.setattr(ELBO, "loss", giving(lambda logs: dict(reversed(logs.items()))))
    turned = train(tmp_path / "turned")
    assert turned.metrics == plain.metrics


@pytest.mark.parametrize(
    "change",
    [lambda logs: {"kl": logs["kl"]}, lambda logs: {**logs, "more": logs["kl"]}],
    ids=["fewer", "more"],
)
def test_other_logs_than_an_objective_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """They stood in the columns of the gradient's norms."""
    monkeypatch.setattr(ELBO, "loss", giving(change))
    with pytest.raises(ConfigError, match="'elbo' gives the logs"):
        train(tmp_path)


def test_a_loss_of_each_example_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(self: ELBO, draws: Draws, step: Step) -> Loss:
        return Loss(-draws.log_likelihood.mean(0), {})

    monkeypatch.setattr(ELBO, "loss", loss)
    with pytest.raises(ConfigError, match=r"'elbo' gives a loss of shape \(\d+,\).*take its mean"):
        train(tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"objective": "beta"}, {"free_bits": 0.5}, {"balance": True}, {"kl_warmup_steps": 5}],
    ids=["beta", "free bits", "balance", "warm-up"],
)
def test_a_weight_of_the_kl_is_refused_where_there_is_no_kl(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="'autoencoder' has no KL for beta, free_bits, balance"):
        train(tmp_path, "autoencoder", **options)


@zoo.register("two-groups", config={"backbone": {"name": "mlp", "hidden": [8]}})
class TwoGroups(VAE):
    """Its one group's KL in two unequal parts, one for two of the three dimensions."""

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        draws = super().infer(batch, samples, given)
        assert draws.kl_by_dimension is not None
        parts = draws.kl_by_dimension.split([2, 1], -1)
        draws.kl = torch.stack([p.sum(-1) for p in parts], -1)
        return draws


def test_balance_changes_the_warmup_and_nothing_else(tmp_path: Path) -> None:
    def history(name: str, **options: Any) -> list[dict[str, Any]]:
        return train(tmp_path / name, "two-groups", **options).history

    with pytest.raises(ConfigError, match="no warm-up; set train.kl_warmup_steps"):
        history("a", balance=True)
    plain, balanced = (history(str(b), kl_warmup_steps=15, balance=b) for b in (False, True))
    assert plain[0]["train_loss"] != balanced[0]["train_loss"]
    for record in balanced:
        figure = record["train_log_likelihood"] - record["train_kl"]
        assert record["train_elbo"] == pytest.approx(figure)
    after = history("after", kl_warmup_steps=10, balance=True)[1]
    assert after["train_loss"] == pytest.approx(-after["train_elbo"]), "the weights are 1 again"


# Penalties


@zoo.register("penalised", config={"backbone": {"name": "mlp", "hidden": [8]}})
class Penalised(VAE):
    """A VAE with 3 |w|^2 of its first decoder layer beside the loss, or what a test asks for."""

    strength = 3.0

    def penalty(self) -> Tensor | None:
        if not self.training:
            pytest.fail("evaluation asked for the penalty")
        return self.strength * self.decoder.layers[0].weight.square().sum()


@pytest.mark.parametrize("options", [{}, {"objective": "beta"}, {"objective": "iwae"}])
def test_a_penalty_is_in_the_loss_and_in_no_other_figure(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps too small to change a weight, runs differ by the penalty alone."""
    still = {"lr": 1e-30, "epochs": 1, **options}
    (with_penalty,) = train(tmp_path / "a", "penalised", **still).history
    penalty = 3 * zoo.load(tmp_path / "a").decoder.layers[0].weight.square().sum().item()
    monkeypatch.setattr(Penalised, "strength", 0.0)
    (without,) = train(tmp_path / "b", "penalised", **still).history
    assert penalty > 1
    assert with_penalty["train_loss"] - without["train_loss"] == pytest.approx(penalty, rel=1e-4)
    loss_and_its_gradient = {"train_loss", "gradient_norm"}
    for name in with_penalty.keys() - loss_and_its_gradient:
        assert with_penalty[name] == without[name], name


def test_a_penalty_is_minimised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def norm(name: str) -> float:
        run = train(tmp_path / name, "penalised", epochs=5, lr=1e-2)
        return run.model.decoder.layers[0].weight.square().sum().item()

    with_penalty = norm("a")
    monkeypatch.setattr(Penalised, "strength", 0.0)
    assert with_penalty < 0.5 * norm("b")


def test_variants_have_no_penalty_unless_they_say_so() -> None:
    assert zoo.create("gaussian-vae", **SMALL).penalty() is None


@zoo.register("root")
class Root(VAE):
    """A VAE with a penalty of 0 and no slope there."""

    def penalty(self) -> Tensor:
        return (0.0 * self.decoder.layers[0].weight).square().sum().sqrt()


def test_a_penalty_whose_gradient_alone_is_bad_changes_no_weight(tmp_path: Path) -> None:
    """The root of 0 is finite, its slope is not: neither the loss nor a bias shows it."""

    with pytest.raises(TrainingError, match=r"decoder\.layers\.0\.weight"):
        train(tmp_path, "root", epochs=1)


def test_an_epoch_without_a_good_step_is_no_epoch(tmp_path: Path) -> None:
    """Its means would be those of nothing, and a loss of 0 a perfect score."""
    with pytest.raises(TrainingError, match="10 steps of epoch 1 skipped"):
        train(tmp_path, "root", epochs=1, max_skipped_steps=10_000)
