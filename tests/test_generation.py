"""Metrics of samples and of cost: closed forms, other implementations, invariances, refusals."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

import zoo
from zoo.core.component import Selected
from zoo.core.model import LatentVariableModel
from zoo.data import load_dataset
from zoo.distributions.discrepancy import cubic, squared_mmd
from zoo.distributions.frechet import frechet_distance
from zoo.errors import UnsupportedError
from zoo.metrics import Measured, Subject
from zoo.metrics.features.compared import Compared, Images
from zoo.metrics.generated import OfSamples
from zoo.metrics.memorisation import nearest_training
from zoo.metrics.memory import Alive

SAMPLES = (
    "frechet-distance", "kernel-distance", "precision", "recall", "density", "coverage",
    "memorisation",
)  # fmt: skip
SHARES = ("precision", "recall", "coverage", "memorisation")


class Known(Images):
    """Images of which the features are given."""

    def __init__(self, features: Tensor, recognised: Tensor | None = None) -> None:
        self.features = features.double()
        self.recognised = recognised  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.features)


def metric(name: str, **settings: Any) -> OfSamples:
    built: OfSamples = Selected.parse("metrics", {"name": name, **settings}).build()
    return built


def of(name: str, ours: Tensor, theirs: Tensor, train: Tensor | None = None) -> Measured:
    known = Compared(Known(ours), Known(theirs), Known(theirs if train is None else train))
    return metric(name).compare(known)


def value(name: str, *sets: Tensor) -> float:
    return of(name, *sets).value


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(zoo.load("gaussian-vae-digits"), load_dataset("digits"))


@pytest.fixture(scope="module")
def told() -> Subject:
    return Subject(zoo.load("cvae-digits"), load_dataset("digits").conditioned("labels"))


@pytest.fixture(autouse=True)
def no_graph() -> Any:
    with torch.no_grad():
        yield


class TestFrechetDistance:
    def test_of_known_moments(self) -> None:
        """Of draws whose mean and covariance are made exact, diagonal ones in closed form."""
        white = normal(500, 3)
        white -= white.mean(0)
        white @= torch.linalg.inv(torch.linalg.cholesky(white.T.cov())).T
        deviations = torch.tensor([[1.0, 2.0, 0.5], [3.0, 2.0, 0.1]], dtype=torch.float64)
        shift = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
        expected = 5 + (deviations[0] - deviations[1]).square().sum().item()
        found = frechet_distance(white * deviations[0] + shift, white * deviations[1])
        assert found.item() == pytest.approx(expected, rel=1e-9)

    def test_as_the_root_of_a_product_has_it(self) -> None:
        a, b = normal(200, 6) @ normal(6, 6, seed=1), normal(90, 6, seed=2) + 0.3
        first, second = np.cov(a.numpy().T), np.cov(b.numpy().T)
        root = sqrtm(first @ second).real
        expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
        assert frechet_distance(a, b).item() == pytest.approx(float(expected), rel=1e-9)

    def test_turned_moved_and_scaled(self) -> None:
        a, b = normal(50, 4), 2 * normal(60, 4, seed=1) + 1
        turn = torch.linalg.qr(normal(4, 4, seed=2)).Q
        plain = frechet_distance(a, b).item()
        assert frechet_distance(a @ turn + 7, b @ turn + 7).item() == pytest.approx(plain)
        assert frechet_distance(3 * a, 3 * b).item() == pytest.approx(9 * plain)
        assert frechet_distance(b, a).item() == pytest.approx(plain)
        assert frechet_distance(a, a).item() == pytest.approx(0, abs=1e-9)

    def test_fewer_draws_than_numbers(self) -> None:
        assert frechet_distance(normal(5, 20), normal(5, 20, seed=1)).isfinite()

    def test_the_error_is_how_far_other_draws_are(self) -> None:
        found = [of("frechet-distance", *two_sets(seed, 1.0)) for seed in range(40)]
        values = torch.tensor([each.value for each in found])
        errors = torch.tensor([each.stderr for each in found])
        # The deviation of 40 values is known to 11 %, that of a bootstrap of 30 to 13 %.
        assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.4)


def two_sets(seed: int, apart: float) -> tuple[Tensor, Tensor]:
    return normal(300, 4, seed=2 * seed) + apart, normal(300, 4, seed=2 * seed + 1)


class TestKernelDistance:
    def test_by_loops(self) -> None:
        a, b = normal(7, 3), normal(7, 3, seed=1) + 1

        def k(x: Tensor, y: Tensor) -> float:
            return (float(x @ y) / 3 + 1) ** 3

        pairs = list(itertools.permutations(range(7), 2))
        within = sum(k(a[i], a[j]) + k(b[i], b[j]) for i, j in pairs) / 42
        across = sum(k(x, y) for x in a for y in b) / 49
        assert squared_mmd(a, b, cubic).item() == pytest.approx(within - 2 * across)

    def test_is_right_on_average_and_says_its_error(self) -> None:
        found = [of("kernel-distance", *two_sets(seed, 0.0)) for seed in range(60)]
        values = torch.tensor([each.value for each in found])
        errors = torch.tensor([each.stderr for each in found])
        assert abs(values.mean().item()) < 4 * values.std().item() / math.sqrt(60)
        assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.35)

    def test_of_a_shift_in_closed_form(self) -> None:
        """x ~ N(0, 1), y ~ N(m, 1): E(x x' + 1)^3 - 2 E(x y + 1)^3 + E(y y' + 1)^3."""
        m = 1.0

        def moments(mean: float) -> tuple[float, float, float]:
            return mean, mean**2 + 1, mean**3 + 3 * mean

        def mean_kernel(a: float, b: float) -> float:
            pairs = zip((3, 3, 1), moments(a), moments(b), strict=True)
            return 1 + sum(c * x * y for c, x, y in pairs)

        expected = mean_kernel(0, 0) - 2 * mean_kernel(0, m) + mean_kernel(m, m)
        found = of("kernel-distance", normal(20000, 1) + m, normal(20000, 1, seed=1))
        assert found.value == pytest.approx(expected, abs=4 * found.stderr)

    def test_other_orders_of_the_images(self) -> None:
        """Blocks are made of images in a random order: those of a sorted set are alike."""
        ours = normal(200, 2).sort(0).values
        found = of("kernel-distance", ours, normal(200, 2, seed=1))
        assert abs(found.value) < 4 * found.stderr


class TestManifolds:
    @pytest.mark.parametrize("k", [1, 3, 5])
    def test_by_another_search(self, k: int) -> None:
        real, ours = normal(120, 4), 0.8 * normal(90, 4, seed=1) + 0.5

        def reach(points: Tensor) -> Any:
            tree = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree").fit(points.numpy())
            return tree.kneighbors(points.numpy())[0][:, k]

        apart = np.linalg.norm(real.numpy()[:, None] - ours.numpy()[None], axis=-1)
        in_real = apart < reach(real)[:, None]  # (N, M)
        expected = {
            "precision": in_real.any(0).mean(),
            "recall": (apart < reach(ours)[None]).any(1).mean(),
            "density": in_real.sum(0).mean() / k,
            "coverage": in_real.any(1).mean(),
        }
        known = Compared(Known(ours), Known(real), Known(real))
        for name, wanted in expected.items():
            found = metric(name, neighbours=k).compare(known).value
            assert found == pytest.approx(float(wanted)), name

    def test_the_data_again(self) -> None:
        real = normal(100, 3)
        for name in ("precision", "recall", "density", "coverage"):
            # Each point's k-th neighbour is on the edge of its ball, and rounding may take it in.
            within = 0.2 if name == "density" else 0
            assert 1 <= value(name, real, real) <= 1 + within, name

    def test_what_is_nothing_like_the_data(self) -> None:
        for name in ("precision", "recall", "density", "coverage"):
            assert value(name, normal(100, 3) + 1000, normal(100, 3, seed=1)) == 0, name

    def test_half_of_the_modes(self) -> None:
        centres = 100 * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        real = normal(400, 2) + centres.repeat_interleave(100, 0)
        ours = normal(400, 2, seed=1) + centres[:2].repeat_interleave(200, 0)
        assert value("precision", ours, real) > 0.9
        assert value("recall", ours, real) == pytest.approx(0.5, abs=0.05)
        assert value("coverage", ours, real) == pytest.approx(0.5, abs=0.02)

    def test_one_outlier_of_the_samples_does_not_cover_the_data(self) -> None:
        real = normal(200, 2)
        ours = torch.cat([1000 * normal(200, 2, seed=1)])
        assert value("recall", ours, real) > 0.9  # the fault that coverage mends
        assert value("coverage", ours, real) < 0.1

    def test_draws_of_the_same_distribution(self) -> None:
        """Coverage as Naeem et al.'s equation 9 has it, density 1: whatever the distribution."""
        count, k = 200, 5
        expected = 1 - math.prod((count - i) / (2 * count - i) for i in range(1, k + 1))
        sets = [(normal(count, 6, seed=2 * s), normal(count, 6, seed=2 * s + 1)) for s in range(30)]
        for name, wanted in (("coverage", expected), ("density", 1.0)):
            values = torch.tensor([value(name, *each) for each in sets])
            error = values.std().item() / math.sqrt(len(values))
            assert values.mean().item() == pytest.approx(wanted, abs=4 * error), name

    def test_values_of_the_examples(self) -> None:
        real, ours = normal(50, 2), normal(50, 2, seed=1)
        for name in ("recall", "coverage"):
            found = of(name, ours, real)
            assert found.values is not None and len(found.values) == 50
            assert found.values.mean().item() == pytest.approx(found.value)
        assert of("precision", ours, real).values is None  # of samples, which have no pairs


class TestMemorisation:
    @pytest.mark.parametrize(("dim", "expected"), [(1, 1.0), (3, 1.0), (5, 0.0)])
    def test_in_the_middle_of_a_grid(self, dim: int, expected: float) -> None:
        """Points 1 apart; the middle of a cell is sqrt(D) / 2 from them."""
        axis = torch.arange(3.0)
        train = torch.cartesian_prod(*[axis] * dim).view(-1, dim)
        middles = torch.cartesian_prod(*[axis[:2] + 0.5] * dim).view(-1, dim)
        assert value("memorisation", middles, middles, train) == expected

    def test_copies_and_noise(self) -> None:
        train = normal(300, 4)
        assert value("memorisation", train[:50], train[:50], train) == 1
        assert value("memorisation", train[:50] + 1e-3, train[:50], train) == 1
        assert value("memorisation", 100 * normal(50, 4), train[:50], train) == 0

    def test_new_data_are_in_between(self) -> None:
        new = value("memorisation", normal(300, 4, seed=1), normal(300, 4), normal(300, 4, seed=2))
        assert 0.2 < new < 0.8


@pytest.mark.parametrize("name", SAMPLES)
def test_the_order_and_for_shares_the_scale_do_not_matter(name: str) -> None:
    ours, theirs, train = normal(60, 3), normal(60, 3, seed=1) + 0.2, normal(90, 3, seed=2)
    plain = value(name, ours, theirs, train)
    turned = value(name, ours.flip(0), theirs.flip(0), train.flip(0))
    # The blocks of the kernel distance are other ones then.
    assert turned == pytest.approx(plain, abs=0.5 if name == "kernel-distance" else 1e-9)
    if name not in ("frechet-distance", "kernel-distance"):
        assert value(name, 5 * ours, 5 * theirs, 5 * train) == pytest.approx(plain)


class TestOfModels:
    def test_draws_are_compared_with_binary_images_and_means_with_grey_ones(
        self, subject: Subject
    ) -> None:
        for pixels, binary in (("draws", True), ("means", False)):
            found = subject.compared(100, pixels)  # type: ignore[arg-type]
            for images in found:
                x = images.examples.rows.double()
                assert bool(((x == 0) | (x == x.max())).all()) is binary, pixels
        assert len(found.samples) == len(found.real) == 100
        assert len(found.train) == len(subject.data.train)

    def test_real_images_are_those_of_the_other_metrics(self, subject: Subject) -> None:
        found = subject.compared(1000, "draws")
        assert torch.equal(found.real.examples.rows, subject.examples.rows)  # all 300

    def test_samples_are_those_of_the_model(self, subject: Subject) -> None:
        generator = torch.Generator().manual_seed(0)
        codes = subject.model.sample_codes(30, 1.0, generator)
        assert torch.equal(subject.sampled(30), subject.model.estimate(codes))
        draws = torch.stack([Subject(subject.model, subject.data, seed=s).sampled(30, "draws")
                             for s in range(3)])  # fmt: skip
        assert len(draws.unique()) == 2 and not torch.equal(draws[0], draws[1])

    def test_a_figure_does_not_hinge_on_others(self, subject: Subject) -> None:
        again = Subject(subject.model, subject.data)
        for name in reversed(SAMPLES):
            assert metric(name).measure(again).value == metric(name).measure(subject).value

    def test_conditional_samples_are_of_the_classes_of_the_examples(self, told: Subject) -> None:
        found = told.compared(300, "draws")
        assert found.samples.classes is not None
        assert torch.equal(found.samples.classes, told.data.test.labels)  # type: ignore[arg-type]
        unsaid = Subject(told.model, told.data.conditioned(None))
        assert torch.equal(unsaid.sampled(300, "draws"), told.sampled(300, "draws"))
        assert told.sampled(7).shape == (7, 1, 8, 8) and told.sampled(700).shape[0] == 700

    def test_a_model_that_infers_its_class_is_told_it_where_examples_do(self) -> None:
        model = zoo.create("m2", dataset="digits").eval()
        data = load_dataset("digits")
        assert Subject(model, data).told(5) is None and Subject(model, data).sampled(5).ndim == 4
        with pytest.raises(UnsupportedError, match="no class is asked for"):
            metric("samples-recognised").check(Subject(model, data))
        told = Subject(model, data.conditioned("labels"))
        places = torch.arange(5) * 60
        assert torch.equal(told.told(5), data.test.labels[places])  # type: ignore[arg-type, index]
        metric("samples-recognised").check(told)

    def test_classes_are_recognised_where_they_are_told(self, told: Subject) -> None:
        found = metric("samples-recognised")
        found.check(told)
        right = found.measure(told)
        assert right.value > 0.85
        wrong = found.compare(mislabelled(told))
        assert wrong.value < 0.1
        assert found.measure_as(told, "halves").value > 0.8

    def test_copies_are_memorised_and_test_images_less(self, subject: Subject) -> None:
        memorised = metric("memorisation")
        assert memorised.measure_as(subject, "training").value == 1
        assert memorised.measure_as(subject, "halves").value < 0.7

    @pytest.mark.parametrize("pixels", ["draws", "means"])
    def test_training_images_are_better_than_samples_and_these_than_noise(
        self, subject: Subject, pixels: str
    ) -> None:
        untrained = zoo.create("gaussian-vae", dataset="digits", latent_dim=4).eval()
        noise = Subject(untrained, subject.data)
        for name in SAMPLES[:-1]:
            found = metric(name, pixels=pixels)
            sign = -1 if found.better == "lower" else 1
            best, ours, worst = (
                sign * each.value
                for each in (
                    found.measure_as(subject, "training"),
                    found.measure(subject),
                    found.measure(noise),
                )
            )
            if name != "recall":  # of scattered samples it may be high
                assert worst < ours, name
            assert worst < best, name

    def test_the_nearest_training_image_of_a_copy_is_itself(self, subject: Subject) -> None:
        found = subject.compared(50, "draws", "training")
        places = nearest_training(found).places[:, 0]
        nearest = found.train.examples.select(places)
        same = nearest.rows == found.samples.examples.rows
        assert same.flatten(1).all(1).double().mean() > 0.95  # some have equal features

    def test_what_cannot_be_measured_is_refused(self, subject: Subject) -> None:
        mine = load_dataset(torch.rand(60, 1, 8, 8), name="mine")
        few = Subject(subject.model, subject.data, examples=10)
        sentences = Subject(zoo.load("univae-tang"), mine)
        for name in SAMPLES:
            with pytest.raises(UnsupportedError, match="choose one of digits"):
                metric(name).check(Subject(subject.model, mine))
            with pytest.raises(UnsupportedError, match="10 real images are too few"):
                metric(name).check(few)
            with pytest.raises(UnsupportedError, match="of images"):
                metric(name).check(sentences)
        with pytest.raises(UnsupportedError, match="'cvae'"):
            metric("samples-recognised").check(subject)


def mislabelled(told: Subject) -> Compared:
    found = told.compared(300, "draws")
    labels = found.samples.classes
    assert labels is not None
    other = Images(told.classifier, found.samples.examples.select(torch.arange(300)))
    object.__setattr__(other.examples, "labels", (labels + 1) % 10)
    return found._replace(samples=other)


class TestCosts:
    def test_weights_and_operations_in_closed_form(self, subject: Subject) -> None:
        """64 - 256 - 128 - 2 x 16 and 16 - 128 - 256 - 64: a weight is a product and a sum."""
        products = 64 * 256 + 256 * 128 + 128 * 32 + 16 * 128 + 128 * 256 + 256 * 64
        biases = 256 + 128 + 32 + 128 + 256 + 64
        assert cost("flops", subject).value == 2 * products
        assert cost("weights", subject).value == products + biases

    def test_memory_is_that_of_the_widest_place(self, subject: Subject) -> None:
        """256 numbers before and after the ReLU, and the mean that is decoded beside its scale."""
        assert cost("memory", subject).value == 4 * (256 + 256 + 2 * 16)

    @pytest.mark.parametrize("size", [1, 1000])
    def test_what_is_held_is_counted_once_and_until_it_is_let_go(self, size: int) -> None:
        outside = torch.zeros(size)
        with Alive() as alive:
            outside.add_(1)  # it was there before
            view = outside.view(1, -1)
            assert alive.now == 0
            held = [torch.ones(size), view + 1]
            held.append(held[0][:1])  # a view of what is held
            assert alive.now == 8 * size
            del held[0]
            assert alive.now == 8 * size
            held.clear()
            assert alive.now == 0
            for _ in range(5):  # an address that is free again is another storage
                held = [torch.ones(size).exp()]
                assert alive.now == 4 * size
        assert alive.most == 12 * size  # the last one's, and both of the next

    def test_a_model_that_is_told_costs_more(self, subject: Subject, told: Subject) -> None:
        for name in ("weights", "flops", "memory"):
            assert cost(name, told).value > cost(name, subject).value

    @pytest.mark.parametrize("name", ["encode-time", "decode-time"])
    def test_time_is_that_of_what_is_done(
        self, name: str, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = "encode" if name == "encode-time" else "estimate"
        real = getattr(type(subject.model), done)

        def slowly(self: LatentVariableModel, *given: Any) -> Tensor:
            time.sleep(0.02)
            made: Tensor = real(self, *given)
            return made

        monkeypatch.setattr(type(subject.model), done, slowly)
        found = cost(name, subject, batch=4, seconds=0.2)
        assert found.value >= 20 / 4  # milliseconds an example
        assert 0 <= found.stderr < found.value

    def test_times_are_not_taken_from_records(self) -> None:
        recorded = {
            n: Selected.parse("metrics", n).component.recorded for n in zoo.list_names("metrics")
        }
        assert {name for name, holds in recorded.items() if not holds} == {
            "encode-time", "decode-time",
        }  # fmt: skip


def cost(name: str, subject: Subject, **settings: Any) -> Measured:
    built = Selected.parse("metrics", {"name": name, **settings}).build()
    built.check(subject)
    measured: Measured = built.measure(subject)
    return measured
