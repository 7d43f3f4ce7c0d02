"""A file knows its own SHA-256: a flipped bit is noticed, and files without one still load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import zoo
from zoo.errors import CheckpointError
from zoo.storage import checkpoint
from zoo.storage.tensors import read_tensors, write_tensors

TENSORS = {"model.w": torch.arange(6.0).view(2, 3), "rng.cpu": torch.arange(9, dtype=torch.uint8)}
STATE = {"zoo-run-4": json.dumps({"progress": {"step": 3}, "data": "é"})}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "last.safetensors"
    write_tensors(path, TENSORS, STATE)
    return path


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    model = zoo.create("gaussian-vae", latent_dim=2, backbone={"name": "mlp", "hidden": [2]})
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, model, variant="gaussian-vae", dataset="digits")
    return path


def flips(content: bytes, step: int) -> list[tuple[int, bytes]]:
    """Each ``step``-th byte with one of its bits flipped, another one for each place."""
    places = range(0, len(content), step)
    return [
        (place, content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        for place in places
    ]


def test_every_flipped_bit_of_a_runs_state_is_noticed(state: Path) -> None:
    content = state.read_bytes()
    for bit in range(8):
        for place, byte in enumerate(content):
            flipped = bytes([byte ^ 1 << bit])
            state.write_bytes(content[:place] + flipped + content[place + 1 :])
            with pytest.raises(CheckpointError, match=r"last\.safetensors"):
                read_tensors(state)
    state.write_bytes(content)
    assert read_tensors(state)[1] == STATE


def test_flipped_bits_of_a_checkpoint_are_noticed(model_file: Path) -> None:
    content = model_file.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    body = [(place, damaged) for place, damaged in flips(content, 31) if place >= header]
    for place, damaged in flips(content[:header], 1):
        body.append((place, damaged + content[header:]))
    for place, damaged in body:
        model_file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model\.safetensors") as caught:
            checkpoint.load(model_file)
        assert place < 9 or "is damaged" in str(caught.value), str(caught.value)


def test_the_digest_follows_neither_the_clock_nor_the_order_of_a_hash(tmp_path: Path) -> None:
    contents = set()
    for index in range(5):
        write_tensors(tmp_path / str(index), TENSORS, {"b": "1", **STATE, "a": "2"})
        contents.add((tmp_path / str(index)).read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    "metadata", [{}, {"": ""}, {"note": "sha256:" + "0" * 64}, {"note": '"zoo.digest":"x"'}]
)
def test_metadata_that_resembles_a_digest(metadata: dict[str, str], tmp_path: Path) -> None:
    write_tensors(tmp_path / "x", TENSORS, metadata)
    tensors, read = read_tensors(tmp_path / "x")
    assert read == metadata
    assert torch.equal(tensors["model.w"], TENSORS["model.w"])


def test_files_without_a_digest_are_read(state: Path, model_file: Path) -> None:
    for path in (state, model_file):
        tensors, metadata = read_tensors(path)
        save_file(tensors, path, metadata)
        with safe_open(path, framework="pt") as file:
            assert "zoo.digest" not in file.metadata()
        assert read_tensors(path)[1] == metadata
    assert checkpoint.load(model_file).code_dim == 2


def test_every_tensor_is_still_aligned(state: Path) -> None:
    assert int.from_bytes(state.read_bytes()[:8], "little") % 8 == 0
