"""Bits back on the test images: bits a pixel beside the model's own bound, and beside programs.

    python scripts/measure_compression.py gaussian-vae-mnist --data-root DIR

Every source's test images are compressed and decompressed, and what comes back is compared with
them. Parts that are recorded under the same protocol are not measured again: the file, kept in the
folder --files, the bound, what is decompressed, damaged files, of which every one is to be refused,
and the programs on these images. All goes to scripts/results/compression.json; --table prints it.
"""

from __future__ import annotations

import argparse
import math
import random
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from _records import environment, positive, read_json, revision, write_json
from torch import Tensor

import zoo
from zoo.core.component import component_class
from zoo.core.model import LatentVariableModel
from zoo.data import load_for_model
from zoo.errors import DataError
from zoo.files import sha256
from zoo.likelihoods.base import HIGHEST
from zoo.randomness import seeded
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.storage.hub import locate
from zoo.tasks.compress.container import unpacked

OUTPUT = Path(__file__).with_name("results") / "compression.json"
TEST_SEED = 0
"""Of the binarisation: what every figure of the zoo is measured on."""
BOUND_SEED = 1
DAMAGED_EXAMPLES = 50
"""In the file that is damaged."""


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing of each source, or print the table."""
    options = parse_arguments(arguments)
    if options.table:
        print(table(read_json(options.output)))
        return 0
    torch.set_num_threads(1)
    for source in options.sources:
        measure(source, options)
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", help="released names, files or runs' folders")
    parser.add_argument("--examples", type=positive, help="only so many of the test images")
    parser.add_argument("--draws", type=positive, default=4, help="of each image, for the bound")
    parser.add_argument("--damaged", type=positive, default=1000, help="damaged files")
    parser.add_argument("--data-root", help="where the dataset's files are")
    parser.add_argument("--files", type=Path, default=Path("runs/compression"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="print the records as a table")
    return parser.parse_args(arguments)


def measure(source: str, options: argparse.Namespace) -> None:
    """Each part that is not recorded, recorded once it is there."""
    path = locate(source)
    model = zoo.load(path)
    x = test_images(model, path, options)
    protocol = {
        "sha256": sha256(path),
        "test_set": f"{checkpoint.read_metadata(path).dataset}/test, {len(x)} examples, "
        f"binarisation seed {TEST_SEED}",
        "draws": options.draws,
        "damaged_files": options.damaged,
    }
    found: dict[str, Any] = read_json(options.output).get(source, {})
    if any(found.get(key) != value for key, value in protocol.items()):
        found = protocol
    file = options.files / f"{Path(source).name}-{protocol['sha256'][:8]}-{len(x)}.zoo"
    parts = {
        "compressed": lambda: compressed(source, x, file),
        "bound": lambda: bound_of(model, x, options.draws),
        "decompressed": lambda: decompressed(source, x, file),
        "refused": lambda: refused(source, x, options.damaged),
        "programs": lambda: programs(model, x),
    }
    for name, part in parts.items():
        if name not in found:
            command = ["python", "scripts/measure_compression.py", source]
            command += ["--examples", str(options.examples)] * (options.examples is not None)
            found |= {name: part(), "command": shlex.join(command), **environment()}
            write_json(options.output, {**read_json(options.output), source: found})
            print(source, name, found[name], file=sys.stderr)


def test_images(model: LatentVariableModel, path: Path, options: argparse.Namespace) -> Tensor:
    """As the model reads them, (N, C, H, W)."""
    dataset = str(checkpoint.read_metadata(path).dataset)
    test = load_for_model(model.config, dataset, root=options.data_root).test
    test = test.take(options.examples or len(test)).fixed(model.input_kind, TEST_SEED)
    return torch.cat([batch.x for batch in test.batches(1000, model.input_kind)])


def compressed(source: str, x: Tensor, file: Path) -> dict[str, Any]:
    """The file, which is kept, and what it takes."""
    started = time.monotonic()
    data = zoo.compress(source, x)
    seconds = time.monotonic() - started
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return {
        "bytes": len(data),
        "bits_per_pixel": round(8 * len(data) / x.numel(), 5),
        "initial_bits": 32 * sum(block.seeds for block in unpacked(data)[1]),
        "images_per_second": round(len(x) / seconds, 1),
        "revision": revision(),
    }


def decompressed(source: str, x: Tensor, file: Path) -> dict[str, Any]:
    """That all came back; an error where it did not."""
    started = time.monotonic()
    found = zoo.decompress(source, file.read_bytes())
    seconds = time.monotonic() - started
    if not torch.equal(found, x):
        raise SystemExit(f"error: {source}: other images came back")
    return {"identical": len(found), "images_per_second": round(len(x) / seconds, 1)}


def bound_of(model: LatentVariableModel, x: Tensor, draws: int) -> float:
    """Minus the ELBO in bits a pixel."""
    with torch.no_grad(), seeded(BOUND_SEED, torch.device("cpu")):
        elbo = torch.cat([model.infer(part, draws).elbo for part in x.split(50)])
    return round(-elbo.double().mean().item() / math.log(2) / x[0].numel(), 5)


def programs(model: LatentVariableModel, x: Tensor) -> dict[str, float]:
    """Bits a pixel of every baseline."""
    highest = HIGHEST[model.input_kind]
    symbols = (x * highest).round().to(torch.uint8).numpy()
    rates = {}
    for name, spec in registry().baselines.items():
        rival = component_class("baselines", name)
        if rival.task == "compress":
            config = rival.Config.parse(spec.config, name)
            rates[name] = round(8 * rival(config).size(symbols, highest) / x.numel(), 5)
    return rates


def refused(source: str, x: Tensor, count: int) -> int:
    """Of so many damaged files those refused: cut short, or with a few bits or bytes changed."""
    data, noise = zoo.compress(source, x[:DAMAGED_EXAMPLES]), random.Random(0)
    model = zoo.load(source)
    return sum(is_refused(model, damaged(data, noise)) for _ in range(count))


def damaged(data: bytes, noise: random.Random) -> bytes:
    """A copy that differs."""
    copy, how = bytearray(data), noise.randrange(4)
    if how == 0:
        return data[: noise.randrange(len(data))]
    if how == 1:
        return data + noise.randbytes(noise.randrange(1, 100))
    start = noise.randrange(len(data))
    if how == 2:
        copy[start] ^= 1 << noise.randrange(8)
        return bytes(copy)
    stop = min(len(data), start + noise.randrange(1, 100))
    copy[start:stop] = bytes(byte ^ noise.randrange(1, 256) for byte in copy[start:stop])
    return bytes(copy)


def is_refused(model: LatentVariableModel, data: bytes) -> bool:
    """Whether decompressing raises what it should."""
    try:
        zoo.decompress(model, data)
    except DataError:
        return True
    return False


def table(records: dict[str, Any]) -> str:
    """Markdown; a dash for what is not measured yet."""
    lines = ["| bits a pixel | file | own bound | excess | initial bits | images a second |"]
    lines += ["|---|---|---|---|---|---|"]
    for source, found in records.items():
        file, bound = found["compressed"], found.get("bound")
        rate, speeds = file["bits_per_pixel"], [file, found.get("decompressed", {})]
        excess = "- | -" if bound is None else f"{bound:.4f} | {100 * (rate / bound - 1):.2f} %"
        each_way = ", ".join(str(each.get("images_per_second", "-")) for each in speeds)
        lines.append(
            f"| `{source}` | {rate:.4f} | {excess} | {file['initial_bits']:,} | {each_way} |"
        )
        lines += [f"| {name} | {x:.4f} | | | | |" for name, x in found.get("programs", {}).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
