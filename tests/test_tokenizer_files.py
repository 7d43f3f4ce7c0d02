"""Tokenisers from files: what zoo writes and its like is read, all else is refused at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from zoo.data import load_dataset
from zoo.errors import DataError
from zoo.modalities.tokenizer import END, UNKNOWN, Kind, Tokenizer
from zoo.modalities.tokenizer_json import MOST_CHARACTERS, OLD_CHARACTERS, checked

WORDS = ["the cat sat", "a dog ran far away", "the dog sat"]
CHINESE = ["代馬依朔吹，驚禽愁昔叢。", "不食千鍾粟，唯餐兩顆棃。"]
KINDS: list[Kind] = ["characters", "words", "bpe"]
LISTED = {"<pad>": 0, "<end>": 1, "<unk>": 2, "a": 3}


def content(kind: Kind = "words", **changes: Any) -> dict[str, Any]:
    return {**json.loads(Tokenizer.learn(WORDS, kind).json), **changes}


def foreign(backend: Backend) -> str:
    text: str = backend.to_str()
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_what_zoo_writes_is_read_unchanged(kind: Kind) -> None:
    for sentences in (WORDS, CHINESE):
        own = Tokenizer.learn(sentences, kind)
        assert json.loads(checked(own.json)) == json.loads(own.json)
        assert Tokenizer(own.json).json == own.json


def test_what_zoo_wrote_before_is_read() -> None:
    """Characters without <unk> among them: the ids of other text are the same."""
    new = Tokenizer.learn(CHINESE, "characters")
    old = json.loads(new.json)
    old["pre_tokenizer"]["pattern"]["Regex"] = OLD_CHARACTERS
    assert Tokenizer(json.dumps(old)).ids(CHINESE).equal(new.ids(CHINESE))
    sentence = Tokenizer(json.dumps(old)).text(torch.tensor([[3, UNKNOWN, 4, END]]))
    assert new.ids(sentence).tolist() == [[3, UNKNOWN, 4, END]]


@given(st.data(), st.sampled_from(["characters", "words"]))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_again(data: st.DataObject, kind: Kind) -> None:
    tokenizer = Tokenizer.learn(WORDS, kind)
    known = st.integers(UNKNOWN, len(tokenizer) - 1)
    ids = torch.tensor([[*data.draw(st.lists(known, min_size=1)), END]])
    assert tokenizer.ids(tokenizer.text(ids), strict=True).equal(ids)


def test_unk_in_a_corpus_of_characters_is_one_token() -> None:
    tokenizer = Tokenizer.learn(["ab<unk>b"], "characters")
    assert len(tokenizer) == 3 + 2
    assert (tokenizer.ids(["a<unk>"])[0] == UNKNOWN).tolist() == [False, True, False]
    with pytest.raises(DataError, match="not in the vocabulary of 5 tokens: '<', 'u'"):
        tokenizer.ids(["a<u"], strict=True)


def test_foreign_files_of_the_same_kind_are_read() -> None:
    backend = Backend.from_str(Tokenizer.learn(WORDS, "bpe", 300).json)
    backend.add_tokens(["<mask>"])
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    changed = json.loads(foreign(backend))
    changed["model"]["merges"] = [" ".join(pair) for pair in changed["model"]["merges"]]
    changed["model"].update({"continuing_subword_prefix": "", "end_of_word_suffix": ""})
    read = Tokenizer(json.dumps(changed))
    assert len(read) == 300 + 1 - (300 - len(Tokenizer.learn(WORDS, "bpe", 300)))
    assert read.text(read.ids(WORDS, strict=True)) == WORDS


def with_model(**changes: Any) -> Callable[[], str]:
    def make() -> str:
        given = content()
        given["model"].update(changes)
        return json.dumps(given)

    return make


def with_parts(kind: Kind = "words", **changes: Any) -> Callable[[], str]:
    return lambda: json.dumps(content(kind, **changes))


def of(
    model: Any, cut: Any = None, decoder: Any = None, normalizer: Any = None
) -> Callable[[], str]:
    def make() -> str:
        backend = Backend(model)
        for name, part in (("pre_tokenizer", cut), ("decoder", decoder)):
            if part is not None:
                setattr(backend, name, part)
        if normalizer is not None:
            backend.normalizer = normalizer
        return foreign(backend)

    return make


def listed() -> Any:
    return models.WordLevel(LISTED, unk_token="<unk>")


SPLIT = pre_tokenizers.Split("x", "isolated")
SPACES = pre_tokenizers.WhitespaceSplit()
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
ADDED = {"id": 3, "content": "a", "special": False}
REFUSED: list[tuple[str, Callable[[], str], str]] = [
    ("no JSON", lambda: "{", "not a tokeniser of the package"),
    ("no object", lambda: "[1]", "it has no model"),
    ("number", lambda: "1e400", "it has no model"),
    ("deep", lambda: "[" * 100_000, "not a tokeniser of the package"),
    ("deep objects", lambda: '{"model":' * 100_000, "not a tokeniser of the package"),
    ("long", lambda: " " * (MOST_CHARACTERS + 1), "characters, more than"),
    ("WordPiece", of(models.WordPiece(LISTED, unk_token="<unk>"), SPACES), "model WordPiece"),
    ("Unigram", of(models.Unigram([("<pad>", 0.0)], 0), SPACES), "model Unigram"),
    ("type of a list", with_parts(decoder=["x"]), "decoder"),
    ("no cut", of(listed(), None), "pre_tokenizer None"),
    ("no decoder", of(listed(), SPLIT), "decoder None. Allowed are words: model WordLevel"),
    ("bytes without decoder", of(models.BPE(LISTED, []), BYTES), "decoder None"),
    ("other pattern", of(listed(), SPLIT, decoders.Fuse()), "Split by another pattern"),
    ("sequence", of(listed(), pre_tokenizers.Sequence([SPACES])), "pre_tokenizer Sequence"),
    ("normalizer", of(listed(), SPACES, None, normalizers.Lowercase()), "normalizer Lowercase"),
    ("normalizers", of(listed(), SPACES, None,
                       normalizers.Sequence([normalizers.Replace("a", "a" * 9)] * 9)),
     "normalizer Sequence"),
    ("prefix", of(models.BPE(LISTED, []), pre_tokenizers.ByteLevel(), decoders.ByteLevel()),
     "ByteLevel whose add_prefix_space is not false"),
    ("removed", with_parts("characters", pre_tokenizer={
        "type": "Split", "pattern": {"Regex": OLD_CHARACTERS}, "behavior": "Removed",
        "invert": False}), 'Split whose behavior is not "Isolated"'),
    ("dropout", of(models.BPE(LISTED, [], dropout=0.5), BYTES, decoders.ByteLevel()),
     "a BPE with dropout"),
    ("suffix", of(models.BPE(LISTED, [], end_of_word_suffix="</w>"), BYTES,
                  decoders.ByteLevel()), "a BPE with end_of_word_suffix"),
    ("negative id", with_model(vocab={**LISTED, "b": -1}), "the id -1; allowed are"),
    ("huge id", with_model(vocab={**LISTED, "b": 2**40}), "the id 1099511627776; allowed"),
    ("id of words", with_model(vocab={"a": "b"}), "token's id that is str, not int"),
    ("id true", with_model(vocab={"a": True}), "token's id that is bool, not int"),
    ("many tokens", with_model(vocab={str(n): n for n in range(2**17 + 1)}), "131,073 tokens, mo"),
    ("no vocabulary", with_model(vocab=None), "vocab that is NoneType, not dict"),
    ("unknown is null", with_model(unk_token=None), "unk_token that is NoneType, not str"),
    ("added tokens of words", with_parts(added_tokens={"a": 1}), "added_tokens that is dict"),
    ("many added", with_parts(added_tokens=[ADDED] * 1001), "1,001 added_tokens, more than 1,000"),
    ("long added", with_parts(added_tokens=[{**ADDED, "content": "a" * 999}]), "added token 'aaa"),
    ("greedy added", with_parts(added_tokens=[{**ADDED, "lstrip": True}]), "added token 'a'"),
    ("negative added", with_parts(added_tokens=[{**ADDED, "id": -5}]), "tokeniser"),
    ("surrogate", with_model(vocab={**LISTED, "\ud800": 4}), "not a tokeniser of the package"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
def test_anything_else_is_refused(make: Callable[[], str], said: str) -> None:
    with pytest.raises(DataError) as caught:
        Tokenizer(make())
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("merges", [[["a"]], ["a b c"], [3], {"a": "b"}, [["a", "zz"]], None])
def test_merges_that_are_none(merges: Any) -> None:
    given = content("bpe")
    given["model"]["merges"] = merges
    with pytest.raises(DataError, match="tokeniser"):
        Tokenizer(json.dumps(given))


class Panic(BaseException):
    """What the package raises where it panics."""


def test_a_panic_of_the_package_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Tokenizer.learn(WORDS, "words").json

    def failing(error: BaseException) -> Callable[[str], Backend]:
        def read(json: str) -> Backend:
            raise error

        return read

    monkeypatch.setattr("tokenizers.Tokenizer", type("T", (), {"from_str": failing(Panic("!"))}))
    with pytest.raises(DataError, match="not a tokeniser of the package tokenizers: !; make"):
        Tokenizer(text)
    stop = type("T", (), {"from_str": failing(KeyboardInterrupt())})
    monkeypatch.setattr("tokenizers.Tokenizer", stop)
    with pytest.raises(KeyboardInterrupt):
        Tokenizer(text)


def test_a_large_file_beside_a_corpus_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a b\nc d\ne f\n")
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(2**33)  # sparse
    with pytest.raises(DataError, match=r"tokenizer\.json beside it: .*8,589,934,592 bytes"):
        load_dataset(tmp_path / "words.txt")
