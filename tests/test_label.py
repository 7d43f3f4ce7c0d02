"""Few labels: spaces of known accuracy, the same draws for all, refusals, every variant."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.core.component import Selected
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.evaluation import few_label_accuracies, knn_accuracy
from zoo.tasks.label import Accuracy, Label, Labelled, Labelling
from zoo.testing.cases import cases_of


def task(**options: Any) -> Label:
    found: Label = Selected.parse("tasks", {"name": "label", **options}).build()
    return found


def balls(count: int, seed: int, spread: float) -> Labelled:
    """Codes about the corners of a triangle, as many of each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    return Labelled(corners[labels] + spread * torch.randn(count, 2, generator=generator), labels)


@pytest.mark.parametrize("name", zoo.list_variants())
def test_every_variant_is_tried_or_refused(name: str) -> None:
    for case in {case.known.modality.name: case for case in cases_of(name, {})}.values():
        model = case.model()
        try:
            task().check_model(model)
        except UnsupportedError as error:
            assert case.condition(1) is not None and "told the labels" in str(error)
            continue
        with torch.no_grad():
            task().try_out(model, case.batch(4))


def test_classes_apart_are_all_found() -> None:
    found = task(labels=[3, 30], draws=3, neighbours=1).measure(
        balls(300, 0, 0.1), balls(90, 1, 0.1)
    )
    assert found == {
        count: {"neighbours": Accuracy(1.0, 0.0), "linear probe": Accuracy(1.0, 0.0)}
        for count in (3, 30)
    }


def test_one_coordinate_that_tells_two_classes_apart_to_a_known_share() -> None:
    """N(-1, 1) against N(1, 1): the best linear rule is right in Phi(1) = 84.13 % of cases."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20_000) % 2
    codes = torch.randn(20_000, 1, generator=generator) + 2 * labels[:, None] - 1
    every = Labelled(codes, labels)
    found = task(labels=[2000], draws=3).measure(every, every)[2000]["linear probe"]
    assert found.mean == pytest.approx(0.8413, abs=0.008)


def test_labels_that_say_nothing_give_chance() -> None:
    codes = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0))
    every = Labelled(codes, torch.arange(3000) % 3)
    for each in task(labels=[60], draws=5).measure(every, every)[60].values():
        assert each.mean == pytest.approx(1 / 3, abs=0.05)


def test_neighbours_are_those_of_the_evaluation() -> None:
    train, test = balls(300, 0, 2.0), balls(300, 1, 2.0)
    ours = task(labels=[30], draws=4).measure(train, test, seed=7)[30]["neighbours"]
    theirs = knn_accuracy(*train, *test, labels=30, repeats=4, seed=7)
    assert ours.mean == pytest.approx(theirs.value) and 0.5 < ours.mean < 0.99
    assert ours.deviation == pytest.approx(2 * theirs.stderr)


def test_draws_do_not_depend_on_the_codes() -> None:
    """Two models are compared on the same labelled examples."""
    seen: list[list[Any]] = [[], []]

    class Recorder:
        def __init__(self, into: list[Any]) -> None:
            self.into = into

        def fit(self, codes: Any, classes: Any) -> Any:
            self.into.append(codes[:, 0].astype(int).tolist())
            return self

        def predict(self, codes: Any) -> Any:
            return np.zeros(len(codes))

    labels = torch.arange(60) % 3
    for into, codes in zip(seen, (torch.zeros(60, 1), torch.randn(60, 3)), strict=True):
        numbered = torch.cat([torch.arange(60.0)[:, None], codes], dim=1)
        every = (numbered, labels)
        few_label_accuracies(lambda into=into: Recorder(into), every, every, labels=9, repeats=3)  # type: ignore[misc]
    assert seen[0] == seen[1] and len(set(map(tuple, seen[0]))) == 3


def test_a_model_that_infers_classes_has_its_own_accuracy() -> None:
    run = zoo.create("m2", latent_dim=2, hidden=[8])
    data = zoo.load_dataset("digits")
    found = zoo.label(run, labels=np.int64(20), draws=2, dataset="digits")  # type: ignore[arg-type]
    test = data.test.fixed("binary", 0)
    batch = test.batch(torch.arange(len(test)), kind="real")
    right = (run.classify(batch.x).argmax(1) == batch.labels).double().mean()  # type: ignore[operator]
    own = found.accuracies[20]["own classifier"]
    assert own == Accuracy(pytest.approx(float(right)), None)
    assert "own classifier" in str(found)
    scores = zoo.compare(
        {"m2": run, "other": "gaussian-vae-digits"}, ["class-accuracy"], dataset="digits"
    )
    measured = scores.outcomes[0][0].measured
    assert measured is not None and measured.value == pytest.approx(float(right))
    assert any("other has no class-accuracy: this model infers no" in note for note in scores.notes)


def test_a_class_that_is_not_known_is_neither_right_nor_wrong() -> None:
    """Of a classifier that says class 1 of everything, by known labels alone."""
    model = zoo.create("m2", latent_dim=2, hidden=[8])
    last = model.classifier[-1]  # type: ignore[index]
    last.weight.data.zero_()
    last.bias.data.copy_(torch.eye(10)[1])
    labels = np.array([1, 0, -1, 1, 2, -1] * 30)
    images = np.zeros((len(labels), 1, 8, 8), dtype=np.float32)
    scores = zoo.compare(model, ["class-accuracy"], dataset={"train": images, "test": images,
                         "train_labels": labels, "test_labels": labels})  # fmt: skip
    measured = scores.outcomes[0][0].measured
    assert measured is not None and measured.value == 0.5
    assert measured.values is not None and len(measured.values) == 120


def test_unknown_labels_are_left_out() -> None:
    """An example whose class is not known, -1, is in no draw and in no test."""
    codes, labels = balls(120, 0, 0.1)
    known = torch.where(torch.arange(120) < 60, labels, -1)
    images = (codes[:, :1, None, None] > 2).float().expand(-1, 1, 8, 8)
    x = (images.numpy(), known.numpy())
    found = zoo.label(zoo.create("gaussian-vae"), labels=6, draws=2, dataset=x)
    assert 0 < found.examples < 12


def test_the_table() -> None:
    found = Labelling("mine", 1000, 20, {100: {"neighbours": Accuracy(0.91234, 0.0123)}})
    assert str(found).splitlines() == [
        "mine",
        "labels  neighbours",
        "------  ----------",
        "   100  91.2 ± 1.2",
        "accuracy in per cent on 1,000 test examples, mean ± standard deviation over 20 draws of "
        "the labels",
    ]


def test_the_command_prints_it_or_json() -> None:
    command = ["label", "vmf-vae-digits", "--labels", "20", "--draws", "2"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.strip() == str(zoo.label("vmf-vae-digits", labels=20, draws=2))
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert 0.3 < told["accuracies"]["20"]["neighbours"]["mean"] < 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": 100_000}, DataError, "ask for fewer labels"),
        ({"labels": []}, ConfigError, "labels"),
        ({"draws": 1}, ConfigError, "'draws'"),
        ({"dataset": torch.rand(30, 1, 8, 8).round()}, DataError, "no labels of classes"),
    ],
)
def test_what_cannot_be_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        zoo.label("gaussian-vae-digits", **options)


def test_a_model_that_is_told_the_labels_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="told the labels that are to be found"):
        zoo.label("cvae-digits")
