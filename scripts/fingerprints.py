"""Short trainings from one seed, and a hash of the weights that each ends with.

Run in two checkouts, it says which trainings a change has moved: where the hashes are equal, none
of their weights differs in a bit. Names and order of the weights do not count. The third part of
each line is the validation's figures, which tell a last bit from a fault.

    python scripts/fingerprints.py                  # all, a line each
    python scripts/fingerprints.py vmf-vae iwae     # those
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo
from zoo.errors import did_you_mean

SEED = 3
HIERARCHY: dict[str, Any] = {
    "scales": [
        {"channels": 8, "groups": 2, "latents": 3},
        {"channels": 8, "groups": 2, "latents": 2},
    ],
    "stem": [{"channels": 8}],
}
TRANSFORMER: dict[str, Any] = {"layers": 4, "groups": 2, "width": 32, "hidden": 48}
TRAININGS: dict[str, dict[str, Any]] = {
    "gaussian-vae": {"epochs": 4, "latent_dim": 8, "kl_warmup_steps": 10, "clip_grad_norm": 50.0},
    "gaussian-vae-conv-bf16": {"backbone": "conv", "precision": "bfloat16", "ema_decay": 0.99},
    "beta-vae": {"epochs": 3, "beta": 2.0, "free_bits": 0.1},
    "vmf-vae": {"epochs": 3},
    "vmf-vae-fixed": {"epochs": 3},
    "power-spherical-vae": {"epochs": 3},
    "autoencoder": {"epochs": 3, "mixture_components": 3},
    "nvae-lite": {"kl_warmup_steps": 12, "balance": True, **HIERARCHY},
    "univae": {"dropout": 0.1, **TRANSFORMER},
    "univae-batch-norm": {"posterior": "batch-norm", **TRANSFORMER},
    "gaussian-vae-iwae": {"objective": "iwae", "samples": 5},
    "vmf-vae-mixture": {"likelihood": "discretized-logistic-mixture"},
}
"""Options by the variant's name, behind which a name may say more; two epochs where none says."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which trainings")
    names = parser.parse_args(arguments).names or list(TRAININGS)
    for name in names:
        if name not in TRAININGS:
            parser.error(f"unknown training {name!r}{did_you_mean(name, TRAININGS)}")
    torch.set_num_threads(1)
    for name in names:
        weights, figures = train(name)
        print(name, weights, json.dumps(figures), flush=True)
    return 0


def train(name: str) -> tuple[str, dict[str, float]]:
    """The hash of the weights, and the validation's figures."""
    variant = max((v for v in zoo.list_variants() if name.startswith(v)), key=len)
    options = {"epochs": 2, "seed": SEED, "progress": False, **TRAININGS[name]}
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train(variant, directory=Path(folder) / "run", **options)
    figures = {key: value for key, value in run.metrics.items() if key.startswith("validation")}
    return fingerprint(run.model.state_dict().values()), figures


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A hash of tensors in any order."""
    return _sha256("".join(sorted(_of_one(tensor) for tensor in tensors)).encode())[:16]


def _of_one(tensor: Tensor) -> str:
    values = tensor.detach().cpu().reshape(-1)
    return f"{tuple(tensor.shape)} {_sha256(values.view(torch.uint8).numpy().tobytes())}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
