"""Make released checkpoints: train, measure, write the file, its card and its registry entry.

    python scripts/release.py gaussian-vae-mnist --data-root DIR

Everything goes through the public surface: ``zoo.train_experiment`` and ``zoo.evaluate``. A call
that was killed goes on where it was; a finished training is not repeated. The figures are those of
the file as released (after rounding to fewer bits, where a recipe asks for that), on the whole test
set, read once. With ``--anew`` a released file is measured again, after rounding where its recipe
asks for fewer bits than it has, and nothing is trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from _cards import card_of, stored_bits
from _commands import FINE_TUNING, command, first_seed
from _entries import figures, write_curve, write_entry
from _records import revision, training_seconds, write_json
from _text_card import text_card
from torch import Tensor

import zoo
from zoo.core.model import LatentVariableModel
from zoo.data import Examples, load_for_model
from zoo.devices import hardware
from zoo.evaluation import Evaluation
from zoo.files import sha256, write_atomically
from zoo.pictures.grids import enlargement, save_grid
from zoo.randomness import seeded
from zoo.registry import packaged_root, registry
from zoo.registry.specs import CheckpointSpec
from zoo.storage import checkpoint
from zoo.training.config import TrainingConfig
from zoo.training.device import choose_device
from zoo.variants.univae import UniVAE
from zoo.yaml_files import read_mapping

ROOT = packaged_root()
RECIPES = Path(__file__).with_name("recipes.yaml")
CHECKPOINTS = ROOT / "checkpoints"
LICENSE = "MIT"


def main() -> int:
    """Release every name given."""
    recipes = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(recipes), metavar="NAME")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--runs", type=Path, default=Path("runs/release"))
    parser.add_argument("--anew", action="store_true", help="measure the released file again")
    parser.add_argument("--samples", type=int, default=1000, help="importance samples")
    arguments = parser.parse_args()
    for name in arguments.names:
        release(name, recipes[name], arguments)
    return 0


def release(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write one checkpoint's file, measure it, and write its card and registry entry."""
    file = CHECKPOINTS / f"{name}.safetensors"
    made = (kept if arguments.anew else trained)(name, recipe, file, arguments)
    evaluation = zoo.evaluate(file, samples=arguments.samples, data_root=arguments.data_root)
    entry = registry_entry(recipe, file, evaluation, made)
    write_entry(ROOT / "registry.yaml", "checkpoints", name, entry)
    shown = show(name, file, arguments.data_root, recipe.get("drawn", False)) + of_text(evaluation)
    card = card_of(name, CheckpointSpec.parse(entry, name), file, shown)
    write_atomically(CHECKPOINTS / f"{name}.md", card.encode())
    print(evaluation)


def trained(
    name: str, recipe: dict[str, Any], file: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Train (or go on) and write the file; what the registry says of how it was made."""
    runs = train(recipe, arguments.runs / name, arguments.data_root)
    run = runs[-1]
    checkpoint.save(
        file,
        run.model,
        variant=recipe["variant"],
        dataset=recipe["dataset"],
        training=run.metrics,
        bits=recipe.get("bits"),
    )
    write_curve(CHECKPOINTS / "curves" / f"{name}.csv", runs)
    return made_by(recipe, runs)


def kept(
    name: str, recipe: dict[str, Any], file: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Round the released file to the bits of its recipe; what the registry says of it stays."""
    entries = yaml.safe_load((ROOT / "registry.yaml").read_text(encoding="utf-8"))["checkpoints"]
    if name not in entries:
        raise SystemExit(f"error: {name} is not released; leave --anew out to train it")
    made: dict[str, Any] = entries[name]["recipe"]
    bits = recipe.get("bits", 32)
    if bits < stored_bits(file):
        known = checkpoint.read_metadata(file)
        checkpoint.save(
            file,
            checkpoint.load(file),
            variant=known.variant,
            dataset=known.dataset,
            training=known.training,
            bits=bits,
        )
    return made


def train(recipe: dict[str, Any], directory: Path, data_root: str | None) -> list[zoo.Run]:
    """The recipe's run, and the one that fine-tunes its best model where the recipe has it.

    The folder of the latter is named after that model, which a longer first run changes. Each
    revision and hardware that worked on a run is noted beside it.
    """
    runs = [
        run_stage(experiment_of(recipe, recipe, data_root, recipe.get("start_from")), directory)
    ]
    if "fine_tune" in recipe:
        where = directory / f"{FINE_TUNING}-{sha256(directory / 'best.safetensors')[:8]}"
        second = experiment_of(recipe, recipe["fine_tune"], data_root, directory)
        runs.append(run_stage(second, where))
    return runs


def run_stage(experiment: zoo.Experiment, where: Path) -> zoo.Run:
    """One run, and a note of what worked on it."""
    note_provenance(where, experiment.train)
    return zoo.train_experiment(experiment, where)


def experiment_of(
    recipe: dict[str, Any],
    stage: dict[str, Any],
    data_root: str | None = None,
    start: str | Path | None = None,
) -> zoo.Experiment:
    """One run of a recipe: ``stage`` is the recipe itself or its ``fine_tune``.

    ``start`` is what it starts from, a released name or the folder of a run.
    """
    return zoo.Experiment.build(
        recipe["variant"],
        recipe["dataset"],
        model=stage.get("model"),
        train=stage.get("train"),
        objective=stage.get("objective"),
        labelled=recipe.get("labelled"),
        data_root=data_root,
        start_from=start,
    )


def note_provenance(directory: Path, settings: TrainingConfig) -> None:
    """Note revision and hardware, unless the run has all its epochs or they were the last ones."""
    directory.mkdir(parents=True, exist_ok=True)
    log, metrics = directory / "provenance.json", directory / "metrics.jsonl"
    begun = (directory / "config.yaml").exists()  # a run that was refused has no part in it
    noted = json.loads(log.read_text()) if begun and log.exists() else []
    trained = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    now = {"revision": revision(), "hardware": hardware(choose_device(settings.device))}
    if not noted or (trained < settings.epochs and noted[-1] != now):
        write_json(log, [*noted, now])


def registry_entry(
    recipe: dict[str, Any], file: Path, evaluation: Evaluation, made: dict[str, Any]
) -> dict[str, Any]:
    """What registry.yaml says of the checkpoint."""
    content = file.read_bytes()
    return {
        "variant": recipe["variant"],
        "dataset": recipe["dataset"],
        "summary": recipe["summary"],
        "file": file.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "license": LICENSE,
        "data_license": registry().dataset(recipe["dataset"]).license,
        "metrics": figures(evaluation),
        "recipe": made,
    }


def made_by(recipe: dict[str, Any], runs: list[zoo.Run]) -> dict[str, Any]:
    """Command, seed, revision, hardware and duration of the runs."""
    logs = [json.loads((run.directory / "provenance.json").read_text()) for run in runs]
    noted = [note for log in logs for note in log]
    epochs = [len(run.history) for run in runs]
    seconds = list(map(training_seconds, runs))
    began = read_mapping(runs[0].directory / "config.yaml").get("start_from")
    start = "" if began is None else f", from the file with SHA-256 {began['sha256']}"
    trained = f"{sum(seconds) / 60:.1f} minutes, {' + '.join(map(str, epochs))} epochs"
    return {
        "command": command(recipe),
        "seed": first_seed(recipe),
        "revision": " and ".join(dict.fromkeys(each["revision"] for each in noted)),
        "hardware": " and ".join(dict.fromkeys(each["hardware"] for each in noted)),
        "duration": trained + start,
    }


def of_text(evaluation: Evaluation) -> str:
    """What is measured of text alone, as a list."""
    if evaluation.text is None:
        return ""
    tokens = f"{evaluation.text.tokens:.2f} tokens a sentence"
    lines = [
        ("perplexity", f"{evaluation.text.perplexity:.2f} ({tokens})"),
        ("unknown tokens", evaluation.text.unknown_tokens),
        *evaluation.text.lines,
    ]
    return "\n\n" + "\n".join(f"- {label}: {figure}" for label, figure in lines)


def show(name: str, file: Path, data_root: str | None, drawn_pixels: bool = False) -> str:
    """Samples and reconstructions, as Markdown for the card.

    Means of p(x|z), or draws from it where pixels say more of each other than codes do of them.
    """
    model = zoo.load(file)
    data = load_for_model(model.config, str(checkpoint.read_metadata(file).dataset), root=data_root)
    if isinstance(model, UniVAE) and model.input_kind == "tokens":
        return text_card(model, data)
    draw(model, data.test, CHECKPOINTS / "images" / f"{name}.png", drawn_pixels)
    drawn = "samples from the prior"
    if model.conditioning is not None:
        told = f"told the {model.conditioning.on} of the test set in turn"
        drawn += f", {'a row for each class' if model.conditioning.classes else told}"
    beside = f"Left: {drawn}. Right: test images, each beside its reconstruction."
    if drawn_pixels:
        beside += " Both are draws from p(x|z), not its means."
    return f"![samples](images/{name}.png)\n\n{beside}"


def draw(
    model: LatentVariableModel, test: Examples, path: Path, drawn_pixels: bool = False
) -> None:
    """Samples from the prior, and test images beside their reconstructions, in one picture.

    A model that is told a class makes a row of samples of each.
    """
    rows, told = rows_of(model, test)
    fixed = test.take(4 * rows).fixed(model.input_kind, seed=0)
    batch = fixed.batch(torch.arange(len(fixed)), kind="real")
    generator = torch.Generator().manual_seed(0)
    if drawn_pixels:
        with torch.no_grad(), seeded(0, torch.device("cpu")):
            codes = model.sample_codes(8 * rows, generator=generator, condition=told)
            drawn = model.decode(codes, told).sample()
            rebuilt = model.decode(model.encode(batch), batch.condition).sample()
    else:
        drawn = model.sample(8 * rows, generator=generator, condition=told)
        rebuilt = torch.as_tensor(model.reconstruct(batch))
    pairs = torch.stack([batch.x, rebuilt], 1).flatten(0, 1)
    samples = torch.as_tensor(drawn).unflatten(0, (rows, 8))
    picture = torch.cat([samples, pairs.unflatten(0, (rows, 8))], 1).flatten(0, 1)
    path.parent.mkdir(exist_ok=True)
    save_grid(path, picture, columns=16, scale=enlargement(picture))


def rows_of(model: LatentVariableModel, test: Examples) -> tuple[int, Tensor | None]:
    """How many rows of 8 samples there are, one for each class, and what the samples are told."""
    classes = None if model.conditioning is None else model.conditioning.classes
    if classes is None:
        return 8, test.conditions(64)
    return classes, torch.arange(classes).repeat_interleave(8)


if __name__ == "__main__":
    sys.exit(main())
