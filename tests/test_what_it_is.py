"""What a saved file says it is: a registered name, and the parts that are not the variant's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.core.model import LatentVariableModel
from zoo.errors import CheckpointError
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.storage.tensors import read_tensors, write_tensors
from zoo.variants import Variant

COMPOSED = [
    name
    for name, spec in registry().variants.items()
    if spec.component == "zoo.variants.vae:VAE"
]  # fmt: skip
MADE: dict[str, Callable[[], LatentVariableModel]] = {
    "gaussian-vae": lambda: zoo.create("gaussian-vae", hidden=[8]),
    "cvae": lambda: zoo.create("gaussian-vae", hidden=[8], condition="labels"),
    "vmf-vae": lambda: zoo.create("gaussian-vae", hidden=[8], posterior="vmf"),
    "vmf-vae-fixed": lambda: zoo.create("vmf-vae", hidden=[8], posterior="vmf-fixed"),
    "power-spherical-vae": lambda: zoo.create("vmf-vae", hidden=[8], posterior="power-spherical"),
}
"""What each variant is, made by another name; some are a gaussian-vae with another objective."""
SAME = {"gaussian-vae": {"gaussian-vae", "beta-vae", "beta-tc-vae", "dip-vae", "info-vae"}}


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("made", MADE)
def test_a_name_given_by_hand_fits_what_the_model_is(made: str, name: str, tmp_path: Path) -> None:
    model, path = MADE[made](), tmp_path / "m.safetensors"
    for save in (zoo.save, lambda m, p, variant: checkpoint.save(p, m, variant=variant)):
        if name in SAME.get(made, {made}) or name == model.variant:
            save(model, path, variant=name)
            assert zoo.load(path).variant == name
            continue
        with pytest.raises(
            CheckpointError, match=f"{name!r} is another variant.*save it as .*{made}"
        ):
            save(model, path, variant=name)


def test_a_model_without_a_name_of_its_own_is_held_to_the_one_it_is_given(tmp_path: Path) -> None:
    model = MADE["vmf-vae"]()
    model.variant = None
    with pytest.raises(CheckpointError, match="has the posterior 'vmf'; save it as 'vmf-vae'"):
        zoo.save(model, tmp_path / "m", variant="power-spherical-vae")
    zoo.save(model, tmp_path / "m", variant="vmf-vae")


@pytest.mark.parametrize(
    ("variant", "settings", "expected"),
    [
        ("gaussian-vae", {}, "gaussian-vae"),
        ("gaussian-vae", {"latent_dim": 3, "backbone": "conv"}, "gaussian-vae"),
        ("gaussian-vae", {"likelihood": "gaussian"}, "gaussian-vae"),
        ("vmf-vae-fixed", {"concentration": 3.0}, "vmf-vae-fixed"),
        ("gaussian-vae", {"posterior": "vmf"}, "gaussian-vae with posterior vmf"),
        ("vmf-vae", {"posterior": "gaussian"}, "vmf-vae with posterior gaussian"),
        ("beta-vae", {"condition": "labels"}, "beta-vae with condition labels"),
        ("cvae", {"condition": None}, "cvae with no condition"),
        ("univae", {"posterior": "gaussian"}, "univae with posterior gaussian"),
        ("nvae-lite-s", {}, "nvae-lite-s"),
        ("autoencoder", {}, "autoencoder"),
    ],
)  # fmt: skip
def test_a_variant_is_described_by_its_name_and_the_parts_that_are_not_its_own(
    variant: str, settings: dict[str, Any], expected: str
) -> None:
    model = zoo.create(variant, **settings)
    assert Variant.find(variant).described(model.config) == expected


def test_parts_chosen_by_whoever_made_it_are_said_wherever_it_is_shown(tmp_path: Path) -> None:
    path, said = tmp_path / "m.safetensors", "gaussian-vae with posterior vmf"
    zoo.save(MADE["vmf-vae"](), path)
    assert zoo.load(path).variant == "gaussian-vae"
    assert zoo.evaluate(path, dataset="digits", samples=1).variant == said
    shown = CliRunner().invoke(app, ["load", str(path)]).stdout
    assert f"variant: {said}\n" in shown


def test_a_header_that_names_another_variant_is_seen_through(tmp_path: Path) -> None:
    """Of the same class the parts are said; of another class nothing fits."""
    path = tmp_path / "m.safetensors"
    zoo.save(MADE["gaussian-vae"](), path)
    forge(path, "vmf-vae")
    said = "vmf-vae with posterior gaussian"
    assert f"variant: {said}\n" in CliRunner().invoke(app, ["load", str(path)]).stdout
    assert zoo.evaluate(path, dataset="digits", samples=1).variant == said
    assert type(zoo.load(path).posterior).__name__ == "Gaussian"
    for other in ("autoencoder", "univae", "nvae-lite"):
        forge(path, other)
        with pytest.raises(CheckpointError, match="cannot be loaded here"):
            zoo.load(path)


def forge(path: Path, variant: str) -> None:
    """Write the file anew, its description naming another variant."""
    tensors, metadata = read_tensors(path)
    description = {**json.loads(metadata["zoo"]), "variant": variant}
    write_tensors(path, tensors, {"zoo": json.dumps(description)})
