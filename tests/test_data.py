from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.core.model import InputKind, ModelConfig
from zoo.data import Dataset, Split, load_dataset, load_for_model
from zoo.data.partition import hold_out, with_held_out
from zoo.data.paths import existing_path
from zoo.errors import DataError, UnknownNameError, ZooError
from zoo.registry import registry

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def numbered(count: int) -> Split:
    """Images that say which example they are: two pixels hold the number in base 256."""
    numbers = torch.arange(count)
    pixels = torch.stack((numbers // 256, numbers % 256), 1).to(torch.uint8)
    return Split(pixels.view(count, 1, 1, 2), numbers)


def numbers_of(split: Split) -> Tensor:
    pixels = split.images.to(torch.int64).flatten(1)
    return pixels[:, 0] * 256 + pixels[:, 1]


def flat(level: int, count: int) -> Split:
    return Split(torch.full((count, 1, 1, 1000), level, dtype=torch.uint8))


def seeded(seed: int, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def every(split: Split) -> Tensor:
    return torch.arange(len(split), device=split.images.device)


# Binarisation


@pytest.mark.parametrize("level", [1, 2, 37, 128, 200, 253, 254])
def test_binarisation_draws_each_level_with_its_exact_probability(level: int) -> None:
    split = flat(level, 4000)
    drawn = split.batch(every(split), kind="binary", generator=seeded(level)).x
    p = level / 255
    error = math.sqrt(p * (1 - p) / drawn.numel())
    assert abs(drawn.double().mean().item() - p) < 4 * error


def test_binarisation_fits_all_grey_levels_at_once() -> None:
    draws = 20_000
    split = Split(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))
    index = torch.zeros(draws, dtype=torch.int64)
    ones = split.batch(index, kind="binary", generator=seeded(3)).x.double().sum(0).flatten()
    assert ones[0] == 0
    assert ones[255] == draws
    p = torch.arange(1, 255) / 255
    chi_square = ((ones[1:255] - draws * p) ** 2 / (draws * p * (1 - p))).sum().item()
    assert abs(chi_square - 254) < 5 * math.sqrt(2 * 254)


@pytest.mark.parametrize("lag", [1, 2, 4, 7, 8])
def test_binarised_pixels_are_independent(lag: int) -> None:
    split = flat(128, 2000)
    pixels = split.batch(every(split), kind="binary", generator=seeded(lag)).x.flatten().double()
    centred = pixels - pixels.mean()
    correlation = (centred[lag:] * centred[:-lag]).mean() / centred.var()
    assert abs(correlation.item()) < 4 / math.sqrt(pixels.numel())


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32),
)
def test_binarisation_keeps_shape_and_extremes(shape: tuple[int, ...], seed: int) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))
    images.view(-1)[0] = 0
    images.view(-1)[-1] = 255
    split = Split(images)
    drawn = split.batch(every(split), kind="binary", generator=seeded(seed)).x
    assert drawn.shape == shape
    assert drawn.dtype == torch.float32
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    assert not drawn[images == 0].any()
    assert drawn[images == 255].all()


def test_binarisation_draws_again_when_too_few_words_are_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    select, calls = torch.Tensor.masked_select, []

    def short_once(words: Tensor, mask: Tensor) -> Tensor:
        calls.append(mask)
        return select(words, mask)[: 10 if len(calls) == 1 else None]

    monkeypatch.setattr(torch.Tensor, "masked_select", short_once)
    split = flat(255, 3)
    assert split.batch(every(split), kind="binary").x.all()
    assert len(calls) == 2


def test_binarisation_follows_its_generator() -> None:
    split = flat(100, 5)
    first = split.batch(every(split), kind="binary", generator=seeded(1)).x
    again = split.batch(every(split), kind="binary", generator=seeded(1)).x
    generator = seeded(2)
    second, third = (split.batch(every(split), kind="binary", generator=generator).x for _ in "ab")
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_a_binarised_split_reads_the_same_every_time_and_by_seed() -> None:
    images = torch.randint(0, 256, (20, 1, 9, 9), dtype=torch.uint8, generator=seeded(0))
    split = Split(images, torch.arange(20))
    fixed = split.binarized(5)
    assert set(fixed.images.unique().tolist()) == {0, 255}
    assert torch.equal(fixed.labels, split.labels)
    assert torch.equal(fixed.images, split.binarized(5).images)
    assert not torch.equal(fixed.images, split.binarized(6).images)
    assert torch.equal(fixed.images, fixed.binarized(6).images)
    unit = fixed.batch(every(fixed), kind="unit").x
    for seed in range(3):
        drawn = fixed.batch(every(fixed), kind="binary", generator=seeded(seed)).x
        assert torch.equal(drawn, unit)


def test_a_binarised_split_never_changes_between_versions() -> None:
    """Published figures are over one draw of the test images: another draw is other data."""
    fixed = Split(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)).binarized(0)
    weights = torch.arange(1, 257).view(16, 16)
    assert ((fixed.images[0, 0] // 255) * weights).sum().item() == 22514


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_binarisation_on_a_gpu() -> None:
    split = Split(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))
    assert torch.equal(split.binarized(0).images, split.to("cuda").binarized(0).images.cpu())
    index = torch.zeros(20_000, dtype=torch.int64, device="cuda")
    drawn = split.to("cuda").batch(index, kind="binary", generator=seeded(0, "cuda")).x
    ones, p = drawn.double().sum(0).flatten().cpu(), torch.arange(256) / 255
    assert ones[0] == 0
    assert ones[255] == 20_000
    error = (20_000 * p * (1 - p)).sqrt()
    assert ((ones - 20_000 * p).abs() <= 5 * error).all()


# Splits


def test_a_unit_batch_is_the_image_over_255() -> None:
    split = Split(torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1))
    batch = split.batch(torch.tensor([255, 0, 51, 51]), kind="unit").x
    assert batch.dtype == torch.float32
    assert batch.shape == (4, 1, 1, 1)
    assert torch.equal(batch.flatten(), torch.tensor([1, 0, 0.2, 0.2]))


@pytest.mark.parametrize("kind", ["unit", "binary"])
@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_batches_are_all_examples_in_order(kind: InputKind, size: int) -> None:
    split = Split(torch.arange(7 * 6, dtype=torch.uint8).view(7, 1, 2, 3)).fixed(kind, 0)
    batches = [batch.x for batch in split.batches(size, kind)]
    assert [len(x) for x in batches[:-1]] == [size] * (len(batches) - 1)
    assert torch.equal(torch.cat(batches), split.images / 255)
    before = torch.get_rng_state()
    assert torch.equal(
        torch.cat([batch.x for batch in split.batches(size, "real")]), split.images / 255
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("n", "chosen"), [(-1, []), (0, []), (1, [0]), (3, [0, 3, 6]), (99, range(10))]
)
def test_examples_at_even_distances(n: int, chosen: Sequence[int]) -> None:
    assert numbers_of(numbered(10).evenly(n)).tolist() == list(chosen)
    empty = numbered(10).take(0)
    assert len(empty.evenly(n)) == 0


def test_take_and_select_keep_labels_with_images() -> None:
    split = numbered(10)
    assert len(split) == 10
    assert split.shape == (1, 1, 2)
    assert numbers_of(split.take(3)).tolist() == split.take(3).labels.tolist() == [0, 1, 2]
    assert len(split.take(99)) == 10
    chosen = split.select(torch.tensor([7, 2]))
    assert numbers_of(chosen).tolist() == chosen.labels.tolist() == [7, 2]
    assert Split(split.images).select(torch.tensor([1])).labels is None
    assert split.to("cpu").labels.tolist() == list(range(10))


# Columns


def with_columns(count: int) -> Split:
    images = torch.randint(0, 256, (count, 1, 2, 3), dtype=torch.uint8, generator=seeded(1))
    return Split(
        images,
        labels=torch.arange(count),
        condition=torch.arange(2.0 * count).view(count, 2),
        observed=images > 99,
    )


def test_a_batch_brings_every_column_of_its_examples() -> None:
    split, index = with_columns(6), torch.tensor([4, 0, 4])
    batch = split.batch(index, kind="unit")
    assert torch.equal(batch.x, split.images[index] / 255)
    assert batch.labels is not None
    assert batch.labels.tolist() == [4, 0, 4]
    assert torch.equal(batch.condition, split.condition[index])
    assert torch.equal(batch.observed, split.observed[index])
    bare = Split(split.images).batch(index, kind="unit")
    assert bare[1:] == (None, None, None)


@pytest.mark.parametrize("change", ["take", "select", "evenly", "to", "fixed", "batches"])
def test_columns_stay_with_their_rows(change: str) -> None:
    split = with_columns(6)
    changed, kept = {
        "take": (split.take(2), [0, 1]),
        "select": (split.select(torch.tensor([5, 1])), [5, 1]),
        "evenly": (split.evenly(3), [0, 2, 4]),
        "to": (split.to("cpu"), list(range(6))),
        "fixed": (split.fixed("binary", 0), list(range(6))),
        "batches": (split, list(range(6))),
    }[change]
    for column in ("labels", "condition", "observed"):
        found = torch.cat([getattr(batch, column) for batch in changed.batches(4, "unit")])
        assert torch.equal(found, getattr(split, column)[kept])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"condition": torch.zeros(3)}, r"2 examples need condition of shape .* got \(3,\)"),
        ({"labels": torch.zeros(2, 2, 2)}, r"2 examples need labels of shape"),
        ({"observed": torch.ones(2, 1, 3, 3)}, r"observed must be boolean .* got torch.float32"),
        ({"observed": torch.ones(2, 1, 3, 2).bool()}, r"of shape \(2, 1, 3, 3\) like the examples"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), **columns)


def test_a_digest_covers_what_models_read_and_nothing_else() -> None:
    """Released checkpoints hold digests of rows alone: these must stay what they were."""
    split = with_columns(4)
    bare = Split(split.images)
    plain = hashlib.sha256(split.images.numpy().tobytes()).hexdigest()
    assert bare.digest() == Split(split.images, split.labels).digest() == plain
    told = Split(split.images, split.labels).conditioned("labels")
    others = [told, Split(split.images, observed=split.observed), split]
    assert len({bare.digest(), *(other.digest() for other in others)}) == 4
    sets = [Dataset("mine", each, each, each, "bernoulli", "none") for each in (bare, *others)]
    assert sets[0].digest() == hashlib.sha256(2 * split.images.numpy().tobytes()).hexdigest()
    assert len({each.digest() for each in sets}) == 4
    assert sets[1].digest() == sets[1].conditioned("condition").digest()


def test_a_condition_is_made_of_the_labels() -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    classes = Split(images, torch.tensor([2, 0, 1], dtype=torch.int32)).conditioned("labels")
    assert classes.condition.dtype == torch.int64
    assert classes.conditioned("condition").condition.tolist() == [2, 0, 1]
    assert classes.conditioned(None).condition is None
    assert classes.labels.tolist() == [2, 0, 1]
    several = Split(images, torch.tensor([[1, 0], [0, 1], [1, 1]])).conditioned("labels")
    assert several.condition.dtype == torch.float32
    number = Split(images, torch.tensor([0.5, 1, 2], dtype=torch.float64)).conditioned("labels")
    assert number.condition.tolist() == [[0.5], [1], [2]]


def test_a_condition_there_is_not_says_how_to_give_one() -> None:
    bare = numbered(5).take(5)
    with pytest.raises(DataError, match=r"cannot condition on 'label'; did you mean 'labels'"):
        bare.conditioned("label")
    with pytest.raises(DataError, match=r"no condition is given to condition on; give \(x, lab"):
        bare.conditioned("condition")
    data = Dataset("mine", bare, Split(bare.images), bare, "bernoulli", "none")
    with pytest.raises(DataError, match=r"mine: no labels is given"):
        data.conditioned("labels")
    with pytest.raises(DataError, match="classes are numbered from 0, got -1"):
        Split(bare.images, bare.labels - 1).conditioned("labels")


def test_the_classes_of_a_dataset_are_those_of_all_its_splits() -> None:
    split = numbered(6)
    parts = split.take(2), split.take(6), split.take(3)
    data = Dataset("mine", *parts, "bernoulli", "none")
    assert data.classes == data.conditioned("labels").classes == 6
    assert Dataset("mine", *(Split(part.images) for part in parts), "bernoulli", "").classes is None
    numbers = (Split(part.images, part.labels.float()) for part in parts)
    assert Dataset("mine", *numbers, "bernoulli", "none").classes is None
    two = with_columns(5)
    assert Dataset("mine", two, two, two, "bernoulli", "none").classes is None


def test_a_split_refuses_other_types_and_shapes() -> None:
    with pytest.raises(
        DataError, match=r"uint8 or float32 of shape \(N, C, H, W\), got torch.float64"
    ):
        Split(torch.zeros(2, 1, 3, 3, dtype=torch.float64))
    with pytest.raises(DataError, match=r"got torch.uint8 of shape \(2, 3, 3\)"):
        Split(torch.zeros(2, 3, 3, dtype=torch.uint8))
    with pytest.raises(
        DataError, match=r"2 examples need labels of shape \(2,\) or \(2, L\), got \(3,\)"
    ):
        Split(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))


def test_a_dataset_refuses_empty_and_unlike_splits() -> None:
    good = numbered(3)
    wide = Split(torch.zeros(2, 1, 5, 5, dtype=torch.uint8))
    with pytest.raises(DataError, match="mine: the test split is empty"):
        Dataset("mine", good, good, good.take(0), "bernoulli", "free")
    with pytest.raises(DataError, match="1x1x2 in train but 1x5x5 in validation"):
        Dataset("mine", good, wide, good, "bernoulli", "free")


@given(count=st.integers(3, 1500))
@settings(max_examples=25)
def test_completed_splits_partition_the_examples(count: int) -> None:
    splits = with_held_out(numbered(count), None, None)
    parts = [numbers_of(split) for split in splits]
    assert torch.cat(parts).sort().values.tolist() == list(range(count))
    assert [len(part) for part in parts[1:]] == [max(1, count // 10)] * 2
    for split, part in zip(splits, parts, strict=True):
        assert split.labels.tolist() == part.tolist() == sorted(part.tolist())


def test_holding_out_is_shuffled_and_always_the_same() -> None:
    held = numbers_of(hold_out(numbered(1000), 100)[1])
    assert torch.equal(held, numbers_of(hold_out(numbered(1000), 100)[1]))
    assert 350 < held.double().mean() < 650
    assert held.tolist()[:5] == [6, 15, 19, 23, 28]


def test_given_splits_stay_as_they_are() -> None:
    train, validation, test = with_held_out(numbered(20), numbered(3), None)
    assert (len(train), len(validation), len(test)) == (18, 3, 2)


@pytest.mark.parametrize("count", [0, 5, 9])
def test_holding_out_must_leave_both_parts_something(count: int) -> None:
    with pytest.raises(DataError, match=f"cannot hold out {count} of 5"):
        hold_out(numbered(5), count)


def test_too_few_examples_say_how_many_are_needed() -> None:
    with pytest.raises(DataError, match="1 example cannot be split .* give at least 3"):
        with_held_out(numbered(1), None, None)
    with pytest.raises(DataError, match="0 examples cannot be split .* give at least 1"):
        with_held_out(numbered(0), numbered(1), numbered(1))


# Names and paths


def test_digits_are_scikit_learns_scaled_to_255() -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    digits = load_dataset("digits")
    splits = (digits.train, digits.validation, digits.test)
    assert [len(split) for split in splits] == [1297, 200, 300]
    assert digits.name == "digits"
    assert digits.likelihood == "bernoulli"
    images = torch.cat([split.images for split in splits]).flatten(1).numpy()
    expected = np.floor(source.data * 255 / 16 + 0.5)
    assert sorted(map(bytes, images)) == sorted(map(bytes, expected.astype(np.uint8)))
    label_of = dict(zip(map(bytes, expected.astype(np.uint8)), source.target, strict=True))
    labels = torch.cat([split.labels for split in splits])
    assert labels.tolist() == [label_of[bytes(image)] for image in images]


def test_image_size_resizes_registered_datasets() -> None:
    digits = load_dataset("digits", image_size=12)
    assert digits.train.shape == digits.validation.shape == digits.test.shape == (1, 12, 12)
    same = load_dataset("digits", image_size=8)
    assert torch.equal(same.train.images, load_dataset("digits").train.images)


@pytest.mark.parametrize(
    ("name", "first_test_label", "mean"), [("mnist", 7, 33.318), ("fashion-mnist", 9, 72.940)]
)
def test_real_files(name: str, first_test_label: int, mean: float) -> None:
    folder = registry().dataset(name).options["class"]
    if not (SHARED / folder / "raw").is_dir():
        pytest.skip(f"{SHARED / folder} is not there")
    dataset = load_dataset(name, root=SHARED)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [
        55000,
        5000,
        10000,
    ]
    assert dataset.test.labels[0] == first_test_label
    official = torch.cat((dataset.train.images, dataset.validation.images))
    assert official.double().mean().item() == pytest.approx(mean, abs=1e-3)
    labels = torch.cat((dataset.train.labels, dataset.validation.labels)).bincount()
    assert len(labels) == 10
    assert labels.sum() == 60000
    if name == "fashion-mnist":
        assert labels.tolist() == [6000] * 10


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset 'minst'; did you mean 'mnist'"):
        load_dataset("minst")


@pytest.mark.parametrize("path", ["pictures/cats", "./cats", "~/cats", "cats.npy", Path("cats")])
def test_a_path_that_does_not_exist_says_so(path: str | Path) -> None:
    with pytest.raises(DataError, match=r"cats(\.npy)? does not exist; give a folder .* digits"):
        load_dataset(path)


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "x" * 300, Path("y" * 300)])
def test_a_name_that_no_path_can_be_is_a_mistake_to_mend(name: str | Path) -> None:
    with pytest.raises(ZooError, match=r"digits"):  # what can be given instead
        load_dataset(name)


def test_existing_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images.npy").touch()
    assert existing_path("~/images.npy") == tmp_path / "images.npy"
    assert existing_path(tmp_path) == tmp_path
    assert existing_path("~/image.npy") is None
    with pytest.raises(DataError, match="~nobody-of-that-name cannot be a path"):
        existing_path("~nobody-of-that-name")


@pytest.mark.parametrize(
    ("shape", "image_size", "expected"),
    [
        ((1, 8, 8), None, (1, 8, 8)),
        ((1, 12, 12), None, (1, 12, 12)),
        ((1, 12, 14), None, (1, 12, 14)),
        ((1, 12, 14), "12x14", (1, 12, 14)),
    ],
)
def test_images_come_in_the_size_a_model_reads(
    shape: tuple[int, ...], image_size: str | None, expected: tuple[int, int, int]
) -> None:
    config = ModelConfig(input_shape=shape)
    assert load_for_model(config, "digits", image_size=image_size).test.shape == expected


@pytest.mark.parametrize("size", [0, -3])
def test_image_size_must_be_positive(size: int) -> None:
    with pytest.raises(DataError, match=f"image_size must be at least 1, got {size}"):
        load_dataset("digits", image_size=size)


def test_a_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("digits").train) == 1297
    with pytest.raises(DataError, match="holds no images"):
        load_dataset("./digits")
