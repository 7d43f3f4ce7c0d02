"""Pictures hold the very pixels they are given, and the page holds everything it shows."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import zoo
from zoo.errors import ConfigError, DataError
from zoo.evaluation import Estimate, Evaluation
from zoo.registry import CheckpointSpec, MetricSpec, RecipeSpec
from zoo.report import (
    Picture,
    Section,
    Sentences,
    checkpoint_section,
    grid,
    reconstruction_grid,
    save_grid,
    write_page,
)
from zoo.storage import checkpoint


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    columns=st.integers(1, 14),
    scale=st.integers(1, 3),
)
def test_every_image_is_found_at_its_place(
    n: int, channels: int, height: int, width: int, columns: int, scale: int
) -> None:
    levels = torch.randint(0, 256, (n, channels, height, width))
    sheet = np.asarray(grid(levels / 255, columns, scale=scale))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    across = min(columns, n)
    assert sheet.shape[0] == scale * (1 + -(-n // across) * (height + 1))
    assert sheet.shape[1] == scale * (1 + across * (width + 1))
    for i, image in enumerate(levels):
        top = scale * (1 + i // across * (height + 1))
        left = scale * (1 + i % across * (width + 1))
        found = sheet[top : top + scale * height, left : left + scale * width]
        expected = image.permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
        assert np.array_equal(found, expected)


def test_values_beyond_the_range_are_clipped() -> None:
    sheet = np.asarray(grid(torch.tensor([-3.0, 7.0]).view(2, 1, 1, 1), columns=2))
    assert (sheet[1, 1], sheet[1, 3]) == (0, 255)


def test_each_row_of_originals_stands_above_its_reconstructions() -> None:
    originals = torch.arange(5).view(5, 1, 1, 1) / 255
    sheet = np.asarray(reconstruction_grid(originals, originals + 100 / 255, columns=3))
    assert sheet[1::2, 1::2].tolist() == [
        [0, 1, 2],
        [100, 101, 102],
        [3, 4, 128],
        [103, 104, 128],
    ]


def test_what_is_no_picture_is_refused() -> None:
    images = torch.rand(4, 1, 3, 3)
    with pytest.raises(ConfigError, match="columns must be at least 1, got 0"):
        grid(images, 0)
    with pytest.raises(ConfigError, match="scale must be at least 1, got 0"):
        grid(images, 2, scale=0)
    with pytest.raises(DataError, match=r"1 or 3 channels.*\(4, 2, 3, 3\)"):
        grid(torch.rand(4, 2, 3, 3), 2)
    with pytest.raises(DataError, match="N at least 1"):
        grid(images[:0], 2)
    with pytest.raises(DataError, match="NaN"):
        grid(images.log().log(), 2)
    with pytest.raises(DataError, match="the same images"):
        reconstruction_grid(images, images[:3], 2)


def test_a_saved_grid_reads_back_and_leaves_nothing_else(tmp_path: Path) -> None:
    images = torch.rand(6, 3, 4, 4)
    path = save_grid(tmp_path / "new" / "samples.png", images, 3, scale=2)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), np.asarray(grid(images, 3, scale=2)))
    assert list(path.parent.iterdir()) == [path]


class Page(HTMLParser):
    """What a page says, refers to and opens without closing."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def evaluation(model: str, nll: float) -> Evaluation:
    return Evaluation(
        model=model,
        variant="gaussian-vae",
        parameters=1234,
        dataset="digits",
        split="test",
        test_set="digits/test, 300 examples, binarised with seed 0",
        test_set_sha256="0123456789abcdef",
        input_kind="binary",
        parts="pixels",
        protocol="test images binarised once with seed 0",
        measure="mass",
        dims=64,
        examples=300,
        samples=100,
        seed=0,
        nll=Estimate(value=nll, stderr=0.25),
        bits_per_dim=Estimate(value=0.4567, stderr=0.0012),
        elbo=Estimate(value=-nll - 1, stderr=0.25),
        log_likelihood=Estimate(value=-12.0, stderr=0.2),
        kl=Estimate(value=nll - 11, stderr=0.1),
        kl_per_group=(nll - 11,),
        kl_per_dimension=None,
        mse_per_pixel=Estimate(value=0.0123, stderr=0.0001),
        active_units=7,
        active_threshold=0.01,
        code_dim=8,
    )


SPEC = CheckpointSpec(
    variant="gaussian-vae",
    dataset="digits",
    summary="A small one",
    file="small.safetensors",
    sha256="a" * 64,
    bytes=123456,
    license="MIT",
    data_license="CC BY 4.0",
    metrics={
        "nll": MetricSpec(value=20.5, stderr=0.3, samples=1000, test_set="all digits"),
        "active_units": MetricSpec(value=8),
    },
    recipe=RecipeSpec(
        command="zoo train gaussian-vae", seed=3, revision="abc1234", hardware="2 cores",
        duration="1 min",
    ),
)  # fmt: skip


def test_the_page_is_self_contained_and_says_everything(tmp_path: Path) -> None:
    comparison = zoo.compare(["gaussian-vae-digits", "beta-vae-digits"], ["elbo"], examples=20)
    image = grid(torch.rand(4, 1, 8, 8), 2)
    section = checkpoint_section(
        "small", SPEC, evaluation("small", 21.0), pictures=[Picture("Samples", image)]
    )
    path = write_page(tmp_path / "index.html", [comparison], [section], title="The zoo")
    content = path.read_text(encoding="utf-8")
    page = Page(content)
    assert page.open == []
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert not re.search(r"@import|url\(|<script", content)
    for said in (
        *comparison.notes,
        *comparison.table()[1],
        *comparison.table_of_differences()[1],
        "21.00 ± 0.25",
        "gaussian-vae",
        "digits (CC BY 4.0)",
        "MIT",
        "zoo train gaussian-vae",
        "abc1234",
        "2 cores, 1 min",
        "20.50 ± 0.30",
        "Recorded on all digits. Recomputed on digits/test, 300 examples",
        "nats per example",
    ):
        assert said in page.text
    embedded = page.references[0].partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(embedded))) as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(image))
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    section = Section(
        title=hostile,
        summary=hostile,
        facts={hostile: hostile},
        table=[[hostile], [hostile]],
        notes=[hostile],
        pictures=[Picture(hostile, grid(torch.rand(1, 1, 2, 2), 1))],
        sentences=[Sentences(hostile, [hostile])],
    )
    path = write_page(tmp_path / "index.html", [], [section], title=hostile)
    content = path.read_text(encoding="utf-8")
    assert "<script" not in content
    assert Page(content).text.count(hostile) == 12


def test_a_card_without_an_evaluation_shows_what_is_recorded() -> None:
    section = checkpoint_section("small", SPEC, notes=["the data is not here"])
    assert [row[2:] for row in section.table[1:]] == [
        ("20.50 ± 0.30", "1000", "-"),
        ("8", "-", "-"),
    ]
    assert section.notes == ["the data is not here"]


def test_what_is_noted_of_a_figure_stands_beside_it() -> None:
    noted = SPEC.metrics["nll"].model_copy(update={"note": "3 % of it is guessed"})
    section = checkpoint_section("small", SPEC.model_copy(update={"metrics": {"nll": noted}}))
    assert section.table[1][2].endswith(" (3 % of it is guessed)")


def test_a_failed_write_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_page(tmp_path / "index.html", [], [], title="old")
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(path, [], [], title="new")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def release(
    folder: Path, name: str, dataset: str, variant: str = "gaussian-vae", **settings: Any
) -> dict[str, object]:
    """A registry entry for an untrained model kept where downloads are kept."""
    file = folder / "checkpoints" / f"{name}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    root = str(folder.parent / "data")
    model = zoo.create(variant, dataset=dataset, data_root=root, latent_dim=4, **settings)
    checkpoint.save(file, model, variant=variant, dataset=dataset)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    changes = {
        "variant": variant,
        "dataset": dataset,
        "file": file.name,
        "sha256": digest,
        "bytes": len(content),
    }
    return SPEC.model_copy(update=changes).model_dump(mode="json", exclude_none=True)


def test_the_demo_shows_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    home, corpora = tmp_path / "home", tmp_path / "data" / "ptb"
    corpora.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        lines = [f"the {animal} sat" for animal in ("cat", "dog", "emu") * 8]
        (corpora / f"{part}.txt").write_text("\n".join(lines) + "\n")
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2}
    entries = {
        "tested-text": release(home, "tested-text", "ptb", "univae", **small),
        "tested-digits": release(home, "tested-digits", "digits"),
        "tested-kmnist": release(home, "tested-kmnist", "kmnist"),
        "tested-broken": {**release(home, "tested-broken", "digits"), "sha256": "b" * 64},
    }
    extra = tmp_path / "extra.yaml"
    extra.write_text(json.dumps({"checkpoints": entries}))  # JSON is YAML
    checkout = Path(__file__).parent.parent
    script = checkout / "scripts" / "demo.py"
    places = {"ZOO_HOME": str(home), "ZOO_REGISTRY": str(extra), "ZOO_DATA": ""}
    options = [str(tmp_path / "page"), "--samples", "2", "--examples", "20"]
    options += ["--data-root", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *options],
        env={**os.environ, **places, "PYTHONPATH": str(checkout)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "digits: test, 20 examples, K = 2, seed 0" in done.stdout
    assert "± one standard error" in done.stdout
    content = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r"<h2>(tested-\w+)</h2>(.*?)</section>", content, re.DOTALL))
    assert sections["tested-digits"].count("<img") == 2
    assert sections["tested-kmnist"].count("<img") == 1
    assert "not evaluated here: kmnist" in sections["tested-kmnist"]
    assert sections["tested-text"].count("<img") == 0
    samples, pairs = re.findall("<ul>(.*?)</ul>", sections["tested-text"])
    assert samples.count("<li>") == 16
    assert re.findall("<li>(.*?)</li>", pairs)[::2][:3] == [
        f"the {animal} sat" for animal in ("cat", "dog", "emu")
    ]
    assert sections["tested-broken"].count("<img") == 0
    assert "not loaded" in sections["tested-broken"]
