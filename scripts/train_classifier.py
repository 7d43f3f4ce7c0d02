"""Train and release the classifiers in whose features generated images are compared.

    python scripts/train_classifier.py classifier-mnist --data-root DIR

Each is the encoder of the convolutional backbone and a linear layer. Half of the images of every
batch are binarised anew, so that binary images are read as well as grey ones. Which epoch is
released is decided on the validation split; the test set is read once, for the figures. A call
that was killed goes on after the last whole epoch. The file, in half precision, goes to
checkpoints/, its entry to registry.yaml, its figures to scripts/results/classifiers.json.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from _entries import write_entry
from _records import environment, read_json, revision, write_json
from torch import Tensor
from torch.nn.functional import cross_entropy

from zoo.data import Dataset, Examples, load_dataset
from zoo.data.binarise import binarise
from zoo.devices import hardware
from zoo.evaluation.results import Estimate, mean_of
from zoo.files import sha256
from zoo.metrics.features import Classifier, ClassifierConfig, load_classifier, save_classifier
from zoo.metrics.features.compared import Images
from zoo.randomness import seeded
from zoo.registry import packaged_root
from zoo.storage.tensors import read_tensors, write_tensors

ROOT = packaged_root()
OUTPUT = Path(__file__).with_name("results") / "classifiers.json"
FEATURES = 64
SIZES: dict[str, Any] = {
    "encoder_channels": (32, 64, 32), "encoder_blocks": (0, 1, 0), "hidden": FEATURES,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "classifier-digits": {"dataset": "digits", "epochs": 120, "batch": 64},
    "classifier-mnist": {"dataset": "mnist", "epochs": 12, "batch": 128},
    "classifier-fashion-mnist": {"dataset": "fashion-mnist", "epochs": 12, "batch": 128},
}
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.02
SEED = 0


def main(arguments: list[str] | None = None) -> int:
    """Release every classifier named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(RECIPES), metavar="NAME")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--runs", type=Path, default=Path("runs/classifiers"))
    options = parser.parse_args(arguments)
    for name in options.names:
        release(name, RECIPES[name], options)
    return 0


def release(name: str, recipe: dict[str, Any], options: argparse.Namespace) -> None:
    """Train (or go on), measure and write one classifier."""
    data = load_dataset(recipe["dataset"], root=options.data_root)
    training = Training(options.runs / name, data, recipe)
    training.run()
    file = ROOT / "checkpoints" / f"{name}.safetensors"
    best, said = training.best(), {"recipe": recipe, "seed": SEED}
    save_classifier(file, best, said)
    figures = measured(load_classifier(file), data)  # as rounded to half precision
    save_classifier(file, best, {**said, "metrics": figures})
    command = shlex.join(["python", "scripts/train_classifier.py", name])
    entry = {
        "dataset": recipe["dataset"],
        "summary": f"Tells the classes of {recipe['dataset']}, grey or binary; {FEATURES} features",
        "file": file.name,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "license": "MIT",
        "data_license": data.license,
        "metrics": figures,
        "recipe": {
            "command": command,
            "seed": SEED,
            "revision": revision(),
            "hardware": hardware(torch.device("cpu")),
            "duration": f"{training.seconds / 60:.1f} minutes, {recipe['epochs']} epochs",
        },
    }
    write_entry(ROOT / "registry.yaml", "classifiers", name, entry)
    record = {"sha256": entry["sha256"], **figures, "command": command, **environment()}
    write_json(OUTPUT, {**read_json(OUTPUT), name: record})
    print(f"{name}: {json.dumps(figures)}", flush=True)


class Training:
    """A run in a folder, which holds the last epoch's state and the best one's weights."""

    def __init__(self, folder: Path, data: Dataset, recipe: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state, self.best_file = folder / "state.safetensors", folder / "best.safetensors"
        self.data, self.recipe = data, recipe
        config = {
            "input_shape": data.train.shape,
            "classes": data.classes,
            "backbone": {"name": "conv", **SIZES},
        }
        with seeded(SEED, torch.device("cpu")):
            self.classifier = Classifier(ClassifierConfig.parse(config, "classifier"))
        self.steps = math.ceil(len(data.train) / recipe["batch"])
        parameters = self.classifier.parameters()
        self.optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, LEARNING_RATE, total_steps=recipe["epochs"] * self.steps
        )
        self.epoch, self.accuracy, self.seconds = 0, 0.0, 0.0

    def run(self) -> None:
        """All epochs that are left."""
        if self.state.exists():
            self._restore()
        while self.epoch < self.recipe["epochs"]:
            started = time.monotonic()
            self._train()
            self.epoch += 1
            found = [share.mean().item() for share in right(self.classifier, self.data.validation)]
            if sum(found) / 2 >= self.accuracy:
                self.accuracy = sum(found) / 2
                write_tensors(self.best_file, self.classifier.state_dict(), {})
            self.seconds += time.monotonic() - started
            self._save()
            print(f"epoch {self.epoch}: validation {found[0]:.4f}, {found[1]:.4f}", flush=True)

    def best(self) -> Classifier:
        """The classifier of the best epoch."""
        self.classifier.load_state_dict(read_tensors(self.best_file)[0])
        self.classifier.standardise(
            Images(self.classifier.eval(), self.data.train).features.float()
        )
        return self.classifier

    def _train(self) -> None:
        """One epoch, its noise of the epoch's number alone."""
        self.classifier.train()
        generator = torch.Generator().manual_seed(SEED * 10_000 + self.epoch)
        order = torch.randperm(len(self.data.train), generator=generator)
        for index in order.split(self.recipe["batch"]):
            batch = self.data.train.batch(index, kind="real")
            assert batch.labels is not None
            x = half_binary(batch.x, generator)
            loss = cross_entropy(self.classifier(x), batch.labels, label_smoothing=0.05)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()

    def _save(self) -> None:
        moments = self.optimizer.state_dict()["state"]
        tensors = {f"model.{name}": t for name, t in self.classifier.state_dict().items()}
        tensors |= {f"{i}.{name}": t for i, of in moments.items() for name, t in of.items()}
        position = {"epoch": self.epoch, "accuracy": self.accuracy, "seconds": self.seconds}
        write_tensors(self.state, tensors, {"position": json.dumps(position)})

    def _restore(self) -> None:
        tensors, metadata = read_tensors(self.state)
        self.epoch, self.accuracy, self.seconds = json.loads(metadata["position"]).values()
        state: dict[Any, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            state.setdefault(part if part == "model" else int(part), {})[name] = tensor
        self.classifier.load_state_dict(state.pop("model"))
        for _ in range(self.epoch * self.steps):
            self.optimizer.step()  # of no gradients: it changes nothing
            self.schedule.step()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def half_binary(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W), each binarised with probability one half."""
    binary = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
    return torch.where(binary, binarise(x, generator), x)


@torch.no_grad()
def right(classifier: Classifier, split: Examples) -> tuple[Tensor, Tensor]:
    """Whether each image is told right, (N,): as grey levels, and binarised once with seed 0."""
    classifier.eval()
    found = []
    for examples in (split, split.fixed("binary", 0)):
        batches = list(examples.batches(1000, "real"))
        classes = torch.cat([classifier(batch.x).argmax(-1) for batch in batches])
        found.append((classes == split.labels).double())
    return found[0], found[1]


def measured(classifier: Classifier, data: Dataset) -> dict[str, Any]:
    """The accuracy on the test split, as the registry has it."""
    kinds = {"accuracy": "in [0, 1]", "accuracy_binary": "binarised with seed 0"}
    shares = right(classifier, data.test)
    return {
        figure: entry(mean_of(figure, share), f"{data.name}/test, {len(share)} examples, {kind}")
        for (figure, kind), share in zip(kinds.items(), shares, strict=True)
    }


def entry(found: Estimate, test_set: str) -> dict[str, Any]:
    """A figure as the registry has it."""
    return {"value": found.value, "stderr": round(found.stderr, 5), "test_set": test_set}


if __name__ == "__main__":
    sys.exit(main())
