"""How well a VAE finds what does not belong, beside the detectors of other libraries.

    python scripts/measure_anomaly.py --data-root DIR
    python scripts/measure_anomaly.py --table

Three parts, or those that are named. "vectors": the sets of DIR/anomaly, a model trained on half of
the normal examples, the other half and the anomalies judged. "digits": a model of each digit of
MNIST, all test images judged. "fashion": the released hierarchy of Fashion-MNIST, its test images
and those of MNIST judged by several scores. What scripts/results/anomaly.json holds is not measured
again, and several processes may share the work. No label of an anomaly is used in training, but the
recipe of vectors was chosen among two dozen by the figures of the seeds 0, 5 and 6.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _records import environment, positive, read_json, write_json
from filelock import FileLock
from numpy.typing import NDArray
from scipy.stats import ks_2samp, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

import zoo
from zoo.core.component import Selected
from zoo.registry import registry
from zoo.tasks.anomaly import Anomalies

OUTPUT = Path(__file__).with_name("results") / "anomaly.json"
PARTS = ("vectors", "digits", "fashion")
SETS = ("cardio", "thyroid", "mammography", "optdigits", "satellite", "shuttle")
VECTOR_MODEL: dict[str, Any] = {
    "latent_dim": 8,
    "hidden": [512, 256],
    "likelihood": {"name": "gaussian", "learned": True},
}
VECTOR_TRAINING: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 256,
    "lr": 3e-3,
    "schedule": "cosine",
    "kl_warmup_steps": 200,
}
EPOCH, JITTER = 30_000, 0.4
"""Of vectors: copies of them, this many in all, each with noise of its own of this deviation.

Columns that hold few values would have a density without bound.
"""
HELD_OUT = 5
"""One in so many of the normal examples of the training validates, and calibrates."""
DIGIT_MODEL: dict[str, Any] = {
    "latent_dim": 16,
    "hidden": [512],
    "likelihood": {"name": "gaussian", "learned": True, "scale": 0.3},
}
DIGIT_TRAINING: dict[str, Any] = {
    "lr": 1e-3,
    "schedule": "cosine",
    "batch_size": 128,
    "epochs": 40,
}
DIGIT_SCORE = {"name": "reconstruction"}
"""This and the recipe were chosen on the validation split, of the digits 2, 4 and 8."""
TRAINING: dict[str, Any] = {
    "precision": "float32",
    "device": "cpu",
    "checkpoint_seconds": 1000.0,
    "sample_every_epochs": 1_000_000,
    "progress": False,
}
SCORE = {"name": "likelihood", "samples": 16}
IMAGES, CALIBRATION = 500, 250
"""Of Fashion-MNIST and of MNIST, and of what calibrates, at even distances."""
METHODS = ("vae", "isolation-forest", "lof", "pca", "ecod")
FASHION = "nvae-lite-fashion-mnist"
FASHION_SCORES: dict[str, dict[str, Any]] = {
    "likelihood": {"name": "likelihood", "samples": 4},
    "likelihood-ratio": {"name": "likelihood-ratio", "samples": 64, "fine": 5},
    "complexity": {"name": "complexity", "samples": 4},
    "reconstruction": {"name": "reconstruction"},
}
"""The coarse groups of the ratio are the first that carry half of the nats on the model's card:
8.77 + 0.73 + 3.91 of 25.29."""

Vectors = NDArray[np.float64]


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing, then print the tables."""
    options = parse_arguments(arguments)
    torch.set_num_threads(1)
    if not options.table:
        for part in options.parts:
            for key, measure in WORK[part](options):
                found = read_json(options.output)
                if key not in found.get(part, {}):
                    record(options.output, part, key, measure())
    print("\n\n".join(tables(read_json(options.output))))
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data-root", type=Path, help="where the data are")
    parser.add_argument("--seeds", type=positive, default=5, help="of each set of vectors")
    parser.add_argument("--sets", nargs="+", default=SETS, help="of vectors")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {min(unknown)!r}; known: {', '.join(PARTS)}")
    return options


def record(output: Path, part: str, key: str, found: dict[str, Any]) -> None:
    """Add what was measured, with what it depends on."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_suffix(".lock")):
        content = read_json(output)
        content.setdefault(part, {})[key] = {**found, **environment()}
        write_json(output, content)
    print(part, key, found, flush=True)


def vectors(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """A set and a seed each."""
    for seed in range(options.seeds):
        for name in options.sets:
            yield f"{name}/{seed}", lambda name=name, seed=seed: detect(options, name, seed)


def detect(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Ours and every baseline on one division of a set; normal examples alone are learned."""
    with np.load(options.data_root / "anomaly" / f"{name}.npz") as file:
        x, is_anomaly = file["X"].astype(np.float64), file["y"] == 1
    normal = np.random.default_rng(seed).permutation(x[~is_anomaly])
    learned, held = np.array_split(normal, 2)
    learned, judged = standardised(learned, np.concatenate([held, x[is_anomaly]]))
    is_anomaly = np.arange(len(judged)) >= len(held)
    found = {}
    for baseline in registry().names("baselines"):
        detector = Selected.parse("baselines", baseline)
        if detector.component.task == "anomaly":
            method = detector.build()
            scores = method.scores(method.fit(learned, seed), judged)
            found[baseline] = figures(scores, is_anomaly)
    run, normal = train(learned, seed)
    result = judge(run.model, judged, normal, SCORE)
    ours = result.scores.numpy()
    uniform = ks_2samp(result.calibration.numpy(), ours[~is_anomaly]).pvalue
    return {"vae": figures(ours, is_anomaly), **found, "ks": round(float(uniform), 4)}


def standardised(learned: Vectors, judged: Vectors) -> tuple[Vectors, Vectors]:
    """Both, so that columns of what is learned have mean 0 and deviation 1, or are constant."""
    deviation = learned.std(0)
    deviation[deviation == 0] = 1
    return (learned - learned.mean(0)) / deviation, (judged - learned.mean(0)) / deviation


def figures(scores: Vectors, is_anomaly: NDArray[np.bool_]) -> dict[str, float]:
    """Area under the receiver operating characteristic, and average precision."""
    return {
        "auroc": round(float(roc_auc_score(is_anomaly, scores)), 5),
        "ap": round(float(average_precision_score(is_anomaly, scores)), 5),
    }


def train(learned: Vectors, seed: int) -> tuple[zoo.Run, Vectors]:
    """A model of normal vectors, and those that were held out of them."""
    held, rest = np.split(learned, [len(learned) // HELD_OUT])
    random = np.random.default_rng(seed)
    copies = rest[np.arange(EPOCH) % len(rest)]
    data = {
        "train": copies + JITTER * random.normal(size=copies.shape),
        "validation": held,
        "test": held,
    }
    settings = {**VECTOR_MODEL, **VECTOR_TRAINING, **TRAINING}
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train("gaussian-vae", dataset=data, directory=folder, seed=seed, **settings)
    return run, held


def digits(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """A digit each."""
    for digit in range(10):
        yield str(digit), lambda digit=digit: detect_digit(options, digit)


def detect_digit(options: argparse.Namespace, digit: int) -> dict[str, Any]:
    """A model of one digit's training images, all test images judged."""
    mnist = zoo.load_dataset("mnist", root=options.data_root)
    data = {
        name: split.rows[split.labels == digit].numpy()
        for name, split in mnist.splits.items()
        if split.labels is not None
    }
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train(
            "gaussian-vae",
            dataset=data,
            directory=folder,
            **DIGIT_MODEL,
            **DIGIT_TRAINING,
            **TRAINING,
        )
    found = judge(run.model, mnist.test.rows, data["validation"], DIGIT_SCORE)
    assert mnist.test.labels is not None
    return figures(found.scores.numpy(), (mnist.test.labels != digit).numpy())


def fashion(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """A score each."""
    for name in FASHION_SCORES:
        yield name, lambda name=name: detect_mnist(options, name)


def detect_mnist(options: argparse.Namespace, score: str) -> dict[str, Any]:
    """Images of MNIST among those of Fashion-MNIST, which the model has learned."""
    own, others = (
        zoo.load_dataset(name, root=options.data_root) for name in ("fashion-mnist", "mnist")
    )
    images = [data.test.evenly(IMAGES).rows for data in (own, others)]
    normal = own.validation.evenly(CALIBRATION).rows
    found = judge(zoo.load(FASHION), torch.cat(images), normal, FASHION_SCORES[score])
    of_others = found.p_values[IMAGES:]
    flagged = round(float((of_others <= 0.05).double().mean()), 4)
    is_other = np.arange(2 * IMAGES) >= IMAGES
    return {**figures(found.scores.numpy(), is_other), "flagged at 0.05": flagged}


def judge(model: Any, x: Any, normal: Any, score: dict[str, Any]) -> Anomalies:
    """What is found of x, by normal examples that the model has not learned."""
    return zoo.anomaly(model, x, score=score, calibration=normal, calibration_examples=len(normal))


WORK = {"vectors": vectors, "digits": digits, "fashion": fashion}


def tables(found: dict[str, Any]) -> Iterator[str]:
    """What is recorded, as docs/anomaly.md shows it."""
    if records := found.get("vectors"):
        yield vector_table(records)
    if records := found.get("digits"):
        mean = np.mean([record["auroc"] for record in records.values()])
        shown = ", ".join(f"{digit}: {records[digit]['auroc']:.3f}" for digit in sorted(records))
        yield f"One digit of MNIST is normal, AUROC: {shown}; mean of {len(records)}: {mean:.4f}"
    if records := found.get("fashion"):
        lines = [
            "| score | AUROC | average precision | MNIST flagged at 5 % |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{name}` | {record['auroc']:.3f} | {record['ap']:.3f} "
            f"| {100 * record['flagged at 0.05']:.0f} % |"
            for name, record in records.items()
        ]
        yield "\n".join(lines)


def vector_table(records: dict[str, Any]) -> str:
    """AUROC and average precision of each method, averaged over seeds, and its mean rank."""
    methods = [key for key in next(iter(records.values())) if key in METHODS]
    sets = sorted({key.partition("/")[0] for key in records})
    lines = [f"| set | {' | '.join(methods)} | KS |", "|---" * (len(methods) + 2) + "|"]
    ranks = []
    for name in sets:
        own = [record for key, record in records.items() if key.startswith(f"{name}/")]
        means = {m: [np.mean([r[m][f] for r in own]) for f in ("auroc", "ap")] for m in methods}
        ranks.append(rankdata([-means[method][0] for method in methods]))
        cells = [f"{auroc:.3f} / {ap:.3f}" for auroc, ap in means.values()]
        uniform = ", ".join(f"{record['ks']:.2f}" for record in own)
        lines.append(f"| {name} | {' | '.join(cells)} | {uniform} |")
    cells = [f"{rank:.2f}" for rank in np.mean(ranks, axis=0)]
    return "\n".join([*lines, f"| mean rank | {' | '.join(cells)} | |"])


if __name__ == "__main__":
    raise SystemExit(main())
