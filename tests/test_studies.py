"""Studies: what is there is read, what is missing is trained, and nothing stale is served."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from processes import Process
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.errors import ConfigError, DataError, UnknownNameError
from zoo.studies import Result, Results, Study, StudyReport, find_paper, read_study

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = {
    "title": "Widths",
    "dataset": "digits",
    "examples": 20,
    "samples": 5,
    "variant": "gaussian-vae",
    "model": {"latent_dim": 2, "backbone": {"name": "mlp", "hidden": [8]}},
    "train": {"epochs": 1, "batch_size": 64},
    "columns": {
        "NLL": {"metric": "nll"},
        "log p(x|z)": {"metric": "distortion", "times": -1, "digits": 1},
    },
    "points": {
        "wide": {"model": {"latent_dim": 4}, "claims": {"NLL": [30.0, 0.5]}},
        "none": {"variant": "autoencoder"},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "widths.yaml"
    path.write_text(yaml.safe_dump(SETTINGS, sort_keys=False), encoding="utf-8")
    return path


def changed(file: Path, **settings: Any) -> Path:
    file.write_text(yaml.safe_dump({**SETTINGS, **settings}, sort_keys=False), encoding="utf-8")
    return file


def result(point: str, seed: int, **figures: float) -> dict[str, Any]:
    return {
        "point": point,
        "seed": seed,
        "protocol": "p",
        "figures": {name: {"value": value, "stderr": 0.3} for name, value in figures.items()},
        "epochs": 1,
        "made": {},
    }


def test_nothing_is_trained_unless_asked_and_nothing_twice(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs"
    before = zoo.sweep(file, directory=folder)
    assert before.missing == (("wide", 0), ("none", 0))
    assert "`zoo sweep" in str(before)
    assert not folder.exists()
    after = zoo.sweep(file, directory=folder, train=True, progress=False)
    assert not after.missing
    nll, trained = after.ours("wide", "NLL"), folder / "wide-s0"
    assert nll is not None
    expected = zoo.evaluate(trained, samples=5, examples=20).nll
    assert expected is not None
    assert (nll.value, nll.stderr) == pytest.approx((expected.value, expected.stderr))
    assert after.ours("none", "NLL") is None
    (refused,) = (each.refusals for each in after.results if each.point == "none")
    assert "log p(x) is not" in refused["NLL"]
    monkeypatch.setattr("zoo.api.studies.carry_out", None)
    assert zoo.sweep(file, directory=folder, train=True).results == after.results


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"objective": "iwae", "train": {"kl_warmup_steps": 4}}, "'iwae' has none; set it to 0"),
        ({"objective": "vq"}, "has none; choose the objective 'elbo', or the variant 'vq-vae'"),
        ({"objective": "semi-supervised"}, "'m2'"),
    ],
)
def test_what_fits_no_point_is_said_before_the_first_is_trained(
    wrong: dict[str, Any], words: str, file: Path, tmp_path: Path
) -> None:
    changed(file, points={"right": {}, "wrong": wrong})
    with pytest.raises(ConfigError, match=re.escape(words)):
        zoo.sweep(file, directory=tmp_path / "runs", train=True, progress=False)
    assert not (tmp_path / "runs" / "right-s0").exists()


def test_what_was_measured_otherwise_is_not_served(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    zoo.sweep(file, directory=folder, train=True, points=["wide"], progress=False)
    assert ("wide", 0) not in zoo.sweep(file, directory=folder).missing
    for other in (
        {"samples": 6},
        {"examples": 21},
        {"split": "validation"},
        {"train": {"epochs": 2, "batch_size": 64}},
        {"model": {"latent_dim": 2, "backbone": {"name": "mlp", "hidden": [9]}}},
        {"columns": {**SETTINGS["columns"], "KL": {"metric": "rate"}}},
    ):
        assert ("wide", 0) in zoo.sweep(changed(file, **other), directory=folder).missing, other
    changed(file, title="another title")
    assert ("wide", 0) not in zoo.sweep(file, directory=folder).missing


def test_seeds_have_a_mean_and_their_deviation() -> None:
    study = Study.parse({**SETTINGS, "seeds": [0, 1, 2]}, "here")
    runs = [result("wide", n, **{"NLL": v, "log p(x|z)": v}) for n, v in enumerate((92, 93, 95.5))]
    report = StudyReport(study, tuple(Result.model_validate(run) for run in runs))
    ours, theirs = report.ours("wide", "NLL"), report.theirs("wide", "NLL")
    assert ours is not None and theirs is not None
    assert (ours.value, ours.stderr) == pytest.approx((93.5, 3.25**0.5))
    assert (theirs.value, theirs.stderr) == (30.0, 0.5)
    alone = StudyReport(study, report.results[:1]).ours("wide", "log p(x|z)")
    assert alone is not None
    assert (alone.value, alone.stderr) == (-92.0, 0.3)
    _, _, wide, none = (" ".join(line.split()) for line in str(report).splitlines()[2:6])
    assert wide == "wide 3 93.50 ± 1.80 30.00 ± 0.50 -93.5 ± 1.8"
    assert none == "none 0 - - -"
    assert r"| log p(x\|z) |" in report.to_markdown()
    assert json.loads(report.to_json())["rows"][0]["seeds"] == 3


def test_points_are_held_against_the_baseline_seed_by_seed() -> None:
    """What the seeds share cancels: their spread is far above that of the differences."""
    study = Study.parse({**SETTINGS, "seeds": [0, 1, 2], "baseline": "none"}, "here")
    base = {0: 90.0, 1: 100.0, 2: 110.0, 7: 3.0}
    runs = [result("none", seed, **{"NLL": v, "log p(x|z)": v}) for seed, v in base.items()]
    for seed, gain in ((0, 1.0), (1, 2.0), (2, 3.0), (8, 99.0)):  # 7 and 8 have no counterpart
        value = base.get(seed, 0) - gain
        runs.append(result("wide", seed, **{"NLL": value, "log p(x|z)": value}))
    report = StudyReport(study, tuple(Result.model_validate(run) for run in runs))
    apart = report.difference("wide", "NLL")
    assert apart is not None
    assert (apart.value, apart.stderr) == pytest.approx((-2.0, 1 / 3**0.5))
    assert report.difference("none", "NLL") is None
    one = StudyReport(study, (report.results[0], report.results[4])).difference("wide", "NLL")
    assert one is not None
    assert (one.value, one.stderr) == (-1.0, None)
    lines = [" ".join(line.split()) for line in str(report).splitlines()]
    assert "differences to none, of the same seeds" in lines
    assert "wide -2.00 ± 0.58 +2.0 ± 0.6" in lines
    assert "| wide | -2.00 ± 0.58 | +2.0 ± 0.6 |" in report.to_markdown()
    row = json.loads(report.to_json())["rows"][0]
    assert (row["difference"], row["difference_error"]) == pytest.approx((-2.0, 1 / 3**0.5))
    with pytest.raises(ConfigError, match="the baseline 'non' is no point; did you mean 'none'"):
        Study.parse({**SETTINGS, "baseline": "non"}, "here")


def test_an_objective_may_be_a_bare_name() -> None:
    study = Study.parse({**SETTINGS, "points": {"a": {"objective": "stl"}, "b": {}}}, "here")
    named = Study.parse(
        {**SETTINGS, "points": {"a": {"objective": {"name": "stl"}}, "b": {}}}, "here"
    )
    protocols = [{trial.protocol for trial in each.trials()} for each in (study, named)]
    assert protocols[0] == protocols[1]
    assert len(protocols[0]) == 2


def test_the_sweeps_of_scripts_can_be_trained() -> None:
    """Names and settings of every point are known; what they come to is beside some of them."""
    for path in (ROOT / "scripts").glob("*.yaml"):
        if path.name not in ("recipes.yaml",):
            study = read_study(path)
            assert len(list(study.trials())) == len(study.points) * len(study.seeds)


WRITER = """
import sys, time; from pathlib import Path; from zoo.studies import Result, Results
file = Path(sys.argv[1]); results = Results(file); print("ready", flush=True)
while not file.with_name("go").exists(): time.sleep(0.001)
for seed in range(25): results.add(Result(point=sys.argv[2], seed=seed, protocol="x" * 20000,
    figures={}, epochs=1, made={}))
"""


def test_results_of_concurrent_writers_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    writers = [Process("-c", WRITER, file, name) for name in ("a", "b")]
    while not all(process.said() == "ready\n" for process in writers):
        assert all(process.is_alive() for process in writers)
        time.sleep(0.01)
    file.with_name("go").touch()  # both have imported everything before either begins
    assert [process.finish().returncode for process in writers] == [0, 0]
    found = [each.of for each in Results(file).all()]
    assert found == [(name, seed) for name in ("a", "b") for seed in range(25)]


def test_a_damaged_file_of_results_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('[{"point": "wide"')
    with pytest.raises(DataError, match=r"results\.json holds no results of a study"):
        zoo.sweep(file, directory=tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": None}, "'wide' has no variant"),
        ({"points": {"a": {"claims": {"NNL": 1}}}}, "no column; did you mean 'NLL'"),
        ({"columns": {"NLL": {"metric": "nul"}}}, "did you mean 'nll'"),
        ({"columns": {}}, "at least 1"),
        ({"points": {"beta 1": {}, "Beta-1": {}}}, "would lie in one folder, 'beta-1'"),
        ({"smaples": 3}, "did you mean 'samples'"),
        ({"points": {"a": {"model": {"latent_dmi": 3}}}}, "did you mean 'latent_dim'"),
        ({"variant": "gausian-vae"}, "did you mean 'gaussian-vae'"),
    ],
)
def test_a_study_that_is_none_is_refused(
    file: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.sweep(changed(file, **settings), directory=tmp_path, train=True)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_names_that_are_asked_for_wrongly(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'davidson2018'"):
        zoo.reproduce("davidson2019")
    with pytest.raises(UnknownNameError, match="did you mean 'wide'"):
        zoo.sweep(file, directory=tmp_path, points=["wid"])
    with pytest.raises(ConfigError, match=r"\['wide'\]"):
        zoo.sweep(file, directory=tmp_path, points="wide")  # type: ignore[arg-type]
    for seeds in (3, "3", ["a"]):
        with pytest.raises(ConfigError, match="give a list of seeds"):
            zoo.sweep(file, directory=tmp_path, seeds=seeds)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        zoo.sweep(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", zoo.list_papers())
def test_what_is_recorded_of_a_paper_is_of_its_protocol(name: str, tmp_path: Path) -> None:
    study, recorded = find_paper(name)
    assert study.paper is not None
    assert any(point.claims for point in study.points.values())
    trials = {(trial.point, trial.seed): trial.protocol for trial in study.trials()}
    assert len({trial.folder for trial in study.trials()}) == len(trials)
    for each in Results(recorded).all():
        assert trials[each.of] == each.protocol, f"{each.of}: measured under another protocol"
    assert study.paper.title not in str(zoo.reproduce(name, directory=tmp_path)).splitlines()[2]


@pytest.mark.parametrize("name", ["davidson2018", "bowman2016"])
def test_the_page_shows_what_is_recorded(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    table = zoo.reproduce(name, directory=tmp_path).to_markdown().split("\n\n")[0]
    assert table in page


def test_sentences_have_the_figures_that_stand_beside_each_other(tmp_path: Path) -> None:
    """The perplexities of both are exp of nats a token, ours of the NLL, theirs of the ELBO."""
    report, tokens = zoo.reproduce("bowman2016", directory=tmp_path), 21.917
    assert not report.missing
    ours, theirs = (
        {column: found(point, column) for column in report.study.columns}
        for found, point in ((report.ours, "gaussian"), (report.theirs, "gaussian"))
    )
    for figures, likelihood, sign in ((ours, "NLL", 1), (theirs, "ELBO", -1)):
        nats, found = figures[likelihood], figures["perplexity"]
        assert nats is not None and found is not None
        assert found.value == pytest.approx(math.exp(sign * nats.value / tokens), rel=1e-3)
    for point in report.study.points:
        elbo, own, kl = (report.ours(point, each) for each in ("ELBO", "log p(x|z)", "KL"))
        assert elbo is not None and own is not None and kl is not None
        assert elbo.value == pytest.approx(own.value - kl.value, abs=1e-6)


def test_results_beside_a_file_are_shown_and_not_trained_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    trained = zoo.sweep(file, directory=there, train=True, points=["wide"], progress=False)
    (there / "results.json").rename(tmp_path / "widths.results.json")
    monkeypatch.setattr("zoo.api.studies.carry_out", None)
    shown = zoo.sweep(file, directory=here, train=True, points=["wide"])
    assert shown.results == trained.results
    assert not here.exists()
    changed(file, samples=6)  # other figures than those
    assert ("wide", 0) in zoo.sweep(file, directory=here).missing


def test_the_sweep_of_couplets_is_recorded_and_the_page_says_it(tmp_path: Path) -> None:
    report = zoo.sweep(ROOT / "scripts" / "couplets.yaml", directory=tmp_path)
    assert not report.missing
    page = (ROOT / "docs" / "transformer-latents.md").read_text(encoding="utf-8")
    columns = ("KL", "NLL", "at places, %", "whole, %", "log p(x|z)", "the same, z of p(z)")
    rows = [
        line.split(" | ")[1:] for line in page.splitlines() if line.startswith(("| four", "| two"))
    ]
    points = ["kappa 16, d 16, 4 groups", "kappa 32, d 16, 4 groups", "kappa 128, d 32, 2 groups",
              "kappa 128, d 32, 4 groups", "kappa 128, d 32, 4 groups, trained longer"]  # fmt: skip
    for point, cells in zip(points, rows, strict=True):
        for column, cell in zip(columns, cells, strict=True):
            found = report.ours(point, column)
            assert found is not None
            said = (
                f"{found.value:.2f} ± {found.stderr:.2f}" if "±" in cell else f"{found.value:.1f}"
            )
            assert cell.strip(" |%") == said, (point, column)


def test_on_the_command_line(file: Path, tmp_path: Path) -> None:
    runner, folder = CliRunner(), str(tmp_path / "runs")
    shown = runner.invoke(app, ["reproduce", "davidson2018", "--directory", folder])
    assert shown.exit_code == 0
    assert "S-VAE, d = 40" in shown.stdout
    arguments = ["sweep", str(file), "--train", "--point", "wide", "--directory", folder, "--json"]
    (row, *_) = json.loads(runner.invoke(app, arguments).stdout)["rows"]
    assert row["paper"] == 30.0
    assert row["seeds"] == 1


def test_a_file_is_read_as_it_is_written(file: Path) -> None:
    assert read_study(file) == Study.parse(SETTINGS, "here")


def test_models_of_sentences_are_swept_as_others(tmp_path: Path) -> None:
    """What their columns say is what an evaluation of the run says."""
    words = ["red", "green", "blue", "fish", "bird", "cat"]
    lines = [" ".join(words[(i * 5 + j) % 6] for j in range(1 + i % 6)) for i in range(40)]
    corpus, file = tmp_path / "colours.txt", tmp_path / "colours.yaml"
    corpus.write_text("\n".join(lines) + "\n")
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2, "latent_dim": 4}
    settings = {
        "title": "Colours", "dataset": str(corpus), "split": "train", "samples": 2, "examples": 8,
        "variant": "univae", "model": small, "train": {"epochs": 1, "batch_size": 8},
        "columns": {
            "perplexity": {"metric": "perplexity"},
            "at places, %": {"metric": "reconstruction-accuracy", "times": 100},
            "self-BLEU": {"metric": "self-bleu"},
            "I(x; z)": {"metric": {"name": "mutual-information", "examples": 100}},
        },
        "points": {"vmf": {}, "gaussian": {"model": {"posterior": "gaussian"}}},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    report = zoo.sweep(file, directory=tmp_path / "runs", train=True, progress=False)
    assert not report.missing and not any(each.refusals for each in report.results)
    for point in settings["points"]:  # type: ignore[attr-defined]
        said = zoo.evaluate(tmp_path / "runs" / f"{point}-s0", dataset=corpus, split="train",
                            samples=2, examples=8).text  # fmt: skip
        assert said is not None
        columns = {"perplexity": said.perplexity, "at places, %": 100 * said.accuracy.value,
                   "self-BLEU": said.self_bleu}  # fmt: skip
        for column, value in columns.items():
            ours = report.ours(point, column)
            assert ours is not None and ours.value == pytest.approx(value), (point, column)
        information = report.ours(point, "I(x; z)")
        assert information is not None and information.value <= math.log(8) + 1e-6


@pytest.mark.parametrize("name", ["points.npy", "data/points.npy", "../points.npy", "~/points.npy"])
def test_data_lie_beside_the_file_wherever_it_is_swept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, called, resumed = (tmp_path / each for each in ("study", "called", "resumed"))
    for folder in (study / "data", called, resumed):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    data = (study / name.replace("~", "../home")).resolve()
    data.parent.mkdir(exist_ok=True)
    np.save(data, np.random.default_rng(0).normal(size=(80, 3)).astype("float32"))
    file = changed(study / "mine.yaml", dataset=name, points={"wide": {}})
    asked: dict[str, Any] = {"directory": tmp_path / "runs", "progress": False}
    monkeypatch.chdir(called)
    np.save("points.npy", np.zeros((80, 5), dtype="float32"))  # other data, not to be read
    first = zoo.sweep("../study/mine.yaml", train=True, **asked)
    assert first.study.dataset == read_study(file).dataset
    assert zoo.load(tmp_path / "runs" / "wide-s0").config.input_shape == (3,)
    assert "points.npy/test" in str(first)
    monkeypatch.chdir(resumed)
    monkeypatch.setattr("zoo.api.studies.carry_out", None)
    (tmp_path / "linked").symlink_to(study)
    for same in (file, "../study/mine.yaml", "../linked/mine.yaml"):
        assert zoo.sweep(same, train=True, **asked).results == first.results


def test_a_killed_sweep_goes_on_when_called_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("study", "called", "resumed"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "study" / "points.npy", np.zeros((80, 3), dtype="float32"))
    changed(tmp_path / "study" / "mine.yaml", dataset="points.npy", points={"wide": {}})
    asked: dict[str, Any] = {"directory": tmp_path / "runs", "train": True, "progress": False}
    monkeypatch.chdir(tmp_path / "called")
    with monkeypatch.context() as patch:
        patch.setattr("zoo.studies.run.measured", _killed)
        with pytest.raises(KeyboardInterrupt):
            zoo.sweep("../study/mine.yaml", **asked)
    trained = (tmp_path / "runs" / "wide-s0" / "metrics.jsonl").read_bytes()
    monkeypatch.chdir(tmp_path / "resumed")
    assert not zoo.sweep(tmp_path / "called" / ".." / "study" / "mine.yaml", **asked).missing
    assert (tmp_path / "runs" / "wide-s0" / "metrics.jsonl").read_bytes() == trained


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("digit", r"widths\.yaml: unknown dataset 'digit'; did you mean 'digits'\?.*beside it"),
        ("data/points.npy", r"study/data/points\.npy does not exist"),
        ("points.npy", r"study/points\.npy does not exist"),
        ("~nobody-of-that-name/x.npy", "the dataset must be a path"),
    ],
)
def test_data_that_are_not_beside_the_file(dataset: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    file = changed(tmp_path / "study" / "widths.yaml", dataset=dataset)
    with pytest.raises(zoo.ZooError, match=said):
        zoo.sweep(file, directory=tmp_path / "runs", train=True, progress=False)


def test_seconds_until_a_bound_are_those_of_the_first_epoch_that_reached_it(
    file: Path, tmp_path: Path
) -> None:
    columns = {"early": {"until": -60}, "later": {"until": -44.0}, "never": {"until": -1.0}}
    path = changed(file, columns=columns, points={"wide": {}}, train={"epochs": 4})
    found = zoo.sweep(path, directory=tmp_path / "runs", train=True, progress=False)
    (run,) = found.results
    history = _lines(tmp_path, "metrics.jsonl")
    seconds = {line["step"]: line["seconds"] for line in _lines(tmp_path, "timings.jsonl")}
    for name, bound in (("early", -60), ("later", -44.0)):
        steps = [each["step"] for each in history if each["validation_elbo"] >= bound]
        assert run.figures[name].value == pytest.approx(seconds[steps[0]])
    assert run.figures["early"].value <= run.figures["later"].value
    best = max(each["validation_elbo"] for each in history)
    assert run.refusals == {"never": f"the validation's bound reached {best:.2f} at best"}
    (row,) = (line for line in str(found).splitlines() if line.startswith("wide"))
    assert row.split()[-1] == "-"


def _lines(folder: Path, name: str) -> list[dict[str, Any]]:
    (path,) = (folder / "runs").glob(f"*/{name}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_wait_is_known_by_its_column(file: Path) -> None:
    metric, wait = {"metric": "nll"}, {"until": -90}
    points: dict[str, Any] = {"wide": {}}
    one = read_study(changed(file, columns={"a": metric, "b": wait}, points=points))
    other = read_study(changed(file, columns={"a": wait, "b": metric}, points=points))
    assert next(one.trials()).protocol != next(other.trials()).protocol


@pytest.mark.parametrize("column", [{}, {"metric": "nll", "until": -90}])
def test_a_column_is_a_metric_or_a_wait(file: Path, column: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="either a metric or until"):
        read_study(changed(file, columns={"x": column}))


def test_the_speedrun_is_a_sweep() -> None:
    study = read_study(ROOT / "scripts" / "speedrun.yaml")
    assert len(list(study.trials())) == len(study.points) >= 7
