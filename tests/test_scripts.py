"""The benchmarks and the reproduction run, at sizes that say nothing about speed."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo.variants.vae import VAE, VAEConfig

ROOT = Path(__file__).parents[1]
TRAINED_ON = 261  # two batches of 128 or four of 64, and a rest
VALIDATION = 5000
REPRODUCE = "reproduce_hyperspherical"


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
        ("benchmark_throughput", ["vae", "--precision", "int8"], "invalid choice: 'int8'"),
        ("benchmark_univae", ["--lengths", "4", "--groups", "6"], "must be less than layers"),
        (REPRODUCE, ["--dims", "0"], "must be at least 1"),
        (REPRODUCE, ["--posteriors", "vfm"], "invalid choice: 'vfm'"),
        (REPRODUCE, ["--directory", "runs/{posterior}-{seed}"], "gives several runs one folder"),
        (REPRODUCE, ["--directory", "runs/{d}-{seed}"], "use {posterior}, {d} and {seed}"),
        (REPRODUCE, ["--directory", "runs/{dim}"], "only {posterior}, {d} and {seed} are known"),
        (REPRODUCE, ["--table", "--markdown"], "not allowed with argument --table"),
        ("paper_pictures", [], "required: --frey"),
        ("measure_labels", ["--draws", "0"], "must be at least 1"),
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
    "benchmark_training",
    "benchmark_evaluation",
    "benchmark_startup",
    "benchmark_univae",
    "reproduce_hyperspherical",
    "measure_labels",
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
    elbo = zoos(x.view(-1, 1, 28, 28)).elbo.mean()
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


def test_throughput_benchmark(script: Any, tmp_path: Path) -> None:
    file = tmp_path / "throughput.json"
    arguments = ["gaussian-vae", "--set", "model.backbone={name: mlp, hidden: [256]}"]
    arguments += ["--set", "model.latent_dim=16"]
    arguments += ["--batch", "32", "--samples", "8", "--rounds", "1", "--threads", "1"]
    arguments += ["--block", "0.01", "--wait", "0", "--json", str(file)]
    assert script("benchmark_throughput").main(arguments) == 0
    cases = json.loads(file.read_text())["cases"]
    assert [(c["work"], c["batch"], c["precision"]) for c in cases] == [
        (work, batch, precision)
        for precision in ("float32", "bfloat16")
        for work, batch in (("train", 32), ("weights", 128))
    ]
    encoder, decoder = 64 * 256 + 256 * 32, 16 * 256 + 256 * 64
    for case in cases:
        assert 0 < case["fraction_of_peak"][0] < 1
        flop = 6 * (encoder + decoder) if case["work"] == "train" else 2 * decoder + encoder / 4
        assert case["gigaflop_per_image"] == pytest.approx(flop / 1e9)


def test_startup_benchmark_shows_what_went_wrong(script: Any) -> None:
    with pytest.raises(SystemExit, match="no-such-checkpoint"):
        script("benchmark_startup").load_seconds("no-such-checkpoint")


@pytest.fixture
def reproduce(script: Any, mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the reproduction's main at a size that says nothing about its figures."""
    module = script(REPRODUCE)
    monkeypatch.setattr(module, "LABELS", (20, 100))
    fixed = ["--data-root", str(mnist), "--output", str(tmp_path / "results" / "table.json")]
    fixed += ["--directory", str(tmp_path / "{posterior}-d{d}-s{seed}"), "--samples", "2"]
    fixed += ["--epochs", "2", "--warmup-epochs", "1", "--dims", "2"]

    def call(*arguments: str) -> list[dict[str, Any]]:
        assert module.main([*fixed, "--train", *arguments]) == 0
        return json.loads((tmp_path / "results" / "table.json").read_text())["records"]

    return call


def test_reproduction_records_runs_and_goes_on(
    reproduce: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = reproduce("--posteriors", "gaussian")
    assert (first["posterior"], first["d"], first["seed"]) == ("gaussian", 2, 0)
    assert (first["epochs"], first["samples"]) == (2, 2)
    assert first["settings"] == {
        "epochs": 2, "patience": 50, "kl_warmup_steps": TRAINED_ON // 64,
    }  # fmt: skip
    assert first["command"].endswith(
        "--train --posteriors gaussian --dims 2 --seeds 0 --epochs 2 --warmup-epochs 1 --samples 2"
    )
    assert first["elbo"]["value"] == pytest.approx(
        first["re"]["value"] - first["kl"]["value"], abs=1e-3
    )
    assert set(first["knn"]) == {"20", "100"}
    assert all(0 < each["value"] < 0.5 for each in first["knn"].values())  # it is noise
    capsys.readouterr()
    records = reproduce("--posteriors", "gaussian", "--seeds", "1", "0")
    assert [(record["d"], record["seed"]) for record in records] == [(2, 0), (2, 1)]
    assert records[0] == first
    shown = capsys.readouterr()
    assert "N-VAE, d = 2, seed 0: recorded in" in shown.err
    assert f"{-statistics.mean(r['nll']['value'] for r in records):.2f} +- " in shown.out


def test_reproduction_measures_what_a_record_lacks_without_training_again(
    reproduce: Any, tmp_path: Path
) -> None:
    (first,) = reproduce("--posteriors", "gaussian")
    weights = (tmp_path / "gaussian-d2-s0" / "best.safetensors").stat()
    file = tmp_path / "results" / "table.json"
    for lacking in ("knn", "decoupled"):
        older = {key: value for key, value in first.items() if key != lacking}
        file.write_text(json.dumps({"records": [{**older, "nll": {"value": 0.0, "stderr": 0.0}}]}))
        (again,) = reproduce("--posteriors", "gaussian")
        assert (again[lacking], again["nll"]) == (first[lacking], first["nll"])
    after = (tmp_path / "gaussian-d2-s0" / "best.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (weights.st_ino, weights.st_mtime_ns)
    (more,) = reproduce("--posteriors", "gaussian", "--samples", "3")
    assert more["samples"] == 3


def test_reproduction_trains_only_when_asked(
    script: Any, mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor what is recorded, though it lacks what was not measured then."""
    module, file = script(REPRODUCE), tmp_path / "table.json"
    options = ["--data-root", str(mnist), "--output", str(file)]
    options += ["--directory", str(tmp_path / "{posterior}-d{d}-s{seed}")]
    options += ["--warmup-epochs", "1", "--dims", "2", "--posteriors"]
    trained = {"epochs": 500, "patience": 50, "kl_warmup_steps": TRAINED_ON // 64}
    older = {**record("gaussian", 2, 0, 99.0, seconds=5400.0), "settings": trained}
    file.write_text(json.dumps({"records": [older]}))
    assert module.main([*options, "gaussian", "vmf"]) == 0
    said = capsys.readouterr().err
    assert "N-VAE, d = 2, seed 0: recorded in" in said and "without decoupled, knn, which" in said
    assert "S-VAE, d = 2, seed 0: missing, about 90 min" in said
    assert "nothing was trained; with --train 1 runs are, or go on, in about 1.5 h" in said
    assert module.main([*options, "gaussian", "--train"]) == 0
    assert module.read_records(file) == [older]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.skipif("vmf-vae" not in zoo.list_variants(), reason="needs the vmf-vae")
def test_reproduction_gives_the_sphere_a_number_more(reproduce: Any, tmp_path: Path) -> None:
    gaussian, vmf = reproduce()
    assert (gaussian["posterior"], vmf["posterior"]) == ("gaussian", "vmf")
    widths = [zoo.load(tmp_path / f"{name}-d2-s0").code_dim for name in ("gaussian", "vmf")]
    assert widths == [2, 3]


def test_reproduction_says_what_a_run_folder_of_other_settings_holds(reproduce: Any) -> None:
    reproduce("--posteriors", "gaussian")
    with pytest.raises(SystemExit, match=r"error: .*train\.patience: 50 -> 3"):
        reproduce("--posteriors", "gaussian", "--patience", "3")


def record(posterior: str, dim: int, seed: int, nll: float, **more: Any) -> dict[str, Any]:
    """One run as the reproduction records it, trained and measured as in the paper."""
    return {
        "posterior": posterior,
        "d": dim,
        "seed": seed,
        "nll": {"value": nll, "stderr": 0.3},
        "elbo": {"value": -nll - 5, "stderr": 0.3},
        "re": {"value": -nll + 15, "stderr": 0.3},
        "kl": {"value": 20.0, "stderr": 0.1},
        "samples": 500,
        "settings": {"epochs": 500, "patience": 50, "kl_warmup_steps": 85900},
        **more,
    }


def test_records_of_concurrent_writers_are_all_kept(script: Any, tmp_path: Path) -> None:
    script(REPRODUCE)
    file = tmp_path / "results" / "table.json"
    writer = (
        "import sys, reproduce_hyperspherical as r; from pathlib import Path\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for seed in range(25): r.add_record(Path(sys.argv[1]), "
        "{'posterior': sys.argv[2], 'd': 2, 'seed': seed, 'filler': 'x' * 20000})"
    )
    command = [sys.executable, "-c", writer, str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    writers = [
        subprocess.Popen(
            [*command, name], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in ("gaussian", "vmf")
    ]
    for process in writers:  # both have imported everything before either begins
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in writers:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = [(r["posterior"], r["seed"]) for r in json.loads(file.read_text())["records"]]
    assert found == [(name, seed) for name in ("gaussian", "vmf") for seed in range(25)]


def test_a_record_replaces_that_of_the_same_run_only(script: Any, tmp_path: Path) -> None:
    module, file = script(REPRODUCE), tmp_path / "table.json"
    runs = [("vmf", 10, 1), ("gaussian", 10, 1), ("vmf", 5, 1), ("vmf", 10, 0), ("vmf", 10, 1)]
    for nll, run in enumerate(runs):
        module.add_record(file, record(*run, nll=float(nll)))
    found = [
        (r["d"], r["posterior"], r["seed"], r["nll"]["value"]) for r in module.read_records(file)
    ]
    assert found == [
        (5, "vmf", 1, 2.0),
        (10, "gaussian", 1, 1.0),
        (10, "vmf", 0, 3.0),
        (10, "vmf", 1, 4.0),
    ]


def test_table_of_one_seed_and_of_several(script: Any) -> None:
    tables = script("_hyperspherical_tables")
    nlls = [92.0, 93.0, 95.5]  # their sample variance is 3.25
    runs = [record("vmf", 10, seed, nll) for seed, nll in enumerate(nlls)]
    for run, value in zip(runs, (-94.0, -94.25, -94.5), strict=True):
        run["decoupled"] = {"value": value, "stderr": 0.3}
    runs.append(record("gaussian", 10, 7, 93.0))
    runs.append(record("gaussian", 3, 0, 100.0, settings={"epochs": 5}))
    lines = tables.likelihood_table(runs).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("  d"))
    unknown, one, several = (" ".join(line.split()) for line in lines[start + 1 : start + 4])
    assert unknown.startswith("3 N-VAE 1* -100.00 +- 0.30 ~")
    assert unknown.endswith(" - - -105.00 (-) -85.00 (-) 20.00 (-)")
    assert one.startswith("10 N-VAE 1 -93.00 +- 0.30 ~-93.")
    assert one.endswith("-93.84 +- 0.30 -93.78 -98.00 (-98.36) -78.00 (-78.93) 20.00 (19.44)")
    assert several.startswith(f"10 S-VAE 3 -93.50 +- {3.25**0.5:.2f} -94.25 -93.16 +- 0.31 -93.17 ")
    assert several.endswith("-98.50 (-97.70) -78.50 (-77.03) 20.00 (20.67)")
    assert lines[-1].startswith("*: at least one run was not trained or measured as in the paper")


def test_tables_are_printed_without_data_or_training(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, file = script(REPRODUCE), tmp_path / "table.json"
    nowhere = ["--data-root", str(tmp_path / "none"), "--output", str(file)]
    with pytest.raises(SystemExit, match="holds no records"):
        module.main([*nowhere, "--table"])
    accuracies = [{"100": {"value": value, "stderr": 0.004}} for value in (0.81, 0.83)]
    for seed, knn in enumerate(accuracies):
        module.add_record(file, record("vmf", 10, seed, 93.0 + seed, knn=knn))
    module.add_record(file, record("gaussian", 10, 0, 93.0, knn=accuracies[0]))
    module.add_record(file, record("gaussian", 20, 0, 90.0))
    assert module.main([*nowhere, "--table"]) == 0
    table = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert sum(line.startswith("20 N-VAE") for line in table) == 1  # it has no accuracies
    assert "10 N-VAE 1 81.0 +- 0.4 (75.7) - (88.4) - (90.2)" in table
    assert f"10 S-VAE 2 82.0 +- {200**0.5 / 10:.1f} (80.6) - (91.2) - (92.8)" in table
    assert module.main([*nowhere, "--markdown"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("| d | model | ELBO, ours | paper's | decoupled, ours |")
    assert shown[1] == "|---|---|---|---|---|---|---|---|"
    assert shown[2].startswith("| 10 | N-VAE | -98.00 | -98.36 | ~-93.")
    assert shown[2].endswith(" | -93.84 ± 0.30 | -93.78 | -93.00 ± 0.30 |")
    assert shown[3].endswith(" | -93.16 ± 0.31 | -93.17 | -93.50 ± 0.71 (2 seeds) |")
    assert shown[4:] == ["| 20 | N-VAE | -95.00 | -94.79 | - | -88.90 ± 0.26 | - | -90.00 ± 0.30 |"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_the_recorded_table_is_readable_and_of_the_papers_protocol(script: Any) -> None:
    module = script(REPRODUCE)
    records = module.read_records(ROOT / "scripts" / "results" / "hyperspherical.json")
    assert {(r["posterior"], r["d"]) for r in records} >= {("gaussian", 10), ("gaussian", 20)}
    assert records == sorted(records, key=module.run_of)
    assert "*" not in module.likelihood_table(records).replace("(*", "")


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


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_revision_tells_changed_code_from_new_records(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that records piece by piece changes its own record before the figure is there."""
    timing = script("_timing")
    code, record = tmp_path / "zoo" / "model.py", tmp_path / "scripts" / "results" / "nll.json"
    for file in (code, record):
        file.parent.mkdir(parents=True)
        file.write_text("first")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init"], ["add", "."], ["commit", "--message=first", "--no-gpg-sign"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    monkeypatch.setattr(timing, "__file__", str(tmp_path / "scripts" / "_timing.py"))
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


def test_labels_are_measured_once_and_shown_beside_the_paper_s(
    script: Any, mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, module = tmp_path / "labels.json", script("measure_labels")
    arguments = ["--models", "gaussian-vae-mnist", "--labels", "100", "--draws", "2"]
    arguments += ["--data-root", str(mnist), "--output", str(output)]
    assert module.main(arguments) == 0
    (record,) = json.loads(output.read_text()).values()
    found = record["accuracies"]["100"]
    assert set(found) == {"neighbours", "linear probe"}
    shown = capsys.readouterr().out
    assert f"{100 * found['neighbours']['mean']:.1f} ± " in shown
    assert "| N-VAE, d = 2 (paper) | 72.6 | 80.8 | 81.7 | - | - | - |" in shown
    before = output.stat().st_mtime_ns
    assert module.main(arguments) == 0
    assert output.stat().st_mtime_ns == before


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
