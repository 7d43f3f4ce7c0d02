"""A damaged or hostile data file ends in an error that names it, and costs next to nothing."""

from __future__ import annotations

import gzip
import json
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_files import CORPUS, SOUND, chunk, encoded, exif_segments, idx, jpeg_with, segment
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from processes import python

from zoo.data import load_dataset
from zoo.data.conversion import Conversion
from zoo.data.idx import read_idx
from zoo.data.image_metadata import Metadata, split_jpeg
from zoo.data.images import decode
from zoo.data.torchvision_sets import _idx_half
from zoo.errors import DataError

SCRIPT = Path(__file__).with_name("hostile_files.py")
SECONDS, MEGABYTES = 2, 300
NAMED_BY_CALLERS = ("tokenizers", "corpora")


def is_wrong(case: dict[str, Any]) -> bool:
    """Whether a file cost too much, or ended in something else than an error that names it."""
    named = case["file"] in case["said"] or case["part"] in NAMED_BY_CALLERS
    sound = case["file"] in SOUND and "cannot be split" in case["said"]
    return (
        case["error"] != "DataError"
        or not (named or sound)
        or "object at 0x" in case["said"]
        or case["seconds"] > SECONDS
        or case["megabytes"] > MEGABYTES
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux says its memory")
def test_what_hostile_files_cost(tmp_path: Path) -> None:
    """In a process of its own, one file after another."""
    run = python(SCRIPT, tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    cases = [json.loads(line) for line in run.stdout.splitlines()]
    assert {case["part"] for case in cases} == set(CORPUS)
    assert [case for case in cases if is_wrong(case)] == []


# Depth


def deep_png(colour: int, channels: int) -> bytes:
    """2 x 2 pixels of 16 bits, all of the value 4095."""
    header = chunk(b"IHDR", np.array([2, 2], ">u4").tobytes() + bytes((16, colour, 0, 0, 0)))
    row = b"\0" + np.full(2 * channels, 4095, ">u2").tobytes()
    pixels = chunk(b"IDAT", zlib.compress(2 * row))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def deep_tiff(channels: int) -> bytes:
    """The same as a TIFF without compression, written by hand: Pillow writes none."""
    pixels = np.full(4 * channels, 4095, "<u2").tobytes()
    bits = np.full(channels, 16, "<u2").tobytes()
    start = 8 + len(pixels) + len(bits)
    tags = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, channels, 8 + len(pixels)),
            (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, channels),
            (278, 3, 1, 2), (279, 4, 1, len(pixels))]  # fmt: skip
    directory = np.array(len(tags), "<u2").tobytes()
    for number, kind, count, value in tags:
        directory += np.array([number, kind], "<u2").tobytes()
        directory += np.array([count, value], "<u4").tobytes()
    return b"II\x2a\0" + np.array(start, "<u4").tobytes() + pixels + bits + directory + bytes(4)


DEEP = {
    "grey": deep_png(0, 1),
    "RGB": deep_png(2, 3),
    "grey and alpha": deep_png(4, 2),
    "RGBA": deep_png(6, 4),
    "TIFF": deep_tiff(3),
    "TIFF grey": encoded("tiff", Image.fromarray(np.full((2, 2), 4095, np.uint16))),
    "TIFF float": encoded("tiff", Image.fromarray(np.full((2, 2), 0.5, np.float32))),
    "PPM": b"P6 2 2 65535 " + np.full(12, 4095, ">u2").tobytes(),
    "PPM of 12 bits": b"P6 2 2 4095 " + np.full(12, 4095, ">u2").tobytes(),
    "PPM plain": b"P3 2 2 65535 " + b"4095 " * 12,
    "PGM": b"P5 2 2 65535 " + np.full(4, 4095, ">u2").tobytes(),
}


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP)
def test_more_than_8_bits_are_refused(content: bytes) -> None:
    with Image.open(BytesIO(content)) as image:
        image.load()  # a sound file
    with pytest.raises(DataError, match="^x: more than 8 bits a channel, .*convert it to 8 bits"):
        decode(content, "x")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("form", ["png", "tiff", "webp", "gif"])
def test_8_bits_or_fewer_are_read(mode: str, form: str) -> None:
    pixels = decode(encoded(form, Image.new(mode, (4, 3), 0), lossless=True), "x")
    assert pixels.shape[1:] == (3, 4) and (pixels == 0).all()


# Which way up


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_every_orientation_is_turned_as_pillow_turns_it(orientation: int, form: str) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(form, Image.fromarray(pixels[:3]), exif=exif, lossless=True)
    with Image.open(BytesIO(content)) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decode(content, "x").permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "u4"])
def test_orientation_of_either_byte_order(order: str, kind: str) -> None:
    def number(value: int, kind: str) -> bytes:
        return np.array([value], order + kind).tobytes()

    tag = number(0x0112, "u2") + number(3 if kind == "u2" else 4, "u2") + number(1, "u4")
    start = b"II\x2a\0" if order == "<" else b"MM\0\x2a"
    exif = start + number(8, "u4") + number(1, "u2") + tag + number(6, kind).ljust(4, b"\0")
    assert Metadata(exif).orientation() == 6
    content = jpeg_with(*exif_segments(exif))
    assert split_jpeg(content)[1].orientation() == 6


def test_orientation_of_xmp_counts_where_exif_has_none() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    content = jpeg_with(segment(0xE1, xmp))
    assert split_jpeg(content)[1].orientation() == 6
    assert Metadata().orientation() == 1


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100}])
def test_a_jpeg_without_its_metadata_has_the_same_pixels(
    mode: str, options: dict[str, Any]
) -> None:
    image = Image.effect_noise((40, 30), 60).convert(mode)
    content = encoded("jpeg", image, icc_profile=b"x" * 70_000, comment=b"hello", **options)
    with Image.open(BytesIO(content)) as read:
        expected = np.array(read.convert("L" if mode == "L" else "RGB"))
    found = decode(content, "x").permute(1, 2, 0).squeeze().numpy()
    assert np.array_equal(found, expected)


# Public sets


def test_labels_of_another_number_than_images_are_named(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx(5, 2, 2, content=bytes(20)))
    labels.write_bytes(idx(4, content=bytes(4)))
    with pytest.raises(DataError, match="images holds 5 images but .*labels 4 labels"):
        _idx_half(images, labels)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_large_set_is_read_whole(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked once to see that it is sound, and once more."""
    monkeypatch.setattr("zoo.data.idx.LARGE", 10)
    content = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    path = tmp_path / f"images{suffix}"
    written = idx(50, 28, 28, content=content.tobytes())
    path.write_bytes(gzip.compress(written) if suffix else written)
    assert np.array_equal(read_idx(path, 3).numpy(), content)


def test_a_root_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refusing)
    with pytest.raises(DataError, match="mnist: .*idx3-ubyte cannot be looked for: Permission"):
        load_dataset("mnist", root=tmp_path)


@given(
    form=st.sampled_from(["png", "jpeg", "tiff", "gif", "bmp", "webp", "ppm"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    end=st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_any_damage_ends_in_pixels_or_an_error(
    form: str, places: list[tuple[float, int]], end: float
) -> None:
    content = bytearray(encoded(form))
    for place, value in places:
        content[int(place * (len(content) - 1))] = value
    damaged = bytes(content) if end > 0.5 else bytes(content[: int(2 * end * len(content))])
    try:
        pixels = decode(damaged, "name.png", Conversion((8, 8)))
    except DataError as error:
        assert str(error).startswith("name.png")
    else:
        assert pixels.shape[1:] == (8, 8) and pixels.dtype == torch.uint8
