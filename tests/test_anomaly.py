"""Scores of anomaly against closed forms, p-values against counting, and what is refused."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp, kstest
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.draws import Draws, LatentDraw
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.data import VectorSplit, load_dataset, load_for_model
from zoo.errors import ConfigError, DataError, UnsupportedError
from zoo.likelihoods.gaussian import Gaussian
from zoo.registry import packaged_root, read_registry
from zoo.tasks.anomaly import Anomalies
from zoo.tasks.anomaly.calibration import discoveries, p_values
from zoo.tasks.anomaly.complexity import png_nats
from zoo.testing.cases import cases_of
from zoo.testing.known import LinearGaussian, LinearGaussianConfig

REGISTRY = read_registry([packaged_root() / "registry.yaml"])
DIGITS = "gaussian-vae-digits"
DIFFERENT = (
    "gaussian-vae", "cvae", "vmf-vae", "pixel-vae", "m2", "nvae-lite", "univae", "vq-vae",
    "autoencoder",
)  # fmt: skip
"""Variants that differ in what a score reads of them."""


def detection(score: object = "likelihood", seed: int = 0) -> Any:
    chosen = {"name": "anomaly", "score": score, "seed": seed}
    return Selected.parse("tasks", chosen).build()


def with_samples(name: str, samples: int, **settings: object) -> dict[str, object]:
    return {"name": name, "samples": samples, **settings}


def linear(**settings: object) -> LinearGaussian:
    torch.manual_seed(1)
    return LinearGaussian(LinearGaussianConfig(input_shape=(6,), **settings)).eval()  # type: ignore[arg-type]


@torch.no_grad()
def drawn_from(model: LatentVariableModel, n: int) -> Tensor:
    return model.decode(model.sample_codes(n)).sample()


class TestPValues:
    def test_they_count_the_normal_examples_that_score_as_high(self) -> None:
        torch.manual_seed(0)
        scores, calibration = torch.randint(9, (50,)) / 2, torch.randint(9, (30,)) / 2  # with ties
        counted = [(1 + int((calibration >= s).sum())) / 31 for s in scores]
        assert p_values(scores, calibration).tolist() == pytest.approx(counted, abs=1e-12)

    def test_one_calibration_example_says_little(self) -> None:
        found = p_values(torch.tensor([0.0, 1.0, 2.0, torch.inf]), torch.tensor([1.0]))
        assert found.tolist() == [1.0, 1.0, 0.5, 0.5]

    def test_of_normal_examples_they_are_uniform(self) -> None:
        torch.manual_seed(3)
        p = p_values(torch.randn(500), torch.randn(20_000))
        assert kstest(p.numpy(), "uniform").pvalue > 0.01
        assert kstest((p**1.3).numpy(), "uniform").pvalue < 0.01, "the test could not fail"

    def test_as_few_normal_ones_are_flagged_as_is_asked_on_average(self) -> None:
        """Exactly: of n + 1 exchangeable scores each is as likely to be the one that is judged."""
        scores = torch.arange(20.0)
        p = torch.stack([
            p_values(scores[i : i + 1], torch.cat([scores[:i], scores[i + 1 :]]))[0]
            for i in range(20)
        ])  # fmt: skip
        for alpha in (0.05, 0.1, 0.5):
            assert (p <= alpha).double().mean() == pytest.approx(alpha)

    def test_discoveries_are_those_of_the_definition(self) -> None:
        torch.manual_seed(0)
        for _ in range(50):
            p = (torch.rand(12) ** 3).double()
            ordered = p.sort().values.tolist()
            passing = [i for i, value in enumerate(ordered, 1) if value <= i * 0.2 / 12]
            wanted = p <= (ordered[passing[-1] - 1] if passing else -1)
            assert discoveries(p, 0.2).equal(wanted)
        assert discoveries(torch.zeros(0), 0.1).shape == (0,)

    @pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, float("nan")])
    def test_an_alpha_that_is_no_share_is_refused(self, alpha: float) -> None:
        with pytest.raises(ConfigError, match="alpha must be between 0 and 1"):
            Anomalies("likelihood", torch.zeros(1), torch.zeros(1)).flagged(alpha)


class TestLikelihood:
    def test_it_is_minus_the_evidence(self) -> None:
        model = linear()
        x = drawn_from(model, 20)
        found = detection(with_samples("likelihood", 1)).scores(model, VectorSplit(x))
        torch.testing.assert_close(found, -model.evidence(x).double(), rtol=1e-4, atol=1e-3)

    def test_p_values_of_a_known_model_are_uniform_and_an_outlier_s_is_the_least(self) -> None:
        model = linear(widening=1.3)
        task = detection(with_samples("likelihood", 8))
        torch.manual_seed(5)
        normal, new = (task.scores(model, VectorSplit(drawn_from(model, n))) for n in (3000, 600))
        assert ks_2samp(normal.numpy(), new.numpy()).pvalue > 0.01
        assert kstest(p_values(new, normal).numpy(), "uniform").pvalue > 0.01
        far = task.scores(model, VectorSplit(model.bias.detach() + 50 * torch.ones(1, 6)))
        assert p_values(far, normal).tolist() == [1 / 3001]

    def test_scores_rise_with_the_distance(self) -> None:
        model = linear()
        steps = torch.linspace(0, 20, 9)[:, None]
        x = model.bias.detach() + steps * torch.nn.functional.normalize(torch.ones(1, 6))
        found = detection(with_samples("likelihood", 4)).scores(model, VectorSplit(x))
        assert bool((found.diff() > 0).all())


class LinearHierarchy(LatentVariableModel):
    """z_1 ~ N(0, 1), z_2 ~ N(a z_1, b^2), x ~ N(z_2 w, s^2 I), and the true posterior of both."""

    Config = ModelConfig
    a, b, s = 0.8, 0.7, 0.4

    def __init__(self) -> None:
        super().__init__(ModelConfig(input_shape=(3,)))
        self.space = Euclidean(2)
        self.likelihood = Gaussian(Gaussian.Config(scale=self.s), (3,))
        self.weight = torch.nn.Parameter(torch.tensor([1.0, -0.5, 0.3]))

    @property
    def group_widths(self) -> tuple[int, ...]:
        return (1, 1)

    def evidence(self, x: Tensor) -> Tensor:
        variance = self.a**2 + self.b**2
        covariance = variance * self.weight.outer(self.weight) + self.s**2 * torch.eye(3)
        return MultivariateNormal(torch.zeros(3), covariance).log_prob(x)  # type: ignore[no-untyped-call, no-any-return]

    def coarse(self, x: Tensor) -> Independent:
        """p(z_1|x): x w / |w|^2 is a sufficient statistic, z_2 with noise of variance s^2/|w|^2."""
        squared = self.weight.square().sum()
        mean, noise = x @ self.weight / squared, self.b**2 + self.s**2 / squared
        precision = 1 + self.a**2 / noise
        mean = self.a / noise * mean / precision
        return Independent(Normal(mean[:, None], precision.rsqrt()), 1)

    def fine(self, x: Tensor, z: Tensor) -> Independent:
        """p(z_2|z_1, x)."""
        squared = self.weight.square().sum()
        precision = 1 / self.b**2 + squared / self.s**2
        mean = (self.a * z / self.b**2 + (x @ self.weight / self.s**2)[:, None]) / precision
        return Independent(Normal(mean, precision.rsqrt()), 1)

    def fine_prior(self, z: Tensor) -> Independent:
        return Independent(Normal(self.a * z, self.b), 1)

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        q = self.coarse(batch.x)
        shape = (samples, len(batch.x)) if given is None else (len(given), len(batch.x))
        first = q.rsample(torch.Size([samples])) if given is None else given[..., :1]  # (S, B, 1)
        q_fine = self.fine(batch.x, first)
        second = q_fine.rsample() if given is None else given[..., 1:]
        prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
        latents = [
            LatentDraw(first, q, prior, shape),
            LatentDraw(second, q_fine, self.fine_prior(first), shape),
        ]
        z = torch.cat([first, second], -1)
        return Draws(latents, lambda: self.decode(z), batch, lambda: q.mean.expand(-1, 2), z)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Any:
        return self.likelihood(z[..., 1:] * self.weight)

    def draw_codes(self, n: int, temperature: float, generator: Any, condition: Any) -> Tensor:
        first = temperature * torch.randn(n, 1)
        return torch.cat([first, self.a * first + temperature * self.b * torch.randn(n, 1)], -1)

    def redraw(self, codes: Tensor, groups: Any, generator: Any, condition: Any) -> Tensor:
        assert list(groups) == [1], "the fine group alone"
        return torch.cat([codes[:, :1], self.fine_prior(codes[:, :1]).sample()], -1)


class TestLikelihoodRatio:
    def test_it_is_the_divergence_of_a_linear_hierarchy(self) -> None:
        """L is log p(x), as its weights are constant; so the ratio is one KL, in closed form."""
        model = LinearHierarchy().eval()
        x = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [4.0, -2.0, 1.0]])
        weights = model.infer(x, 5).log_weights
        torch.testing.assert_close(weights[0], model.evidence(x), rtol=1e-4, atol=1e-4)
        points = torch.linspace(-6, 6, 2001)[:, None, None]  # over p(z_1|x), in its deviations
        q = model.coarse(x)
        z = q.mean + points * q.base_dist.scale  # (points, B, 1)
        kl = kl_divergence(model.fine_prior(z), model.fine(x, z))  # (points, B)
        density = torch.softmax(-points.squeeze(-1).square() / 2, 0)  # (points, 1)
        wanted = (density * kl).sum(0)
        found = detection(with_samples("likelihood-ratio", 20_000)).scores(model, VectorSplit(x))
        torch.testing.assert_close(found.float(), wanted, rtol=0.03, atol=0.02)
        assert found[2] > found[0] + 1, "one far from the prior needs its fine latents"

    def test_the_coarse_latents_stay(self) -> None:
        model = zoo.load("nvae-lite-digits")
        x = load_dataset("digits").test.take(4)
        scores = [
            detection(with_samples("likelihood-ratio", 64, fine=fine)).scores(model, x).mean()
            for fine in (1, len(model.group_widths) - 1)
        ]
        assert scores[0] < scores[1], "the more is drawn from the prior, the looser is the bound"

    def test_flat_models_and_no_coarse_group_are_refused(self) -> None:
        with pytest.raises(UnsupportedError, match="one group of latents.*'nvae-lite'.*'complexit"):
            detection("likelihood-ratio").check_model(zoo.load(DIGITS))
        hierarchy = zoo.load("nvae-lite-digits")
        groups = len(hierarchy.group_widths)
        with pytest.raises(UnsupportedError, match=f"fine must be from 1 to {groups - 1}, so that"):
            detection({"name": "likelihood-ratio", "fine": groups}).check_model(hierarchy)


class TestComplexity:
    def test_the_code_length_is_that_of_a_file(self, tmp_path: Path) -> None:
        image = torch.randint(0, 256, (5, 7), dtype=torch.uint8)
        Image.fromarray(image.numpy()).save(tmp_path / "it.png", optimize=True)
        nats = (tmp_path / "it.png").stat().st_size * 8 * np.log(2)
        found = png_nats(image[None, None] / 255, "unit")
        assert found.tolist() == pytest.approx([nats])

    def test_what_is_simple_is_short(self) -> None:
        torch.manual_seed(0)
        noise, plain = torch.rand(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
        half = (torch.arange(16) < 8).float().expand(1, 3, 16, 16)
        lengths = png_nats(torch.cat([plain, half, noise]), "real").tolist()
        assert lengths == sorted(lengths)
        assert png_nats(noise[:, :1].round(), "binary") < png_nats(noise[:, :1].round(), "real")

    def test_it_is_the_difference(self) -> None:
        model, x = zoo.load(DIGITS), load_dataset("digits").test.take(9)
        both = [
            detection(with_samples(n, 4)).scores(model, x) for n in ("likelihood", "complexity")
        ]
        lengths = png_nats(x.fixed("binary", 0).rows / 255, "binary").double()
        torch.testing.assert_close(both[0] - both[1], lengths)

    def test_vectors_are_refused(self) -> None:
        with pytest.raises(UnsupportedError, match=r"PNG file.*vectors \(6,\).*'likelihood'"):
            detection("complexity").check_model(linear())


class TestReconstruction:
    def test_it_is_the_likelihood_at_the_code(self) -> None:
        model, x = zoo.load("autoencoder-digits"), load_dataset("digits").test.take(5)
        found = detection("reconstruction").scores(model, x)
        pixels = x.fixed("binary", 0).rows / 255
        with torch.no_grad():
            wanted = -model.decode(model.encode(pixels)).log_prob(pixels)
        torch.testing.assert_close(found, wanted.double())


@pytest.mark.parametrize("score", REGISTRY.scores)
@pytest.mark.parametrize("variant", DIFFERENT)
def test_every_score_of_every_kind_of_model_does_what_the_task_promises(
    variant: str, score: str
) -> None:
    settings = {"samples": 3} if score != "reconstruction" else {}
    task = detection({"name": score, **settings})
    for case in cases_of(variant, {}):
        model = case.model()
        try:
            task.check_model(model)
        except UnsupportedError as error:
            assert "choose" in str(error)
            continue
        task.try_out(model, case.batch(5))


@pytest.mark.parametrize("score", ["likelihood", "likelihood-ratio", "complexity"])
def test_an_autoencoder_has_reconstructions_alone(score: str) -> None:
    model = zoo.load("autoencoder-digits")
    with pytest.raises(UnsupportedError, match="no posterior density.*choose.*'reconstruction'"):
        zoo.anomaly(model, "digits", score=score, calibration="digits")


class TestTask:
    def test_the_same_seed_gives_the_same_scores_and_leaves_noise_and_mode_alone(self) -> None:
        model, x = zoo.load(DIGITS).train(), load_dataset("digits").test.take(6)
        torch.manual_seed(0)
        state = torch.get_rng_state()
        first, again, other = (
            detection(with_samples("likelihood", 2), seed).scores(model, x) for seed in (0, 0, 1)
        )
        assert first.equal(again)
        assert not first.equal(other)
        assert model.training
        assert torch.get_rng_state().equal(state)

    def test_the_size_of_batches_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, x = zoo.load("autoencoder-digits"), load_dataset("digits").test.take(7)
        whole = detection("reconstruction").scores(model, x)
        monkeypatch.setattr(type(model), "decode_batch", 2)
        found = detection("reconstruction").scores(model, x)
        torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-4)

    def test_a_score_that_is_no_number_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        task, found = detection(), torch.tensor([0.0, torch.inf, torch.nan])
        monkeypatch.setattr(type(task.score), "__call__", lambda self, model, batch: found)
        with pytest.raises(DataError, match="the score of example 2 is no number"):
            task.scores(linear(), VectorSplit(torch.zeros(3, 6)))

    def test_unknown_scores_are_answered_with_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match="unknown score 'likelyhood'; did you mean 'likelih"):
            detection("likelyhood")


class TestVerb:
    def test_black_images_do_not_belong_among_digits(self) -> None:
        digits = load_dataset("digits").test.rows
        found = zoo.anomaly(DIGITS, torch.cat([digits[:50], torch.full_like(digits[:5], 255)]))
        assert len(found) == 55
        assert len(found.calibration) == 200 == len(load_dataset("digits").validation)
        assert found.p_values[50:].tolist() == [1 / 201] * 5
        assert int(found.flagged(0.05)[:50].sum()) < 10
        assert found.flagged(0.1, false_discoveries=True)[50:].all()

    def test_an_array_is_judged_whole_and_in_its_order(self) -> None:
        rows = load_dataset("digits").test.rows
        found, turned = (zoo.anomaly("autoencoder-digits", x, score="reconstruction").scores
                         for x in (rows.flip(0), rows))  # fmt: skip
        assert len(found) == 300
        assert len(found.unique()) > 290
        # binarised in the order in which they stand: compare what needs no draws
        black = torch.where(rows > 127, 255, 0).byte()
        found, turned = (zoo.anomaly("autoencoder-digits", x, score="reconstruction").scores
                         for x in (black.flip(0), black))  # fmt: skip
        torch.testing.assert_close(found.flip(0), turned)

    def test_of_a_name_the_split_is_judged(self) -> None:
        for split, count in (("test", 300), ("validation", 200)):
            found = zoo.anomaly("autoencoder-digits", "digits", score="reconstruction", split=split)
            assert len(found) == count
        with pytest.raises(ConfigError, match="unknown split 'tset'; did you mean 'test'"):
            zoo.anomaly(DIGITS, "digits", split="tset")

    def test_data_it_was_trained_on_calibrate_by_what_was_held_out_of_them(
        self, tmp_path: Path
    ) -> None:
        x = np.random.default_rng(0).normal(size=(200, 3))
        run = zoo.train("gaussian-vae", dataset=x, directory=tmp_path / "run", epochs=1,
                        hidden=[8], latent_dim=2, progress=False)  # fmt: skip
        with pytest.raises(ConfigError, match="does not say where.*calibration="):
            zoo.anomaly(run, x)
        assert len(zoo.anomaly(run, x, calibration=x).calibration) == 20
        assert len(zoo.anomaly(run, x, calibration=x + 1).calibration) == 200
        assert len(zoo.anomaly(run, x, calibration=x + 1, calibration_examples=7).calibration) == 7
        with pytest.raises(ConfigError, match="calibration_examples must be at least 1"):
            zoo.anomaly(run, x, calibration=x, calibration_examples=0)

    def test_a_model_made_here_must_be_given_normal_examples(self) -> None:
        model = zoo.create("gaussian-vae", dataset="digits")
        with pytest.raises(ConfigError, match="VAE does not say where"):
            zoo.anomaly(model, "digits")
        assert len(zoo.anomaly(model, "digits", calibration="digits").calibration) == 200

    def test_missing_numbers_are_refused(self) -> None:
        x = np.full((3, 6), np.nan)
        with pytest.raises(DataError, match="must be finite.*observed"):
            zoo.anomaly(linear(), x, calibration=np.zeros((2, 6)))

    def test_a_value_that_is_not_observed_counts_for_nothing(self) -> None:
        x = torch.zeros(2, 6)
        x[1, 0] = 1e3
        mask = torch.ones(2, 6, dtype=torch.bool)
        mask[:, 0] = False
        model = zoo.create("gaussian-vae", dataset=np.zeros((9, 6)), latent_dim=2).eval()
        found = zoo.anomaly(model, {"X": x, "observed": mask}, calibration=np.zeros((2, 6)),
                            score="reconstruction").scores  # fmt: skip
        assert found[0] == found[1]


class TestWhole:
    def test_parts_of_a_file_stay_parts_and_all_else_is_whole(self, tmp_path: Path) -> None:
        config = linear().config
        x = np.arange(60.0).reshape(10, 6)
        np.savez(tmp_path / "parts.npz", train=x, test=x[:3])
        np.save(tmp_path / "whole.npy", x)
        found = load_for_model(config, tmp_path / "parts.npz", whole=True)
        assert (len(found.train), len(found.test)) == (9, 3)
        found = load_for_model(config, tmp_path / "whole.npy", whole=True)
        for split in found.splits.values():
            assert split.rows.tolist() == x.tolist()

    def test_folders_and_sentences_too(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            Image.new("L", (8, 8), ord(name)).save(tmp_path / f"{name}.png")
        found = load_for_model(zoo.load(DIGITS).config, tmp_path, whole=True)
        assert found.test.rows[:, 0, 0, 0].tolist() == [97, 98, 99]
        (tmp_path / "lines.txt").write_text("白首從軍去\n青山下馬稀\n")
        found = load_for_model(zoo.load("univae-tang").config, tmp_path / "lines.txt", whole=True)
        assert len(found.test) == 2


class TestCommand:
    def run(self, *arguments: object) -> Any:
        return CliRunner().invoke(app, ["anomaly", *map(str, arguments)])

    def test_it_writes_scores_and_p_values(self, tmp_path: Path) -> None:
        rows = load_dataset("digits").test.rows[:4, 0].numpy()
        np.save(tmp_path / "in.npy", rows)
        score = "{name: likelihood, samples: 4}"
        for name in ("out.csv", "out.npz"):
            result = self.run(
                DIGITS, tmp_path / "in.npy", "--out", tmp_path / name, "--score", score
            )
            assert result.exit_code == 0, result.output
            assert "wrote 4 scores" in result.stderr
        found = zoo.anomaly(DIGITS, rows, score=with_samples("likelihood", 4))
        with (tmp_path / "out.csv").open() as file:
            table = list(csv.DictReader(file))
        assert [float(row["score"]) for row in table] == found.scores.tolist()
        assert [float(row["p_value"]) for row in table] == found.p_values.tolist()
        assert np.load(tmp_path / "out.npz")["p_value"].tolist() == found.p_values.tolist()

    def test_mistakes_are_answered(self, tmp_path: Path) -> None:
        result = self.run(DIGITS, "digits", "--out", "out.txt")
        assert (result.exit_code, "must end in .csv or .npz" in result.stderr) == (2, True)
        out = tmp_path / "out.csv"
        result = self.run(DIGITS, "digits", "--out", out, "--score", "{name: ")
        assert (result.exit_code, "it is not YAML" in result.stderr) == (2, True)
        result = self.run("autoencoder-digits", "digits", "--out", out)
        assert (result.exit_code, "'reconstruction'" in result.stderr) == (2, True)
        assert not out.exists()


class TestBaselines:
    NAMES = tuple(
        name for name, spec in REGISTRY.baselines.items() if ".anomaly." in spec.component
    )

    @pytest.mark.parametrize("name", NAMES)
    def test_an_outlier_scores_highest_and_the_seed_decides(self, name: str) -> None:
        if name == "ecod":
            pytest.importorskip("pyod")
        random = np.random.default_rng(0)
        normal = random.normal(size=(300, 3)) @ np.diag([1.0, 1.0, 0.1])
        baseline = Selected.parse("baselines", name).build()
        x = np.concatenate([normal[:20], [[9.0, 9.0, 9.0]]])
        first, again = (baseline.scores(baseline.fit(normal, 3), x) for _ in range(2))
        assert first.shape == (21,)
        assert first.argmax() == 20
        assert first.tolist() == again.tolist()
        assert baseline.task == "anomaly"

    def test_a_library_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyod.models.ecod", None)
        with pytest.raises(ConfigError, match=r"pyod.*pip install pyod"):
            Selected.parse("baselines", "ecod").build().fit(np.zeros((3, 2)), 0)
