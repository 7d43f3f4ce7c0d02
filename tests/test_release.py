"""A checkpoint released from a recipe of two runs, into a tree of its own."""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import json
import shlex
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

import zoo
from zoo.cli.settings import parse_settings
from zoo.data.text import TextSplit
from zoo.modalities.tokenizer import Tokenizer
from zoo.registry import registry
from zoo.reporting.exhibit import Exhibit
from zoo.reporting.strips import strips
from zoo.storage import checkpoint
from zoo.training.config import TrainingConfig
from zoo.variants import Facts

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = {
    "summary": "A small VAE",
    "variant": "gaussian-vae",
    "dataset": "digits",
    "model": {"latent_dim": 3, "backbone": {"name": "mlp", "hidden": [16]}},
    "train": {"epochs": 2, "seed": 1},
    "fine_tune": {
        "objective": {"name": "iwae", "samples": 3},
        "train": {"epochs": 1, "lr": 0.0001},
    },
    "bits": 16,
}


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, writing below ``tmp_path``."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script = importlib.import_module("release")
    (tmp_path / "registry.yaml").write_text("datasets:\n  x: 1\n\ncheckpoints: {}\n")
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "CHECKPOINTS", tmp_path / "checkpoints")
    return script


def last_record(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    return record


@pytest.mark.parametrize("settings", [{"condition": "labels"}, {"condition": "condition"}, {}])
def test_pictures_of_models_that_are_told_something(
    release: ModuleType, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """On a card and on a page: a row of each class, or of the data's numbers."""
    data = zoo.load_dataset("digits")
    numbers = {
        f"{part}_condition": split.labels[:, None].float() for part, split in data.splits.items()
    }
    labelled = {f"{part}_labels": split.labels for part, split in data.splits.items()}
    images = {part: split.rows for part, split in data.splits.items()}
    columns = numbers if settings.get("condition") == "condition" else labelled
    data = zoo.load_dataset({**images, **columns})
    model = zoo.create("gaussian-vae", dataset=data, latent_dim=2, hidden=[8], **settings)
    data = data.conditioned(settings.get("condition"))
    release.draw(model, data.test, tmp_path / "card.png")
    rows, told = release.rows_of(model, data.test)
    classes = settings.get("condition") == "labels"
    with Image.open(tmp_path / "card.png") as picture:
        assert picture.height == pytest.approx(picture.width * rows / 16, rel=0.01)
    assert rows == (10 if classes else 8)
    if classes:
        assert torch.equal(told, torch.arange(10).repeat_interleave(8))
    else:
        assert (told is None) == (not settings)
    with_data, alone = Exhibit("told", model, data=data), Exhibit("told", model)
    titles = [strip.title for strip in strips([with_data]) if strip.of("told")]
    assert titles == ["Reconstructions", "Samples", "Nearest training images"]
    untold = settings.get("condition") == "condition"  # no class can be told in turn
    titles = [strip.title for strip in strips([alone]) if strip.of("told")]
    assert titles == ([] if untold else ["Samples"])


def sections(words: list[str]) -> dict[str, Any]:
    """The settings of a command line, as the command line reads them."""
    given = parse_settings([word for word in words if "=" in word])
    return {section: settings for section, settings in given.items() if settings}


def test_a_release_of_two_runs_tells_both(release: ModuleType, tmp_path: Path) -> None:
    arguments = argparse.Namespace(runs=tmp_path / "runs", data_root=None, samples=2, anew=False)
    release.release("tiny", RECIPE, arguments)
    released, runs = tmp_path / "checkpoints", tmp_path / "runs"
    (fine_tuning,) = (runs / "tiny").glob("fine-tuning-*")
    ends = [last_record(runs / "tiny"), last_record(fine_tuning)]
    tuned = zoo.load(fine_tuning)
    for ours, theirs in zip(
        zoo.load(released / "tiny.safetensors").parameters(), tuned.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs.half().float())
    metadata = checkpoint.read_metadata(released / "tiny.safetensors")
    assert metadata.training["train_bound"] == ends[1]["train_bound"]
    with (released / "curves/tiny.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert [line["epoch"] for line in curve] == ["1", "2", "1"]
    assert [bool(line["validation_bound"]) for line in curve] == [False, False, True]
    for line, end in zip(curve[1:], ends, strict=True):
        assert float(line["validation_elbo"]) == pytest.approx(end["validation_elbo"], rel=1e-5)
    text = (tmp_path / "registry.yaml").read_text()
    recipe = yaml.safe_load(text)["checkpoints"]["tiny"]["recipe"]
    assert text.startswith("datasets:") and recipe["duration"].endswith(" 2 + 1 epochs")
    assert recipe["command"] in (released / "tiny.md").read_text()
    assert (released / "images/tiny.png").stat().st_size > 0
    check_measured_anew(release, tmp_path, recipe)


def test_a_release_that_starts_from_another_says_which_file(
    release: ModuleType, tmp_path: Path
) -> None:
    recipe = {
        "summary": "m",
        "variant": "gaussian-vae",
        "dataset": "digits",
        "start_from": "gaussian-vae-digits",
        "train": {"epochs": 1, "lr": 1e-5},
    }
    (run,) = release.train(recipe, tmp_path / "run", None)
    known = zoo.load("gaussian-vae-digits").state_dict()
    for name, weight in run.model.state_dict().items():
        torch.testing.assert_close(weight, known[name], rtol=0, atol=1e-2)
    made = release.made_by(recipe, [run])
    sha256 = registry().checkpoint("gaussian-vae-digits").sha256
    assert made["duration"].endswith(f" 1 epochs, from the file with SHA-256 {sha256}")
    words = shlex.split(made["command"])
    assert words[words.index("--start-from") + 1] == "gaussian-vae-digits"


def check_measured_anew(release: ModuleType, root: Path, made: dict[str, Any]) -> None:
    """With more samples and in fewer bits; how it was made is told as before."""
    file, arguments = (
        root / "checkpoints/tiny.safetensors",
        argparse.Namespace(runs=root / "none", data_root=None, samples=3, anew=True),
    )
    sizes, described = [file.stat().st_size], checkpoint.read_metadata(file)
    for bits in (16, 8, 8):
        release.release("tiny", {**RECIPE, "bits": bits}, arguments)
        entry = yaml.safe_load((root / "registry.yaml").read_text())["checkpoints"]["tiny"]
        assert entry["recipe"] == made and entry["metrics"]["nll"]["samples"] == 3
        assert entry["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert checkpoint.read_metadata(file) == described
        sizes.append(file.stat().st_size)
    assert sizes[0] == sizes[1] > sizes[2] == sizes[3]
    assert "stored as int8" in file.with_suffix(".md").read_text()
    assert not (root / "none").exists()


def test_a_lengthened_first_run_is_fine_tuned_anew(release: ModuleType, tmp_path: Path) -> None:
    first = release.train(RECIPE, tmp_path / "run", None)
    assert [len(run.history) for run in first] == [2, 1]
    longer = {**RECIPE, "train": {**RECIPE["train"], "epochs": 4}}
    second = release.train(longer, tmp_path / "run", None)
    assert [len(run.history) for run in second] == [4, 1]
    assert first[1].directory != second[1].directory
    assert first[0].directory == second[0].directory
    log = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert len(log) == 1, "the same revision and hardware are noted once"


def test_a_run_that_was_refused_has_no_part_in_what_is_made_later(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, noted = TrainingConfig(epochs=3), []
    for revision, begins in (("refused", False), ("first", True), ("second", True)):
        monkeypatch.setattr(release, "revision", lambda revision=revision: revision)
        release.note_provenance(tmp_path, settings)
        if begins:
            (tmp_path / "config.yaml").touch()
        log = json.loads((tmp_path / "provenance.json").read_text())
        noted.append([each["revision"] for each in log])
    assert noted == [["refused"], ["first"], ["first", "second"]]


def test_the_commands_of_a_recipe_mean_its_runs(release: ModuleType) -> None:
    first, second = (shlex.split(part) for part in release.command(RECIPE).split("&&"))
    assert sections(first) == {key: RECIPE[key] for key in ("model", "train")}
    assert sections(second) == RECIPE["fine_tune"]
    assert second[second.index("--start-from") + 1] == "runs/gaussian-vae-digits-s1"


def test_every_recipe_is_made_of_experiments(release: ModuleType) -> None:
    known = {*RECIPE, "objective", "drawn", "labelled", "start_from"}
    for name, recipe in yaml.safe_load(release.RECIPES.read_text()).items():
        assert recipe.keys() <= known, name
        for stage in (recipe, recipe.get("fine_tune", {})):
            start = recipe.get("start_from") if stage is recipe else None
            experiment = release.experiment_of(recipe, stage, start=start)
            runs = [key for key in ("start_from", "fine_tune") if key in recipe]
            assert release.command(recipe).count(" --start-from ") == len(runs)
            assert experiment.labelled == recipe.get("labelled")
            asked = f" --labelled {experiment.labelled}"
            assert (asked in release.command(recipe)) == ("labelled" in recipe)
            spec = registry().dataset(recipe["dataset"])
            if spec.shape is not None:
                facts = Facts(spec.shape, spec.likelihood)
                experiment.variant.complete(experiment.model, facts)


def test_a_release_of_text_shows_its_sentences(release: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tang-couplets"
    folder.mkdir(parents=True)
    letters = "天地玄黃宇宙洪荒日月"
    for part, shift in (("train", 0), ("valid", 1), ("test", 2)):
        lines = [letters[(n + shift) % 10 :][:3] + letters[n % 7] for n in range(20)]
        lines += ["天地龍黃"] * (part == "test")
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = {
        "summary": "A small UniVAE",
        "variant": "univae",
        "dataset": "tang-couplets",
        "model": {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2, "latent_dim": 4},
        "train": {"epochs": 1, "batch_size": 8},
    }
    arguments = argparse.Namespace(
        runs=tmp_path / "runs",
        data_root=str(tmp_path / "data"),
        samples=2,
        anew=False,
        compile=False,
    )
    release.release("small-text", recipe, arguments)
    card = (tmp_path / "checkpoints/small-text.md").read_text(encoding="utf-8")
    for part in (
        "| drawn | nearest training sentence |",
        "likeliest of the same code",
        "Of 1,000 codes",
    ):
        assert part in card
    assert "| group 0 | group 1 |" in card and "- perplexity: " in card
    entry = yaml.safe_load((tmp_path / "registry.yaml").read_text())["checkpoints"]["small-text"]
    assert {"accuracy", "exact_match", "prior_log_likelihood", "nll"} <= entry["metrics"].keys()
    assert "mse_per_pixel" not in entry["metrics"]
    known, text = entry["metrics"]["nll_known"], "%, in 1 of the sentences; NLL of the others"
    assert known["samples"] == 2 and f"{text} {known['value']:.2f}" in card
    assert text in entry["metrics"]["nll"]["note"]


def test_samples_of_a_card_are_drawn_and_likeliest_and_its_copies_counted(
    release: ModuleType,
) -> None:
    """Of a model whose draws copy one training sentence and whose likeliest copy none."""
    card = importlib.import_module("_text_card")
    tokenizer = Tokenizer.learn(["red cat", "blue fish"], "words")
    train = TextSplit(tokenizer.ids(["red cat"]).int())
    codes: list[Tensor] = []

    class Model:
        config = SimpleNamespace(groups=1, latent_dim=2)
        modality = SimpleNamespace(write=tokenizer.text)

        def sample_codes(self, n: int, generator: torch.Generator) -> Tensor:
            return torch.zeros(n, 2)

        def draw(self, z: Tensor) -> Tensor:
            codes.append(z)
            copies = tokenizer.ids(["red cat"] * 40)
            return torch.cat([copies, tokenizer.ids(["red fish"] * (len(z) - 40))])

        def generate(self, z: Tensor, decoding: zoo.Greedy) -> Tensor:
            assert decoding == zoo.Greedy()
            return tokenizer.ids(["blue cat"] * len(z))

    said, _, table = card.samples(Model(), train).partition("\n\n")
    assert "Of 1,000 codes 40 gave a copy where tokens are drawn, 0 where" in said
    rows = table.splitlines()[2:]
    assert codes[0].shape == (1000, 1, 2) and len(rows) == 32
    assert set(rows) == {"| red cat | red cat | all | blue cat | red cat | 50 % |"}


def test_the_nearest_sentence_shares_most_places(release: ModuleType) -> None:
    card = importlib.import_module("_text_card")
    train = TextSplit(torch.tensor([[5, 6, 7, 1, 0], [5, 6, 1, 0, 0], [9, 9, 9, 9, 1]]).int())
    share, place = card.nearest(torch.tensor([[5, 6, 1, 0, 0], [9, 6, 7, 1, 0]]), train)
    assert place.tolist() == [1, 0]
    assert share.tolist() == pytest.approx([1, 2 / 3])
