"""A likelihood whose distribution has no mean: trained and measured all the same, never shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Cauchy,
    Distribution,
    Independent,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
)

import zoo
from zoo.errors import UnsupportedError
from zoo.likelihoods.gaussian import Gaussian


def logit_normal(means: Tensor) -> Distribution:
    """Numbers in (0, 1); torch knows no mean of it."""
    return TransformedDistribution(Independent(Normal(means, 1.0), 1), [SigmoidTransform()])


def cauchy(means: Tensor) -> Distribution:
    """Its integral does not exist, which torch says as NaN."""
    return Independent(Cauchy(means, torch.ones_like(means)), 1)


WITHOUT = {"logit-normal": logit_normal, "cauchy": cauchy}
POINTS = np.random.default_rng(0).uniform(0.01, 0.99, (60, 4)).astype(np.float32)


@pytest.fixture(params=WITHOUT)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of p(x|z), which stands where the Gaussian does."""
    made = WITHOUT[request.param]
    monkeypatch.setattr(Gaussian, "forward", lambda self, parameters: made(parameters))
    return str(request.param)


@pytest.mark.parametrize("kind", ["logit-normal"], indirect=True)
def test_what_shows_it_says_what_to_define(kind: str) -> None:
    model = zoo.create("gaussian-vae", dataset=POINTS, hidden=[8], latent_dim=2)
    x = torch.from_numpy(POINTS[:3])
    codes = model.encode(x)
    for ask in (
        lambda: model.sample(2),
        lambda: model.reconstruct(x),
        lambda: model.edit(x, [0]),
        lambda: model.show(codes),
        lambda: model.estimate(codes),
    ):
        with pytest.raises(UnsupportedError, match=r"Transformed.* define the property mean"):
            ask()


def test_it_is_trained_and_measured_without_that_figure(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = zoo.train(
        "gaussian-vae", dataset=POINTS, directory=tmp_path, epochs=1, hidden=[8], latent_dim=2,
        sample_every_epochs=1,
    )  # fmt: skip
    assert "warning: TensorBoard shows no samples" in capsys.readouterr().err
    found = zoo.evaluate(run, dataset=POINTS, samples=3)
    assert found.mse_per_pixel is None and found.nll is not None
    assert "reconstruction error    - (p(x|z) has no mean)" in str(found)


def test_means_that_there_are() -> None:
    estimate = Gaussian(Gaussian.Config(), (1,)).estimate
    assert estimate(Normal(torch.tensor([0.5, 2.0]), 1.0)).tolist() == [0.5, 2.0]
    assert estimate(Normal(torch.zeros(0), 1.0)).shape == (0,)
