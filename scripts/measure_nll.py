"""The importance-weighted NLL of a model with very many samples, in pieces that survive a kill.

    python scripts/measure_nll.py nvae-lite-mnist --samples 1000 --data-root DIR

`zoo evaluate` measures everything at once and begins anew when it was killed, which hurts where a
figure takes hours. Here the test split is measured in blocks, each with noise of its own seed; a
block that is recorded is not measured again, and several processes may share the work (--share 1/2
and --share 2/2). Blocks and, once all are there, the figure go to scripts/results/nll.json.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from _records import environment, positive, read_json, write_json
from filelock import FileLock
from torch import Tensor

import zoo
from zoo.compilation import compiled
from zoo.core.bounds import Weigh, log_evidence, weigher
from zoo.core.model import LatentVariableModel
from zoo.data import Examples, load_for_model
from zoo.files import sha256
from zoo.memory import keep_freed_memory
from zoo.randomness import seeded
from zoo.storage import checkpoint
from zoo.storage.hub import locate

OUTPUT = Path(__file__).with_name("results") / "nll.json"
TEST_SEED = 0
"""Of the binarisation: what every figure of the zoo is measured on."""
AT_ONCE = 2
"""Images weighted together."""


def main(arguments: list[str] | None = None) -> int:
    """Measure the blocks that are missing, then print the figure."""
    options = parse_arguments(arguments)
    path = locate(options.source)
    model = zoo.load(path)
    if not model.has_evidence:
        raise SystemExit(f"error: {options.source} defines no log p(x)")
    dataset = str(checkpoint.read_metadata(path).dataset)
    test = load_for_model(model.config, dataset, root=options.data_root).test
    test = test.fixed(model.input_kind, TEST_SEED)
    wanted = {
        "sha256": sha256(path),
        "test_set": f"{dataset}/test, {len(test)} examples",
        "samples": options.samples,
        "block": options.block,
    }
    keep_freed_memory()
    weigh = compiled(weigher(model)) if options.compile else None
    count = math.ceil(len(test) / options.block)
    share, of = options.share
    for number in range(share - 1, count, of):
        if str(number) not in read(options, wanted)["blocks"]:
            record(options, wanted, number, measured(model, test, number, weigh, options))
    print(finish(options, wanted, count, len(test)))
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a released name, a file or a run's folder")
    parser.add_argument("--samples", type=positive, default=1000)
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--block", type=positive, default=100, metavar="IMAGES")
    parser.add_argument(
        "--rows",
        type=positive,
        default=256,
        help="draws decoded at a time, or fewer where the model bounds them, as a univae does",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="weight draws through torch.compile: 1.3 times as many a second of univae",
    )
    parser.add_argument("--share", type=share_of, default=(1, 1), metavar="I/N")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return parser.parse_args(arguments)


def share_of(text: str) -> tuple[int, int]:
    """An argparse type: "2/3" is the second of three parts of the work."""
    share, _, of = text.partition("/")
    if not 1 <= int(share) <= int(of):
        raise argparse.ArgumentTypeError(f"must be like 1/2, got {text}")
    return int(share), int(of)


def measured(
    model: LatentVariableModel,
    test: Examples,
    number: int,
    weigh: Weigh | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Minus log p(x) of every example of a block."""
    places = torch.arange(len(test))[number * options.block :][: options.block]
    started = time.monotonic()
    nll: list[Tensor] = []
    with torch.no_grad(), seeded(1 + number, torch.device("cpu")):
        for batch in test.select(places).batches(AT_ONCE, model.input_kind):
            nll.append(-log_evidence(model, batch, options.samples, options.rows, weigh).log_p)
    seconds = time.monotonic() - started
    print(f"block {number}: {torch.cat(nll).mean():.3f}, {seconds:.0f} s", file=sys.stderr)
    return {"nll": torch.cat(nll).tolist(), "seconds": seconds, "compiled": options.compile}


def read(options: argparse.Namespace, wanted: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of the source under the same protocol, or a new record."""
    found: dict[str, Any] = read_json(options.output).get(str(options.source), {})
    if all(found.get(key) == value for key, value in wanted.items()):
        return found
    return {**wanted, "blocks": {}}


def record(
    options: argparse.Namespace, wanted: dict[str, Any], number: int, block: dict[str, Any]
) -> None:
    """Add a block; another process that adds one at the same time waits."""
    with locked(options):
        found = read(options, wanted)
        found["blocks"][str(number)] = block
        write(options, found)


def locked(options: argparse.Namespace) -> FileLock:
    """The lock of the output file."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(options.output.with_suffix(".lock"))


def write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Replace the source's record in the file."""
    write_json(options.output, {**read_json(options.output), str(options.source): found})


def finish(options: argparse.Namespace, wanted: dict[str, Any], count: int, examples: int) -> str:
    """The figure of all blocks so far, recorded once there are all."""
    with locked(options):
        found = read(options, wanted)
        if not found["blocks"]:
            return f"{options.source}: there is no block in this share of the work"
        values = torch.tensor(
            [value for block in found["blocks"].values() for value in block["nll"]],
            dtype=torch.float64,
        )
        figure = {
            "value": round(values.mean().item(), 5),
            "stderr": round((values.std() / math.sqrt(len(values))).item(), 5),
        }
        if len(found["blocks"]) == count and "nll" not in found:
            blocks = found["blocks"].values()
            command = ["python", "scripts/measure_nll.py", str(options.source)]
            command += ["--samples", options.samples, "--block", options.block]
            command += ["--rows", options.rows]
            command += ["--compile"] * any(block.get("compiled", False) for block in blocks)
            found |= {
                "nll": figure,
                "minutes": round(sum(block["seconds"] for block in blocks) / 60, 1),
                "command": shlex.join(map(str, command)),
                **environment(),
            }
            write(options, found)
    shown = f"{figure['value']:.3f} ± {figure['stderr']:.3f} nats (K = {options.samples})"
    return f"{options.source}: {shown}, {len(values)} of {examples} examples"


if __name__ == "__main__":
    raise SystemExit(main())
