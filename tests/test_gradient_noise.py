"""The signal to noise of the encoder's gradient, on a model whose bound is tight."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.objectives.dreg import DReG
from zoo.objectives.iwae import IWAE

ROOT = Path(__file__).parents[1]


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("gradient_noise")


def test_the_linear_model_s_posterior_is_the_best_of_its_width(noise: Any) -> None:
    """log p(x) is that of N(0, 2 I), the gap to the ELBO the KL of N(0, 2/3) from N(0, 1/2)."""
    torch.manual_seed(0)
    model = noise.Linear(noise.ModelConfig(input_shape=(3,)))
    x = torch.randn(4, 3)
    evidence = torch.distributions.Normal(0, 2**0.5).log_prob(x).sum(1)
    draws = model.infer(x, samples=20_000)
    torch.testing.assert_close(draws.log_evidence, evidence, rtol=0, atol=0.05)
    gap = 3 * 0.5 * (4 / 3 - 1 - torch.tensor(4 / 3).log())
    torch.testing.assert_close(draws.elbo, evidence - gap, rtol=0, atol=0.05)


def test_iwae_falls_and_dreg_grows(noise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of weights moved so far that few draws tell the signal from none, which measures as 0.06."""
    monkeypatch.setattr(noise, "MOVED", 0.05)
    model, batch = noise.linear()
    for kind, falls in ((IWAE, True), (DReG, False)):
        one, many = (noise.signal_to_noise(model, batch, kind, k, 200) for k in (1, 32))
        assert (many < 0.6 * one) if falls else (many > 2 * one), (kind, one, many)


def test_figures_and_picture_are_written(
    noise: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "SAMPLES", (1, 4))
    figures, picture = tmp_path / "noise.json", tmp_path / "noise.svg"
    arguments = ["gaussian-vae-digits", "--draws", "4", "--examples", "2"]
    assert noise.main([*arguments, "--output", str(figures), "--picture", str(picture)]) == 0
    found = json.loads(figures.read_text())["signal_to_noise"]
    assert {name: len(ratios) for name, ratios in found.items()} == dict.fromkeys(noise.COLOURS, 2)
    drawn = ElementTree.parse(picture).getroot()
    assert len([mark for mark in drawn if mark.get("stroke") in noise.COLOURS.values()]) == 4


@pytest.mark.parametrize("kind", [IWAE, DReG])
def test_weights_that_the_loss_does_not_reach_count_for_nothing(noise: Any, kind: Any) -> None:
    model, batch = noise.linear()
    ratio = noise.signal_to_noise(model, batch, kind, 1, 50)
    model.posterior.register_parameter("unused", torch.nn.Parameter(torch.ones(1000)))
    assert noise.signal_to_noise(model, batch, kind, 1, 50) == pytest.approx(ratio)
