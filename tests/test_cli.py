"""The command line as its users meet it: what it prints, writes and exits with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from processes import Process, python
from typer.testing import CliRunner

import zoo
from zoo.api.catalogue import KINDS
from zoo.cli import app
from zoo.cli.output import folded
from zoo.cli.settings import parse_settings
from zoo.errors import ConfigError
from zoo.registry import registry

ROOT = Path(zoo.__file__).parents[1]
TINY = ("--set", "model.latent_dim=3", "--set", "model.backbone.hidden=[16]")


def call(*arguments: object, code: int = 0) -> Any:
    """Run the command in this process; its result, checked to have ended with ``code``."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def call_json(*arguments: object) -> Any:
    return json.loads(call(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small trained model."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    call("train", "gaussian-vae", "--epochs", 1, *TINY, "--directory", folder)
    return folder


# Listing and describing


def test_list_shows_every_name_with_its_summary() -> None:
    known = registry()
    listed = call_json("list")
    assert tuple(listed) == KINDS
    for kind in KINDS:
        specs = getattr(known, kind)
        assert listed[kind] == {name: spec.summary for name, spec in specs.items()}


def test_list_in_plain_text_has_one_line_for_each_name() -> None:
    lines = call("list", "variants").stdout.splitlines()
    assert lines[0] == "variants:"
    assert [line.split()[0] for line in lines[1:]] == zoo.list_variants()


def test_list_shows_figures_and_sizes_of_checkpoints() -> None:
    lines = call("list", "checkpoints").stdout.splitlines()[1:]
    for line, (name, spec) in zip(lines, sorted(registry().checkpoints.items()), strict=True):
        nll = spec.metrics.get("nll")
        figure = "-" if nll is None else f"{nll.value:.2f}"
        assert line.split()[:4] == [name, figure, f"{spec.bytes / 1e6:.1f}", "MB"]
        assert line.endswith(spec.summary)


def test_list_chooses_checkpoints_of_a_dataset_or_a_variant() -> None:
    assert set(
        call_json("list", "checkpoints", "*vae*", "--dataset", "digits")["checkpoints"]
    ) == set(zoo.list_checkpoints("*vae*", dataset="digits"))
    listed = call_json("list", "--variant", "vmf-vae", "--dataset", "mnist")
    assert list(listed) == ["checkpoints"]
    assert list(listed["checkpoints"]) == ["vmf-vae-mnist"]
    assert "did you mean 'mnist'?" in call("list", "--dataset", "minst", code=2).stderr
    assert "leave them out" in call("list", "variants", "--dataset", "mnist", code=2).stderr


def test_list_and_info_know_components() -> None:
    lines = call("list", "posteriors").stdout.splitlines()
    assert lines[0] == "posteriors:"
    assert [line.split()[0] for line in lines[1:]] == sorted(registry().posteriors)
    assert "von mises-fisher" in call("info", "vmf").stdout.lower()
    said = call("info", "gaussian").stderr
    assert "this is of the posteriors" in said and "--kind likelihoods" in said
    assert "did you mean 'modalities'?" in call("info", "text", "--kind", "modality", code=2).stderr


def test_list_filters_by_pattern() -> None:
    assert set(call_json("list", "variants", "beta-*")["variants"]) == {"beta-vae", "beta-tc-vae"}
    assert call("list", "datasets", "no-such-*").stdout == "datasets: none\n"


def test_list_refuses_an_unknown_kind() -> None:
    assert "'variants'" in call("list", "variant", code=2).stderr


def test_list_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['zoo', 'list']\n"
        "try: from zoo.cli import main; main()\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'torchvision', 'numpy', 'sklearn', 'matplotlib', 'rich', 'requests'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    assert "gaussian-vae" in done.stdout


def test_one_more_registry_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", "")  # and afterwards as it was
    file = tmp_path / "mine.yaml"
    file.write_text("variants: {mine: {extends: gaussian-vae, summary: My own.}}")
    assert call_json("--registry", file, "list", "variants", "mine") == {
        "variants": {"mine": "My own."}
    }
    run = tmp_path / "run"
    done = python("-m", "zoo", "--registry", "mine.yaml", "train", "mine", "--epochs", "1", *TINY,
                  "--directory", run, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert call_json("--registry", file, "load", run)["variant"] == "mine"


def test_a_bad_registry_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", "")
    file = tmp_path / "mine.yaml"
    file.write_text("variants: {mine: {extends: gausian-vae}}")
    result = call("--registry", file, "list", code=2)
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {file}: variants.mine.extends: ")
    assert "did you mean 'gaussian-vae'?" in result.stderr
    assert "mine" not in call_json("list")["variants"]


def test_info_prints_the_entry_of_the_registry() -> None:
    expected = registry().variant("beta-vae").model_dump(mode="json", exclude_none=True)
    assert call_json("info", "beta-vae") == expected
    assert yaml.safe_load(call("info", "beta-vae").stdout) == expected


def test_info_of_a_name_of_several_kinds_says_so() -> None:
    dataset, benchmark = call("info", "digits"), call("info", "digits", "--kind", "benchmarks")
    assert yaml.safe_load(dataset.stdout)["license"] == registry().dataset("digits").license
    assert (
        dataset.stderr == "this is of the datasets; the name is also found with --kind benchmarks\n"
    )
    assert yaml.safe_load(benchmark.stdout)["samples"] == registry().benchmark("digits").samples
    assert benchmark.stderr == ""
    assert call("info", "svhn").stderr == ""


def test_version() -> None:
    assert call("--version").stdout == f"zoo {zoo.__version__}\n"


def test_every_command_has_help_with_an_example() -> None:
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert len(commands) == 20
    for command in commands:
        shown = " ".join(call(command, "--help").stdout.split())
        assert f"Example: zoo {command}" in shown


# Training


def test_train_writes_a_run_with_the_settings_given(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["variant"], config["dataset"]) == ("gaussian-vae", "digits")
    assert config["model"]["latent_dim"] == 3
    assert config["model"]["backbone"]["hidden"] == [16]
    assert config["train"]["epochs"] == 1


def test_train_prints_its_result_as_json(tmp_path: Path) -> None:
    result = call_json("train", "beta-vae", "--epochs", 1, "--seed", 5, *TINY,
                       "--set", "objective.beta=2", "--set", "train.lr=2e-3",
                       "--directory", tmp_path / "run")  # fmt: skip
    assert result["directory"] == str(tmp_path / "run")
    assert result["metrics"]["validation_elbo"] < 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["objective"] == {
        "name": "beta", "beta": 2.0, "free_bits": 0.0, "balance": False,
    }  # fmt: skip
    assert (config["train"]["lr"], config["train"]["seed"]) == (2e-3, 5)


def test_any_setting_is_an_option(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", "--lr", "2e-3", "beta-vae", "--latent-dim", 3, "--backbone.hidden=[16]",
         "--epochs", 1, "--beta", 2, "--train.batch_size", 64, "--model.backbone.name", "mlp",
         "--set", "free_bits=0.5", "--directory", run)  # fmt: skip
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["train"]["lr"], config["train"]["batch_size"]) == (2e-3, 64)
    assert (config["objective"]["beta"], config["objective"]["free_bits"]) == (2.0, 0.5)
    assert config["model"]["latent_dim"] == 3
    assert config["model"]["backbone"] == {"name": "mlp", "hidden": [16]}


def test_an_objective_is_chosen_as_in_python(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", "gaussian-vae", *TINY, "--samples", 2, "--objective", "iwae", "--epochs", 1,
         "--directory", run)  # fmt: skip
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["objective"] == {"name": "iwae", "samples": 2}


def test_other_settings_have_other_folders_and_the_same_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ("train", "gaussian-vae", *TINY, "--epochs", 1)
    first = call_json(*tiny)
    assert call_json(*tiny) == first
    other = call_json(*tiny, "--lr", "1e-2")
    assert other["directory"] != first["directory"]
    in_python = zoo.train("gaussian-vae", epochs=1, latent_dim=3, backbone={"hidden": [16]},
                          progress=False)  # fmt: skip
    assert str(in_python.directory) == first["directory"]
    assert re.fullmatch(r"runs/gaussian-vae-digits-s0-[0-9a-f]{6}", first["directory"])
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_run_remembers_the_absolute_place_of_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call("train", "gaussian-vae", "--epochs", 1, *TINY, "--directory", "run", "--data-root", "here")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["data_root"] == str(tmp_path / "here")


def test_resuming_a_finished_run_gives_its_result_again(run: Path) -> None:
    before = (run / "metrics.jsonl").read_text()
    told = call("train", "--resume", run, "--json")
    assert told.stderr == f"{run} is finished, nothing is trained\n"
    assert json.loads(told.stdout)["metrics"] == json.loads(before.splitlines()[-1])
    assert (run / "metrics.jsonl").read_text() == before


def test_a_resumed_run_may_be_lengthened(run: Path, tmp_path: Path) -> None:
    longer = shutil.copytree(run, tmp_path / "longer")
    call("train", "--resume", longer, "--epochs", 2)
    assert len((longer / "metrics.jsonl").read_text().splitlines()) == 2


def test_interrupted_training_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ("train", "gaussian-vae", *TINY, "--epochs", 3000, "--directory", "run",
                 "--set", "train.checkpoint_seconds=0")  # fmt: skip
    process = Process("-m", "zoo", *arguments, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "last.safetensors").exists():
        assert process.is_alive(), process.finish()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    done = process.finish()
    assert done.returncode == 130
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) < 3000


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("trian.lr=1", "did you mean 'train'?"),
        ("train.learning_rte=1", "Allowed: "),
        ("train.batchsize=1", "did you mean 'batch_size'?"),
        ("model.latent_dims=1", "did you mean 'latent_dim'?"),
        ("objective.free_bit=1", "did you mean 'free_bits'?"),
        ("train.lr", "SECTION.KEY=VALUE"),
        ("lern_rate=1", "unknown option 'lern_rate'"),
        ("latent_dims=1", "did you mean 'latent_dim'?"),
        ("beta=2", "unknown option 'beta'"),
        ("model=vae", "SECTION.KEY=VALUE"),
        ("=1", "SECTION.KEY=VALUE"),
        ("objective=bta", "did you mean 'beta'?"),
        ("train..lr=1", "SECTION.KEY=VALUE"),
        ("train.lr=[1", "not YAML"),
        ("train.lr=2000-99-99", "not YAML"),
        ("train.lr=fast", "lr"),
    ],
)
def test_a_wrong_setting_is_an_error_that_helps(
    setting: str, expected: str, tmp_path: Path
) -> None:
    result = call("train", "gaussian-vae", "--set", setting, "--directory", tmp_path / "x", code=2)
    assert result.stderr.startswith("error: ")
    assert expected in result.stderr
    assert not (tmp_path / "x").exists()


def test_settings_are_yaml_and_nest() -> None:
    settings = parse_settings(
        ["train.lr=1e-3", "train.compile=true", "train.clip_grad_norm=null", "model.a.b=[1, 2.5]",
         "model.a.c=x=y", "model.d={e: 1e2}", "objective.beta=-.5E+1", "train.epochs=3"]
    )  # fmt: skip
    assert settings == {
        "train": {"lr": 0.001, "compile": True, "clip_grad_norm": None, "epochs": 3},
        "model": {"a": {"b": [1, 2.5], "c": "x=y"}, "d": {"e": 100.0}},
        "objective": {"beta": -5.0},
    }
    assert isinstance(settings["train"]["epochs"], int)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_python_prints_is_read_as_that_float(value: float) -> None:
    assert parse_settings([f"train.lr={value!r}"])["train"]["lr"] == value


@given(st.text(max_size=12))
def test_any_value_is_either_parsed_or_refused(value: str) -> None:
    try:
        parse_settings([f"model.key={value}"])
    except ConfigError as error:
        assert "not YAML" in str(error)


@pytest.mark.parametrize(
    "settings",
    [
        ["model.backbone=conv", "model.backbone.channels=[8]"],
        ["model.backbone.channels=[8]", "model.backbone=conv"],
    ],
)
def test_a_setting_given_whole_and_in_parts_is_refused(settings: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name=KIND"):
        parse_settings(settings)


def test_the_last_of_equal_settings_wins() -> None:
    assert parse_settings(["train.lr=1", "train.lr=2"])["train"] == {"lr": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train"], "name a variant"),
        (["train", "gausian-vae"], "did you mean 'gaussian-vae'?"),
        (["train", "gaussian-vae", "--dataset", "digit"], "did you mean 'digits'?"),
        (["train", "gaussian-vae", "--resume", "x", "--seed", "1"], "leave out VARIANT, --seed"),
        (["train", "--resume", "x", "--start-from", "y"], "leave out --start-from"),
        (["train", "--resume", "no-such-run"], "no-such-run"),
        (["train", "beta-vae", "--start-from", "vmf-vae-digits"], "train 'vmf-vae'"),
        (["info", "beta-va"], "did you mean 'beta-vae'?"),
        (["load", "no-such-model"], "no-such-model"),
        (["evaluate", "gaussian-vae"], "variant"),
        (
            ["compare", "gaussian-vae-digits", "gaussian-vae-mnist"],
            "either a benchmark or a dataset",
        ),
        (["compare", "gaussian-vae-digit", "b"], "did you mean 'gaussian-vae-digits'?"),
        (
            ["train", "gaussian-vae", "--epoch", "1"],
            "unknown option --epoch; did you mean --epochs?",
        ),
        (["train", "gaussian-vae", "--directry=x"], "did you mean --directory?"),
        (["train", "gaussian-vae", "--lr"], "--lr needs a value"),
        (["train", "gaussian-vae", "--lr", "--json"], "--lr needs a value"),
        (["train", "gaussian-vae", "--lern", "3"], "unknown option 'lern'"),
        (["train", "--lr", "3"], "name a variant"),
        (["train", "--resume", "x", "--lr", "3"], "leave out --set"),
        (["evaluate", "gaussian-vae-digits", "--device", "gpu"], "device 'gpu' is not available"),
        (["verify"], "--all"),
        (["verify", "x", "--all"], "--all"),
    ],
)
def test_mistakes_exit_with_2_and_a_message(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert expected in result.stderr


def test_a_mistake_in_a_real_process_shows_no_traceback(tmp_path: Path) -> None:
    done = python("-m", "zoo", "load", "no-such-model", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


# Using a model


def test_load_describes_the_checkpoint(run: Path) -> None:
    shown = call_json("load", run)
    model = zoo.load(run)
    assert shown["path"] == str(run / "best.safetensors")
    assert shown["variant"] == "gaussian-vae"
    assert shown["config"]["latent_dim"] == 3
    assert shown["parameters"] == sum(p.numel() for p in model.parameters())


def test_evaluate_agrees_with_the_library(run: Path) -> None:
    shown = call_json("evaluate", run, "--samples", 4, "--examples", 20, "--seed", 3)
    expected = zoo.evaluate(str(run), samples=4, examples=20, seed=3)
    assert shown == json.loads(expected.model_dump_json())
    assert shown["examples"] == 20
    text = call("evaluate", run, "--samples", 4, "--examples", 20, "--seed", 3).stdout
    assert text == f"{expected}\n"


def test_evaluate_on_another_split(run: Path) -> None:
    shown = call_json("evaluate", run, "--samples", 2, "--split", "validation")
    validation = registry().dataset("digits").validation
    assert (shown["split"], shown["examples"]) == ("validation", validation)
    assert "Invalid value for '--split'" in call("evaluate", run, "--split", "tset", code=2).stderr


def test_compare_ranks_under_one_protocol(run: Path) -> None:
    options = ("--benchmark", "digits", "--samples", 2, "--examples", 10)
    rows = call_json("compare", run, run / "best.safetensors", *options)["rows"]
    assert [row["metric"] for row in rows[::2]] == [
        metric if isinstance(metric, str) else metric["name"]
        for metric in registry().benchmark("digits").metrics
    ]
    assert [row["value"] for row in rows[::2]] == [row["value"] for row in rows[1::2]]
    assert "best.safetensors" in call("compare", run, run / "best.safetensors", *options).stdout


def test_runs_that_share_a_dataset_need_not_name_it(run: Path) -> None:
    options = ("--metric", "nll", "--samples", 2, "--examples", 10)
    said = call_json("compare", run, "gaussian-vae-digits", *options)
    assert said["title"] == "digits: test, 10 examples, K = 2, seed 0"


def test_tables_are_whole_in_a_pipe_and_folded_on_a_narrow_terminal() -> None:
    models = [f"{name}-digits" for name in ("gaussian-vae", "vmf-vae", "beta-vae", "vamp-vae")]
    options = ("--metric", "nll", "--metric", "rate", "--samples", 2, "--examples", 10)
    table = call("compare", *models, *options).stdout
    header, rule, *rows = table.split("\n\n")[1].splitlines()
    assert len(rows) == 2
    assert max(map(len, (header, rule, *rows))) > 80
    blocks = folded("\n".join((header, rule, *rows, "")), 80).splitlines()
    assert all(len(line) <= 80 for line in blocks)
    for line in (header, *rows):
        assert all(any(cell in part for part in blocks) for cell in line.split("  "))


ON_TERMINAL = """
import os, runpy, sys
place = sys.argv.pop(1)
terminal = os.open(place, os.O_WRONLY | os.O_NOCTTY)
print("there", flush=True)
os.dup2(terminal, 1)
os.close(terminal)
sys.stdout = open(1, "w", closefd=False)
runpy.run_module("zoo", run_name="__main__", alter_sys=True)
"""


def test_on_a_terminal_the_table_is_folded(run: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    arguments = ["compare", "gaussian-vae-digits", "vmf-vae-digits", "--metric", "nll",
                 "--metric", "rate", "--samples", "1", "--examples", "4"]  # fmt: skip
    env = {**os.environ, "COLUMNS": "60"}
    process = Process("-c", ON_TERMINAL, os.ttyname(theirs), *arguments, env=env)
    while process.said() != "there\n":
        assert process.is_alive()
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how the end of a terminal is said
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.finish().returncode == 0
    lines = shown.decode().split("\r\n")
    headers = [line for line in lines if line.endswith("-vae-digits")]
    assert len(headers) > 2
    assert all(len(line) <= 60 for line in headers)


def printed_in(encoding: str, *arguments: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    """What the command prints in a legacy code page, where all of it can be read."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "zoo", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True)
    assert done.returncode == code, done.stderr
    return done.stdout.decode(encoding, "replace"), done.stderr.decode(encoding, "replace")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_no_output_is_lost_to_a_legacy_code_page(encoding: str, tmp_path: Path) -> None:
    summary = "模型 – λ ± ½"
    entry = f"variants: {{mine: {{extends: gaussian-vae, summary: {summary}}}}}"
    (tmp_path / "mine.yaml").write_text(entry, encoding="utf-8")
    known = ("--registry", "mine.yaml")
    listed, _ = printed_in(encoding, *known, "list", "variants", "mine", "--json", cwd=tmp_path)
    assert json.loads(listed) == {"variants": {"mine": summary}}
    listed, _ = printed_in(encoding, *known, "list", "variants", cwd=tmp_path)
    assert "mine" in listed
    assert (summary in listed) == (encoding == "utf-8")
    _, errors = printed_in(encoding, "load", summary, cwd=tmp_path, code=2)
    assert errors.startswith("error: unknown checkpoint ")


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_no_figure_is_lost_to_a_legacy_code_page(encoding: str, tmp_path: Path) -> None:
    options = ("gaussian-vae-digits", "--samples", 1, "--examples", 4)
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = python("-m", "zoo", "evaluate", *options, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "nats per example" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("zoo train gaus", "gaussian-vae"),
        ("zoo evaluate vmf-vae-d", "vmf-vae-digits"),
        ("zoo compare a --benchmark dig", "digits"),
        ("zoo list chec", "checkpoints"),
    ],
)
def test_the_shell_completes_commands_and_names(words: str, expected: str, tmp_path: Path) -> None:
    asked = {"_ZOO_COMPLETE": "complete_bash", "COMP_WORDS": words,
             "COMP_CWORD": str(len(words.split()) - 1)}  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **asked}
    done = subprocess.run([sys.executable, "-m", "zoo"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert expected in done.stdout.split(), done.stderr


def test_a_run_of_a_variant_of_a_script_says_how_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = python("script.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for command in READERS:
        said = call(*command, tmp_path / "run", code=2).stderr
        assert "unknown variant 'of-a-script'" in said
        assert "ZOO_REGISTRY" in said
    (tmp_path / "mine.yaml").write_text(
        "variants: {of-a-script: {component: 'script:Mine', summary: My own.}}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "mine.yaml"))
    assert call_json("load", tmp_path / "run")["variant"] == "of-a-script"


READERS = [("train", "--resume"), ("load",)]
SCRIPT = """
import zoo
from zoo.variants.vae import VAE

@zoo.register("of-a-script")
class Mine(VAE):
    "My own."

if __name__ == "__main__":
    zoo.train("of-a-script", epochs=1, latent_dim=2, backbone={"name": "mlp", "hidden": [8]},
              directory="run", progress=False)
"""


def test_a_conditional_model_is_shown_what_it_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", "gaussian-vae", *TINY, "--epochs", 1, "--condition", "labels", "--directory", run)
    call("reconstruct", run, "--n", 3, "--out", tmp_path / "a.npz")
    call("encode", run, "--out", tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as pairs, np.load(tmp_path / "b.npz") as codes:
        assert len(pairs["reconstructions"]) == 3
        assert codes["codes"].shape == (300, 3)


def test_samples_may_be_draws_of_pixels(run: Path, tmp_path: Path) -> None:
    for name, pixels in (("a", "draws"), ("b", "draws"), ("c", "means")):
        call("sample", run, "--n", 5, "--pixels", pixels, "--out", tmp_path / f"{name}.npy")
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert np.array_equal(a, b) and set(np.unique(a)) == {0.0, 1.0} and a.shape == c.shape
    said = call("sample", run, "--pixels", "draws", "--decoding", "greedy",
                "--out", tmp_path / "d.npy", code=2).stderr  # fmt: skip
    assert "either --decoding or --pixels" in said


def test_means_of_pixels_are_none_that_were_drawn(tmp_path: Path) -> None:
    """Of univae too, whose samples are draws unless told otherwise."""
    for name, pixels in (
        ("own", []),
        ("draws", ["--pixels", "draws"]),
        ("means", ["--pixels", "means"]),
    ):
        call("sample", "univae-digits", "--n", 4, *pixels, "--out", tmp_path / f"{name}.npy")
    own, draws, means = (np.load(tmp_path / f"{name}.npy") for name in ("own", "draws", "means"))
    assert set(np.unique(own)) == set(np.unique(draws)) == {0.0, 1.0}
    assert len(np.unique(means)) > 2


def test_sample_writes_a_picture(run: Path, tmp_path: Path) -> None:
    said = call("sample", run, "--n", 10, "--out", tmp_path / "a.png")
    assert (said.stdout, said.stderr) == ("", f"wrote 10 samples to {tmp_path / 'a.png'}\n")
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        width, height = picture.size
    assert width > height  # 4 columns, 3 rows
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_sample_writes_the_array_the_model_draws(run: Path, tmp_path: Path) -> None:
    call("sample", run, "--n", 5, "--seed", 7, "--temperature", 0.5, "--out", tmp_path / "a.npy")
    call("sample", run, "--n", 5, "--seed", 7, "--temperature", 0.5, "--out", tmp_path / "a.npz")
    expected = zoo.load(run).sample(5, 0.5, torch.Generator().manual_seed(7)).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], expected)


def test_sample_in_several_batches_draws_them_anew(run: Path, tmp_path: Path) -> None:
    call("sample", run, "--n", 1001, "--out", tmp_path / "a.npy")
    images = np.load(tmp_path / "a.npy")
    assert images.shape == (1001, 1, 8, 8)
    assert len(np.unique(images, axis=0)) == 1001


def test_reconstruct_pairs_images_with_their_reconstructions(run: Path, tmp_path: Path) -> None:
    call("reconstruct", run, "--n", 6, "--out", tmp_path / "pairs.npz")
    said = call("reconstruct", run, "--n", 6, "--out", tmp_path / "pairs.png").stderr
    assert (
        said == f"wrote 6 examples of test and their reconstructions to {tmp_path / 'pairs.png'}\n"
    )
    with np.load(tmp_path / "pairs.npz") as arrays:
        originals, reconstructions = arrays["originals"], arrays["reconstructions"]
    assert set(np.unique(originals)) == {0.0, 1.0}
    expected = zoo.load(run).reconstruct(torch.from_numpy(originals))
    np.testing.assert_array_equal(reconstructions, expected.numpy())
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.format == "PNG"


def test_encode_writes_codes_and_labels(run: Path, tmp_path: Path) -> None:
    said = call("encode", run, "--split", "train", "--out", tmp_path / "codes.npz").stderr
    assert said == f"wrote codes (1297, 3) and labels (1297,) to {tmp_path / 'codes.npz'}\n"
    data = zoo.data.load_dataset("digits").train
    x = data.binarized(0).batch(torch.arange(len(data)), kind="unit").x
    with np.load(tmp_path / "codes.npz") as arrays, torch.no_grad():
        codes, labels = arrays["codes"], arrays["labels"]
        expected = zoo.load(run).encode(x).numpy()
    np.testing.assert_allclose(codes, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, data.labels)


def test_encode_resizes_ones_own_images_to_the_model(run: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 24), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    call("encode", run, "--dataset", tmp_path / "mine.npy", "--out", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as arrays:
        assert set(arrays) == {"codes"}
        assert arrays["codes"].shape[1] == 3


@pytest.mark.parametrize(
    "arguments",
    [("sample", "--out", "a.jpg"), ("reconstruct", "--out", "a"), ("encode", "--out", "a.png")],
)
def test_a_file_of_another_kind_is_refused_first(arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    assert "must end in" in call(command, "no-such-model", *rest, code=2).stderr


def test_a_place_that_cannot_be_written_is_an_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("sample", run, "--out", tmp_path / "file" / "a.png", code=2)
    assert "cannot write" in result.stderr


# Verifying


@pytest.fixture
def released(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers the run's model as a released checkpoint with a recorded NLL off by ``shift``."""
    score = zoo.evaluate(str(run), samples=3)
    assert score.nll is not None
    content = (run / "best.safetensors").read_bytes()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny.safetensors").write_bytes(content)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))

    def register(name: str, shift: float) -> None:
        entry = {
            "variant": "gaussian-vae", "dataset": "digits", "summary": "for a test",
            "file": "tiny.safetensors", "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "license": "MIT", "data_license": "CC BY 4.0",
            "metrics": {"nll": {"value": score.nll.value + shift * score.nll.stderr,
                                "stderr": score.nll.stderr, "samples": 3}},
            "recipe": {"command": "", "seed": 0, "revision": "", "hardware": "", "duration": ""},
        }  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"checkpoints": {name: entry}}))
        before = os.environ.get("ZOO_REGISTRY")
        monkeypatch.setenv("ZOO_REGISTRY", os.pathsep.join(filter(None, [before, str(path)])))

    return register


def test_verify_passes_what_it_recomputes(released: Any) -> None:
    released("right", shift=0.5)
    (result,) = call_json("verify", "right")
    assert (result["passed"], result["name"]) == (True, "right")
    assert "right" in call("verify", "right").stdout


def test_verify_exits_with_1_for_a_wrong_figure(released: Any) -> None:
    released("right", shift=0)
    released("wrong", shift=20)
    result = call("verify", "right", "wrong", "--json", code=1)
    assert [each["passed"] for each in json.loads(result.stdout)] == [True, False]


def test_verify_goes_on_after_an_error(
    released: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released("right", shift=0)
    released("wrong", shift=20)
    text = (tmp_path / "right.yaml").read_text()
    away = tmp_path / "away.yaml"
    away.write_text(text.replace("right:", "away:").replace("dataset: digits", "dataset: mnist"))
    monkeypatch.setenv("ZOO_REGISTRY", f"{away}{os.pathsep}{os.environ['ZOO_REGISTRY']}")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.delenv("ZOO_DATA", raising=False)

    result = call("verify", "away", "wrong", "right", "--json", code=2)
    shown = json.loads(result.stdout)
    assert [each["name"] for each in shown] == ["away", "wrong", "right"]
    assert [each["passed"] for each in shown] == [False, False, True]
    assert "ZOO_OFFLINE" in shown[0]["error"]
    assert result.stderr.startswith("error: away: ")
    monkeypatch.setattr(zoo, "list_checkpoints", lambda: ["away", "right"])
    result = call("verify", "--all", code=2)
    assert result.stdout.startswith("right: verified")
    assert result.stderr.startswith("error: away: ")


# What CONTRIBUTING.md says about adding a variant


def test_the_entry_of_the_contributors_guide_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(entry)
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "mine.yaml"))

    run = tmp_path / "run"
    call("train", "class-conditional-vae", "--epochs", 1, *TINY, "--directory", run)
    shown = call_json("evaluate", run, "--samples", 2, "--examples", 10)
    assert (shown["variant"], shown["code_dim"]) == ("class-conditional-vae", 3)
