"""Nearest neighbours among few labelled codes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import zoo
from zoo.data import load_dataset
from zoo.data.labels import balanced_draw
from zoo.errors import ConfigError, DataError
from zoo.evaluation import encode_split, knn_accuracy

CLASSES = torch.arange(10)


def clusters(per_class: int, seed: int, spread: float = 0.01) -> tuple[Tensor, Tensor]:
    """Codes about the corners of a simplex, and their classes; in no order."""
    generator = torch.Generator().manual_seed(seed)
    labels = CLASSES.repeat(per_class)[torch.randperm(10 * per_class, generator=generator)]
    noise = torch.randn(len(labels), 10, generator=generator)
    return torch.eye(10)[labels] + spread * noise, labels


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("labels", [50, 57, 100])
def test_separate_clusters_are_told_apart(metric: str, labels: int) -> None:
    train, test = clusters(30, 0), clusters(20, 1)
    found = knn_accuracy(*train, *test, labels=labels, metric=metric, repeats=3)  # type: ignore[arg-type]
    assert (found.value, found.stderr) == (1.0, 0.0)


def test_labels_that_say_nothing_give_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(6000, 4, generator=generator)
    labels = CLASSES.repeat(600)
    found = knn_accuracy(codes[:3000], labels[:3000], codes[3000:], labels[3000:], labels=200)
    over_examples = math.sqrt(0.1 * 0.9 / 3000)
    assert 0 < found.stderr < over_examples  # the draws share their test examples
    assert abs(found.value - 0.1) < 4 * over_examples


def test_agrees_with_a_plain_search() -> None:
    generator = torch.Generator().manual_seed(3)
    train, classes = clusters(12, 0, spread=0.6)
    test, truth = clusters(15, 1, spread=0.6)
    draws = [balanced_draw(classes, 40, generator) for _ in range(4)]
    right = []
    for drawn in draws:
        nearest = torch.cdist(test, train[drawn]).argsort(dim=1)[:, :3]
        votes = torch.nn.functional.one_hot(classes[drawn][nearest], 10).sum(1)
        right.append((votes.argmax(1) == truth).double().mean())
    accuracies = torch.stack(right)
    found = knn_accuracy(train, classes, test, truth, labels=40, neighbours=3, repeats=4, seed=3)
    assert 0.2 < found.value < 0.98
    assert found.value == pytest.approx(float(accuracies.mean()), abs=1e-12)
    assert found.stderr == pytest.approx(float(accuracies.std() / 2), abs=1e-12)


def test_a_tied_vote_goes_to_the_smallest_label() -> None:
    codes, classes = torch.tensor([[-1.0], [1.0]]), torch.tensor([4, 2])
    test = torch.tensor([[-0.9], [0.9]])  # the nearer one does not decide
    for truth, accuracy in (([2, 2], 1.0), ([4, 4], 0.0)):
        found = knn_accuracy(
            codes, classes, test, torch.tensor(truth), labels=2, neighbours=2, repeats=2
        )
        assert found.value == accuracy


def test_cosine_looks_at_directions_and_agrees_with_distance_on_the_sphere() -> None:
    generator = torch.Generator().manual_seed(0)
    codes, labels = clusters(40, 0, spread=0.5)
    test, truth = clusters(40, 1, spread=0.5)
    lengths = torch.rand(400, 1, generator=generator) * 9 + 0.1
    on_sphere = normalize(codes), labels, normalize(test), truth
    scaled = codes * lengths, labels, test * lengths.flip(0), truth
    near = knn_accuracy(*on_sphere, labels=100)
    assert 0.2 < near.value < 0.95
    assert knn_accuracy(*on_sphere, labels=100, metric="cosine") == near
    assert knn_accuracy(*scaled, labels=100, metric="cosine") == near
    assert knn_accuracy(*scaled, labels=100).value < near.value - 0.05


def test_a_large_offset_changes_nothing() -> None:
    train, test = clusters(30, 0, spread=0.4), clusters(30, 1, spread=0.4)
    near = knn_accuracy(train[0].double(), train[1], test[0].double(), test[1], labels=100)
    far = [(codes.double() + 1000, labels) for codes, labels in (train, test)]
    assert knn_accuracy(*far[0], *far[1], labels=100).value == pytest.approx(near.value, abs=1e-3)


def test_a_seed_fixes_the_draws_and_the_callers_random_state_stays() -> None:
    train, test = clusters(30, 0, spread=0.5), clusters(30, 1, spread=0.5)
    state = torch.get_rng_state()
    first = knn_accuracy(*train, *test, labels=60, seed=5)
    assert knn_accuracy(*train, *test, labels=60, seed=5) == first
    assert knn_accuracy(*train, *test, labels=60, seed=6).value != first.value
    assert torch.equal(torch.get_rng_state(), state)


def test_more_labels_help() -> None:
    train, test = clusters(200, 0, spread=0.45), clusters(100, 1, spread=0.45)
    few, many = (knn_accuracy(*train, *test, labels=count) for count in (100, 1000))
    assert many.value - few.value > 4 * math.hypot(few.stderr, many.stderr)


@pytest.mark.parametrize("count", [1, 10, 13, 40, 49])
def test_draws_are_balanced_without_repetition_and_cover_everything(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([50, 10, 30, 10])
    labels = torch.tensor([-3, 0, 7, 8]).repeat_interleave(sizes)
    labels = labels[torch.randperm(100, generator=generator)]
    if count > 40:
        with pytest.raises(DataError, match=r"has 10 training examples, .* needs 1[123] of it"):
            for _ in range(99):
                balanced_draw(labels, count, generator)
        return
    draws = torch.stack([balanced_draw(labels, count, generator) for _ in range(400)])
    assert all(len(draw.unique()) == count for draw in draws)
    numbers = torch.stack([(labels[draws] == value).sum(1) for value in (-3, 0, 7, 8)], 1)
    assert bool(((numbers == count // 4) | (numbers == -(-count // 4))).all())
    drawn_share = torch.bincount(draws.flatten(), minlength=100) / 400
    of_class = count / 4 / sizes[torch.searchsorted(torch.tensor([-3, 0, 7, 8]), labels)]
    error = (of_class * (1 - of_class) / 400).sqrt()
    assert bool(((drawn_share - of_class).abs() <= 5 * error).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 4}, "5 neighbours need at least as many labels, got 4"),
        ({"labels": 20, "neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"labels": 20, "repeats": 1}, "repeats must be at least 2, got 1"),
        ({"labels": 20, "metric": "cosin"}, "did you mean 'cosine'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        knn_accuracy(*clusters(3, 0), *clusters(3, 1), **options)  # type: ignore[arg-type]


def test_codes_that_do_not_fit() -> None:
    codes, labels = clusters(3, 0)
    with pytest.raises(DataError, match=r"class \d has 3 training examples"):
        knn_accuracy(codes, labels, codes, labels, labels=31)
    with pytest.raises(DataError, match=r"test codes must be .* got \(29, 10\) and \(30,\)"):
        knn_accuracy(codes, labels, codes[1:], labels, labels=20)
    with pytest.raises(DataError, match="training codes have 10 numbers, test codes 9"):
        knn_accuracy(codes, labels, codes[:, 1:], labels, labels=20)
    with pytest.raises(DataError, match=r"training labels must be integers, got torch\.float32"):
        knn_accuracy(codes, labels.float(), codes, labels, labels=20)
    codes[4, 2] = math.nan
    with pytest.raises(DataError, match="training codes hold NaN"):
        knn_accuracy(codes, labels, codes, labels, labels=20)
    with pytest.raises(DataError, match=r"got \(0, 10\) and \(0,\)"):
        knn_accuracy(codes[:0], labels[:0], codes, labels, labels=20)


def test_a_split_is_encoded_in_order_and_the_same_in_any_batch_size() -> None:
    model = zoo.load("gaussian-vae-digits")
    test = load_dataset("digits").test
    codes = encode_split(model, test)
    assert not codes.requires_grad
    torch.testing.assert_close(encode_split(model, test, batch_size=7), codes)
    binary = test.binarized(0).images[5:6] / 255
    torch.testing.assert_close(codes[5:6], model.encode(binary).detach())
    assert not torch.allclose(encode_split(model, test, seed=1), codes)


def test_codes_of_a_trained_model_know_their_digits() -> None:
    model, digits = zoo.load("gaussian-vae-digits"), load_dataset("digits")
    halves = [(encode_split(model, split), split.labels) for split in (digits.train, digits.test)]
    few, many = (knn_accuracy(*halves[0], *halves[1], labels=count) for count in (50, 600))
    assert 0.4 < few.value < many.value < 1.0
    assert many.value > 0.8
