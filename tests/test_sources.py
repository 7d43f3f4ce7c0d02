"""Arrays, tensors, frames and torch datasets as datasets: images, vectors, floats and gaps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from zoo.core.model import InputKind, ModelConfig
from zoo.data import Dataset, Split, VectorSplit, load_dataset, load_for_model
from zoo.errors import DataError
from zoo.modalities.tokenizer import Tokenizer

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(30, 4)).astype(np.float32)
FLOATS = RNG.random((30, 5, 6)).astype(np.float32)
GREY = RNG.integers(0, 256, (30, 5, 6), dtype=np.uint8)
LABELS = np.arange(30) % 7


def rows(data: Dataset) -> Tensor:
    """All examples, in an order of their own."""
    every = torch.cat([split.rows.flatten(1) for split in data.splits.values()])
    return torch.stack(sorted(every, key=lambda row: row.tolist()))


def sorted_rows(array: Any) -> Tensor:
    flat = torch.from_numpy(np.asarray(array)).flatten(1)
    return torch.stack(sorted(flat, key=lambda row: row.tolist()))


# Vectors


@pytest.mark.parametrize("kind", ["?", "u1", "<u2", ">i4", "<i8", "<f2", ">f4", "<f8"])
def test_vectors_keep_their_values_whatever_their_type(kind: str, tmp_path: Path) -> None:
    vectors = (100 * VECTORS).round().astype(kind)
    np.save(tmp_path / "mine.npy", vectors)
    data = load_dataset(tmp_path / "mine.npy")
    assert (data.name, data.modality, data.likelihood) == ("mine", "vectors", "gaussian")
    assert isinstance(data.train, VectorSplit)
    assert data.train.shape == (4,)
    assert [len(split) for split in data.splits.values()] == [24, 3, 3]
    assert torch.equal(rows(data), sorted_rows(vectors.astype(np.float32)))
    assert torch.equal(rows(load_dataset(vectors)), rows(data))


@pytest.mark.parametrize("kind", ["real", "unit", "binary"])
def test_a_batch_of_vectors_is_the_vectors(kind: InputKind) -> None:
    split = VectorSplit(torch.from_numpy(VECTORS), torch.from_numpy(LABELS))
    index = torch.tensor([5, 0, 5])
    batch = split.fixed(kind, 0).batch(index, kind=kind)
    assert torch.equal(batch.x, split.rows[index])
    assert torch.equal(batch.labels, split.labels[index])


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.full((9, 3), 2**24 + 1), r"within ±16,777,216, .* got 16777217 to 16777217; rescale"),
        (np.full((9, 3), -(2**63)), "got -9223372036854775808 to"),
        (np.full((9, 3), 2**64 - 1, dtype=np.uint64), "got 18446744073709551615 to"),
        (np.full((9, 3), 1e300), r"finite float32 numbers, got 1e\+300"),
        (np.full((9, 3), np.nan), "got nan to nan; .* missing values need an array 'observed'"),
        (np.full((9, 3), -np.inf), "got -inf to -inf"),
        (np.zeros((9, 3), dtype=np.complex64), "vectors are complex64; allowed are floats, int"),
        (np.zeros((9, 3), dtype="M8[s]"), r"vectors are datetime64\[s\]"),
        (np.zeros((9, 3), dtype=object), "vectors are object"),
        (np.zeros(9), r"train has shape \(9,\); .* vectors \(N, D\)"),
        (np.zeros((9, 0)), r"train has shape \(9, 0\)"),
        (np.float32(3), r"train has shape \(\)"),
    ],
)
def test_vectors_that_would_lose_something_are_refused(vectors: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(vectors)
    with pytest.raises(DataError):
        load_dataset({"vectors": vectors})


def test_integers_up_to_the_last_that_float32_holds_are_exact() -> None:
    edge = np.array([[2**24, -(2**24)]] * 3)
    assert rows(load_dataset(edge)).long().tolist() == edge.tolist()


@pytest.mark.parametrize("name", ["vectors", "X"])
@pytest.mark.parametrize("labels", ["labels", "y"])
def test_an_archive_of_vectors_and_labels(name: str, labels: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **{name: VECTORS, labels: LABELS})
    data = load_dataset(tmp_path / "mine.npz")
    assert data.classes == 7
    for split in data.splits.values():
        for row, label in zip(split.rows, split.labels, strict=True):
            assert (VECTORS[int(label) == LABELS] == row.numpy()).all(1).any()


def test_an_archive_of_parts_with_all_their_columns(tmp_path: Path) -> None:
    observed = RNG.random((30, 4)) > 0.2
    holed = np.where(observed, VECTORS, np.nan)
    np.savez(
        tmp_path / "mine.npz",
        train=holed,
        train_observed=observed,
        train_condition=RNG.random((30, 2)),
        test=VECTORS[:5],
        test_labels=LABELS[:5],
    )
    data = load_dataset(tmp_path / "mine.npz")
    assert [len(split) for split in data.splits.values()] == [27, 3, 5]
    assert torch.equal(data.test.rows, torch.from_numpy(VECTORS[:5]))
    assert data.test.labels.tolist() == LABELS[:5].tolist()
    assert data.test.observed is None
    for split in (data.train, data.validation):
        assert split.condition.dtype == torch.float32
        assert split.observed.dtype == torch.bool
        assert split.rows.isfinite().all()
        assert not split.rows[~split.observed].any()
    assert sum(int(split.observed.sum()) for split in (data.train, data.validation)) == (
        observed.sum()
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": VECTORS, "labels": LABELS, "y": LABELS}, "give either"),
        ({"X": VECTORS, "vectors": VECTORS}, "give either"),
        ({"train": VECTORS, "labels": LABELS}, "give either"),
        ({"train": VECTORS, "test_labels": LABELS}, "test_labels belongs to test, which is miss"),
        ({"images": VECTORS}, r"train has shape \(30, 4\); allowed are images"),
        ({"vectors": FLOATS}, r"train has shape \(30, 5, 6\); vectors have \(N, D\)"),
        ({"X": VECTORS, "observed": VECTORS > 0, "y": LABELS[1:]}, "the labels of train must be"),
        ({"X": VECTORS, "y": np.full(30, np.nan)}, "integers or finite floats"),
        ({"X": VECTORS, "y": np.zeros((30, 2, 2))}, r"got float64 of shape \(30, 2, 2\)"),
        ({"X": VECTORS, "observed": VECTORS}, r"observed of train must be booleans .* got float"),
        ({"X": VECTORS, "observed": VECTORS[:, :2] > 0}, r"of shape \(30, 4\), got bool of shape"),
        ({"train": VECTORS, "test": VECTORS[:, 1:]}, "make them alike"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(arrays: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(arrays)


# Float images


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_float_images_keep_their_values(kind: str, tmp_path: Path) -> None:
    images = (0.0015 * FLOATS).astype(kind)
    np.save(tmp_path / "mine.npy", images)
    data = load_dataset(tmp_path / "mine.npy")
    assert data.train.rows.dtype == torch.float32
    assert data.likelihood == "gaussian"
    assert torch.equal(rows(data), sorted_rows(images.astype(np.float32)))
    every = torch.arange(len(data.train))
    assert torch.equal(data.train.batch(every, kind="real").x, data.train.rows)
    assert not data.train.batch(every, kind="unit").x.any()  # all below half a level


def test_floats_that_are_levels_are_held_as_levels() -> None:
    grey = load_dataset(GREY)
    for kind in (np.float32, np.float64):
        for floats in ((GREY / 255).astype(kind), GREY.astype(kind) * kind(1 / 255)):
            data = load_dataset(floats)
            assert data.digest() == grey.digest()
            assert data.likelihood == "discretized-logistic"
    almost = (GREY / 255).astype(np.float32)
    almost[3, 2, 1] = (100 + 1e-3) / 255
    assert load_dataset(almost).train.rows.dtype == torch.float32
    assert load_dataset((GREY > 99).astype(np.float64)).likelihood == "bernoulli"


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_floats_and_levels_are_read_and_drawn_alike(seed: int) -> None:
    levels = Split(torch.from_numpy(GREY).unsqueeze(1))
    floats = Split(levels.rows / 255)
    every = torch.arange(len(levels))
    for kind in ("unit", "real"):
        found, expected = (split.batch(every, kind=kind).x for split in (floats, levels))
        assert torch.equal(found, expected)
        assert floats.fixed("unit", seed).digest() == levels.fixed("unit", seed).digest()
    generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
    drawn = [
        split.batch(every, kind="binary", generator=generator).x
        for split, generator in zip((floats, levels), generators, strict=True)
    ]
    assert torch.equal(*drawn)
    assert floats.fixed("binary", seed).digest() == levels.fixed("binary", seed).digest()


@pytest.mark.parametrize("p", [1e-3, 0.3 / 255, 0.5, 100.7 / 255, 1 - 1e-3])
def test_floats_between_levels_are_drawn_with_their_own_probability(p: float) -> None:
    split = Split(torch.full((400, 1, 50, 50), p))
    generator = torch.Generator().manual_seed(3)
    drawn = split.batch(torch.arange(400), kind="binary", generator=generator).x
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    error = (p * (1 - p) / drawn.numel()) ** 0.5
    assert abs(drawn.double().mean().item() - p) < 4 * error
    assert abs(split.binarized(7).rows.double().mean().item() / 255 - p) < 4 * error


def test_what_is_measured_is_what_is_read() -> None:
    split = Split(torch.from_numpy(FLOATS).unsqueeze(1))
    every = torch.arange(len(split))
    assert split.fixed("real", 0).digest() == split.digest()
    for kind in ("unit", "binary", "real"):
        fixed = split.fixed(kind, 0)
        read = fixed.batch(every, kind=kind).x
        assert torch.equal(read, fixed.batch(every, kind="real").x)
        assert read.dtype == torch.float32
    unit = split.fixed("unit", 0).batch(every, kind="unit").x
    assert torch.equal(unit, split.batch(every, kind="unit").x)
    assert (unit - split.rows).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e-6, 1.001, 255.0])
def test_float_images_beyond_their_range_are_refused(value: float, tmp_path: Path) -> None:
    images = FLOATS.copy()
    images[3, 2, 1] = value
    np.save(tmp_path / "mine.npy", images)
    for source in (images, torch.from_numpy(images), tmp_path / "mine.npy"):
        with pytest.raises(DataError, match=r"float images must lie in \[0, 1\], got"):
            load_dataset(source)
    known = (images >= 0) & (images <= 1)
    data = load_dataset({"images": images, "observed": known})
    assert sum(int((~split.observed).sum()) for split in data.splits.values()) == 1


def test_the_mask_of_coloured_images_turns_with_them() -> None:
    images = RNG.random((30, 5, 6, 3)).astype(np.float32)
    observed = images > 0.3
    data = load_dataset({"X": images, "observed": observed})
    assert data.train.shape == (3, 5, 6)
    for split in data.splits.values():
        assert torch.equal(split.observed, split.rows > 0.3)
        assert torch.equal(split.observed, split.rows != 0)
    with pytest.raises(DataError, match="missing pixels cannot be resized"):
        load_dataset({"X": images, "observed": observed}, image_size=4)


# What a program holds


class Pictures(TorchDataset[Any]):
    def __init__(self, mode: str, odd: int = -1) -> None:
        self.mode, self.odd = mode, odd

    def __len__(self) -> int:
        return len(GREY)

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        image = Image.fromarray(GREY[number][: 4 if number == self.odd else None])
        return image.convert(self.mode), int(LABELS[number])


def tensors(*arrays: Any) -> TensorDataset:
    return TensorDataset(*map(torch.from_numpy, arrays))


SOURCES = {
    "an array": VECTORS,
    "a tensor": torch.from_numpy(VECTORS),
    "a tensor with a gradient": torch.from_numpy(VECTORS).requires_grad_(),
    "a list": VECTORS.tolist(),
    "an array of other strides": np.asfortranarray(VECTORS),
    "an array backwards": VECTORS[::-1].copy()[::-1],
    "an array that nobody may write": np.frombuffer(VECTORS.tobytes(), np.float32).reshape(30, 4),
    "a dictionary": {"X": torch.from_numpy(VECTORS)},
    "a torch dataset": tensors(VECTORS),
    "a pair": (VECTORS, LABELS),
    "a pair of tensors": (torch.from_numpy(VECTORS), torch.from_numpy(LABELS)),
    "a pair of lists": (VECTORS.tolist(), LABELS.tolist()),
    "a torch dataset of pairs": tensors(VECTORS, LABELS),
    "a dictionary with labels": {"vectors": VECTORS, "labels": LABELS.tolist()},
}


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_holds_the_same_examples_is_the_same_dataset(source: str, tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", VECTORS)
    stored = load_dataset(tmp_path / "array.npy")
    data = load_dataset(SOURCES[source])
    assert data.digest() == stored.digest()
    assert data.test.digest() == stored.test.digest()
    assert (data.name, data.likelihood, data.license) == ("array", "gaussian", "not stated")
    assert data.classes == (7 if "pair" in source or "labels" in source else None)
    assert load_dataset(SOURCES[source], name="mine").name == "mine"


def test_half_precision_tensors_are_read() -> None:
    half = torch.from_numpy(VECTORS).bfloat16()
    assert torch.equal(rows(load_dataset(half)), sorted_rows(half.float().numpy()))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_torch_dataset_of_pictures(mode: str, channels: int) -> None:
    data = load_dataset(Pictures(mode))
    assert data.train.shape == (channels, 5, 6)
    assert data.classes == 7
    expected = load_dataset((np.stack([GREY] * channels, -1), LABELS))
    assert data.digest() == expected.digest()


def test_examples_are_copied() -> None:
    """What the caller does with its arrays afterwards does not change the dataset."""
    vectors, labels = VECTORS.copy(), LABELS.copy()
    data = load_dataset({"train": vectors, "test": vectors[:4], "test_labels": labels[:4]})
    before = data.test.digest(), data.test.labels.tolist()
    vectors[:], labels[:] = 0, 9
    assert (data.test.digest(), data.test.labels.tolist()) == before


def test_a_dataset_of_zoo_is_used_as_it_is() -> None:
    digits = load_dataset("digits")
    assert load_dataset(digits) is digits
    assert load_for_model(ModelConfig(input_shape=(1, 8, 8)), digits) is digits
    small = load_for_model(ModelConfig(input_shape=(1, 4, 4)), digits)
    assert small.digest() == load_dataset("digits", image_size=4).digest()


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, r"cannot read examples from int; give an array or tensor, \(x, labels\)"),
        (None, "cannot read examples from NoneType"),
        (b"mnist", "cannot read examples from bytes"),
        ((VECTORS,) * 3, "cannot read examples from tuple"),
        (Pictures, "cannot read examples from type"),
        ({"tain": VECTORS}, "unknown array 'tain'; did you mean 'train'"),
        ({3: VECTORS}, "unknown array '3'"),
        ({}, "given: nothing"),
        ([[1, 2], [3]], "cannot make one array of list"),
        (["a cat", "a hat"], r"got text where numbers are needed; write sentences into a \.txt"),
        ((VECTORS, ["a"] * 30), r"number labels with numpy\.unique"),
        (Endless(), "Endless has no length; give an array"),
        (tensors(VECTORS[:0]), "TensorDataset is empty"),
        (tensors(VECTORS, VECTORS, VECTORS), r"must be x or \(x, label\), got a tuple of 3"),
        (Pictures("L", odd=9), r"item 9 of a torch Dataset has shape \(4, 6\), item 0 \(5, 6\)"),
        (torch.eye(9).to_sparse(), r"a tensor of layout torch\.sparse_coo"),
        (torch.eye(9, device="meta"), "a tensor without data"),
        (np.ma.masked_array(VECTORS, VECTORS > 1), "mask of a masked array would be lost; give"),
    ],
)
def test_what_is_no_dataset_says_what_is(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(source)


def test_a_frame_of_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(VECTORS, columns=list("abcd"))
    assert load_dataset(frame).digest() == load_dataset(VECTORS).digest()
    assert load_dataset((frame, frame["a"] > 0)).classes == 2
    mixed = frame.assign(e=LABELS, f=LABELS > 3, g=pandas.array(LABELS, dtype="Int64"))
    assert load_dataset(mixed).train.shape == (7,)
    assert load_dataset(frame.assign(h="red")).modality == "tables"
    with pytest.raises(DataError, match=r"must be numbers, got h .*select_dtypes"):
        load_dataset({"X": frame.assign(h="red")})
    with pytest.raises(DataError, match="column 'id' holds integers beyond"):
        load_dataset(frame.assign(id=2**40 + LABELS))
    with pytest.raises(DataError, match="missing values need an array 'observed'"):
        load_dataset(frame.assign(e=pandas.array([None, *LABELS[1:]], dtype="Int64")))


# What a model reads


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    class TextConfig(ModelConfig):
        tokenizer: str

    sentences = ["a red cat", "a hat", "the cat", "red"] * 3
    (tmp_path / "mine.txt").write_text("\n".join(sentences))
    tokenizer, other = (Tokenizer.learn(sentences, kind).json for kind in ("words", "characters"))
    configs = {
        "images": ModelConfig(input_shape=(1, 8, 8)),
        "vectors": ModelConfig(input_shape=(8,)),
        "text": TextConfig(input_shape=(8,), tokenizer=tokenizer),
    }
    sources = {"images": "digits", "vectors": RNG.random((9, 8)), "text": tmp_path / "mine.txt"}
    for reads, config in configs.items():
        for held, source in sources.items():
            if reads == held:
                assert load_for_model(config, source).modality == held
                continue
            with pytest.raises(DataError, match=f"holds {held}, the model reads {reads}; choose"):
                load_for_model(config, source)
    cut = load_for_model(configs["text"], tmp_path / "mine.txt")
    assert load_for_model(configs["text"], cut) is cut
    with pytest.raises(DataError, match="cut by another tokenizer than the model's"):
        load_for_model(TextConfig(input_shape=(8,), tokenizer=other), cut)
    with pytest.raises(DataError, match="holds vectors, which has no image_size"):
        load_dataset(VECTORS, image_size=8)


def test_nothing_depends_on_the_default_dtype() -> None:
    def digests() -> list[str]:
        read = []
        for source in (GREY, FLOATS, VECTORS, "digits"):
            data = load_dataset(source)
            index = torch.arange(3)
            for kind in ("unit", "real", "binary"):
                generator = torch.Generator().manual_seed(1)
                x = data.train.batch(index, kind=kind, generator=generator).x
                assert x.dtype == torch.float32
                read.append(hashlib.sha256(x.numpy().tobytes()).hexdigest())
            read.append(data.digest())
        return read

    expected = digests()
    torch.set_default_dtype(torch.float64)
    try:
        assert digests() == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_nothing_depends_on_the_default_device() -> None:
    """As where a program computes on an accelerator: what is held stays where it is."""
    expected = [load_dataset(source).digest() for source in (GREY, FLOATS, VECTORS, "digits")]
    torch.set_default_device("meta")
    try:
        for source, digest in zip((GREY, FLOATS, VECTORS, "digits"), expected, strict=True):
            data = load_dataset(source)
            assert data.digest() == digest
            assert {batch.x.device.type for batch in data.test.batches(2, "binary")} == {"cpu"}
            assert data.test.fixed("binary", 0).evenly(2).rows.device.type == "cpu"
    finally:
        torch.set_default_device(None)
