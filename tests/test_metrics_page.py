"""docs/metrics.md says what the registry and the classes say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import zoo
from zoo.core.component import Selected, component_class
from zoo.data import Dataset, VectorSplit, load_dataset
from zoo.errors import UnsupportedError
from zoo.metrics import Subject
from zoo.registry import ComponentSpec, packaged_root, read_registry

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")
METRICS = read_registry([packaged_root() / "registry.yaml"]).names("metrics")
COLUMNS = ("unit", "better", "needs", "equation", "paper")
ROWS = {
    cells[0].strip("`"): dict(zip(COLUMNS, cells[1:], strict=True))
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]]
}


def test_every_metric_has_its_row_in_the_order_of_the_registry() -> None:
    assert list(ROWS) == list(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_row_is_true(name: str) -> None:
    spec, cls, row = METRICS[name], component_class("metrics", name), ROWS[name]
    assert isinstance(spec, ComponentSpec)
    assert (row["unit"], row["better"]) == (cls.unit, cls.better)
    assert row["paper"] == (spec.paper or "")
    assert row["equation"]


def refused(name: str, subject: Subject) -> bool:
    try:
        Selected.parse("metrics", name).build().check(subject)
    except UnsupportedError:
        return True
    return False


def points(labels: torch.Tensor | None) -> Dataset:
    rows = VectorSplit(torch.rand(20, 3), labels)
    return Dataset("mine", rows, rows, rows, "gaussian", "none")


def test_what_a_metric_needs_is_what_it_is_refused_without() -> None:
    digits = load_dataset("digits")
    model = zoo.create("gaussian-vae", dataset=points(None), latent_dim=2)
    autoencoder = zoo.load("autoencoder-digits")
    # Those of samples are refused for want of a classifier first.
    for name, row in ROWS.items():
        without = {
            "log p(x)": Subject(autoencoder, digits),
            "classes": Subject(model, points(None)),
            "factors": Subject(model, points(torch.arange(20) % 2)),
            "not told": Subject(zoo.load("cvae-digits"), digits.conditioned("labels")),
        }
        if "factors" in row["needs"]:
            assert not refused(name, Subject(model, points(torch.arange(40).view(20, 2))))
            continue
        if "told classes" in row["needs"]:
            assert [need for need in without if not refused(name, without[need])] == ["not told"]
            continue
        if "sentences" in row["needs"]:
            assert all(refused(name, subject) for subject in without.values()), name
            continue
        if "infers" in row["needs"]:
            inferring = zoo.create("m2", dataset=points(torch.arange(20) % 2), latent_dim=2)
            assert all(refused(name, subject) for subject in without.values()), name
            assert refused(name, Subject(inferring, points(None)))
            assert not refused(name, Subject(inferring, points(torch.arange(20) % 2)))
            continue
        if "classifier" in row["needs"]:
            assert refused(name, without["classes"])
            continue
        for need in ("log p(x)", "classes", "not told"):
            assert refused(name, without[need]) == (need in row["needs"]) or (
                need == "classes" and "images" in row["needs"]
            ), (name, need)
