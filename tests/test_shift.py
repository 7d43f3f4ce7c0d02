"""What models are measured on beside a benchmark's own examples, and what that does to ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import figures

import zoo
from zoo.core.component import Selected
from zoo.data import Dataset, Split, load_dataset, loading
from zoo.data.shift import shifted
from zoo.errors import ConfigError, DataError
from zoo.metrics import Measured, Outcome, Scores
from zoo.registry import read_registry
from zoo.storage import checkpoint

PAIR = ["gaussian-vae-digits", "beta-vae-digits"]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


class TestImages:
    def test_one_split_alone_is_another(self, digits: Dataset) -> None:
        found = shifted(digits, "test", 15, 0.1, seed=0)
        assert found.train is digits.train and found.validation is digits.validation
        assert found.test.rows.shape == digits.test.rows.shape
        assert found.test.rows.dtype == torch.uint8
        assert found.test.labels is digits.test.labels
        assert shifted(digits, "test", 0, 0, seed=0) is digits

    def test_turning_back_leads_back(self) -> None:
        """Of a smooth picture that ends within the frame, also of one that is no square."""
        y, x = torch.meshgrid(
            torch.linspace(-1.5, 1.5, 30), torch.linspace(-2, 2, 40), indexing="ij"
        )
        split = Split(torch.exp(-4 * (x - 0.4) ** 2 - 8 * (y - 0.1) ** 2)[None, None])
        data = Dataset("blob", split, split, split, "gaussian", "none")
        there = shifted(data, "test", 40, 0, seed=0)
        back = shifted(there, "test", -40, 0, seed=0).test.rows
        assert (back - split.rows).abs().max() < 0.05
        apart = (there.test.rows - split.rows).abs().max()
        assert apart > 0.3
        centre = (there.test.rows * x).sum() / there.test.rows.sum()
        higher = (there.test.rows * y).sum() / there.test.rows.sum()
        turned = torch.polar(torch.tensor(1.0), torch.tensor(40.0).deg2rad())
        wanted = torch.complex(torch.tensor(0.4), torch.tensor(-0.1)) * turned  # y grows downwards
        assert (centre, -higher) == (
            pytest.approx(wanted.real.item(), abs=0.02),
            pytest.approx(wanted.imag.item(), abs=0.02),
        )

    @pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
    def test_noise_has_the_deviation_that_is_asked_for(self, kind: torch.dtype) -> None:
        grey = torch.full((50, 1, 20, 20), 0.5)
        split = Split((grey * 255).to(kind) if kind == torch.uint8 else grey)
        data = Dataset("grey", split, split, split, "gaussian", "none")
        one, other = (shifted(data, "test", 0, 0.1, seed).test.rows.float() for seed in (0, 1))
        scale = 255 if kind == torch.uint8 else 1
        assert one.std().item() / scale == pytest.approx(0.1, rel=0.02)
        assert not torch.equal(one, other)
        loud = shifted(data, "test", 0, 5, seed=0).test.rows.float() / scale
        assert (loud.min(), loud.max()) == (0, 1)

    def test_only_images_are_turned(self) -> None:
        points = load_dataset(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
        with pytest.raises(DataError, match="only images are turned or made noisy"):
            shifted(points, "test", 15, 0, seed=0)


TEXT = """summary: Mine.
dataset: digits
samples: 2
metrics: [nll, squared-error]
shifts:
  anew: {seed: 1}
  turned: {rotate: 30}
  others: {dataset: data/others.npy}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    levels = np.random.default_rng(0).integers(0, 256, size=(400, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "data" / "others.npy", levels)
    (tmp_path / "mine.yaml").write_text(TEXT)
    return tmp_path / "mine.yaml"


class TestCompared:
    def test_each_is_what_it_is_measured_alone(
        self, file: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[Any] = []
        load = checkpoint.load
        monkeypatch.setattr(
            checkpoint, "load", lambda path, **more: loaded.append(path) or load(path, **more)
        )
        read: list[Any] = []
        own = loading._load
        monkeypatch.setattr(loading, "_load", lambda *given: read.append(given) or own(*given))
        scores = zoo.compare(PAIR, benchmark=file, examples=40, records=False)
        assert (len(loaded), len(read)) == (2, 2)
        assert scores.shifts == ("", "", "anew", "anew", "turned", "turned", "others", "others")
        turned = shifted(digits, "test", 30, 0, seed=0)
        others = load_dataset(file.parent / "data" / "others.npy")
        for row, given in enumerate(
            [{"dataset": "digits"}, {"dataset": "digits", "seed": 1}, {"dataset": turned},
             {"dataset": others}]
        ):  # fmt: skip
            alone = zoo.compare(PAIR, ["nll"], samples=2, examples=40, records=False, **given)
            assert figures(scores, 2 * row) == figures(alone)
        assert scores.table()[5][0] == "nll, turned ↓ [nats per example]"
        assert [row["shift"] for row in scores.rows()][::4] == ["", "anew", "turned", "others"]

    def test_a_change_of_ranks_is_said(self) -> None:
        metric = Selected.parse("metrics", "nll")

        def row(*values: float) -> tuple[Outcome, ...]:
            return tuple(Outcome(Measured(value, 0.1)) for value in values)

        outcomes = (row(1, 2, 3), row(3, 2, 2))
        scores = Scores("t", ("a", "b", "c"), (metric,) * 2, outcomes, shifts=("", "noisy"))
        assert [scores.ranks(0), scores.ranks(1)] == [[1, 2, 3], [3, 1, 1]]
        assert scores.table_of_ranks()[1:] == [
            ["nll", "1", "2", "3"], ["nll, noisy", "3 (-2)", "1 (+1)", "1 (+2)"]
        ]  # fmt: skip
        for text in (str(scores), scores.to_markdown()):
            assert "places, and how many up or down" in text.lower()
        alone = Scores("t", ("a", "b", "c"), (metric,), outcomes[:1])
        assert alone.table_of_ranks() == [] and "places" not in str(alone)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (("rotate", "rotated"), r"'shifts.turned.rotated'; did you mean 'rotate'\?"),
            (("data/others.npy", "digit"), r"unknown dataset 'digit'; did you mean 'digits'\?"),
            (("{seed: 1}", "{noise: -1}"), r"'shifts.anew.noise': .*greater than or equal to 0"),
        ],
    )
    def test_mistakes(self, file: Path, change: tuple[str, str], said: str) -> None:
        file.write_text(TEXT.replace(*change))
        with pytest.raises(ConfigError, match=said):
            zoo.compare(PAIR, benchmark=file)

    def test_the_registry_knows_the_datasets_of_shifts(self, tmp_path: Path) -> None:
        path = tmp_path / "registry.yaml"
        path.write_text(
            "benchmarks: {b: {summary: s, dataset: ./a.npy, shifts: {c: {dataset: d}}}}"
        )
        with pytest.raises(ConfigError, match=r"benchmarks\.b: unknown dataset 'd'"):
            read_registry([path])
