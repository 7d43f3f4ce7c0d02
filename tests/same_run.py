"""What a run that was killed and resumed is held against."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.storage.tensors import read_tensors


def assert_same_run(ours: Path, theirs: Path) -> None:
    """Both runs have the same metrics, and the same weights and states, bit for bit."""
    assert (ours / "metrics.jsonl").read_bytes() == (theirs / "metrics.jsonl").read_bytes()
    for name in ("best.safetensors", "last.safetensors"):
        a, our_metadata = read_tensors(ours / name)
        b, their_metadata = read_tensors(theirs / name)
        assert our_metadata == their_metadata
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name
