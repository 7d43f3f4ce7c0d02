"""Imputation: exact where the conditional distribution is known, and what is asked wrongly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python
from torch import Tensor
from torch.distributions import MultivariateNormal

import zoo
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.distributions.observed import draw_given, selected
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.randomness import seeded
from zoo.tasks.impute import Impute
from zoo.tasks.impute.baselines.base import Filler
from zoo.tasks.impute.starts import first_codes, fitting
from zoo.testing.cases import first_case
from zoo.testing.known import LinearGaussian, LinearGaussianConfig

SIZE = 5
OBSERVED = torch.tensor([[True, False, True, False, True], [False] * 5, [True] * 5])


def linear(widening: float = 1.3) -> LinearGaussian:
    config = LinearGaussianConfig(input_shape=(SIZE,), scale=1.0, widening=widening)
    with seeded(0, torch.device("cpu")):
        return LinearGaussian(config).eval().double()


def conditional(model: LinearGaussian, x: Tensor, observed: Tensor) -> MultivariateNormal:
    """p(x_m|x_o) of one row, by the block formula."""
    w, mean = model.weight.detach(), model.bias.detach()
    covariance = w @ w.T + model.config.scale**2 * torch.eye(SIZE, dtype=w.dtype)
    o, m = observed, ~observed
    gain = covariance[m][:, o] @ torch.linalg.inv(covariance[o][:, o])
    return MultivariateNormal(
        mean[m] + gain @ (x[o] - mean[o]), covariance[m][:, m] - gain @ covariance[o][:, m]
    )


def examples() -> Tensor:
    return torch.randn(3, SIZE, generator=torch.Generator().manual_seed(1)).double()


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


class TestOfAKnownModel:
    """Probabilistic PCA, whose posterior is too wide, so that unweighted chains would be off."""

    @pytest.mark.parametrize("row", [0, 1])
    def test_draws_have_the_exact_mean_and_covariance(self, row: int) -> None:
        """Of a part, and where nothing is observed: the prior's own rows."""
        model, x, count = linear(), examples(), 6000
        task = Impute(Impute.Config(sweeps=80))
        batch = Batch(x[row : row + 1], observed=OBSERVED[row : row + 1])
        p, missing = conditional(model, x[row], OBSERVED[row]), ~OBSERVED[row]
        drawn = task.draw(model, batch, count, seed())[:, 0, missing]
        error = (p.variance / count).sqrt()
        assert bool(((drawn.mean(0) - p.mean).abs() < 5 * error).all())
        off = (torch.cov(drawn.T) - p.covariance_matrix).abs()
        scale = p.variance.sqrt()[:, None] * p.variance.sqrt()
        assert bool((off < 5 * scale * (2 / count) ** 0.5).all())

    def test_without_weights_the_chains_would_be_off(self) -> None:
        """What the test above could not tell apart it would not test."""
        model, x, count = linear(), examples(), 6000
        task = Impute(Impute.Config(sweeps=80))
        task._weighed_sweeps = lambda chains: (chains.warm_up() for _ in range(80))  # type: ignore[method-assign]
        p = conditional(model, x[0], OBSERVED[0])
        drawn = task.draw(model, Batch(x[:1], observed=OBSERVED[:1]), count, seed())
        off = (torch.cov(drawn[:, 0, ~OBSERVED[0]].T) - p.covariance_matrix).abs()
        assert bool((off.diagonal() > 5 * p.variance * (2 / count) ** 0.5).any())

    def test_chains_begin_where_the_codes_fit_what_is_observed(self) -> None:
        """A pool large enough is not flattened, and what is chosen of it are draws of p(z|x_o)."""
        model, x, count = linear(), examples(), 4000
        batch = Batch(x, observed=OBSERVED)
        with seeded(0, torch.device("cpu")):
            codes = first_codes(model, batch, count, 400_000).unflatten(0, (count, len(x)))
        for row, seen in enumerate(OBSERVED):
            w = model.weight.detach()[seen]
            precision = torch.eye(w.shape[1], dtype=w.dtype) + w.T @ w / model.config.scale**2
            covariance = torch.linalg.inv(precision)
            mean = covariance @ w.T @ (x[row] - model.bias.detach())[seen] / model.config.scale**2
            off = (codes[:, row].mean(0) - mean).abs()
            assert bool((off < 5 * (covariance.diagonal() / count).sqrt()).all())
            found = torch.cov(codes[:, row].T)
            torch.testing.assert_close(found, covariance, atol=0.1, rtol=0.1)

    def test_a_small_pool_is_flattened_until_all_chains_begin_apart(self) -> None:
        log_likelihood = -1000 * torch.rand(5, 64, generator=seed())
        weights = fitting(log_likelihood, 16)
        enough = 1 / weights.square().sum(1)
        assert bool((enough >= 16).all())
        assert bool((enough < 17).all()), "no flatter than that"
        assert torch.equal(weights.argsort(1), log_likelihood.argsort(1))

    def test_the_best_guess_is_the_conditional_mean(self) -> None:
        model, x = linear(), examples()
        task = Impute(Impute.Config(chains=200, sweeps=100))
        guess = task.best_guess(model, Batch(x, observed=OBSERVED), seed())
        for row in (0, 1):
            p = conditional(model, x[row], OBSERVED[row])
            assert bool((guess[row, ~OBSERVED[row]] - p.mean).abs().max() < 0.12)

    def test_log_p_of_what_was_missing(self) -> None:
        model, x = linear(), examples()
        found = Impute(Impute.Config()).log_prob(model, Batch(x, observed=OBSERVED), 128, seed())
        exact = [
            conditional(model, row, seen).log_prob(row[~seen])
            for row, seen in zip(x[:2], OBSERVED[:2], strict=True)
        ]
        torch.testing.assert_close(found[:2], torch.stack(exact), atol=0.05, rtol=0)
        assert found[2] == 0

    def test_nan_is_missing_and_all_else_comes_back_bit_by_bit(self) -> None:
        x = examples()
        gaps = torch.where(OBSERVED, x, torch.nan)
        task, model = Impute(Impute.Config(sweeps=4)), linear()
        guess = task.best_guess(model, gaps, seed())
        assert torch.equal(guess[OBSERVED], x[OBSERVED])
        assert torch.equal(guess[2], x[2])
        assert bool(guess.isfinite().all())
        assert torch.equal(guess, task.best_guess(model, Batch(gaps, observed=OBSERVED), seed()))
        assert torch.equal(gaps[OBSERVED], x[OBSERVED])
        assert bool(gaps[~OBSERVED].isnan().all()), "what was given has been written to"

    def test_the_seed_decides_and_leaves_the_callers_noise_alone(self) -> None:
        task, model = Impute(Impute.Config(sweeps=4)), linear()
        batch = Batch(examples(), observed=OBSERVED)
        state = torch.get_rng_state()
        once, again, other = (task.draw(model, batch, 2, seed(n)) for n in (0, 0, 1))
        assert torch.equal(once, again)
        assert not torch.equal(once, other)
        assert torch.equal(torch.get_rng_state(), state)

    def test_chunks_do_not_change_the_result(self) -> None:
        task, model = Impute(Impute.Config(sweeps=4)), linear()
        x = torch.randn(70, SIZE, generator=seed(2)).double()
        x[::3, 1] = torch.nan
        whole = task.draw(model, x, 2, seed())
        one = seed()
        parts = [task.draw(model, part, 2, one) for part in x.split(32)]
        assert torch.equal(torch.cat(parts, dim=1), whole)

    def test_no_examples(self) -> None:
        task = Impute(Impute.Config(sweeps=2))
        assert task.draw(linear(), torch.zeros(0, SIZE).double(), 2).shape == (2, 0, SIZE)


def test_one_of_several_is_chosen_in_proportion() -> None:
    values = torch.arange(3.0)[:, None].expand(3, 30_000)
    with seeded(0, torch.device("cpu")):
        chosen = selected(
            values[..., None], torch.tensor([0.2, 0.5, 0.3]).log()[:, None].expand(3, 30_000)
        )
    shares = torch.bincount(chosen.flatten().long()) / 30_000
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.5, 0.3]), atol=0.015, rtol=0)


@pytest.mark.parametrize(
    ("variant", "likelihood"),
    [("pixel-vae", None), ("univae", "bernoulli"), ("univae", "categorical")],
)
def test_elements_that_follow_each_other_are_drawn_given_those_that_are_observed(
    variant: str, likelihood: str | None
) -> None:
    """Steps from anywhere lead to p(x_m|z, x_o), which is found by trying every x_m."""
    case = first_case(variant, {} if likelihood is None else {"likelihood": likelihood})
    model, x = case.known, case.batch(1).x
    places = (1, 2) if x.ndim == 2 else (9, 10, 30)
    values = range(2, 6) if x.ndim == 2 else range(2)
    if x.ndim == 2:
        x = x.clone()
        values = range(2, len(model.modality.tokenizer))  # type: ignore[assignment]
    observed = torch.ones_like(x, dtype=torch.bool)
    observed.flatten()[list(places)] = False
    every = torch.cartesian_prod(*[torch.tensor(list(values))] * len(places))
    whole = x.repeat(len(every), *(1 for _ in x.shape[1:]))
    whole.flatten(1)[:, list(places)] = every.to(x.dtype)
    count = 1500
    with torch.no_grad(), seeded(0, torch.device("cpu")):
        z = model.sample_codes(1)
        p = model.decode(z.expand(len(every), -1))
        exact = p.log_prob(whole).softmax(0)
        many, there = x.expand(count, *x.shape[1:]), observed.expand(count, *x.shape[1:])
        p = model.decode(z.expand(count, -1))
        for _ in range(4):
            many = draw_given(p, many, there)
    assert torch.equal(many[there], x.expand_as(many)[there])
    drawn = (many.flatten(1)[:, None, list(places)] == every).all(-1).float().mean(0)
    torch.testing.assert_close(drawn, exact.to(drawn.dtype), atol=0.045, rtol=0)


class TestTheVerb:
    def test_a_conditional_model_is_told(self) -> None:
        model, x = zoo.load("cvae-digits"), torch.full((2, 1, 8, 8), torch.nan)
        ones, sevens = (zoo.impute(model, x, condition=c, sweeps=2, chains=64) for c in (1, 7))
        assert not torch.equal(ones, sevens)
        close = zoo.load("cvae-digits").sample(512, condition=7).mean(0)
        assert (sevens.mean(0) - close).abs().mean() < (ones.mean(0) - close).abs().mean()

    def test_better_than_the_mean_of_each_pixel(self) -> None:
        data = zoo.load_dataset("digits")
        test = data.test.fixed("binary", 0).take(60)
        x = next(iter(test.batches(60, "real"))).x
        observed = torch.rand(x.shape, generator=seed()) > 0.5
        guess = zoo.impute("gaussian-vae-digits", x, observed)
        mean = next(iter(data.train.batches(2000, "real"))).x.mean(0).expand_as(x)
        ours, means = ((g - x)[~observed].square().mean() for g in (guess, mean))
        assert ours < 0.75 * means

    @pytest.mark.parametrize("name", ["autoencoder-digits", "denoising-autoencoder-digits"])
    def test_models_it_cannot_be_done_with(self, name: str) -> None:
        with pytest.raises(UnsupportedError, match="use a var"):
            zoo.impute(name, torch.zeros(1, 1, 8, 8))

    def test_what_is_asked_wrongly(self) -> None:
        x = torch.zeros(2, 1, 8, 8)
        with pytest.raises(DataError, match="observed must be boolean"):
            zoo.impute("gaussian-vae-digits", x, torch.ones(2, 1, 8, 8))
        with pytest.raises(ConfigError, match="'sweeps'"):
            zoo.impute("gaussian-vae-digits", x, sweeps=0)
        with pytest.raises(DataError, match="pixels must be 0 or 1"):
            zoo.impute("gaussian-vae-digits", x + 0.5, x == 0)
        with pytest.raises(DataError, match="x must be an array"):
            zoo.impute("gaussian-vae-digits", "x.npy")
        with pytest.raises(UnsupportedError, match="samples must be a whole number"):
            zoo.impute("gaussian-vae-digits", x, draws=0)


def small_baseline(name: str) -> Filler:
    """As registered, but for the number of trees of a forest."""
    return Selected.parse("baselines", FEWER_TREES.get(name, name)).build()


FEWER_TREES = {"miss-forest": {"name": "miss-forest", "trees": 10}}


class TestBaselines:
    GAPS = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, np.nan], [3.0, np.nan, 9.0], [np.nan, 1.0, 11.0]])

    @pytest.mark.parametrize("name", ["mean", "knn", "mice", "miss-forest"])
    def test_gaps_are_filled_and_nothing_else_is_touched(self, name: str) -> None:
        filled = small_baseline(name).fill(self.GAPS, classes=[1])
        known = ~np.isnan(self.GAPS)
        assert (filled[known] == self.GAPS[known]).all()
        assert np.isfinite(filled).all()
        assert set(filled[:, 1]) <= {0.0, 1.0}

    @pytest.mark.parametrize("name", ["knn", "mice", "miss-forest"])
    def test_a_class_that_others_tell_is_told(self, name: str) -> None:
        """By what other columns say, though of its own indicators each follows from the rest."""
        number = np.random.default_rng(0).normal(size=(120, 1))
        rows = np.concatenate([number, np.digitize(number, [-0.5, 0.5])], axis=1)
        gaps = rows.copy()
        gaps[:20, 1] = np.nan
        filled = small_baseline(name).fill(gaps, classes=[1])
        assert (filled[:20, 1] == rows[:20, 1]).mean() >= 0.9

    @pytest.mark.parametrize("name", ["mean", "knn", "mice", "miss-forest"])
    def test_a_column_alone_has_its_mean(self, name: str) -> None:
        filled = Selected.parse("baselines", name).build().fill(np.array([[1.0], [np.nan], [3.0]]))
        assert filled[:, 0].tolist() == [1, 2, 3]

    def test_the_mean_is_that_of_all_rows(self) -> None:
        mean = Selected.parse("baselines", "mean").build()
        filled = mean.fill(self.GAPS, classes=[1], others=np.array([[6.0, 0.0, 3.0]]))
        assert filled[3, 0] == pytest.approx(3.0)
        assert filled[2, 1] == 0.0 or filled[2, 1] == 1.0
        assert filled[1, 2] == pytest.approx(7.0)

    def test_an_empty_column(self) -> None:
        with pytest.raises(DataError, match="nothing is observed of column 2"):
            Selected.parse("baselines", "mean").build().fill(np.array([[1.0, np.nan]]))


class TestTheCommand:
    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return python("-m", "zoo", "impute", *arguments, cwd=folder)

    def test_arrays_masks_and_pictures(self, tmp_path: Path) -> None:
        x = zoo.load("gaussian-vae-digits").sample(3, generator=seed()).round().numpy()
        mask = np.ones((8, 8), dtype=bool)
        mask[4:] = False
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "mask.npy", mask)
        asked = ["gaussian-vae-digits", "x.npy", "out.npy", "--mask", "mask.npy", "--draws", "2"]
        done = self.run(tmp_path, *asked, "--sweeps", "2")
        assert done.returncode == 0, done.stderr
        assert "wrote 2 draws of 3 examples" in done.stderr
        found = np.load(tmp_path / "out.npy")
        assert found.shape == (2, 3, 1, 8, 8)
        assert (found[:, :, :, :4] == x[:, :, :4]).all()

    def test_words_of_a_sentence(self, tmp_path: Path) -> None:
        """What is written as ``_`` is filled in, and all else stays."""
        model = zoo.load("univae-tang")
        (sentence,) = model.sample(1, generator=seed())
        mark = "_"
        (tmp_path / "gaps.txt").write_text(mark + sentence[1:] + "\n", encoding="utf-8")
        done = self.run(tmp_path, "univae-tang", "gaps.txt", "out.txt", "--sweeps", "4")
        assert done.returncode == 0, done.stderr
        (filled,) = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
        assert filled[1:] == sentence[1:]
        assert filled[0] != mark
        for wrong, words in (
            (sentence, "no sentence has a gap"),
            ("_\u2603" + sentence[2:], "token 2"),
        ):
            (tmp_path / "gaps.txt").write_text(wrong, encoding="utf-8")
            done = self.run(tmp_path, "univae-tang", "gaps.txt", "out.txt")
            assert done.returncode == 2
            assert words in done.stderr

    def test_a_table(self, tmp_path: Path) -> None:
        lines = [f"{n},{'ab'[n % 2]},{n % 3}" for n in range(60)]
        (tmp_path / "whole.csv").write_text("\n".join(["size,kind,label", *lines]))
        lines[:4] = [",a,0", "1,,1", "2,a,2", "7,b,0"]
        (tmp_path / "gaps.csv").write_text("\n".join(["size,kind,label", *lines]))
        zoo.train(
            "tabular-vae", dataset=tmp_path / "whole.csv", labels="label", epochs=1,
            directory=tmp_path / "run", progress=False,
        )  # fmt: skip
        done = self.run(tmp_path, "run", "gaps.csv", "out.csv", "--sweeps", "2")
        assert done.returncode == 0, done.stderr
        found = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
        assert found[0] == ["size", "kind"]
        assert float(found[1][0]) >= 0 and found[1][1] == "a"
        assert found[2][0] == "1" and found[2][1] in "ab"
        assert found[3:5] == [["2", "a"], ["7", "b"]]
        assert len(found) == 61

    def test_a_mask_that_does_not_fit(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((1, 1, 8, 8)))
        np.save(tmp_path / "mask.npy", np.zeros((9, 8)))
        done = self.run(tmp_path, "gaussian-vae-digits", "x.npy", "out.npy", "--mask", "mask.npy")
        assert done.returncode == 2
        assert "one mask for all of them, or one for each" in done.stderr

    @pytest.mark.parametrize(
        ("content", "said"), [(None, "No such file"), (b"no picture", "cannot be read as an image")]
    )
    def test_a_picture_that_is_none(self, content: bytes | None, said: str, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / "x.png").write_bytes(content)
        done = self.run(tmp_path, "gaussian-vae-digits", "x.png", "out.npy")
        assert done.returncode == 2
        assert done.stderr.startswith("error: x.png: ") and said in done.stderr


def test_a_number_is_no_example() -> None:
    with pytest.raises(DataError, match="x must be an array or a tensor of examples"):
        zoo.impute("gaussian-vae-digits", torch.nan)
    with pytest.raises(ConfigError, match="seed must be 0 to"):
        zoo.impute("gaussian-vae-digits", torch.full((1, 1, 8, 8), torch.nan), seed=2**80)


@pytest.mark.parametrize("variant", ["tabular-vae"])
def test_columns_with_values_are_filled_with_values(variant: str) -> None:
    case = first_case(variant)
    x = case.examples(6)
    gaps = torch.where(torch.rand(x.shape, generator=seed()) < 0.5, x, torch.nan)
    gaps[:, 0] = torch.nan
    guess = zoo.impute(case.known, gaps, sweeps=4)
    case.known.modality.check(guess, case.known.input_kind)
    there = ~gaps.isnan()
    assert torch.equal(guess[there], gaps[there])
