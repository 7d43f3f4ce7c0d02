"""What codes say of classes: known scores, independent implementations, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import zoo
from zoo.core.component import Selected
from zoo.data import load_dataset
from zoo.errors import UnsupportedError
from zoo.evaluation import knn_accuracy
from zoo.metrics import Measured, Metric, Subject
from zoo.metrics.clustering import matched
from zoo.testing.codes import Coded

CLASSES = 3
NAMES = ("knn", "linear-probe", "k-means", "nmi", "ari")
FEW = {"labels": 30, "draws": 4}


def metric(name: str, **settings: Any) -> Metric:
    found: Metric = Selected.parse("metrics", {"name": name, **settings}).build()
    return found


def measured(name: str, subject: Subject, **settings: Any) -> Measured:
    found = metric(name, **settings)
    found.check(subject)
    with torch.no_grad():
        return found.measure(subject)


def balls(apart: float, count: int = 300, seed: int = 0) -> Coded:
    """Normal codes about the corners of a triangle, as many of each class."""
    labels = torch.arange(count) % CLASSES
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.866]])
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return Coded(apart * corners[labels] + noise, labels)


def settings_of(name: str) -> dict[str, int]:
    return FEW if name in ("knn", "linear-probe") else {}


@pytest.mark.parametrize("name", NAMES)
def test_classes_far_apart_score_one_and_mixed_ones_chance(name: str) -> None:
    perfect = measured(name, balls(100), **settings_of(name))
    assert (perfect.value, perfect.stderr) == pytest.approx((1, 0), abs=1e-9)
    noise = measured(name, balls(0, 3000), **settings_of(name))
    chance = 0 if name in ("nmi", "ari") else 1 / CLASSES
    assert noise.value == pytest.approx(chance, abs=0.03)
    middle = measured(name, balls(3), **settings_of(name)).value
    assert noise.value + 0.3 < middle < 0.99


@pytest.mark.parametrize("name", NAMES)
def test_names_of_classes_and_turns_of_the_codes_do_not_matter(name: str) -> None:
    found = balls(3)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    other = Coded(found.codes @ turn, torch.tensor([2, 0, 1])[found.examples.labels])
    ours, theirs = (measured(name, each, **settings_of(name)) for each in (found, other))
    if name in ("knn", "linear-probe"):  # which labels are drawn follows their order
        assert abs(ours.value - theirs.value) < 4 * math.hypot(
            ours.monte_carlo or 0, theirs.monte_carlo or 0
        )
    else:
        assert ours.value == pytest.approx(theirs.value, abs=1e-6)


def test_neighbours_are_those_of_the_evaluation() -> None:
    subject = Subject(zoo.load("vmf-vae-digits"), load_dataset("digits"))
    found = measured("knn", subject, labels=100, draws=5)
    train, test = subject.train, subject.examples
    theirs = knn_accuracy(
        subject.train_codes, train.labels, subject.codes, test.labels, labels=100, repeats=5
    )
    assert found.value == pytest.approx(theirs.value, abs=1e-12)
    assert found.monte_carlo == pytest.approx(theirs.stderr, abs=1e-12)
    assert found.values is not None and len(found.values) == len(test)
    assert found.values.mean().item() == pytest.approx(theirs.value, abs=1e-12)


def test_all_labels_are_one_draw_and_tell_more() -> None:
    subject = balls(3, 900)
    few = measured("linear-probe", subject, labels=9, draws=10)
    every = measured("linear-probe", subject, labels="all")
    assert every.monte_carlo is None and every.value > few.value + 0.01
    # The best rule is right where the nearest corner is that of the class.
    corners = 3 * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.866]])
    best = torch.cdist(subject.codes, corners).argmin(1) == subject.examples.labels
    assert every.value == pytest.approx(best.double().mean().item(), abs=0.01)


def test_clusters_stand_for_the_classes_that_agree_best() -> None:
    """By trying all ways: Hungarian matching finds none better."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(4, (60,), generator=generator)
    clusters = (classes + (torch.rand(60, generator=generator) < 0.6).long() * 2) % 4
    ways = torch.cartesian_prod(*[torch.arange(4)] * 4)
    ways = ways[ways.sort(1).values.eq(torch.arange(4)).all(1)]
    best = max((way[clusters] == classes).sum().item() for way in ways)
    assert (matched(classes, clusters) == classes).sum().item() == best


def test_a_cluster_too_many_stands_for_no_class() -> None:
    classes, clusters = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 2])
    assert matched(classes, clusters).tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize(
    ("name", "score"), [("nmi", normalized_mutual_info_score), ("ari", adjusted_rand_score)]
)
def test_the_jackknife_leaves_out_one_example_at_a_time(name: str, score: Any) -> None:
    subject = balls(2, 60)
    classes, clusters = subject.examples.labels, subject.clusters
    assert classes is not None
    found = measured(name, subject)
    assert found.value == pytest.approx(score(classes, clusters))
    keep = ~torch.eye(60, dtype=torch.bool)
    without = torch.tensor([score(classes[each], clusters[each]) for each in keep]).double()
    assert found.stderr == pytest.approx((59**2 / 60 * without.var()).sqrt().item(), rel=1e-6)


def test_the_jackknife_error_is_that_of_other_examples() -> None:
    """Within a third: the clusters move too, and 20 draws tell a deviation to a sixth."""
    found = [measured("ari", balls(3, 600, seed)) for seed in range(20)]
    spread = torch.tensor([each.value for each in found]).std().item()
    expected = sum(each.stderr for each in found) / len(found)
    assert spread == pytest.approx(expected, rel=0.5)


def test_codes_that_are_all_alike_tell_nothing() -> None:
    labels = torch.arange(30) % CLASSES
    subject = Coded(torch.ones(30, 2), labels)
    assert measured("k-means", subject).value == pytest.approx(1 / 3)
    assert measured("nmi", subject).value == measured("ari", subject).value == 0


def test_examples_of_unknown_class_are_left_out() -> None:
    subject = balls(100)
    labels = subject.examples.labels
    assert labels is not None
    some = torch.where(torch.arange(len(labels)) < 200, labels, -1)
    found = Coded(subject.codes, some)
    for name in NAMES:
        each = measured(name, found, **settings_of(name))
        assert each.value == pytest.approx(1)
        assert each.values is None or len(each.values) == 200


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_classes_is_refused(name: str) -> None:
    codes = torch.randn(30, 2)
    for labels in (torch.rand(30), torch.full((30,), -1), torch.zeros(30, 2).long()):
        with pytest.raises(UnsupportedError, match="have no classes; .*'digits'"):
            measured(name, Coded(codes, labels))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_told_the_labels_is_refused(name: str) -> None:
    data = load_dataset("digits").conditioned("labels")
    with pytest.raises(UnsupportedError, match="told the labels"):
        measured(name, Subject(zoo.load("cvae-digits"), data))


def test_no_label_to_learn_from_is_refused() -> None:
    found = balls(3)
    labels = found.examples.labels
    assert labels is not None
    unknown = Coded(found.codes, labels, train_labels=torch.full_like(labels, -1))
    with pytest.raises(UnsupportedError, match="training split of codes"):
        measured("knn", unknown)
    assert replace(unknown.data).train.labels is not None
