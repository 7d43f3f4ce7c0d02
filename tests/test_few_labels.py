"""Trainings that know few labels: which ones, in what runs, and what they are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.data import Dataset
from zoo.data.labels import labelled_of, with_few_labels
from zoo.errors import ConfigError, DataError
from zoo.studies.study import read_study
from zoo.training.run import RunDirectory
from zoo.variants.m2 import M2

SMALL: dict[str, Any] = {"hidden": [16], "latent_dim": 2, "progress": False, "epochs": 1}


def call(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def vectors(labels: list[int] | None, count: int = 40, **more: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return {"train": x} | ({} if labels is None else {"train_labels": np.array(labels)}) | more


class TestChoice:
    def test_it_is_balanced_and_the_seed_s(self) -> None:
        data = zoo.load_dataset("digits")
        few = with_few_labels(data, 50, seed=0)
        labels, known = few.train.labels, labelled_of(few.train)
        assert labels is not None and known is not None and data.train.labels is not None
        assert torch.equal(labels[known], data.train.labels[known])
        assert labels[known].bincount().tolist() == [5] * 10
        assert (labels == -1).sum() == len(data.train) - 50
        assert torch.equal(with_few_labels(data, 50, seed=0).train.labels, labels)  # type: ignore[arg-type]
        assert not torch.equal(with_few_labels(data, 50, seed=1).train.labels, labels)  # type: ignore[arg-type]
        assert few.validation is data.validation and few.test is data.test
        assert few.classes == 10 and few.digest() == data.digest()

    def test_labels_that_are_not_known_are_not_chosen(self) -> None:
        data = zoo.load_dataset(vectors([-1, 0, 1, -1] * 10))
        few = with_few_labels(data, 6, seed=0).train
        assert few.labels is not None
        assert [(few.labels == label).sum().item() for label in (0, 1)] == [3, 3]
        assert (few.labels >= 0).sum() == 6

    @pytest.mark.parametrize(
        ("labels", "count", "says"),
        [
            (None, 4, "array has no labels of classes, of which labelled=4"),
            ([0.5] * 40, 4, "has no labels of classes"),
            ([0, 1, 2, 1] * 10, 4, "has 3 classes, which cannot share labelled=4.*such as 6"),
            ([0, 1, 2, 1] * 10, 2, "cannot share labelled=2 labels evenly.*such as 3"),
            ([0, 1] * 20, 60, "class 0 has 1[0-9] training examples.*ask for fewer"),
        ],
    )
    def test_what_cannot_be_is_refused(self, labels: Any, count: int, says: str) -> None:
        data = zoo.load_dataset(vectors(labels))
        with pytest.raises(DataError, match=says):
            with_few_labels(data, count, seed=0)


class TestRuns:
    def test_the_choice_is_a_setting_that_a_run_keeps(self, tmp_path: Path) -> None:
        settings = {**SMALL, "labelled": 50, "seed": 3}
        run = zoo.train("m2", directory=tmp_path, **settings)
        assert RunDirectory(tmp_path).read_config().labelled == 50
        longer = zoo.resume(tmp_path, progress=False, epochs=2)
        straight = zoo.train("m2", directory=tmp_path / "b", **{**settings, "epochs": 2})
        for a, b in zip(longer.model.parameters(), straight.model.parameters(), strict=True):
            assert torch.equal(a, b)
        assert 0 <= run.metrics["validation_classification_error"] <= 1
        with pytest.raises(ConfigError, match="labelled: 50 -> 100"):
            zoo.train("m2", directory=tmp_path, **{**settings, "labelled": 100})

    def test_the_same_from_the_command_line(self, tmp_path: Path) -> None:
        zoo.train("m2", directory=tmp_path / "a", labelled=50, **SMALL)
        options = ("--hidden", "[16]", "--latent-dim", 2, "--epochs", 1)
        where = ("--directory", tmp_path / "b")
        call("train", "m2", "--labelled", 50, *options, *where)
        a, b = (RunDirectory(tmp_path / name) for name in "ab")
        assert a.read_config() == b.read_config()
        one, other = (zoo.load(each.best).state_dict() for each in (a, b))
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_the_error_in_the_record_is_the_validation_s(self, tmp_path: Path) -> None:
        run = zoo.train("m2", directory=tmp_path, labelled=100, **SMALL)
        split = zoo.load_dataset("digits").validation
        assert split.labels is not None
        wrong = run.model.classify(_read(split)).argmax(-1) != split.labels  # type: ignore[operator]
        found = json.loads((tmp_path / "metrics.jsonl").read_text())
        assert found["validation_classification_error"] == pytest.approx(
            wrong.float().mean().item()
        )

    def test_what_the_objective_lacks_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"needs q\(y\|x\).*'gaussian-vae' does not.*'m2'"):
            zoo.train("gaussian-vae", objective="semi-supervised", directory=tmp_path)
        with pytest.raises(ConfigError, match="array has none to train on"):
            labels = {"train_labels": np.full(40, -1), "validation_labels": np.arange(5)}
            data = vectors(None, validation=np.zeros((5, 3), np.float32), **labels)
            zoo.train("m2", dataset=data, classes=5, directory=tmp_path, **SMALL)
        with pytest.raises(ConfigError, match="validation split, and not all labels"):
            data = vectors([0, 1, -1, -1] * 10)
            zoo.train("m2", dataset=data, directory=tmp_path, **SMALL)

    def test_a_model_that_must_be_told_all_labels_is_refused_few(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="classes are numbered from 0, got -1"):
            zoo.train("cvae", labelled=50, directory=tmp_path, **SMALL)

    def test_figures_are_of_p_x_and_of_codes_that_hold_the_class(self, tmp_path: Path) -> None:
        run = zoo.train("m2", directory=tmp_path, labelled=100, **SMALL)
        result = zoo.evaluate(run, samples=20, examples=50)
        assert "told" not in result.test_set
        assert -result.nll.value > result.elbo.value
        call("sample", tmp_path, "--n", 4, "--out", tmp_path / "any.png")
        call("sample", tmp_path, "--n", 4, "--condition", 7, "--out", tmp_path / "sevens.png")


def test_codes_of_one_model_are_data_for_another(tmp_path: Path) -> None:
    """M1+M2: the codes of a VAE, with the labels of all splits."""
    codes = tmp_path / "codes.npz"
    call("encode", "gaussian-vae-digits", "--split", "all", "--out", codes)
    written, data = np.load(codes), zoo.load_dataset("digits")
    for name, split in data.splits.items():
        assert len(written[name]) == len(split)
        assert np.array_equal(written[f"{name}_labels"], split.labels)
    alone = tmp_path / "test.npz"
    call("encode", "gaussian-vae-digits", "--out", alone)
    assert np.array_equal(np.load(alone)["codes"], written["test"])
    run = zoo.train("m2", dataset=codes, labelled=50, directory=tmp_path / "run", **SMALL)
    assert run.model.config.input_shape == (16,)
    assert run.model.likelihood.reads == "real"


def test_a_group_of_a_hierarchy_is_encoded_alone(tmp_path: Path) -> None:
    whole, some = tmp_path / "whole.npz", tmp_path / "some.npz"
    call("encode", "nvae-lite-digits", "--out", whole)
    call("encode", "nvae-lite-digits", "--group", 2, "--group", 0, "--out", some)
    widths = zoo.load("nvae-lite-digits").group_widths
    parts = np.split(np.load(whole)["codes"], np.cumsum(widths)[:-1], axis=1)
    assert np.array_equal(np.load(some)["codes"], np.concatenate([parts[2], parts[0]], axis=1))
    no = tmp_path / "no.npz"
    for model, groups, words in (
        ("nvae-lite-digits", [5], "--group 5: the model has groups 0 to 4"),
        ("nvae-lite-digits", [1, 1], "each is written once"),
        ("gaussian-vae-digits", [1], "--group 1: the model has one group, 0"),
    ):
        asked = [part for group in groups for part in ("--group", group)]
        assert words in call("encode", model, *asked, "--out", no, code=2).stderr
    assert not no.exists()


def test_a_sweep_knows_few_labels_of_codes(tmp_path: Path) -> None:
    """Each point as many as it says, or else as the study; another number is another protocol."""
    call("encode", "gaussian-vae-digits", "--split", "all", "--out", tmp_path / "codes.npz")
    (tmp_path / "few.yaml").write_text(
        "title: few\ndataset: codes.npz\nsamples: 2\nvariant: m2\nlabelled: 50\n"
        "model: {latent_dim: 2, backbone: {name: mlp, hidden: [8]}}\ntrain: {epochs: 1}\n"
        "columns: {accuracy: {metric: class-accuracy}}\n"
        "points: {fifty: {}, hundred: {labelled: 100}, all: {labelled: null}}\n"
    )
    trials = list(read_study(tmp_path / "few.yaml").trials())
    assert [each.experiment.labelled for each in trials] == [50, 100, None]
    assert len({each.protocol for each in trials}) == 3
    runs = tmp_path / "runs"
    report = zoo.sweep(tmp_path / "few.yaml", train=True, directory=runs, points=["hundred"])
    found = zoo.label(runs / "hundred-s0", labels=50, draws=2).accuracies[50]["own classifier"]
    figure = report.ours("hundred", "accuracy")
    assert figure is not None and figure.value == pytest.approx(found.mean)


def test_examples_without_labels_are_worth_something(tmp_path: Path) -> None:
    """M2 of 50 labels among 1,297 digits errs less than its classifier of those 50 alone."""
    data = zoo.load_dataset("digits")
    settings = {"hidden": [64], "latent_dim": 10, "lr": 6e-3, "batch_size": 128, "alpha": 0.3}
    run = zoo.train(
        "m2",
        labelled=50,
        epochs=40,
        progress=False,
        directory=tmp_path,
        **settings,  # type: ignore[arg-type]
    )
    model = run.model
    assert isinstance(model, M2)
    semi = error(model.classify(_read(data.test)), data.test.labels)
    alone = error(of_few(data)(_read(data.test)), data.test.labels)
    assert semi < 0.21 < alone


def of_few(data: Dataset) -> nn.Module:
    """The same classifier after 600 steps on the labelled examples alone."""
    few = with_few_labels(data, 50, seed=0).train
    known = labelled_of(few)
    assert known is not None
    torch.manual_seed(0)
    model = zoo.create("m2", hidden=[64], latent_dim=10)
    assert isinstance(model, M2)
    net = model.classifier.train()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(600):
        batch = few.batch(known, kind="binary")
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(batch.x), batch.labels).backward()  # type: ignore[arg-type]
        optimizer.step()
    return net.eval()


def error(scores: Tensor, labels: Tensor | None) -> float:
    return (scores.argmax(-1) != labels).float().mean().item()


def _read(split: zoo.data.Examples) -> Tensor:
    """As a model of binary pixels is measured on it."""
    fixed = split.fixed("binary", 0)
    return fixed.batch(torch.arange(len(fixed)), kind="real").x
