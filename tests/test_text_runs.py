"""Runs on text: what may change between two sittings, and the command line."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import forked
from same_run import assert_same_run
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.cli.settings import parse_decoding
from zoo.data import load_dataset
from zoo.errors import CheckpointError, ConfigError, DataError, TrainingError
from zoo.modalities.tokenizer import Tokenizer
from zoo.randomness import seeded
from zoo.storage import checkpoint
from zoo.training.config import Experiment
from zoo.training.launch import train_experiment
from zoo.variants.univae import UniVAE
from zoo.variants.univae.decoding import Decoding

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "hidden": 24, "layers": 4, "groups": 2,
                         "latent_dim": 4}  # fmt: skip
COLOURS = ["red", "green", "blue", "fish", "bird", "cat"]
LINES = [" ".join(COLOURS[(i * 5 + j) % 6] for j in range(1 + i % 6)) for i in range(40)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """40 sentences, and beside them the tokeniser that knows their words."""
    path = tmp_path / "words.txt"
    path.write_text("\n".join(LINES) + "\n")
    (tmp_path / "tokenizer.json").write_text(Tokenizer.learn(LINES, "words").json)
    return path


def train(corpus: Path, **options: Any) -> Any:
    settings = {"epochs": 2, "batch_size": 8, "progress": False, **SMALL, **options}
    return zoo.train("univae", dataset=str(corpus), directory=corpus.parent / "run", **settings)


# Going on


def test_a_run_goes_on_with_its_own_tokeniser(corpus: Path) -> None:
    run = train(corpus)
    (corpus.parent / "tokenizer.json").unlink()  # else the vocabulary would be learned anew
    again = zoo.resume(corpus.parent / "run", progress=False)
    assert again.model.config == run.model.config
    longer = zoo.resume(corpus.parent / "run", progress=False, epochs=3)
    assert [record["epoch"] for record in longer.history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cat", "red", "the data are not those the run in .*run began with; restore them"),
        ("cat", "emu", "the data are not those the run in .*run began with; restore them"),
        ("cat", "cat cat", "line 6, .* has 7 tokens, the model reads at most 6"),
    ],
    ids=["another word", "an unknown word", "longer sentences"],
)
def test_a_run_does_not_go_on_with_another_corpus(
    corpus: Path, old: str, new: str, said: str
) -> None:
    train(corpus, epochs=1)
    corpus.write_text(corpus.read_text().replace(old, new))
    with pytest.raises((TrainingError, DataError), match=said):
        zoo.resume(corpus.parent / "run", progress=False)


def test_the_same_command_with_another_vocabulary_is_refused_in_few_words(corpus: Path) -> None:
    train(corpus, epochs=1)
    words = Tokenizer.learn([*LINES, "emu"], "words")
    (corpus.parent / "tokenizer.json").write_text(words.json)
    with pytest.raises(ConfigError, match=r"other settings \(model.tokenizer: it has changed\)"):
        train(corpus, epochs=1)


def test_a_tokeniser_may_be_given_as_a_setting(corpus: Path) -> None:
    characters = Tokenizer.learn(LINES, "characters")
    run = train(corpus, epochs=1, tokenizer=characters.json)
    assert run.model.config.tokenizer == characters.json
    assert run.model.config.input_shape == (1 + max(map(len, LINES)),)
    figures = zoo.evaluate(run.directory, samples=2).text
    assert figures is not None
    assert figures.tokens == pytest.approx(1 + sum(len(LINES[i]) for i in held_out(corpus)) / 4)


def held_out(corpus: Path) -> list[int]:
    """The numbers of the lines that a corpus of forty has in its test split."""
    path = corpus.with_name("numbers.txt")
    path.write_text("".join(f"{number}\n" for number in range(len(LINES))))
    (corpus.parent / "tokenizer.json").unlink()
    data = load_dataset(path)
    return [int(text) for text in Tokenizer(str(data.tokenizer)).text(data.test.rows)]


def test_a_vocabulary_no_checkpoint_can_hold_is_refused_before_training(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(json.dumps(json.dumps(Tokenizer.learn(LINES, "words").json)))
    monkeypatch.setattr(checkpoint, "CONFIG_CAP", size + 2000)
    train(corpus, epochs=1)
    monkeypatch.setattr(checkpoint, "CONFIG_CAP", size)
    said = f"words cannot be trained on: .* {size} are allowed, and model.tokenizer takes"
    with pytest.raises(CheckpointError, match=said):
        zoo.train("univae", dataset=str(corpus), directory=corpus.parent / "b", epochs=1, **SMALL)
    assert not (corpus.parent / "b").exists()


# Being killed


def begin(corpus: str, directory: str) -> None:
    """What a child runs: from the start, or on from where the last one was killed."""
    torch.set_num_threads(1)
    if (Path(directory) / "config.yaml").exists():
        zoo.resume(directory, progress=False)
        return
    model = {**SMALL, "dropout": 0.1}
    settings = {"epochs": 20, "batch_size": 8, "ema_decay": 0.9, "checkpoint_seconds": 0.1}
    experiment = Experiment.build("univae", corpus, model=model, train=settings)
    train_experiment(experiment, directory, progress=False)


def spawn(corpus: Path, directory: Path) -> Any:
    return forked(begin, str(corpus), str(directory))


def finish(corpus: Path, directory: Path) -> None:
    child = spawn(corpus, directory)
    child.join(120)
    assert child.exitcode == 0


def epochs_of(directory: Path) -> int:
    """How many epochs the run has recorded."""
    path = directory / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_run_ends_bit_identical(corpus: Path) -> None:
    whole, torn = corpus.parent / "whole", corpus.parent / "torn"
    finish(corpus, whole)
    for goal in (1, 6):  # of 20 epochs; the kill comes somewhere in the next one
        child = spawn(corpus, torn)
        deadline = time.monotonic() + 60
        while child.is_alive() and epochs_of(torn) < goal and time.monotonic() < deadline:
            time.sleep(0.005)
        child.kill()
        child.join()
        assert goal <= epochs_of(torn) < 20, "kills must part the run"
    finish(corpus, torn)
    assert_same_run(torn, whole)


# The command line


def call(*arguments: object, code: int = 0) -> Any:
    """Run the command in this process; its result, checked to have ended with ``code``."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model that the command line trained, beside its corpus."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "words.txt").write_text("\n".join(LINES) + "\n")
    (folder / "tokenizer.json").write_text(Tokenizer.learn(LINES, "words").json)
    options = [f"--set=model.{key}={value}" for key, value in SMALL.items()]
    dataset = folder / "words.txt"
    result = call("train", "univae", "--dataset", dataset, "--epochs", 1, *options, "--directory",
                  folder / "run", "--json")  # fmt: skip
    assert json.loads(result.stdout)["metrics"]["epoch"] == 1
    return folder / "run"


def sentences_in(split: str, run: Path) -> list[str]:
    data = load_dataset(run.parent / "words.txt")
    return Tokenizer(str(data.tokenizer)).text(getattr(data, split).rows)


def test_load_tells_the_size_of_a_vocabulary_and_json_all_of_it(run: Path) -> None:
    shown = call("load", run).stdout
    assert re.search("^  tokenizer: 9 tokens$", shown, re.MULTILINE)
    assert "fish" not in shown
    whole = json.loads(call("load", run, "--json").stdout)["config"]["tokenizer"]
    assert whole == zoo.load(run).config.model_dump()["tokenizer"]


def test_sample_writes_the_sentences_the_model_draws(run: Path, tmp_path: Path) -> None:
    call("sample", run, "--n", 5, "--seed", 7, "--out", tmp_path / "x.txt")
    drawn = zoo.load(run).sample(5, generator=torch.Generator().manual_seed(7))
    assert (tmp_path / "x.txt").read_text().split("\n") == [*drawn, ""]


@pytest.mark.parametrize(
    ("how", "decoding"),
    [
        ("greedy", zoo.Greedy()),
        ("beam=3", zoo.Beam(3)),
        ("top-p=0.5", zoo.Draw(top_p=0.5)),
        ("temperature=0.5, top-p=0.9", zoo.Draw(0.5, 0.9)),
    ],
)
def test_sentences_are_decoded_as_one_likes(
    how: str, decoding: Decoding, run: Path, tmp_path: Path
) -> None:
    assert parse_decoding(how) == decoding
    call("sample", run, "--n", 5, "--decoding", how, "--out", tmp_path / "x.txt")
    call("reconstruct", run, "--n", 3, "--decoding", how, "--out", tmp_path / "y.txt")
    model = zoo.load(run)
    drawn = model.sample(5, generator=torch.Generator().manual_seed(0), decoding=decoding)
    assert (tmp_path / "x.txt").read_text().split("\n") == [*drawn, ""]
    lines = (tmp_path / "y.txt").read_text().splitlines()
    with seeded(0, torch.device("cpu")):
        assert lines[1::2] == model.reconstruct(lines[::2], decoding)
    other = "--seed", 3, "--out", tmp_path / "z.txt"
    call("reconstruct", run, "--n", 3, "--decoding", how, *other)
    differs = (tmp_path / "z.txt").read_text() != (tmp_path / "y.txt").read_text()
    assert differs == isinstance(decoding, zoo.Draw)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nucleus", "write greedy, beam=WIDTH, or one or both of"),
        ("top-p=0.9,beam=2", "write greedy"),
        ("top-p=0.9,top-p=0.8", "write greedy"),
        ("beam=2,beam=3", "write greedy"),
        ("temperature=2000-99-99", "temperature must be a number above 0, got '2000-99-99'"),
        ("temperature=yes", "got 'yes'"),
        ("beam=2.5", "whole width of 1 to 1024, got 2.5"),
        ("temperature=warm", "temperature must be a number above 0, got 'warm'"),
        ("top-p=[", "top_p must be above 0 and at most 1, got '['"),
    ],
)
def test_what_is_no_decoding_is_refused(how: str, said: str, run: Path, tmp_path: Path) -> None:
    place = tmp_path / "x.txt"
    assert said in call("sample", run, "--decoding", how, "--out", place, code=2).stderr
    name = "gaussian-vae-digits"
    refused = call("sample", name, "--decoding", "greedy", "--out", tmp_path / "x.png", code=2)
    assert "token by token, as univae does" in refused.stderr


def test_reconstruct_writes_sentences_in_pairs(run: Path, tmp_path: Path) -> None:
    call("reconstruct", run, "--n", 3, "--split", "validation", "--out", tmp_path / "x.txt")
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert lines[::2] == sentences_in("validation", run)[:3]
    model = zoo.load(run)
    assert lines[1::2] == model.reconstruct(model.read(lines[::2]))


def test_encode_writes_the_codes_of_sentences(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("red cat\n" * 30)
    call("encode", run, "--out", tmp_path / "own.npz")
    call("encode", run, "--dataset", other, "--split", "train", "--out", tmp_path / "other.npz")
    model = zoo.load(run)
    with np.load(tmp_path / "own.npz") as own, np.load(tmp_path / "other.npz") as others:
        assert set(own) == set(others) == {"codes"}
        expected = model.encode(model.read(sentences_in("test", run))).detach()
        np.testing.assert_allclose(own["codes"], expected, atol=1e-6)
        (code,) = model.encode(model.read(["red cat"])).detach()
        np.testing.assert_allclose(others["codes"], code.expand(24, -1), atol=1e-6)


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_sentences_are_no_picture_and_images_no_text(
    command: str, run: Path, tmp_path: Path
) -> None:
    said = call(command, run, "--out", tmp_path / "x.png", code=2).stderr
    assert "the model makes text, for a file .txt" in said
    said = call(command, "gaussian-vae-digits", "--out", tmp_path / "x.txt", code=2).stderr
    assert "the model makes images, for a file .png or .npy or .npz" in said


def test_mistakes_in_a_corpus_exit_with_2_and_a_line(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("red\n" * 29 + "red cat " * 9)
    for command in (("evaluate", run), ("encode", run, "--out", tmp_path / "x.npz")):
        said = call(*command, "--dataset", path, code=2).stderr
        assert said.startswith(f"error: {path}: line 30, 'red cat ")


def test_help_names_text_where_text_will_do() -> None:
    assert ".txt" in call("train", "--help").stdout
    assert "images" not in call("reconstruct", "--help").stdout.partition("Options")[0]
    assert "examples" in call("encode", "--help").stdout


# Mistakes


def test_settings_that_contradict_each_other_are_said_in_a_line(corpus: Path) -> None:
    said = call("train", "univae", "--dataset", corpus, "--set", "model.layers=3", code=2).stderr
    assert said.startswith("error: model 'univae': groups (4) must be less than layers (3)")
    assert len(said) < 200  # a tokeniser among the settings is no part of it


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"image_size": 32}, DataError, "words holds text, which has no image_size; leave it out"),
        ({"patch": 4}, ConfigError, "patch is for images; leave it out for text"),
    ],
)
def test_settings_of_images_are_refused(
    corpus: Path, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        train(corpus, **options)


def test_another_vocabulary_is_no_start(corpus: Path) -> None:
    train(corpus)
    other = Tokenizer.learn([*LINES, "dog"], "words").json
    with pytest.raises(ConfigError, match=r"model\.tokenizer is .* another is asked for") as caught:
        zoo.train(
            "univae", dataset=str(corpus), start_from=corpus.parent / "run", tokenizer=other,
            progress=False,
        )  # fmt: skip
    assert len(str(caught.value)) < 700


def test_other_vocabularies_are_not_compared(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(corpus)
    other = tmp_path / "other" / "words.txt"
    other.parent.mkdir()
    other.write_text(corpus.read_text())  # the same sentences, cut into pieces of bytes
    train(other)
    monkeypatch.setattr("zoo.api.compare.measure_all", lambda *_: pytest.fail("measured"))
    with pytest.raises(ConfigError, match="their vocabularies differ, .* same tokenizer.json"):
        zoo.compare([corpus.parent / "run", other.parent / "run"], dataset=str(corpus))


def test_a_run_on_a_corpus_of_other_words_says_so(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(corpus, progress=True)
    assert "not in the vocabulary" not in capsys.readouterr().err
    foreign = corpus.with_name("foreign.txt")
    foreign.write_text(corpus.read_text().replace("red", "rouge").replace("cat", "chat"))
    zoo.train("univae", dataset=str(foreign), start_from=corpus.parent / "run", epochs=1,
              batch_size=8, directory=corpus.parent / "other")  # fmt: skip
    said = capsys.readouterr().err
    assert re.search(r"5\d\.\d % of the training tokens are not in the vocabulary", said), said


def test_a_corpus_that_grew_is_not_measured_as_if_it_were_held_out(corpus: Path) -> None:
    run = train(corpus)
    before = zoo.evaluate(run.directory, samples=2)
    out = corpus.with_name("x.txt")
    call("reconstruct", run.directory, "--out", out)
    corpus.write_text(corpus.read_text() + "red cat\n")
    changed = "words has changed since the model was trained"
    with pytest.raises(DataError, match=changed):
        zoo.evaluate(run.directory, samples=2)
    assert changed in call("reconstruct", run.directory, "--out", out, code=2).stderr
    again = zoo.evaluate(run.directory, samples=2, dataset=str(corpus))
    assert again.test_set_sha256 != before.test_set_sha256


def test_a_split_too_small_for_an_error_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ten.txt"
    path.write_text("\n".join(LINES[:10]) + "\n")
    run = train(path)
    with pytest.raises(DataError, match="at least 2 examples, got 1 of ten/test; take"):
        zoo.evaluate(run.directory, samples=2)


def test_a_line_far_longer_than_others_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.txt"
    lines = ["red cat"] * 200
    lines[150] = "cat " * 100
    path.write_text("\n".join(lines) + "\n")
    (tmp_path / "tokenizer.json").write_text(Tokenizer.learn(lines, "words").json)
    assert load_dataset(path).train.shape == (101,)
    monkeypatch.setattr("zoo.modalities.tokenizer.MOST_PLACES", 19_000)
    said = "long.txt: line 151 has 100 tokens, a sentence 2.5 on average; so many places for each"
    with pytest.raises(DataError, match=said):
        load_dataset(path)
    monkeypatch.setattr("zoo.modalities.tokenizer.MOST_PLACES", 20_000)
    load_dataset(path)


def test_a_long_line_of_one_file_pads_those_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ptb").mkdir()
    for part, lines in (
        ("train", ["red cat"] * 200), ("valid", ["cat"]), ("test", ["red", "cat " * 100]),
    ):  # fmt: skip
        (tmp_path / "ptb" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    assert load_dataset("ptb", root=tmp_path).train.shape == (101,)
    monkeypatch.setattr("zoo.modalities.tokenizer.MOST_PLACES", 20_000)
    said = "ptb: test.txt, line 2 has 100 tokens, a sentence 2.5 on average; .* each of 203 sent"
    with pytest.raises(DataError, match=said):
        load_dataset("ptb", root=tmp_path)


def test_sentences_are_measured_at_no_image_size(corpus: Path) -> None:
    with pytest.raises(DataError, match="words holds text, which has no image_size"):
        zoo.evaluate(train(corpus).directory, samples=2, image_size=32)


def test_a_part_of_a_split_is_taken_evenly(corpus: Path) -> None:
    run = train(corpus)
    split = load_dataset(corpus).train
    found = zoo.evaluate(run.directory, split="train", samples=2, examples=5)
    assert found.test_set_sha256 == split.evenly(5).by_length().digest()[:16]
    assert found.test_set_sha256 != split.take(5).by_length().digest()[:16]


def test_the_command_line_holds_no_more_rows_than_the_model_bounds(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UniVAE, "decode_batch", 2)
    seen: list[int] = []

    def generate(model: UniVAE, z: torch.Tensor, decoding: Decoding) -> torch.Tensor:
        seen.append(len(z))
        return torch.ones(len(z), 3, dtype=torch.int64)

    monkeypatch.setattr(UniVAE, "generate", generate)
    call("sample", run, "--n", 5, "--out", tmp_path / "x.txt")
    call("reconstruct", run, "--n", 3, "--out", tmp_path / "x.txt")
    assert seen == [2, 2, 1, 2, 1]


def test_ids_that_are_no_sentences_are_refused(corpus: Path) -> None:
    model = train(corpus).model
    size = len(model.tokenizer)
    for wrong, said in (
        (torch.tensor([[3, size, 1]]), f"ids must be 0 to {size - 1}, got 1 to {size}"),
        (torch.tensor([[3, -1, 1]]), "got -1 to 3; read"),
        (torch.tensor([[3, 1], [0, 0]]), "sentence 2 of the ids is not tokens, then an end"),
        (torch.zeros(1, 0, dtype=torch.int64), "sentence 1 of the ids is not tokens"),
        (torch.tensor([[3, 0, 4, 1]]), "sentence 1 of the ids is not tokens"),
        (torch.tensor([[3, 1, 0, 0], [3, 1, 4, 1]]), "sentence 2 of the ids is not tokens"),
        (torch.tensor([[3, 1], [3, 4]]), "sentence 2 of the ids is not tokens"),
        (torch.tensor([[3, 4, 0]]), "sentence 1 of the ids is not tokens"),
        (["red emu"], "'emu'"),
        ("red cat", "give a list of sentences"),
    ):
        with pytest.raises(DataError, match=said):
            model.log_prob(wrong, 3)
    for wrong in (torch.tensor([[3, 0, 4, 1]]), torch.tensor([[3, size, 1]])):
        with pytest.raises(DataError, match="of the ids is not tokens|ids must be 0 to"):
            model.decode(model.sample_codes(1)).log_prob(wrong)
    whole = torch.full((1, model.tokens.length), 3)  # the longest there is need not end
    assert model.log_prob(whole, 3).isfinite().all()
    assert model.log_prob(["red cat"], 3).isfinite().all()
    for wrong, said in (
        (whole[0], "expected ids int64"),
        (whole.double(), "expected ids int64"),
        (torch.tensor([[3, size]]), f"ids must be 0 to {size - 1}"),
        (torch.tensor([[-1, 3]]), f"ids must be 0 to {size - 1}"),
    ):
        with pytest.raises(DataError, match=said):
            model.modality.write(wrong)
    assert model.log_posteriors(whole[:0]).shape == (0, 0)
    for wrong in ("red cat", [1, 2], None, {1: "red"}):
        with pytest.raises(DataError, match="give a list of sentences, for one as"):
            model.encode(wrong)
    with pytest.raises(DataError, match="got ndarray"):
        zoo.load("gaussian-vae-digits").log_prob(np.zeros((1, 1, 8, 8)), 3)
    same = model.encode(model.read(["red cat", "fish"]))
    assert torch.equal(model.encode(np.array(["red cat", "fish"])), same)
