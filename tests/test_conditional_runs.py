"""Models that are told a class, or numbers: from the labels of the data to samples of a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.data import load_for_model
from zoo.errors import DataError, UnsupportedError
from zoo.evaluation import evaluate_model
from zoo.training.statistics import refresh_statistics
from zoo.variants import Variant

SMALL: dict[str, Any] = {"hidden": [32], "latent_dim": 3, "progress": False, "epochs": 1}
NUMBERS: dict[str, Any] = {
    "X": np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32),
    "condition": np.random.default_rng(1).normal(size=(80, 3)).astype(np.float32),
}


def call(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    folder = tmp_path_factory.mktemp("cvae")
    settings = {**SMALL, "epochs": 20, "lr": 0.01, "sample_every_epochs": 20}
    return zoo.train("cvae", dataset="digits", directory=folder, **settings)


@pytest.fixture(scope="module")
def told_numbers(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    folder = tmp_path_factory.mktemp("numbers")
    settings = {**SMALL, "condition": "condition", "sample_every_epochs": 1}
    return zoo.train("gaussian-vae", dataset=NUMBERS, directory=folder, **settings)


def test_the_entry_is_the_gaussian_vae_told_the_labels(run: zoo.Run) -> None:
    config = run.model.config.model_dump(mode="json")
    plain = zoo.create("gaussian-vae", condition="labels").config.model_dump(mode="json")
    assert config["condition"] == plain["condition"]
    assert config["condition"] == {"on": "labels", "classes": 10, "numbers": None}
    assert type(run.model) is Variant.find("gaussian-vae").model


def test_samples_of_a_class_look_like_it(run: zoo.Run) -> None:
    """On average they are nearest to the average of that class."""
    train = zoo.load_dataset("digits").train
    assert train.labels is not None
    images = train.rows / 255
    means = torch.stack([images[train.labels == digit].mean(0) for digit in range(10)])
    drawn = run.model.sample(400, condition=torch.arange(400) % 10)
    assert isinstance(drawn, Tensor)
    averages = torch.stack([drawn[digit::10].mean(0) for digit in range(10)])
    nearest = torch.cdist(averages.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == torch.arange(10)).sum() >= 8


def test_samples_follow_the_generator(run: zoo.Run) -> None:
    drawn = [
        run.model.sample(4, condition=told, generator=torch.Generator().manual_seed(1))
        for told in (3, [3, 3, 3, 3], torch.tensor(3), np.int64(3))
    ]
    assert all(torch.equal(each, drawn[0]) for each in drawn)  # type: ignore[arg-type]


def test_figures_are_of_the_data_s_labels(run: zoo.Run) -> None:
    result = zoo.evaluate(run, samples=5)
    assert result.test_set.endswith("binarised with seed 0, told labels")
    assert zoo.evaluate(zoo.load(run.directory), dataset="digits", samples=5).nll == result.nll
    test = load_for_model(run.model.config, "digits").test.fixed("binary", 0)
    batch = test.batch(torch.arange(50), kind="real")
    assert test.labels is not None and torch.equal(batch.condition, test.labels[:50])
    misled = batch._replace(condition=(batch.condition + 1) % 10)
    right, wrong = (run.model.log_prob(each, samples=20).mean() for each in (batch, misled))
    assert right > wrong + 5


def test_only_models_told_alike_are_ranked(run: zoo.Run) -> None:
    metrics = ["nll", "elbo", "squared-error", "frechet-distance"]
    alike = zoo.compare([run, run.directory], metrics, samples=2, examples=40)
    assert all(all(alike.ties(row)[:2]) for row in range(4))  # beside them stand references
    mixed = zoo.compare([run, "gaussian-vae-digits"], metrics, samples=2, examples=40)
    assert not any(any(mixed.ties(row)) for row in range(4))
    assert not mixed.table_of_differences()
    said = [note for note in mixed.notes if "is not ranked by" in note]
    assert [", ".join(metrics[:2]) in said[0], ", ".join(metrics[2:]) in said[1]] == [True, True]
    assert all("told labels" in note for note in said)


def test_codes_reconstructions_and_edits_read_the_condition(run: zoo.Run) -> None:
    x = zoo.load_dataset("digits").test.rows[:4].float().div(255).round()
    batch = zoo.Batch(x, torch.tensor([0, 1, 2, 3]))
    assert run.model.encode(batch).shape == (4, 3)
    assert run.model.log_posteriors(batch).shape == (4, 4)
    for made in (run.model.reconstruct(batch), run.model.edit(batch, [0])):
        assert isinstance(made, Tensor) and made.shape == (4, 1, 8, 8)
    other = zoo.Batch(x, torch.tensor([1, 1, 1, 1]))
    assert not torch.equal(run.model.encode(batch), run.model.encode(other))
    z = torch.zeros(5, 2, 3)
    assert run.model.decode(z, torch.tensor([0, 9])).batch_shape == (5, 2)


X = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: m.sample(2), "none was given; pass Batch"),
        (lambda m: m.encode(X), "none was given; pass Batch"),
        (lambda m: m.log_prob(X, samples=2), "none was given; pass Batch"),
        (lambda m: m.decode(torch.zeros(2, 3)), "none was given; pass Batch"),
        (lambda m: m.sample(2, condition=10), r"classes \(batch,\) from 0 to 9, got 10"),
        (lambda m: m.sample(2, condition=-1), "got -1"),
        (lambda m: m.sample(2, condition=1.5), "got torch.float32"),
        (lambda m: m.sample(2, condition="three"), "got 'three'"),
        (lambda m: m.sample(2, condition=[1, 2, 3]), "2 draws need 2 conditions"),
        (lambda m: m.sample(2, condition=[[1], [2]]), r"got torch.int64 of shape \(2, 1\)"),
        (lambda m: m.encode(zoo.Batch(X, torch.tensor([1, 10]))), "got 10"),
        (lambda m: m.encode(zoo.Batch(X, torch.tensor([1]))), "2 examples need as many"),
        (lambda m: m.encode(zoo.Batch(X, torch.ones(2))), "got torch.float32"),
        (lambda m: m.encode(zoo.Batch(X, torch.tensor(1))), "got torch.int64"),
        (lambda m: m.decode(torch.zeros(2, 3), torch.tensor([1, 10])), "got 10"),
        (lambda m: m.decode(torch.zeros(2, 3), torch.tensor([1, 2, 3])), "2 codes need as many"),
        (lambda m: m.decode(torch.zeros(2, 3), 3), "got int"),
    ],
)
def test_missing_and_wrong_classes_are_refused(run: zoo.Run, ask: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ask(run.model)


def test_a_model_told_nothing_refuses_a_condition() -> None:
    with pytest.raises(UnsupportedError, match="condition='labels'"):
        zoo.create("gaussian-vae").sample(2, condition=1)


def test_a_dataset_with_a_condition_is_measured_without_it_or_refused(tmp_path: Path) -> None:
    """``zoo.evaluate`` reads what the model is told; splits are measured as they are."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    data = zoo.load_dataset({"images": pixels, "condition": np.arange(60) % 3})
    model = zoo.create("gaussian-vae", hidden=[8], latent_dim=2)
    assert zoo.evaluate(model, dataset=data, samples=2).nll is not None
    with pytest.raises(UnsupportedError, match="told nothing .* conditioned"):
        evaluate_model(model, data.test, name="mine", dataset="mine", samples=2)


def test_data_without_labels_are_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    with pytest.raises(DataError, match="no labels"):
        zoo.train("cvae", dataset=pixels, directory=tmp_path, **SMALL)
    with pytest.raises(DataError, match="did you mean 'labels'"):
        zoo.create("cvae", condition="lables")


@pytest.mark.parametrize("variant", ["vmf-vae", "power-spherical-vae", "autoencoder", "beta-vae"])
def test_every_model_of_one_vector_may_be_told(variant: str, tmp_path: Path) -> None:
    settings = {**SMALL, "condition": "labels"}
    run = zoo.train(variant, dataset="digits", directory=tmp_path, **settings)
    sample = zoo.load(tmp_path).sample(2, condition=[0, 9])
    assert isinstance(sample, Tensor) and sample.shape == (2, 1, 8, 8)
    assert zoo.evaluate(run, samples=2).examples == 300


def test_statistics_are_refreshed_of_what_is_told() -> None:
    model = zoo.create("cvae", posterior="batch-norm", hidden=[8])
    train = zoo.load_dataset("digits").conditioned("labels").train
    before = {name: value.clone() for name, value in model.state_dict().items()}
    refresh_statistics(model, train)
    after = model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


class TestNumbers:
    def test_they_have_no_rows_of_classes(self, told_numbers: zoo.Run) -> None:
        with pytest.raises(UnsupportedError, match="a row for each class, and .* is told numbers"):
            zoo.draw("classes", told_numbers.model)

    def test_they_are_told_as_they_are(self, told_numbers: zoo.Run) -> None:
        model = told_numbers.model
        assert model.condition_width == 3
        one = model.sample(2, condition=[0.5, 1, -2], generator=torch.Generator().manual_seed(0))
        each = torch.tensor([[0.5, 1.0, -2.0]] * 2)
        same = model.sample(2, condition=each, generator=torch.Generator().manual_seed(0))
        assert isinstance(one, Tensor) and isinstance(same, Tensor) and torch.equal(one, same)
        assert zoo.evaluate(told_numbers, dataset=NUMBERS, samples=2).examples == 8

    @pytest.mark.parametrize("told", [1.0, [1, 2], [[1, 2, 3]] * 3, [1, 2, float("nan")], "red"])
    def test_others_are_refused(self, told_numbers: zoo.Run, told: Any) -> None:
        with pytest.raises(DataError, match="expected a condition of numbers|2 draws need 2"):
            told_numbers.model.sample(2, condition=told)

    def test_a_column_the_model_is_not_told_is_no_other_data(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "mine.npz", **NUMBERS)
        run = zoo.train(
            "gaussian-vae", dataset=tmp_path / "mine.npz", directory=tmp_path / "run", **SMALL
        )
        assert zoo.evaluate(run, samples=2).examples == 8


def test_tensorboard_shows_classes_in_turn(run: zoo.Run, told_numbers: zoo.Run) -> None:
    for each, kind in ((run, "images"), (told_numbers, "histograms")):
        shown = EventAccumulator(str(each.directory / "tensorboard")).Reload().Tags()
        assert shown[kind] == ["samples"]
    split = zoo.load_dataset("digits").conditioned("labels").validation
    told = split.conditions(64)
    assert told is not None and told.tolist() == [number % 10 for number in range(64)]
    assert zoo.load_dataset("digits").validation.conditions(64) is None


class TestCommands:
    def test_samples_of_one_class_or_of_each(self, run: zoo.Run, tmp_path: Path) -> None:
        def drawn(*options: object) -> Any:
            call("sample", run.directory, "--n", 3, "--out", tmp_path / "a.npy", *options)
            return np.load(tmp_path / "a.npy")

        generator = torch.Generator().manual_seed(0)
        expected = run.model.sample(3, condition=[3, 4, 5], generator=generator)
        assert np.array_equal(drawn("--condition", "3,4,5"), expected)
        several = ("--condition", 3, "--condition", 4, "--condition", 5)
        assert np.array_equal(drawn(*several), expected)
        assert np.array_equal(drawn("--condition", 3)[0], expected[0])

    def test_numbers_are_a_row_for_each(self, told_numbers: zoo.Run, tmp_path: Path) -> None:
        ask = ("sample", told_numbers.directory, "--n", 2, "--out", tmp_path / "a.npz")
        call(*ask, "--condition", "0.5,1,-2")
        call(*ask, "--condition", "0.5,1,-2", "--condition", "1,2,3")
        assert np.load(tmp_path / "a.npz")["vectors"].shape == (2, 5)
        assert "numbers (batch, 3)" in call(*ask, "--condition", "0.5", code=2).stderr

    def test_mistakes(self, run: zoo.Run, tmp_path: Path) -> None:
        ask = ("sample", run.directory, "--n", 3, "--out", tmp_path / "a.npy")
        assert "from 0 to 9; give --condition" in call(*ask, code=2).stderr
        for wrong, said in (("10", "got 10"), ("1,2", "3 draws need 3"), ("x", "write a class")):
            assert said in call(*ask, "--condition", wrong, code=2).stderr
        plain = ("sample", "gaussian-vae-digits", "--out", tmp_path / "a.npy", "--condition", 3)
        assert "told nothing" in call(*plain, code=2).stderr

    def test_the_others_take_the_data_s_labels(self, run: zoo.Run, tmp_path: Path) -> None:
        call("reconstruct", run.directory, "--out", tmp_path / "pairs.npz")
        call("encode", run.directory, "--out", tmp_path / "codes.npz")
        call("evaluate", run.directory, "--samples", 2)
        data = load_for_model(run.model.config, "digits").test.fixed("binary", 0)
        batch = data.batch(torch.arange(5), kind="real")
        codes = np.load(tmp_path / "codes.npz")["codes"][:5]
        assert np.allclose(codes, run.model.encode(batch).detach(), atol=1e-6)
