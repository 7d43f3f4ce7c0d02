"""Text from a file to sentences again: tokenisers, corpora, the model that reads them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor

import zoo
from zoo.data import Dataset, load_dataset, load_for_model
from zoo.data.text import TextSplit, kind_of
from zoo.errors import CheckpointError, ConfigError, DataError, UnsupportedError
from zoo.modalities.tokenizer import END, PAD, UNKNOWN, Kind, Tokenizer
from zoo.storage import checkpoint
from zoo.storage.tensors import read_tensors, write_tensors
from zoo.variants.univae import UniVAE, UniVAEConfig
from zoo.variants.univae.decoding import Greedy

WORDS = ["the cat sat", "a dog ran far away", "the dog sat", "a cat ran"]
CHINESE = ["代馬依朔吹，驚禽愁昔叢。", "不食千鍾粟，唯餐兩顆棃。", "落雁帶書驚，啼猿映枝轉。"]
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "hidden": 24, "layers": 4, "groups": 2,
                         "latent_dim": 4}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A file of 40 sentences of six words, of one to six of them each."""
    vocabulary = ["red", "green", "blue", "fish", "bird", "cat"]
    lines = [" ".join(vocabulary[(i * 5 + j) % 6] for j in range(1 + i % 6)) for i in range(40)]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_hole() -> str:
    """A tokeniser of words whose ids leave one out."""
    content = json.loads(Tokenizer.learn(WORDS, "words").json)
    vocabulary = content["model"]["vocab"]
    word = next(word for word, number in vocabulary.items() if number == 5)
    vocabulary[word] = 99
    return json.dumps(content)


def build(sentences: list[str], kind: Kind = "words", length: int = 8, **more: Any) -> UniVAE:
    torch.manual_seed(0)
    tokenizer = Tokenizer.learn(sentences, kind).json
    given = {"input_shape": (length,), "tokenizer": tokenizer, "likelihood": "categorical"}
    return UniVAE(UniVAEConfig.parse({**given, **SMALL, **more}, "test")).double().eval()


def modes(model: UniVAE, ids: Tensor, samples: int = 1) -> Tensor:
    """The posteriors' modes, each given those before it, so many times over: (S, B, G, d)."""
    posteriors = model.infer(ids, given=model.encode(ids).expand(samples, -1, -1)).posteriors
    latents = torch.stack([q.mode for q in posteriors], dim=1)  # (S B, G, d)
    return latents.view(samples, len(ids), *latents.shape[1:])


class TestTokenizer:
    @pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
    @pytest.mark.parametrize("sentences", [WORDS, CHINESE], ids=["English", "Chinese"])
    def test_sentences_come_back(self, kind: Kind, sentences: list[str]) -> None:
        tokenizer = Tokenizer.learn(sentences, kind)
        ids = tokenizer.ids(sentences, strict=True)
        assert tokenizer.text(ids) == sentences
        assert Tokenizer(tokenizer.json).ids(sentences).equal(ids)
        assert ((ids == END).sum(1) == 1).all()
        after = (ids == END).cumsum(1).roll(1, 1)
        after[:, 0] = 0
        assert ((ids == PAD) == (after == 1)).all()

    @given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1))
    @settings(max_examples=50, deadline=None)
    def test_pieces_of_bytes_know_every_text(self, text: str) -> None:
        tokenizer = Tokenizer.learn(WORDS, "bpe", 300)
        ids = tokenizer.ids([text], strict=True)
        assert tokenizer.text(ids) == [text]
        assert not (ids == UNKNOWN).any()

    def test_what_cannot_be_read_is_named(self) -> None:
        tokenizer = Tokenizer.learn(WORDS, "words")
        for sentences, length, said in [
            ([""], None, "is empty"),
            (["the cat sat"], 3, "has 3 tokens, the model reads at most 2"),
            (["the <end> cat"], None, "holds the word <pad> or <end>"),
            (["the emu sat on a yak"], None, "not in the vocabulary of .*'emu', 'on', 'yak'"),
        ]:
            with pytest.raises(DataError, match=said):
                tokenizer.ids(sentences, length, strict=True)
        assert tokenizer.ids(["the emu"])[0, 1] == UNKNOWN
        assert tokenizer.ids(["the <unk>"], strict=True)[0, 1] == UNKNOWN

    def test_the_commonest_tokens_are_kept(self) -> None:
        tokenizer = Tokenizer.learn(["b a a", "a b c"], "words", size=5)
        assert tokenizer.ids(["a b c"])[0].tolist() == [3, 4, UNKNOWN, END]

    def test_a_foreign_tokeniser_is_refused(self) -> None:
        with pytest.raises(DataError, match="not a tokeniser of the package tokenizers"):
            Tokenizer("{}")
        content = json.loads(Tokenizer.learn(WORDS, "words").json)
        content["model"]["vocab"] = {"<unk>": 0, "the": 1}
        content["added_tokens"] = []
        with pytest.raises(DataError, match="as its tokens 0, 1 and 2"):
            Tokenizer(json.dumps(content))

    @pytest.mark.parametrize("unknown", [None, "<other>", "<unk>"])
    def test_a_foreign_tokeniser_knows_what_it_does_not_know(self, unknown: str | None) -> None:
        """Else characters would be left out, or stand for each other, without a word."""
        words = ["<pad>", "<end>", "<unk>", "<other>", "a", "b"]
        vocabulary = {word: number for number, word in enumerate(words)}
        name = {} if unknown is None else {"unk_token": unknown}
        backend = Backend(models.BPE(vocab=vocabulary, merges=[], **name))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        if unknown == "<unk>":
            read = Tokenizer(backend.to_str())
            with pytest.raises(DataError, match="not in the vocabulary of 6 tokens: '天'"):
                read.ids(["a天b"], strict=True)
        else:
            said = "must make <unk> of .* this one makes"
            with pytest.raises(DataError, match=said):
                Tokenizer(backend.to_str())

    @pytest.mark.parametrize("kind", ["words", "bpe"])
    def test_one_that_truncates_and_pads_does_neither(self, kind: Kind) -> None:
        own = Tokenizer.learn(WORDS, kind)
        foreign = Tokenizer(own.json)
        foreign.backend.enable_truncation(2)
        foreign.backend.enable_padding(length=9, pad_id=7)
        read = Tokenizer(foreign.backend.to_str())
        assert read.ids(WORDS).equal(own.ids(WORDS))
        assert read.json == own.json
        with pytest.raises(DataError, match=r"has \d+ tokens, the model reads at most 4"):
            read.ids(WORDS, length=5)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
    def test_a_copy_reads_as_the_original(self, copied: Callable[[Tokenizer], Tokenizer]) -> None:
        """The package's own copies read special tokens where they are written in text."""
        tokenizer = Tokenizer.learn(WORDS, "bpe", 300)
        text = ["a <unk> b", "a <end> b"]
        assert copied(tokenizer).ids(text).equal(tokenizer.ids(text))
        model = build(WORDS, "bpe", length=30)
        expected = model.read(text)
        assert copied(model).read(text).equal(expected)  # type: ignore[arg-type, attr-defined]

    def test_half_a_surrogate_pair_is_no_text(self) -> None:
        with pytest.raises(DataError, match="sentence 2, .*holds half of a surrogate pair"):
            Tokenizer.learn(WORDS, "words").ids(["the cat", "the \ud83d cat"])

    def test_special_tokens_and_bytes_are_in_the_smallest_vocabulary(self) -> None:
        assert len(Tokenizer.learn(WORDS, "words", 2)) == 3
        assert len(Tokenizer.learn(WORDS, "bpe", 10)) == 3 + 256

    def test_ids_with_a_hole_are_refused(self) -> None:
        said = (
            "11 tokens must have the ids 0 to 10, .* no token has the id 5, and the largest is 99"
        )
        with pytest.raises(DataError, match=said):
            Tokenizer(with_hole())

    def test_a_checkpoint_with_such_a_tokeniser_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        checkpoint.save(path, build(WORDS).float(), variant="univae", dataset=None)
        tensors, metadata = read_tensors(path)
        content = json.loads(metadata["zoo"])
        content["config"]["tokenizer"] = with_hole()
        write_tensors(path, tensors, {"zoo": json.dumps(content)})
        with pytest.raises(CheckpointError, match=f"{path}: .* no token has the id 5"):
            checkpoint.load(path)


class TestCorpora:
    def test_a_file_of_sentences_is_a_dataset(self, corpus: Path) -> None:
        data = load_dataset(corpus)
        assert (len(data.train), len(data.validation), len(data.test)) == (32, 4, 4)
        assert data.likelihood == "categorical" and data.tokenizer is not None
        assert isinstance(data.train, TextSplit)
        sentences = corpus.read_text().split("\n")
        assert set(Tokenizer(data.tokenizer).text(data.train.tokens)) <= set(sentences)

    def test_the_vocabulary_is_that_of_the_training_part(self, tmp_path: Path) -> None:
        path = tmp_path / "x.txt"
        path.write_text("".join(f"{chr(0x4E00 + i)}\n" for i in range(40)), encoding="utf-8")
        data = load_dataset(path)
        assert data.tokenizer is not None
        assert len(Tokenizer(data.tokenizer)) == 3 + 32
        assert isinstance(data.test, TextSplit) and (data.test.tokens[:, 0] == UNKNOWN).all()

    def test_models_of_text_and_of_images_are_told_apart(self, corpus: Path) -> None:
        model = build(WORDS)
        with pytest.raises(DataError, match="digits holds images, the model reads text"):
            zoo.evaluate(model, dataset="digits")
        with pytest.raises(DataError, match="words holds text, the model reads images"):
            zoo.evaluate("gaussian-vae-digits", dataset=str(corpus))

    def test_a_tokeniser_beside_the_file_is_used(self, corpus: Path) -> None:
        words = Tokenizer.learn(corpus.read_text().split("\n"), "words")
        corpus.with_name("tokenizer.json").write_text(words.json)
        assert load_dataset(corpus).train.shape == (7,)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"\xff\xfe", "not UTF-8"),
            (b"{}", "not a tokeniser of the package"),
            (with_hole().encode(), "no token has the id 5"),
        ],
    )
    def test_a_tokeniser_beside_the_file_is_named_where_it_will_not_do(
        self, corpus: Path, content: bytes, said: str
    ) -> None:
        corpus.with_name("tokenizer.json").write_bytes(content)
        with pytest.raises(DataError, match=f"{corpus}: the tokenizer.json beside it: .*{said}"):
            load_dataset(corpus)
        model = build(corpus.read_text().split("\n"))
        assert load_for_model(model.config, corpus).tokenizer == model.config.tokenizer

    def test_the_share_of_unknown_tokens(self, corpus: Path) -> None:
        assert all(s.unknown == 0 for s in text_splits(load_dataset(corpus)))
        config = build(["red green blue fish"]).config
        for split in text_splits(load_for_model(config, corpus)):
            sentences = Tokenizer(str(config.tokenizer)).text(split.tokens)
            words = " ".join(sentences).split()
            assert split.unknown == pytest.approx(words.count("<unk>") / len(words), abs=1e-12)
            assert 0.2 < split.unknown < 0.5
        assert split.take(0).unknown == 0

    def test_a_sentence_that_is_too_long_is_found_by_its_line(self, corpus: Path) -> None:
        lines = corpus.read_text().splitlines()
        model = build(lines)
        for number in (1, 17, 40):  # in whichever split
            changed = [*lines[: number - 1], "red cat " * 5, *lines[number:]]
            corpus.write_text("\n".join(changed))
            said = f"{corpus}: line {number}, 'red cat .*', has 10 tokens, the model reads at most"
            with pytest.raises(DataError, match=said):
                load_for_model(model.config, corpus)

    def test_batches_leave_out_columns_of_padding(self) -> None:
        rows = torch.tensor([[5, END, 0, 0], [7, 8, 9, END], [4, 6, END, 0]], dtype=torch.int32)
        split = TextSplit(rows)
        assert split.batch(torch.tensor([0, 2]), kind="tokens").x.tolist() == [[5, 1, 0], [4, 6, 1]]
        assert split.batch(torch.tensor([], dtype=torch.long), kind="tokens").x.shape[0] == 0

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"one\n\nthree\n", "line 2 is empty"),
            (b"", "line 1 is empty"),
            (b"\xff\xfe\n", "not UTF-8"),
            (b"alone\n", "1 example cannot be split"),
        ],
    )
    def test_files_that_are_no_corpus(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "x.txt"
        path.write_bytes(content)
        with pytest.raises(DataError, match=said) as caught:
            load_dataset(path)
        assert str(caught.value).count(str(path)) == 1

    def test_scripts_without_spaces_are_cut_into_characters(self) -> None:
        assert kind_of(CHINESE) == "characters"
        assert kind_of(["こんにちは"]) == "characters"
        assert kind_of(WORDS) == kind_of(["Привет, мир"]) == "bpe"

    def test_text_is_only_for_models_that_read_it(self, corpus: Path, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match="'gaussian-vae' reads images or vectors, not text; train univae"
        ):
            zoo.train("gaussian-vae", dataset=str(corpus), directory=tmp_path / "run", epochs=1)


class TestRegisteredCorpora:
    """Three files in a folder of a root, as the registry's options say."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for folder, texts in {
            "ptb": [
                "the <unk> sat\na cat sat\nthe cat ran\n",
                "a cat\nthe cat\n",
                "a dog ran\na\n",
            ],
            "tang-couplets": ["代馬\n驚禽\n", "代禽\n", "落雁\n"],
        }.items():
            (tmp_path / folder).mkdir()
            for part, text in zip(("train", "valid", "test"), texts, strict=True):
                (tmp_path / folder / f"{part}.txt").write_text(text, encoding="utf-8")
        return tmp_path

    @pytest.mark.parametrize("given", ["root", "ZOO_DATA"])
    def test_the_files_are_the_splits(
        self, root: Path, given: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ZOO_DATA", str(root if given == "ZOO_DATA" else root / "none"))
        data = load_dataset("ptb", root=root if given == "root" else None)
        tokenizer = Tokenizer(str(data.tokenizer))
        assert [tokenizer.text(split.tokens) for split in text_splits(data)] == [
            ["the <unk> sat", "a cat sat", "the cat ran"],
            ["a cat", "the cat"],
            ["a <unk> ran", "a"],
        ]
        assert len(tokenizer) == 3 + 5  # "dog" is a word of the test file alone
        assert [split.unknown for split in text_splits(data)] == [1 / 9, 0, 1 / 4]
        assert (data.name, data.likelihood, data.train.shape) == ("ptb", "categorical", (4,))
        assert "Linguistic Data Consortium" in data.license

    def test_a_model_is_made_for_its_vocabulary(self, root: Path) -> None:
        model = zoo.create("univae", dataset="ptb", data_root=str(root), **SMALL)
        data = load_dataset("ptb", root=root)
        assert model.config.tokenizer == data.tokenizer  # type: ignore[attr-defined]
        assert model.config.input_shape == data.train.shape

    def test_options_say_how_a_corpus_is_cut(self, root: Path) -> None:
        data = load_dataset("tang-couplets", root=root)
        assert len(Tokenizer(str(data.tokenizer))) == 3 + 4
        assert text_splits(data)[2].unknown == 1

    def test_mistakes_are_found_by_file_and_line(self, root: Path) -> None:
        config = build(["the a cat"], length=3).config
        with pytest.raises(DataError, match="ptb: train.txt, line 1, 'the <unk> sat', has 3 tok"):
            load_for_model(config, "ptb", root=root)
        (root / "ptb" / "train.txt").write_text("a cat\n")
        with pytest.raises(DataError, match="ptb: test.txt, line 1, 'a dog ran', has 3 tokens"):
            load_for_model(config, "ptb", root=root)
        wrong = root / "ptb" / "valid.txt"
        wrong.write_text("a\n\nb\n")
        with pytest.raises(DataError, match=f"ptb: {wrong}: line 2 is empty"):
            load_dataset("ptb", root=root)

    def test_what_is_missing_is_said_with_where_it_belongs(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ZOO_DATA", raising=False)
        (root / "ptb" / "valid.txt").unlink()
        with pytest.raises(DataError) as caught:
            load_dataset("ptb", root=root)
        message = str(caught.value)
        for said in (str(root / "ptb"), "no address", "ptb/valid.txt", "ldc.upenn.edu"):
            assert said in message
        assert "download failed" not in message and message.count("ldc.upenn.edu") == 1


def text_splits(data: Dataset) -> list[TextSplit]:
    splits = [data.train, data.validation, data.test]
    assert all(isinstance(split, TextSplit) for split in splits)
    return cast("list[TextSplit]", splits)


def test_the_ends_that_a_foreign_tokeniser_adds_are_left_out() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.learn(WORDS, "words")
    tokenizer.backend.post_processor = TemplateProcessing(
        "$A <end>", special_tokens=[("<end>", END)]
    )
    foreign = Tokenizer(tokenizer.json)
    assert torch.equal(foreign.ids(WORDS), Tokenizer.learn(WORDS, "words").ids(WORDS))


class TestModel:
    def test_sentences_of_several_lengths_are_read_as_each_alone(self) -> None:
        """Three times over, their latents and their likelihoods."""
        model = build(WORDS)
        ids = model.read(WORDS)
        z = modes(model, ids, 3)
        together = model.log_likelihood(ids, z)
        for row, sentence in enumerate(WORDS):
            alone = model.read([sentence])
            code = modes(model, alone)
            likelihood = model.log_likelihood(alone, code)
            for many, one in ((z[:, row], code[:, 0]), (together[:, row], likelihood[:, 0])):
                torch.testing.assert_close(many, one.expand_as(many), rtol=0, atol=1e-9)

    def test_padding_changes_nothing(self) -> None:
        model = build(WORDS)
        ids = model.read(WORDS)
        wide = torch.nn.functional.pad(ids, (0, 2), value=PAD)
        terms = [modes(model, x) for x in (ids, wide)]
        torch.testing.assert_close(*terms)
        z = terms[0]
        torch.testing.assert_close(model.log_likelihood(ids, z), model.log_likelihood(wide, z))

    def test_the_probabilities_of_all_sentences_sum_to_one(self) -> None:
        """Of up to two words of a vocabulary of two, and of what is cut off by the length."""
        model = build(["x y"], length=3)
        every = [[END], *([a, END] for a in (2, 3, 4))]
        every += [[a, b, c] for a in (2, 3, 4) for b in (2, 3, 4) for c in (1, 2, 3, 4)]
        rows = torch.tensor([row + [PAD] * (3 - len(row)) for row in every])
        code = model.sample_codes(1).expand(len(rows), -1)
        log_prob = model.decode(code).log_prob(rows)
        assert log_prob.exp().sum().item() == pytest.approx(1)

    def test_draws_follow_the_likelihood(self) -> None:
        model = build(["x y"], length=2)
        code = model.sample_codes(1, generator=torch.Generator().manual_seed(0))[0]
        torch.manual_seed(0)
        drawn = model.decode(code).sample((20_000,))
        assert ((drawn[:, 1] == PAD) == (drawn[:, 0] == END)).all()
        every = torch.tensor([[END, PAD], *([a, b] for a in (2, 3, 4) for b in (1, 2, 3, 4))])
        expected = model.decode(code.expand(len(every), -1)).log_prob(every).exp()
        counts = (drawn[:, None] == every).all(-1).double().mean(0)
        error = (expected * (1 - expected) / len(drawn)).sqrt()
        assert ((counts - expected).abs() <= 4 * error).all()

    def test_strings_in_and_out(self) -> None:
        model = build(WORDS)
        assert model.modality.write(model.read(WORDS)) == WORDS
        drawn = model.sample(3, generator=torch.Generator().manual_seed(0))
        assert len(drawn) == 3 and all(isinstance(sentence, str) for sentence in drawn)
        assert len(model.reconstruct(model.read(WORDS))) == len(WORDS)
        with pytest.raises(DataError, match="has 9 tokens, the model reads at most 7"):
            model.read(["the cat sat the cat sat the cat sat"])
        with pytest.raises(DataError, match="'emu'"):
            model.read(["the emu"])
        with pytest.raises(DataError, match="give a list of sentences"):
            model.read("the cat")
        one = model.decode(model.sample_codes(1)[0])
        assert one.log_prob(model.read(WORDS[:1])[0]).shape == ()
        for wrong in (torch.zeros(2, 3), torch.zeros(2, 9, dtype=torch.long)):
            with pytest.raises(DataError, match="expected ids int64 of shape"):
                model.encode(wrong)
        images = UniVAE(UniVAEConfig(input_shape=(1, 8, 8)))
        with pytest.raises(UnsupportedError, match="reads images"):
            images.read(WORDS)

    def test_decoding_with_a_cache_is_decoding_without(self) -> None:
        model = build(WORDS, length=6)
        z = modes(model, model.read(WORDS))
        states: list[Tensor] = []

        def likeliest(state: Tensor) -> Tensor:
            states.append(state)
            return torch.full((len(state),), 4)

        model.tokens.likeliest = likeliest  # type: ignore[method-assign]
        ids = model.generate(z[0].flatten(1), Greedy())
        seen: list[Tensor] = []
        original = model.tokens.log_prob
        model.tokens.log_prob = (  # type: ignore[method-assign]
            lambda state, tokens: seen.append(state) or original(state, tokens)
        )
        model.log_likelihood(ids, z)
        torch.testing.assert_close(torch.stack(states, 1), seen[0][0])

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"likelihood": "bernoulli"}, "text, and text alone"),
            ({"tokenizer": None}, "text, and text alone"),
        ],
    )
    def test_settings_of_text_belong_together(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said) as caught:
            build(WORDS, **settings)
        assert len(str(caught.value)) < 600


def test_a_corpus_is_trained_on_measured_and_sampled(corpus: Path, tmp_path: Path) -> None:
    """The public road: train, load, evaluate with perplexity, fine-tune with its own tokeniser."""
    options: dict[str, Any] = {**SMALL, "progress": False, "batch_size": 8}
    run = zoo.train("univae", dataset=str(corpus), directory=tmp_path / "a", epochs=30, lr=3e-3,
                    **options)  # fmt: skip
    history = run.history
    assert history[-1]["validation_elbo"] > history[0]["validation_elbo"] + 3
    score = zoo.evaluate(tmp_path / "a", samples=5)
    assert score.nll is not None and score.text is not None
    assert score.text.perplexity == pytest.approx(math.exp(score.nll.value / score.text.tokens))
    assert score.mse_per_pixel is None and score.bits_per_dim is None
    assert "perplexity" in str(score) and "tokens" in score.convention
    other = corpus.with_name("other.txt")
    other.write_text("red cat\ngreen cat\nblue bird\n")
    tuned = zoo.train("univae", dataset=str(other), directory=tmp_path / "b", epochs=1,
                      start_from=tmp_path / "a", progress=False, batch_size=1)  # fmt: skip
    assert tuned.model.config == run.model.config
    with pytest.raises(ConfigError, match="reads text, 'digits' holds images"):
        zoo.train("univae", dataset="digits", directory=tmp_path / "d", start_from=tmp_path / "a")
    copy = tmp_path / "c.safetensors"
    checkpoint.save(copy, run.model, variant="univae", dataset=None)
    loaded = zoo.load(copy)
    drawn = [m.sample(2, generator=torch.Generator().manual_seed(1)) for m in (loaded, run.model)]
    assert drawn[0] == drawn[1]
