"""What an example may hold: each kind of value, at every edge, with what the message must say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.likelihoods.base import InputKind
from zoo.modalities import Modality, modality_of
from zoo.modalities.images import Images
from zoo.modalities.text import Text
from zoo.modalities.tokenizer import Tokenizer
from zoo.modalities.vectors import Vectors

WORDS = ["the cat sat", "a red hat"]
TOKENIZER = Tokenizer.learn(WORDS, "words")
IMAGES, TEXT, VECTORS = Images((1, 8, 8)), Text((5,), TOKENIZER.json), Vectors((4,))
ROOM = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LEVELS = (255 * ROOM).round()


def pixels(*values: float) -> Tensor:
    """Black images with these pixels among them."""
    x = torch.zeros(2, 1, 8, 8)
    x.view(-1)[-len(values) :] = torch.tensor(values)
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_what_a_kind_reads_passes(dtype: torch.dtype) -> None:
    IMAGES.check((LEVELS / 255).to(dtype), "unit")
    IMAGES.check(ROOM.round().to(dtype), "binary")
    IMAGES.check(ROOM.to(dtype), "real")
    for kind in ("unit", "binary", "real"):
        IMAGES.check(ROOM[:0].to(dtype), kind)  # an empty batch
        IMAGES.check(pixels(0, 1).to(dtype), kind)
    VECTORS.check((100 * torch.randn(3, 4)).to(dtype), "real")
    VECTORS.check(torch.zeros(0, 4, dtype=dtype), "real")
    VECTORS.check(torch.eye(4, dtype=dtype), "binary")


def test_levels_pass_however_they_were_divided() -> None:
    levels = torch.arange(256).repeat(1, 1, 1, 1).view(1, 1, 16, 16)
    images = Images((1, 16, 16))
    for x in (levels / 255, levels * (1 / 255), (levels.double() / 255).float()):
        images.check(x.float(), "unit")


KINDS: list[InputKind] = ["unit", "binary", "real"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (pixels(255, 3), "got 0 to 255; divide them by 255$"),
        (pixels(60000, 3), "got 0 to 60000; divide them by 65535$"),
        (pixels(1e6), r"got 0 to 1000000; rescale them$"),
        (pixels(-1, 1), r"got -1 to 1; map them with \(x \+ 1\) / 2$"),
        (pixels(-3, 2), "got -3 to 2; rescale them$"),
        (pixels(1.0000001), r"got 0 to 1\.00000012; cut off what lies beyond with x\.clamp"),
        (pixels(torch.nan), "got nan to nan; replace what is not finite$"),
        (pixels(torch.inf), "got 0 to inf; replace what is not finite$"),
        (pixels(-torch.inf), "got -inf to 0; replace what is not finite$"),
    ],
)
def test_pixels_beyond_their_range_say_how_to_mend_them(
    x: Tensor, message: str, kind: InputKind
) -> None:
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(DataError, match=r"pixels must be in \[0, 1\], got"):
            IMAGES.check(x.to(dtype), kind)
    with pytest.raises(DataError, match=message):
        IMAGES.check(x, kind)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0.5, "binary", r"pixels must be 0 or 1, got 0\.5; draw them with torch\.bernoulli"),
        (1e-6, "binary", "must be 0 or 1, got 1e-06"),
        (1 - 2**-24, "binary", "must be 0 or 1, got 1"),
        (0.5, "unit", r"must be whole multiples of 1/255, got 0\.5; round them with \(255 \* x\)"),
        (3.01 / 255, "unit", "must be whole multiples"),
    ],
)
def test_pixels_between_those_a_kind_reads_are_refused(
    value: float, kind: InputKind, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        IMAGES.check(pixels(value, 1), kind)
    IMAGES.check(pixels(value, 1), "real")
    with pytest.raises(DataError, match=message.removeprefix("pixels ")):
        VECTORS.check(torch.full((2, 4), value), kind)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_vectors_must_be_finite(value: float) -> None:
    x = torch.zeros(3, 4)
    x[1, 2] = value
    with pytest.raises(DataError, match=r"vectors must be finite, got .*observed=False"):
        VECTORS.check(x, "real")
    VECTORS.check(torch.tensor([[-3e38, 3e38, 0, 0]]), "real")


@pytest.mark.parametrize(
    ("modality", "x", "message"),
    [
        (IMAGES, ROOM[0], r"shape \(batch, 1, 8, 8\) with pixels in \[0, 1\], got torch.float32"),
        (IMAGES, LEVELS.byte(), r"expected a float tensor .* got torch.uint8 of shape \(3, 1, 8,"),
        (IMAGES, ROOM > 0.5, "got torch.bool"),
        (IMAGES, ROOM.flatten(1), r"got torch.float32 of shape \(3, 64\)"),
        (IMAGES, torch.tensor(0.5), r"got torch.float32 of shape \(\)"),
        (IMAGES, ROOM.numpy(), "got ndarray"),
        (VECTORS, torch.zeros(4), r"shape \(batch, 4\) with real numbers, got"),
        (VECTORS, torch.zeros(2, 4).long(), "got torch.int64"),
        (VECTORS, [[0.0] * 4], "got list"),
        (TEXT, torch.zeros(2, 3), r"expected ids int64 of shape \(batch, at most 5\), got torch.f"),
        (TEXT, torch.zeros(3).long(), r"got torch.int64 of shape \(3,\)"),
        (TEXT, torch.zeros(2, 6).long(), r"got torch.int64 of shape \(2, 6\)"),
        (TEXT, WORDS, r"got list; read\(sentences\) makes them"),
    ],
)
def test_wrong_forms_are_refused(modality: Modality, x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        modality.check(x, "tokens" if modality is TEXT else "real")


SIZE = len(TOKENIZER)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[3, SIZE, 1]], f"ids must be 0 to {SIZE - 1}, got 1 to {SIZE}; read"),
        ([[3, -1, 1]], "got -1 to 3; read"),
        ([[3, 1], [0, 0]], "sentence 2 of the ids is not tokens, then an end"),
        ([[]], "sentence 1 of the ids is not tokens"),
        ([[3, 0, 4, 1]], "sentence 1 of the ids is not tokens"),
        ([[3, 1, 0, 0], [3, 1, 4, 1]], "sentence 2 of the ids is not tokens"),
        ([[3, 1], [3, 4]], "sentence 2 of the ids is not tokens"),
    ],
)
def test_ids_that_are_no_sentences_are_refused(ids: list[list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TEXT.check(torch.tensor(ids, dtype=torch.int64), "tokens")


def test_sentences_go_in_and_out() -> None:
    ids = TEXT.read([" the cat sat", "a red hat\n"])
    TEXT.check(ids, "tokens")
    assert TEXT.write(ids) == WORDS
    assert TEXT.write(TEXT.read(np.array(WORDS))) == WORDS
    TEXT.check(torch.full((1, 5), 3), "tokens")  # the longest there is need not end
    TEXT.check(ids[:0], "tokens")
    assert TEXT.write(ids[:0]) == []
    with pytest.raises(DataError, match="has 6 tokens, the model reads at most 4"):
        TEXT.read(["the cat sat the cat sat"])
    with pytest.raises(DataError, match="'emu'"):
        TEXT.read(["the emu"])
    for wrong in ("the cat", [1, 2], None, {1: "red"}):
        with pytest.raises(DataError, match="give a list of sentences, for one as"):
            TEXT.read(wrong)
    for modality in (IMAGES, VECTORS):
        with pytest.raises(UnsupportedError, match="has no tokenizer"):
            modality.read(WORDS)


def test_images_are_shown_within_their_range_and_vectors_as_they_are() -> None:
    x = pixels(-0.5, 0.3, 1.5)
    assert IMAGES.write(x).flatten()[-3:].tolist() == pytest.approx([0, 0.3, 1])
    vectors = torch.randn(2, 4)
    assert VECTORS.write(vectors) is vectors


def test_a_protocol_is_said_as_published_figures_say_it() -> None:
    assert IMAGES.describe(9, "binary", 3) == "9 examples, binarised with seed 3"
    assert (
        IMAGES.describe(9, "unit", 3, "resized to 8x8") == "9 examples, resized to 8x8, in [0, 1]"
    )
    assert IMAGES.describe(9, "real", 3) == "9 examples, in [0, 1]"
    assert TEXT.describe(9, "tokens", 3) == "9 sentences"
    assert VECTORS.describe(9, "real", 3) == "9 examples, as real numbers"
    assert VECTORS.describe(9, "binary", 3) == "9 examples, as 0 and 1"
    assert VECTORS.describe(9, "unit", 3) == "9 examples, as levels k / 255 in [0, 1]"
    assert IMAGES.protocol("binary", "test", 3) == "test images binarised once with seed 3"
    intensities = "test images as intensities in [0, 1], noise seeded with 3"
    assert IMAGES.protocol("unit", "test", 3) == IMAGES.protocol("real", "test", 3) == intensities
    ends = "validation sentences with their ends, noise seeded with 0"
    assert TEXT.protocol("tokens", "validation", 0) == ends
    assert "as real numbers" in VECTORS.protocol("real", "test", 3)
    assert "as 0 and 1" in VECTORS.protocol("binary", "test", 3)


def test_the_shape_and_the_tokenizer_say_which_modality() -> None:
    assert isinstance(modality_of((3, 4, 5)), Images)
    assert isinstance(modality_of((7,)), Vectors)
    assert isinstance(modality_of((7,), TOKENIZER.json), Text)
    for shape, tokenizer in (((3, 4), None), ((), None), ((1, 8, 8), TOKENIZER.json)):
        with pytest.raises(ConfigError, match="no examples have the shape"):
            modality_of(shape, tokenizer)
