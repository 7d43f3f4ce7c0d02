"""Files of earlier versions: the released ones, and steps that rewrite and rename."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo
from zoo.core.model import ModelConfig
from zoo.errors import CheckpointError
from zoo.registry import Registry, VariantSpec, packaged_root, registry
from zoo.storage import checkpoint, migrations
from zoo.storage.migrations import SCHEMA_VERSION, STEPS, Step, migrate
from zoo.storage.tensors import read_tensors

FILES = sorted(spec.file for spec in registry().checkpoints.values())
RELEASED = [packaged_root() / "checkpoints" / file for file in FILES]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    model = zoo.create("gaussian-vae", latent_dim=2, backbone={"name": "mlp", "hidden": [2]})
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, model, variant="gaussian-vae", dataset="digits")
    return path


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_released_files_load(path: Path) -> None:
    model, metadata = checkpoint.load(path), checkpoint.read_metadata(path)
    assert metadata.schema_version == migrations.SCHEMA_VERSION
    assert model.variant == metadata.variant
    config = model.config.model_dump(mode="json")  # perhaps with settings younger than the file
    assert {key: config[key] for key in metadata.config} == metadata.config
    assert not any(parameter.is_meta for parameter in model.parameters())


def test_released_files_have_the_moments_of_their_codes() -> None:
    for path in RELEASED:
        model = checkpoint.load(path)
        assert model.latent_moments is not None, path.stem
        assert 0 < model.latent_moments.deviation.mean() < 10, path.stem


DATA = Path(__file__).with_name("data")
OLD = {path: path.stem.partition(".format-") for path in sorted(DATA.glob("*.safetensors"))}
"""Files as they were released when another format was today's, and what they are of."""


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_files_of_every_earlier_format_load(path: Path) -> None:
    name, _, number = OLD[path]
    description = json.loads(read_tensors(path)[1]["zoo"])
    assert description["schema_version"] == int(number)
    old, new = checkpoint.load(path), zoo.load(name)
    assert old.config == new.config
    for ours, theirs in zip(old.state_dict().values(), new.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_file_of_every_earlier_format_is_kept() -> None:
    assert {int(number) for _, _, number in OLD.values()} == set(range(1, SCHEMA_VERSION))


def test_a_released_file_written_again_is_of_today_and_the_same_model(tmp_path: Path) -> None:
    old = checkpoint.load(RELEASED[0])
    checkpoint.save(tmp_path / "new.safetensors", old)
    new = checkpoint.load(tmp_path / "new.safetensors")
    assert new.config == old.config
    assert all(map(torch.equal, new.state_dict().values(), old.state_dict().values()))


def width_to_latent_dim(variant: str, config: dict[str, Any]) -> dict[str, Any]:
    assert variant == "gaussian-vae"
    return {"latent_dim" if key == "width" else key: value for key, value in config.items()}


RENAMING = Step(width_to_latent_dim, ((r"\breader\b", "encoder"), (r"^prior", "nothing")))


def test_an_old_file_is_read_by_its_step(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, metadata = read_tensors(file)
    content = json.loads(metadata["zoo"])
    content["config"]["width"] = content["config"].pop("latent_dim")
    content["schema_version"] = 1
    del content["dtype"]
    before = {name.replace("encoder", "reader"): tensor for name, tensor in tensors.items()}
    assert before.keys() != tensors.keys()
    save_file(before, file, {"zoo": json.dumps(content)})
    with pytest.raises(CheckpointError, match="unknown key 'width'"):
        checkpoint.load(file)
    monkeypatch.setitem(STEPS, 1, RENAMING)
    state = checkpoint.load(file).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    metadata_now = checkpoint.read_metadata(file)
    assert metadata_now.schema_version == migrations.SCHEMA_VERSION
    assert metadata_now.config["latent_dim"] == 2

    both = {name: tensor.clone() for name, tensor in {**before, **tensors}.items()}
    save_file(both, file, {"zoo": json.dumps(content)})
    with pytest.raises(CheckpointError, match=r"'(reader|encoder)\.\S+' is unexpected"):
        checkpoint.load(file)


def test_names_the_model_still_has_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, metadata = read_tensors(file)
    content = {**json.loads(metadata["zoo"]), "schema_version": 1}
    save_file(tensors, file, {"zoo": json.dumps(content)})
    monkeypatch.setitem(STEPS, 1, Step(lambda _, config: config, (("encoder", "reader"),)))
    assert migrate(content, tensors)[1]
    state = checkpoint.load(file).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_steps_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 4)
    for version, (old, new) in enumerate(zip("abc", "bcd", strict=True), start=1):
        step = Step(lambda _, config, new=new: {**config, new: len(config)}, ((f"^{old}$", new),))
        monkeypatch.setitem(STEPS, version, step)
    description = {"schema_version": 1, "variant": "x", "config": {}, "dataset": None}
    migrated, renames = migrate(description, ["a", "b", "d", "aa"])
    assert migrated == {**description, "schema_version": 4, "config": {"b": 0, "c": 1, "d": 2}}
    assert renames == {"a": "d", "b": "d"}
    later = {**description, "schema_version": 3}
    assert migrate(later, ["a", "c"]) == (
        {**later, "schema_version": 4, "config": {"d": 0}},
        {"c": "d"},
    )
    assert description["config"] == {}


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"schema_version": 1},
        {"schema_version": 1, "variant": 3, "config": {}},
        {"schema_version": 1, "variant": "univae", "config": []},
        {"schema_version": True, "variant": "univae", "config": {}},
        {"schema_version": 0, "variant": "univae", "config": {}},
        {"schema_version": SCHEMA_VERSION, "variant": "univae", "config": {}},
    ],
)
def test_what_is_no_old_description_is_left_alone(description: dict[str, Any]) -> None:
    assert migrate(description, ["attention.look"]) == (description, {})


class Composed(nn.Module):
    """Of what the five variants with one latent vector become."""

    class Config(ModelConfig):
        posterior: dict[str, Any]
        prior: dict[str, Any]


@pytest.mark.parametrize(
    ("variant", "own", "posterior", "prior"),
    [
        ("gaussian-vae", {}, {"name": "gaussian"}, "standard-normal"),
        ("beta-vae", {}, {"name": "gaussian"}, "standard-normal"),
        ("vmf-vae", {}, {"name": "vmf"}, "uniform-sphere"),
        (
            "vmf-vae-fixed",
            {"concentration": 200.0},
            {"name": "vmf-fixed", "concentration": 200.0},
            "uniform-sphere",
        ),
        ("power-spherical-vae", {}, {"name": "power-spherical"}, "uniform-sphere"),
        ("mine", {"concentration": 3.0}, {"name": "near", "concentration": 3.0}, "wide"),
    ],
)
def test_variants_that_become_compositions(
    variant: str,
    own: dict[str, Any],
    posterior: dict[str, Any],
    prior: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = VariantSpec(component="x:Y", summary="", config={"posterior": "near", "prior": "wide"})
    monkeypatch.setattr(migrations, "registry", lambda: Registry(variants={"mine": mine}))
    monkeypatch.setattr(migrations, "model_class", lambda name: Composed)
    config = {"input_shape": [1, 8, 8], "latent_dim": 3}
    old = {"schema_version": 1, "variant": variant, "config": {**config, **own}}
    migrated = migrate(old, [])[0]["config"]
    expected = prior if variant == "mine" else {"name": prior}
    assert migrated == {**config, "posterior": posterior, "prior": expected}
    already = {**old, "config": {**config, "posterior": {"name": "other"}}}
    assert migrate(already, [])[0]["config"] == already["config"]


def test_a_variant_that_is_not_here_is_described_all_the_same(file: Path) -> None:
    tensors, metadata = read_tensors(file)
    content = {**json.loads(metadata["zoo"]), "schema_version": 1, "variant": "elsewhere"}
    save_file(tensors, file, {"zoo": json.dumps(content)})
    assert checkpoint.read_metadata(file).variant == "elsewhere"
    with pytest.raises(CheckpointError, match=r"unknown variant 'elsewhere'.*use_registry"):
        checkpoint.load(file)
