"""The benchmarks and the reproduction run, at sizes that say nothing about speed."""

from __future__ import annotations

import importlib
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from forked_worker import FORKED
from PIL import Image

import zoo
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
        ("benchmarks.training", ["--rounds", "0"], "must be at least 1"),
        ("benchmarks.training", ["--contenders", "bare", "zo"], "unknown contenders zo; here run"),
        ("benchmarks.training", ["--contenders", "pythae"], "unknown contenders pythae"),
        ("benchmarks.training", ["--wait", "-1"], "must be a number of seconds"),
        ("benchmarks.evaluation", ["--samples", "many"], "invalid positive value: 'many'"),
        ("benchmarks.evaluation", ["--wait", "nan"], "must be a number of seconds"),
        ("benchmarks.startup", ["--repeats", "-3"], "must be at least 1"),
        ("benchmarks.throughput", ["vae", "--precision", "int8"], "invalid choice: 'int8'"),
        ("benchmarks.univae", ["--lengths", "4", "--groups", "6"], "must be less than layers"),
        ("paper_pictures", [], "required: --frey"),
    ],
)
def test_nonsense_is_refused(
    script: Any, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as error:
        script(name).main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


NAMES = [
    "benchmarks.training",
    "benchmarks.evaluation",
    "benchmarks.startup",
    "benchmarks.univae",
    "measure_codes",
    "measure_generation",
    "paper_pictures",
]


@pytest.mark.parametrize("name", NAMES)
def test_help_explains(script: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    module = script(name)
    with pytest.raises(SystemExit) as error:
        module.main(["--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert module.__doc__.splitlines()[-2].strip() in shown


def test_the_bare_loop_trains_the_network_zoo_trains(script: Any) -> None:
    zoos = VAE(
        VAEConfig(input_shape=(1, 28, 28), latent_dim=5, backbone={"name": "mlp", "hidden": (30,)})
    )
    bare = script("benchmarks._trainers").PlainVAE(784, 30, 5)
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
    elbo = zoos(x.view(-1, 1, 28, 28)).elbo.mean()
    torch.testing.assert_close(loss, -elbo, rtol=1e-5, atol=1e-4)


def test_training_benchmark_compares_within_rounds(
    script: Any,
    mnist: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script("benchmarks._workers"), "subprocess", FORKED)
    file = tmp_path / "training.json"
    arguments = ["--data-root", str(mnist), "--json", str(file), "--contenders", "bare", "zoo"]
    arguments += ["--rounds", "2", "--epochs", "1", "--threads", "1", "--wait", "0"]
    assert script("benchmarks.training").main(arguments) == 0
    content = json.loads(file.read_text())
    (row,) = content["cases"]
    assert list(row["contenders"]) == list(content["start_seconds"]) == ["bare", "zoo"]
    ratios = [each["bare"]["seconds"] / each["zoo"]["seconds"] for each in row["rounds"]]
    shown = row["contenders"]["zoo"]["ratio"]
    assert len(ratios) == 2
    assert all(any(abs(shown[end] - r) < 1e-9 for r in ratios) for end in ("least", "most"))
    step, rate = (row["contenders"]["bare"][key] for key in ("milliseconds", "per_second"))
    assert rate["most"] == pytest.approx(128e3 / step["least"])
    printed = capsys.readouterr().out
    assert "bar: zoo at least 0.95 x as fast as bare\n  hidden 400: zoo " in printed
    assert "bar: zoo-512 at least 1.45 x as fast as pythae\n  not measured" in printed


def test_a_partial_batch_counts_for_who_trains_on_it(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside pythae not the epochs are compared but the images in a second."""
    trainers = script("benchmarks._trainers")
    monkeypatch.setattr(trainers, "Worker", lambda command, threads: None)
    monkeypatch.setattr(trainers.Training, "epoch_seconds", lambda self: 6.0)
    for trainer, steps, images in (("zoo", 2, 256), ("pythae", 3, 300)):
        contender = trainers.Training(trainers.Job(trainer), 300, "python").contender
        assert contender.seconds() == 6 / steps
        assert contender.work / contender.seconds() == pytest.approx(images / 6)


def test_epochs_are_timed_after_the_first(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = script("benchmarks._trainers")
    monkeypatch.setattr(trainers, "Worker", lambda command, threads: None)
    training = trainers.Training(trainers.Job("zoo"), 300, "python")
    training.worker = SimpleNamespace(ask=lambda: "[100, 107, 109, 111]")
    assert training.epoch_seconds() == 2  # of two
    assert training.start_seconds == 5  # the first one and what preceded it, less an epoch


def test_a_contender_that_cannot_start_is_named_with_its_error(script: Any, mnist: Path) -> None:
    arguments = ["--data-root", str(mnist), "--contenders", "pythae", "--wait", "0"]
    module = script("benchmarks.training")
    with pytest.raises(SystemExit, match=r"(?s)pythae.*failed:.*No module named 'pythae'"):
        module.main([*arguments, "--pythae-python", sys.executable])


@pytest.mark.usefixtures("traced_alone")
def test_evaluation_benchmark(script: Any, mnist: Path, tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    arguments = ["--data-root", str(mnist), "--json", str(file), "--wait", "0"]
    arguments += ["--threads", str(torch.get_num_threads())]
    module = script("benchmarks.evaluation")
    small = ["--samples", "3", "--examples", "7", "--parts", "2"]
    assert module.main([*arguments, *small]) == 0
    result = json.loads(file.read_text())
    assert result["images_in_parts"] == [4, 3]
    assert result["peak_mebibytes"] >= result["peak_mebibytes_before"] > 0
    ((row,),) = (bar["cases"] for bar in result["bars"])
    seconds = [each["compiled"]["seconds"] for each in result["cases"][0]["rounds"]]
    products = [each["products"]["seconds"] for each in result["cases"][0]["rounds"]]
    ratios = [e / p for e, p in zip(seconds, products, strict=True)]
    assert row["ratio"]["most"] in [pytest.approx(ratio) for ratio in ratios]
    with pytest.raises(SystemExit, match="cannot be split into 10 parts"):
        module.main([*arguments, "--examples", "7"])


def test_products_run_every_row_through_every_layer(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    module = script("benchmarks.evaluation")
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
    assert script("benchmarks.startup").main([*arguments, "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["list_imports_torch"] is False
    (row,) = result["cases"]
    assert [each["milliseconds"]["median"] > 0 for each in row["contenders"].values()] == [True] * 3
    assert len(row["rounds"]) == 1


def test_throughput_benchmark(script: Any, tmp_path: Path) -> None:
    file = tmp_path / "throughput.json"
    arguments = ["gaussian-vae", "--set", "model.backbone={name: mlp, hidden: [256]}"]
    arguments += ["--set", "model.latent_dim=16"]
    arguments += ["--batch", "32", "--samples", "8", "--rounds", "1", "--threads", "1"]
    arguments += ["--block", "0.01", "--wait", "0", "--json", str(file)]
    assert script("benchmarks.throughput").main(arguments) == 0
    cases = json.loads(file.read_text())["cases"]
    assert [tuple(row["case"].values()) for row in cases] == [
        (work, batch, precision)
        for precision in ("float32", "bfloat16")
        for work, batch in (("train", 32), ("weights", 128))
    ]
    encoder, decoder = 64 * 256 + 256 * 32, 16 * 256 + 256 * 64
    for row in cases:
        found, train = row["contenders"]["gaussian-vae"], row["case"]["work"] == "train"
        assert 0 < found["of_peak"]["median"] < 1
        flop = 6 * (encoder + decoder) if train else 2 * decoder + encoder / 4
        assert found["megaflop"] == pytest.approx(flop / 1e6)
        images = 32 if train else 128 * 8
        seconds = row["rounds"][0]["gaussian-vae"]["seconds"]
        assert found["per_second"]["median"] == pytest.approx(images / seconds)


def test_startup_benchmark_shows_what_went_wrong(script: Any) -> None:
    with pytest.raises(SystemExit, match="no-such-checkpoint"):
        script("benchmarks.startup").load_seconds("no-such-checkpoint")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_revision_tells_changed_code_from_new_records(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that records piece by piece changes its own record before the figure is there."""
    timing = script("_records")
    code, record = tmp_path / "zoo" / "model.py", tmp_path / "scripts" / "results" / "nll.json"
    for file in (code, record):
        file.parent.mkdir(parents=True)
        file.write_text("first")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init"], ["add", "."], ["commit", "--message=first", "--no-gpg-sign"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    monkeypatch.setattr(timing, "__file__", str(tmp_path / "scripts" / "_records.py"))
    commit = timing.revision()
    assert len(commit) == 12
    record.write_text("second")
    assert timing.revision() == commit
    code.write_text("second")
    assert timing.revision() == f"{commit}+changes"


def test_fingerprints_are_of_the_weights_whatever_their_names(script: Any) -> None:
    module, a, b = script("fingerprints"), torch.arange(6.0), torch.zeros(2, 3)
    assert module.fingerprint([a, b]) == module.fingerprint([b, a])
    assert module.fingerprint([a, b]) != module.fingerprint([a, b + 1e-7])
    assert module.fingerprint([a]) != module.fingerprint([a.view(2, 3)])


def test_a_training_has_one_fingerprint(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main = script("fingerprints").main
    lines = [(main(["autoencoder"]), capsys.readouterr().out)[1] for _ in range(2)]
    assert lines[0] == lines[1]
    assert lines[0].startswith("autoencoder ")
    with pytest.raises(SystemExit):
        main(["autoencodr"])
    assert "did you mean 'autoencoder'" in capsys.readouterr().err


def test_the_paper_s_pictures(script: Any, mnist: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces.npz"
    np.savez(faces, images=np.random.default_rng(0).integers(0, 256, (200, 28, 20), np.uint8))
    arguments = ["--data-root", str(mnist), "--frey", str(faces), "--epochs", "1", "--side", "2"]
    arguments += ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "pictures")]
    assert script("paper_pictures").main(arguments) == 0
    names = {"manifolds.png", "cross-entropy-and-squared-error.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == names
    with Image.open(tmp_path / "pictures" / "manifolds.png") as picture:
        assert picture.format == "PNG"


def test_charts_have_a_bar_and_its_figure_for_each_record(script: Any) -> None:
    charts = script("_charts")
    assert len(charts.charts()) == 3
    for groups in charts.charts().values():
        shown = ElementTree.fromstring(charts.chart(groups))
        bars = shown.findall("{*}rect")
        assert len(bars) == sum(map(len, groups.values())) > 5
        assert len(shown.findall("{*}text")) == 2 * len(bars) + len(groups)  # name and figure each
        width = float(shown.attrib["width"])
        assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) < width for bar in bars)
