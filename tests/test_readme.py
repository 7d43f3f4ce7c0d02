"""The README says nothing that is not so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.registry import CheckpointSpec, read_registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_python_block_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 3
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", zoo.list_checkpoints())
def test_the_table_of_checkpoints_says_what_the_registry_says(name: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [`{name}`]")]
    spec = zoo.info(name)
    assert isinstance(spec, CheckpointSpec)
    for figure in ("nll", "elbo", "kl"):
        if figure in spec.metrics:
            metric = spec.metrics[figure]
            assert f"{metric.value:.2f}" in row, figure
    if "nll" in spec.metrics:
        assert f"± {spec.metrics['nll'].stderr:.2f}" in row
        assert f"| {spec.metrics['nll'].samples} |" in row
    assert f"{spec.bytes / 1e6:.1f} MB" in row


def test_every_variant_and_dataset_is_named() -> None:
    packaged = read_registry([ROOT / "registry.yaml"])  # other tests register variants too
    for name in [*packaged.variants, *packaged.datasets]:
        assert f"`{name}`" in README, name


def test_every_file_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
