"""The benchmarks and the reproduction run, at sizes that say nothing about speed."""

from __future__ import annotations

import importlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from zoo.nn.mlp import MLPConfig
from zoo.variants.vae import VAE, VAEConfig

ROOT = Path(__file__).parents[1]
TRAINED_ON = 261  # two batches of 128 or four of 64, and a rest
VALIDATION = 5000


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script by name, as Python does when it runs one."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with noise in MNIST's place."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for half, count in (("train", TRAINED_ON + VALIDATION), ("t10k", 20)):
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        images = struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes()
        (folder / f"{half}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{half}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, count) + labels.tobytes()
        )
    return root


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("benchmark_training", ["--rounds", "0"], "must be at least 1"),
        ("benchmark_training", ["--contenders", "bare", "zo"], "unknown contenders zo; here run"),
        ("benchmark_training", ["--contenders", "pythae"], "unknown contenders pythae"),
        ("benchmark_training", ["--wait", "-1"], "must be a number of seconds"),
        ("benchmark_evaluation", ["--samples", "many"], "invalid positive value: 'many'"),
        ("benchmark_evaluation", ["--wait", "nan"], "must be a number of seconds"),
        ("benchmark_startup", ["--repeats", "-3"], "must be at least 1"),
        ("reproduce_nvae", ["--dims", "0"], "must be at least 1"),
        ("reproduce_nvae", ["--directory", "runs/{d}", "--seeds", "0", "1"], "use {d} and {seed}"),
        ("reproduce_nvae", ["--directory", "runs/{dim}"], "only {d} and {seed} are known"),
    ],
)
def test_nonsense_is_refused(
    script: Any, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as error:
        script(name).main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


NAMES = ["benchmark_training", "benchmark_evaluation", "benchmark_startup", "reproduce_nvae"]


@pytest.mark.parametrize("name", NAMES)
def test_help_explains(script: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    module = script(name)
    with pytest.raises(SystemExit) as error:
        module.main(["--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert module.__doc__.splitlines()[-2].strip() in shown


def test_the_bare_loop_trains_the_network_zoo_trains(script: Any) -> None:
    zoos = VAE(VAEConfig(input_shape=(1, 28, 28), latent_dim=5, backbone=MLPConfig(hidden=(30,))))
    bare = script("benchmark_training").PlainVAE(784, 30, 5)
    assert [tuple(p.shape) for p in bare.parameters()] == [
        tuple(p.shape) for p in zoos.parameters()
    ]
    with torch.no_grad():
        for own, theirs in zip(bare.parameters(), zoos.parameters(), strict=True):
            own.copy_(theirs)
    x = torch.rand(50, 784).round()
    torch.manual_seed(1)
    loss = bare(x)
    torch.manual_seed(1)
    elbo = zoos.elbo_terms(x.view(-1, 1, 28, 28)).elbo.mean()
    torch.testing.assert_close(loss, -elbo, rtol=1e-5, atol=1e-4)


def test_training_benchmark_compares_within_rounds(
    script: Any, mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "training.json"
    arguments = ["--data-root", str(mnist), "--json", str(file), "--contenders", "bare", "zoo"]
    arguments += ["--rounds", "2", "--epochs", "1", "--threads", "1", "--wait", "0"]
    assert script("benchmark_training").main(arguments) == 0
    bare, ours = json.loads(file.read_text())["rows"]
    assert (bare["name"], ours["name"], ours["reference"]) == ("bare", "zoo", "bare")
    seconds = [[each["seconds"] for each in row["rounds"]] for row in (bare, ours)]
    ratios = [b / o for b, o in zip(*seconds, strict=True)]
    assert len(ratios) == 2
    assert all(any(abs(shown - r) < 1e-9 for r in ratios) for shown in ours["ratio"][1:])
    if bare["left_out"] == 0:
        assert bare["ms_per_step"][1] == pytest.approx(1e3 * min(seconds[0]) / 2)
    assert "bar 0.95 x bare: zoo reaches" in capsys.readouterr().out


def test_a_contender_that_cannot_start_is_named_with_its_error(script: Any, mnist: Path) -> None:
    arguments = ["--data-root", str(mnist), "--contenders", "pythae", "--wait", "0"]
    module = script("benchmark_training")
    with pytest.raises(SystemExit, match=r"(?s)pythae.*failed:.*No module named 'pythae'"):
        module.main([*arguments, "--pythae-python", sys.executable])


def test_evaluation_benchmark(script: Any, mnist: Path, tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    arguments = ["--data-root", str(mnist), "--json", str(file), "--wait", "0"]
    arguments += ["--threads", str(torch.get_num_threads())]
    module = script("benchmark_evaluation")
    small = ["--samples", "3", "--examples", "7", "--parts", "2"]
    assert module.main([*arguments, *small]) == 0
    result = json.loads(file.read_text())
    assert [part["examples"] for part in result["parts"]] == [4, 3]
    assert result["peak_mebibytes"] >= result["peak_mebibytes_before"] > 0
    with pytest.raises(SystemExit, match="cannot be split into 10 parts"):
        module.main([*arguments, "--examples", "7"])


def test_products_run_every_row_through_every_layer(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    module = script("benchmark_evaluation")
    products = module.Products(network)
    shapes: list[tuple[int, ...]] = []
    multiply = torch.mm

    def mm(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        shapes.append((*x.shape, *weight.shape))
        return multiply(x, weight, out=out)

    monkeypatch.setattr(torch, "mm", mm)
    products.run(module.ROWS + 10)
    rows = module.ROWS
    assert shapes == [(rows, 3, 3, 5), (rows, 5, 5, 2), (10, 3, 3, 5), (10, 5, 5, 2)]


def test_startup_benchmark(script: Any, tmp_path: Path) -> None:
    zoo.train("gaussian-vae", directory=tmp_path, epochs=1, latent_dim=2, progress=False)
    file = tmp_path / "startup.json"
    arguments = ["--checkpoint", str(tmp_path), "--repeats", "1", "--wait", "0"]
    assert script("benchmark_startup").main([*arguments, "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["list_imports_torch"] is False
    assert [len(times) for times in result["seconds"].values()] == [1, 1, 1]


def test_startup_benchmark_shows_what_went_wrong(script: Any) -> None:
    with pytest.raises(SystemExit, match="no-such-checkpoint"):
        script("benchmark_startup").load_seconds("no-such-checkpoint")


def test_nvae_resumes_and_keeps_other_records(
    script: Any, mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "nvae.json"
    arguments = ["--data-root", str(mnist), "--output", str(output), "--dims", "2"]
    arguments += ["--directory", str(tmp_path / "d{d}-s{seed}"), "--samples", "2"]
    arguments += ["--epochs", "2", "--warmup-epochs", "1"]
    main = script("reproduce_nvae").main
    assert main([*arguments, "--seeds", "0"]) == 0
    weights = (tmp_path / "d2-s0" / "best.safetensors").read_bytes()
    assert main([*arguments, "--seeds", "1", "0"]) == 0
    assert (tmp_path / "d2-s0" / "best.safetensors").read_bytes() == weights
    records = json.loads(output.read_text())["records"]
    assert [(r["d"], r["seed"], r["epochs"], r["samples"]) for r in records] == [
        (2, 0, 2, 2),
        (2, 1, 2, 2),
    ]
    assert records[0]["settings"]["kl_warmup_steps"] == TRAINED_ON // 64
    assert records[0]["elbo"]["value"] == pytest.approx(
        records[0]["re"]["value"] - records[0]["kl"]["value"], abs=1e-3
    )
    mean = next(line for line in capsys.readouterr().out.splitlines() if " mean " in line)
    ours = -(records[0]["nll"]["value"] + records[1]["nll"]["value"]) / 2
    assert f"{ours:.2f} +- " in mean
    assert f"{ours + 135.73:+.2f}" in mean


def test_nvae_says_what_a_run_folder_of_other_settings_holds(
    script: Any, mnist: Path, tmp_path: Path
) -> None:
    arguments = ["--data-root", str(mnist), "--dims", "2", "--epochs", "1", "--samples", "2"]
    arguments += ["--directory", str(tmp_path / "run"), "--output", str(tmp_path / "nvae.json")]
    main = script("reproduce_nvae").main
    assert main([*arguments, "--warmup-epochs", "1"]) == 0
    with pytest.raises(SystemExit, match=r"error: .*train\.patience: 50 -> 3"):
        main([*arguments, "--warmup-epochs", "1", "--patience", "3"])


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
def test_work_of_descendants_is_not_foreign(script: Any) -> None:
    timing = script("_timing")
    before = timing._own_ticks()
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    subprocess.run([sys.executable, "-c", nested], check=True)
    assert timing._own_ticks() - before >= 45  # hundredths of a second


def test_disturbed_values_are_left_out_unless_all_are(script: Any) -> None:
    quiet = script("_timing").quiet
    assert quiet([(1.0, False), (2.0, True), (3.0, False)]) == ([1.0, 3.0], "")
    assert quiet([(1.0, True), (2.0, True)]) == ([1.0, 2.0], "!")
