"""Metrics of sentences against closed forms, sacrebleu's own sums, and what zoo.evaluate says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.core.bounds import Evidence
from zoo.core.component import Selected
from zoo.data import Dataset
from zoo.data.text import TextSplit
from zoo.errors import UnsupportedError, ZooError
from zoo.evaluation import Evaluation, evaluate_model
from zoo.evaluation.text import Rebuilt
from zoo.metrics import Measured, Metric, Subject, measure_all
from zoo.metrics.tokens import of_ratio
from zoo.modalities.tokenizer import Tokenizer
from zoo.registry import registry

SENTENCES = ["a cat sat", "a dog sat on a mat", "the cat ran", "a bird sang", "the dog ran away"]
LETTERS = ["天地玄黃宇宙", "洪荒日月盈昃", "辰宿列張寒來", "暑往秋收冬藏"]
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2}
NAMES = ("nll-known", "perplexity", "prior-distortion", "groups-in-use", "exact-match",
         "reconstruction-accuracy", "bleu", "self-bleu")  # fmt: skip


def dataset(sentences: list[str], learned: list[str], kind: Any = "words") -> Dataset:
    form = Tokenizer.learn(learned, kind).json
    split = TextSplit(Tokenizer(form).ids(sentences).int())
    return Dataset("mine", split, split, split, "categorical", "none", tokenizer=form)


def model_of(data: Dataset) -> Any:
    torch.manual_seed(0)
    return zoo.create("univae", dataset=data, latent_dim=4, **SMALL).eval()


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Twenty sentences, four of which have a word that the model does not know."""
    data = dataset(SENTENCES * 4, SENTENCES[:4])
    return Subject(model_of(data), data, samples=3)


@pytest.fixture(scope="module")
def evaluation(subject: Subject) -> Evaluation:
    return evaluate_model(subject.model, subject.data.test, name="m", dataset="d", samples=3)


def measured(subject: Subject, metric: str | dict[str, Any]) -> Measured:
    (outcome,) = measure_all(subject, [Selected.parse("metrics", metric)], None)
    assert outcome.measured is not None, outcome.refusal
    return outcome.measured


def built(name: str) -> Metric:
    metric: Metric = Selected.parse("metrics", name).build()
    return metric


@pytest.mark.parametrize(
    ("metric", "figure", "sign"),
    [
        ("nll-known", "nll_known", 1),
        ("perplexity", "perplexity", 1),
        ("prior-distortion", "prior_log_likelihood", -1),
        ("exact-match", "exact_match", 1),
        ("reconstruction-accuracy", "accuracy", 1),
        ("bleu", "bleu", 1),
        ("self-bleu", "self_bleu", 1),
    ],
)
def test_it_is_what_an_evaluation_says(
    subject: Subject, evaluation: Evaluation, metric: str, figure: str, sign: int
) -> None:
    found, said = measured(subject, metric), evaluation.figure(figure)
    value = said if isinstance(said, float) else said.value  # type: ignore[union-attr]
    assert found.value == pytest.approx(sign * value, rel=1e-12)
    if not isinstance(said, float):
        assert found.stderr == pytest.approx(said.stderr, rel=1e-12)  # type: ignore[union-attr]
        assert found.values is not None


def test_the_benchmark_of_text_has_all_of_them() -> None:
    asked = [Selected.parse("metrics", each).name for each in registry().benchmarks["text"].metrics]
    assert set(NAMES) <= set(asked)


class TestPerplexity:
    def test_of_a_known_ratio_with_the_errors_of_the_delta_method(self) -> None:
        """The error is the deviation of as many resampled corpora, found without the formula."""
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(3, 30, (400,), generator=generator).double()
        nll = 2.0 * tokens + torch.randn(400, generator=generator).double()
        found = of_ratio(Evidence(-nll, torch.full((400,), 4.0)), tokens, "b")
        assert found.value == pytest.approx(math.exp(nll.sum() / tokens.sum()))
        drawn = torch.randint(400, (4000, 400), generator=generator)
        again = (nll[drawn].sum(1) / tokens[drawn].sum(1)).exp()
        assert found.stderr == pytest.approx(again.std().item(), rel=0.06)
        # Of sentences of one length it is the error of the mean: theirs are not.
        assert found.stderr < 0.1 * found.value * nll.std() / 20 / tokens.mean()  # type: ignore[operator]
        error = found.value * 2 / 20 / tokens.mean()
        assert found.monte_carlo == pytest.approx(error.item())

    def test_of_a_uniform_model_it_is_the_size_of_the_vocabulary(self, subject: Subject) -> None:
        tokens = torch.tensor([3.0, 5.0, 8.0]).double()
        found = of_ratio(Evidence(-tokens * math.log(50), torch.zeros(3)), tokens, "")
        assert (found.value, found.monte_carlo) == (pytest.approx(50), 0)
        assert found.stderr == pytest.approx(0, abs=1e-9)

    def test_weights_that_diverged_have_none(self) -> None:
        evidence = Evidence(-torch.full((2,), 1e5), torch.zeros(2))
        with pytest.raises(ZooError, match="nats a token, too many for a perplexity"):
            of_ratio(evidence, torch.ones(2).double(), "")


class TestKnown:
    def test_it_is_of_the_sentences_that_are_known(self, subject: Subject) -> None:
        """The same draws as those of all: some of their values."""
        every, known = measured(subject, "nll").values, measured(subject, "nll-known").values
        assert every is not None and known is not None and len(known) == 16
        assert set(known.tolist()) < set(every.tolist())

    def test_where_all_are_known_it_is_that_of_all(self) -> None:
        data = dataset(SENTENCES, SENTENCES)
        subject = Subject(model_of(data), data, samples=2)
        assert measured(subject, "nll-known").value == measured(subject, "nll").value

    def test_where_none_are_it_is_refused(self) -> None:
        data = dataset(["the ox", "an ox", "a cat"], ["a cat"])
        with pytest.raises(UnsupportedError, match="1 of the sentences have no unknown tokens"):
            built("nll-known").check(Subject(model_of(data), data))


class TestRebuilt:
    def test_bleu_is_that_of_counted_pairs_with_a_jackknife(self, subject: Subject) -> None:
        """Of ten groups of a sentence each: the geometric mean of four precisions, by hand."""
        originals = [*LETTERS, *LETTERS[:3], *LETTERS[:3]]
        again = [line[:4] + "天" + line[5:] for line in originals[:5]] + originals[5:]
        whole = Rebuilt(originals, again)
        subject = Subject(subject.model, subject.data)
        subject.rebuilt = whole  # type: ignore[misc]
        found = built("bleu").measure(subject)
        assert found.value == pytest.approx(counted_bleu(originals, again))
        parts = [
            counted_bleu(originals[:n] + originals[n + 1 :], again[:n] + again[n + 1 :])
            for n in range(10)
        ]
        spread = sum((part - sum(parts) / 10) ** 2 for part in parts)
        assert found.stderr == pytest.approx(math.sqrt(0.9 * spread))

    def test_what_comes_back_whole_is_at_its_places(self, subject: Subject) -> None:
        subject = Subject(subject.model, subject.data)
        subject.rebuilt = Rebuilt(["a b c d", "e f"], ["a b x d", "e f"])  # type: ignore[misc]
        exact, placed = (
            measured(subject, "exact-match"),
            measured(subject, "reconstruction-accuracy"),
        )
        assert exact.values is not None and exact.values.tolist() == [0, 1]
        assert placed.values is not None and placed.values.tolist() == [0.75, 1]


def counted_bleu(references: list[str], found: list[str]) -> float:
    """Of characters, as many in both."""
    logs = 0.0
    for n in range(1, 5):
        right = total = 0
        for one, other in zip(references, found, strict=True):
            wanted, had = (
                Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in (one, other)
            )
            right += (wanted & had).total()
            total += had.total()
        logs += math.log(right / total) / 4
    return 100 * math.exp(logs)


class TestSamples:
    def test_sentences_that_are_all_the_same(self, subject: Subject) -> None:
        model = model_of(subject.data)
        model.sample = lambda count, generator: ["a cat sat on it"] * count
        found = measured(Subject(model, subject.data), {"name": "self-bleu", "samples": 7})
        assert (found.value, found.stderr) == (pytest.approx(100), pytest.approx(0))
        assert found.values is None

    def test_so_many_are_drawn_by_the_seed(self, subject: Subject) -> None:
        asked: list[int] = []
        model = model_of(subject.data)
        draw = model.sample
        model.sample = lambda count, generator: (
            asked.append(count) or draw(count, generator=generator)
        )
        metric = {"name": "self-bleu", "samples": 5}
        first, again, other = (
            measured(Subject(model, subject.data, seed=seed), metric).value for seed in (1, 1, 2)
        )
        assert asked == [5, 5, 5]
        assert first == again != other

    def test_an_unknown_character_is_one_that_samples_share(self) -> None:
        """Not five: beside `天地玄` and `天地黃` 2 of 3 characters are right, 1 of 2 pairs."""
        data = dataset(LETTERS, LETTERS, "characters")
        model = model_of(data)
        model.sample = lambda count, generator: ["<unk>地玄", "<unk>地黃"]
        found = measured(Subject(model, data), {"name": "self-bleu", "samples": 2}).value
        assert found == pytest.approx(100 * (2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3))


class TestLatents:
    def test_a_decoder_that_ignores_its_latents(self, subject: Subject) -> None:
        """What comes of other codes costs the same."""
        model = model_of(subject.data)
        for latent in model.latents:
            for parameter in latent.parameters():
                torch.nn.init.zeros_(parameter)
        deaf = Subject(model, subject.data, samples=2)
        assert measured(deaf, "groups-in-use").value == 0
        prior, own = measured(deaf, "prior-distortion"), measured(deaf, "distortion")
        assert prior.value == pytest.approx(own.value, rel=1e-6)
        assert prior.monte_carlo == pytest.approx(0, abs=1e-5)

    def test_a_trained_one_uses_them(self, tmp_path: Path) -> None:
        path = tmp_path / "pets.txt"
        path.write_text("\n".join(SENTENCES * 8) + "\n", encoding="utf-8")
        run = zoo.train(
            "univae", dataset=path, directory=tmp_path / "run", epochs=25, batch_size=8, lr=8e-3,
            **{**SMALL, "width": 32, "hidden": 48, "latent_dim": 8},
            posterior={"name": "vmf-fixed", "concentration": 100.0}, progress=False,
        )  # fmt: skip
        asked = ["distortion", "prior-distortion", "groups-in-use", "exact-match"]
        scores = zoo.compare(run, asked, dataset=path, records=False)
        own, prior, used, whole = (row[0].measured for row in scores.outcomes)
        assert own and prior and used and whole
        assert prior.value > own.value + 1
        assert used.value >= 1
        assert whole.value > 0.2

    def test_the_prior_of_images_is_asked_too(self) -> None:
        """Of grey pixels that every code makes alike: D log 2."""
        model = zoo.create("gaussian-vae", dataset="digits", latent_dim=2, hidden=[4]).eval()
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        found = measured(
            Subject(model, zoo.load_dataset("digits"), examples=20), "prior-distortion"
        )
        assert (found.value, found.monte_carlo) == (pytest.approx(64 * math.log(2), rel=1e-5), 0)

    def test_a_conditional_model_is_told_what_the_example_is(self) -> None:
        """Its own class costs less than another one."""
        model, data = zoo.load("cvae-digits"), zoo.load_dataset("digits")
        labels = data.test.labels
        assert labels is not None
        wrong = replace(data, test=replace(data.test, labels=(labels + 1) % 10))
        told, misled = (
            measured(Subject(model, each.conditioned("labels"), examples=200), "prior-distortion")
            for each in (data, wrong)
        )
        assert told.value < misled.value - 1

    def test_information_of_fewer_examples_is_bounded_by_their_logarithm(self) -> None:
        metric = {"name": "mutual-information", "examples": 10}
        subject = Subject(zoo.load("gaussian-vae-digits"), zoo.load_dataset("digits"))
        few, many = measured(subject, metric), measured(subject, "mutual-information")
        assert few.values is not None and many.values is not None
        assert (len(few.values), len(many.values)) == (10, 300)
        assert few.value <= math.log(10) + 1e-6 < many.value


@pytest.mark.parametrize("name", [name for name in NAMES if name != "prior-distortion"])
def test_of_images_they_are_refused(name: str) -> None:
    subject = Subject(zoo.load("gaussian-vae-digits"), zoo.load_dataset("digits"))
    with pytest.raises(UnsupportedError, match="it is of sentences, and the model reads images"):
        built(name).check(subject)


def test_models_of_other_tokenizers_are_not_ranked(tmp_path: Path) -> None:
    """Their sentences lie in another order too: nothing of them is paired."""
    one, other = (dataset(SENTENCES, learned) for learned in (SENTENCES, SENTENCES[:2]))
    bases = {
        name: [
            measured(Subject(model_of(data), data, samples=2), name).basis for data in (one, other)
        ]
        for name in NAMES
        if name != "groups-in-use"
    }
    assert all(first != second for first, second in bases.values()), bases
