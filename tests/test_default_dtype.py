"""A caller's default type of floats reaches neither a model's weights nor its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import zoo


@pytest.fixture(params=[torch.float64, torch.bfloat16])
def other_default(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("gaussian-vae", {"backbone": {"name": "mlp", "hidden": [8]}}),
        ("vmf-vae", {"backbone": {"name": "mlp", "hidden": [8]}, "latent_dim": 3}),
        ("univae", {"width": 16, "heads": 2, "layers": 2, "groups": 1, "hidden": 16}),
    ],
)
def test_training_resuming_and_loading(
    variant: str, settings: dict[str, object], other_default: torch.dtype, tmp_path: Path
) -> None:
    for epochs in (1, 2):
        run = zoo.train(variant, directory=tmp_path, epochs=epochs, progress=False, **settings)
    assert torch.get_default_dtype() == other_default
    loaded = zoo.load(tmp_path)
    for model in (run.model, loaded, zoo.create(variant, **settings)):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
