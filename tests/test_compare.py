"""What is compared is comparable, measured under one protocol, and said in every form alike."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from figures import figures
from torch import nn
from typer.testing import CliRunner

import zoo
from zoo import Run
from zoo.api.benchmark import benchmark_of, chosen_metrics
from zoo.api.compare import compare
from zoo.api.source import opened
from zoo.cli import app
from zoo.core.component import Selected
from zoo.errors import CheckpointError, ConfigError, UnknownNameError, ZooError
from zoo.metrics import Scores, Subject
from zoo.registry import registry
from zoo.storage import checkpoint
from zoo.storage.hub import locate

TINY: dict[str, Any] = {"latent_dim": 2, "backbone": {"hidden": [8]}}
PROTOCOL: dict[str, Any] = {"metrics": ["nll"], "samples": 2, "examples": 10}
PAIR = ["gaussian-vae-digits", "beta-vae-digits"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return zoo.train("gaussian-vae", directory=folder, epochs=1, progress=False, **TINY)


class TestProtocol:
    def test_a_benchmark_sets_it_and_arguments_replace_it(self, run: Run) -> None:
        scores = zoo.compare([run.directory, run.model], ["nll"], benchmark="digits", samples=2)
        assert len(set(figures(scores))) == 1
        spec = registry().benchmark("digits")
        assert scores.title == f"digits: test, 300 examples, K = 2, seed {spec.seed}"
        other = zoo.compare(run, benchmark="digits", split="validation", seed=1, **PROTOCOL)
        assert other.title == "digits: validation, 10 examples, K = 2, seed 1"

    def test_the_dataset_of_all_says_the_benchmark(self, run: Run) -> None:
        own = zoo.compare([run, "gaussian-vae-digits"], samples=2, examples=20)
        named = zoo.compare([run, "gaussian-vae-digits"], dataset="digits", samples=2, examples=20)
        metrics = registry().benchmark("digits").metrics
        for scores in (own, named):
            assert len(scores.metrics) == len(metrics) > 20
            assert scores.title == "digits: test, 20 examples, K = 2, seed 0"
        assert own.table() == named.table()

    @pytest.mark.parametrize("name", registry().benchmarks)
    def test_the_metrics_of_a_benchmark_are_known_and_found_by_its_dataset(self, name: str) -> None:
        spec = registry().benchmark(name)
        assert len(chosen_metrics(None, spec)) == len(spec.metrics)
        assert benchmark_of(spec.dataset).name == name or spec.shifts

    def test_data_without_a_benchmark_have_likelihoods_measured(
        self, run: Run, tmp_path: Path
    ) -> None:
        np.save(tmp_path / "mine.npy", np.zeros((30, 8, 8), dtype=np.uint8))
        other = zoo.train("gaussian-vae", dataset=str(tmp_path / "mine.npy"), epochs=1,
                          directory=tmp_path / "run", progress=False, **TINY)  # fmt: skip
        scores = zoo.compare([other], samples=2)
        assert [metric.name for metric in scores.metrics] == ["nll", "elbo", "rate", "distortion"]
        assert scores.title.startswith("mine: test, ")
        for sources in ([run, other], [run, run.model], {"a": run.model}):
            with pytest.raises(ConfigError, match="give either a benchmark or a dataset"):
                zoo.compare(sources)  # type: ignore[arg-type]

    def test_a_benchmark_may_name_a_path(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ZOO_REGISTRY", "")  # and afterwards as it was
        np.save(tmp_path / "mine.npy", np.full((40, 8, 8), 255, dtype=np.uint8))
        entry = f"{{summary: Mine., dataset: {tmp_path}/mine.npy, samples: 2, split: train}}"
        (tmp_path / "mine.yaml").write_text(f"benchmarks: {{mine: {entry}}}")
        zoo.use_registry(tmp_path / "mine.yaml")
        scores = zoo.compare([run, run.model], benchmark="mine")
        assert re.fullmatch(r"mine: train, \d+ examples, K = 2, seed 0", scores.title)
        (tmp_path / "wrong.yaml").write_text("benchmarks: {a: {summary: Mine., dataset: minst}}")
        with pytest.raises(ConfigError, match=r"benchmarks\.a: unknown dataset 'minst'"):
            zoo.use_registry(tmp_path / "wrong.yaml")


class TestFileOfABenchmark:
    TEXT = "summary: Mine.\ndataset: {}\nsplit: train\nsamples: 2\nmetrics: [elbo, rate]\n"

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "data").mkdir()
        np.save(tmp_path / "data" / "points.npy", np.full((40, 8, 8), 255, dtype=np.uint8))
        return tmp_path / "mine.yaml"

    @pytest.mark.parametrize("dataset", ["data/points.npy", "./data/points.npy", "digits"])
    def test_its_data_lie_beside_it_wherever_it_is_read(
        self, run: Run, file: Path, dataset: str
    ) -> None:
        file.write_text(self.TEXT.format(dataset))
        title = "mine: points/train, 32" if "points" in dataset else "mine: digits/train, 1,297"
        for asked in (file, str(file)):
            scores = zoo.compare([run], benchmark=asked)
            assert scores.title == f"{title} examples, K = 2, seed 0"
            assert [metric.name for metric in scores.metrics] == ["elbo", "rate"]
        asked = ["compare", str(run.directory), "--benchmark", str(file), "--json"]
        assert json.loads(CliRunner().invoke(app, asked).stdout)["title"] == scores.title

    def test_its_home_may_be_named(
        self, run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(file.parent))
        file.write_text(self.TEXT.format("data/points.npy"))
        assert "points/train" in zoo.compare([run], benchmark="~/mine.yaml").title

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (TEXT.format("digits") + "metric: [nll]", r"'metric'; did you mean 'metrics'\?"),
            (TEXT.format("digits").replace("train", "tets"), r"'split': .*did you mean 'test'\?"),
            (TEXT.format("digit"), r"unknown dataset 'digit'; did you mean 'digits'\?.*beside it"),
            (TEXT.format("data/other.npy"), "other.npy does not exist"),
            (TEXT.format("other.npy"), "other.npy does not exist"),
            ("dataset: digits", "'summary' is required"),
            ("[1, 2]", "expected a mapping, as an entry of 'benchmarks' is"),
            ("a: [", "not valid YAML"),
        ],
    )
    def test_mistakes_name_the_nearest_key(
        self, run: Run, file: Path, text: str, said: str
    ) -> None:
        file.write_text(text)
        with pytest.raises(ZooError, match=said):
            zoo.compare([run], benchmark=file)

    def test_a_file_that_is_not_there(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no.yaml: cannot read the benchmark: No such file"):
            zoo.compare([run], benchmark=tmp_path / "no.yaml")


class TestSources:
    def test_models_of_one_class_are_told_apart(self, run: Run) -> None:
        other = zoo.create("gaussian-vae", **TINY)
        scores = zoo.compare([run.model, other, run], dataset="digits", **PROTOCOL)
        assert scores.models == ("VAE (1)", "VAE (2)", str(run.directory))
        named = zoo.compare({"trained": run.model, "not": other}, dataset="digits", **PROTOCOL)
        assert named.models == ("trained", "not")

    def test_each_model_and_the_data_are_loaded_once(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[object] = []

        def counted(place: Any, name: str) -> None:
            original = getattr(place, name)
            monkeypatch.setattr(
                place, name, lambda *given, **more: loaded.append(name) or original(*given, **more)
            )

        counted(checkpoint, "load")
        counted(zoo.data.loading, "_load")
        sources = [run.directory, "gaussian-vae-digits", "cvae-digits", "vmf-vae-digits"]
        zoo.compare(sources, ["nll", "elbo"], benchmark="digits", samples=2, examples=12)
        assert sorted(loaded) == ["_load", *["load"] * 4]
        zoo.compare(sources, ["nll", "elbo"], benchmark="digits", samples=2, examples=12)
        assert sorted(loaded) == ["_load"] * 2 + ["load"] * 4  # figures are recorded

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            ({"sources": [], "benchmark": "digits"}, ConfigError, "nothing to compare"),
            ({"sources": nn.Linear(1, 1), "dataset": "digits"}, ConfigError, "got a Linear"),
            ({"sources": [nn.Linear(1, 1)], "dataset": "digits"}, ConfigError, "got a Linear"),
            ({"sources": [3], "dataset": "digits"}, ConfigError, "got a int"),
            ({"benchmark": "digits", "dataset": "digits"}, ConfigError, "either a benchmark or"),
            ({"benchmark": "digts"}, UnknownNameError, "unknown benchmark 'digts'; did you mean"),
            ({"benchmark": "digits", "sources": ["gaussian-vae"]}, CheckpointError, "is a variant"),
        ],
    )
    def test_mistakes(
        self, run: Run, arguments: dict[str, Any], error: type[ZooError], said: str
    ) -> None:
        with pytest.raises(error) as caught:
            zoo.compare(**({"sources": [run.directory]} | arguments))
        assert said in str(caught.value)


class TestWhatIsUnlike:
    def test_a_mass_and_a_density_are_not_ranked_nor_errors_of_other_pixels(self, run: Run) -> None:
        """A density is no mass, and an image of grey levels is no binary one."""
        unit = zoo.create("gaussian-vae", likelihood={"name": "gaussian"}, **TINY)
        metrics = ["nll", "squared-error", "frechet-distance", "weights"]
        given = {"binary": run.model, "grey": unit}
        scores = zoo.compare(given, metrics, benchmark="digits", samples=2, examples=40)
        assert [any(scores.ties(row)) for row in range(4)] == [False, False, False, True]
        shown = str(scores)
        assert (
            "grey is not ranked by nll: its figures are of probability density of real pixels, "
            "1 x 8 x 8, those of the others of probability mass of binary pixels, 1 x 8 x 8"
        ) in shown
        assert (
            "grey is not ranked by squared-error, frechet-distance: its figures are of real pixels"
        ) in shown

    def test_images_of_another_size_are_refused(self, run: Run, tmp_path: Path) -> None:
        larger = zoo.create("gaussian-vae", dataset="digits", image_size=12, **TINY)
        with pytest.raises(ConfigError, match=r"the examples of digits/test that they read differ"):
            zoo.compare({"a": run.model, "b": larger}, dataset="digits", **PROTOCOL)

    def test_other_columns_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.csv"
        path.write_text("a,b\n" + "\n".join(f"{n % 7},{n % 3}" for n in range(60)))
        models = {
            kind: zoo.create("tabular-vae", dataset=zoo.load_dataset(path, columns={"a": kind}))
            for kind in ("count", "real")
        }
        with pytest.raises(ConfigError, match=r"their columns differ, .*count.*real"):
            zoo.compare(models, dataset=path, **PROTOCOL)


class TestReferences:
    GIVEN: ClassVar = {"metrics": ["elbo", "memorisation", "precision"], "benchmark": "digits"}

    def test_they_stand_beside_the_models_and_are_not_ranked(self) -> None:
        scores = zoo.compare([*PAIR, "cvae-digits"], examples=60, **self.GIVEN)
        assert scores.columns == (*scores.models, "training", "halves")
        head, elbo, memorisation, _ = scores.table()
        assert tuple(head[1:]) == scores.columns
        assert elbo[-2:] == ["-", "-"] and memorisation[-2] == "1"  # what copies is a copy
        assert scores.differences(2)[-2:] == [None, None] and scores.ties(2)[-2:] == [False] * 2
        assert len(scores.table_of_differences()[0]) == 1 + len(scores.models)
        assert [row["model"] for row in scores.rows() if row["reference"]] == [
            "training", "halves"
        ] * 3  # fmt: skip
        assert any(note.startswith("not ranked: training images") for note in scores.notes)

    def test_they_are_those_of_the_metric_whichever_model_is_first(self) -> None:
        one, other = (zoo.compare(models, examples=60, **self.GIVEN) for models in (PAIR, PAIR[1:]))
        subject = Subject(zoo.load(PAIR[0]), zoo.load_dataset("digits"), examples=60)
        for row, name in ((1, "memorisation"), (2, "precision")):
            metric = Selected.parse("metrics", name).build()
            for place, role in ((-2, "training"), (-1, "halves")):
                found = [each.outcomes[row][place].measured for each in (one, other)]
                assert found[0] is not None and found[0] == found[1]
                assert found[0].value == metric.measure_as(subject, role).value

    def test_they_are_recorded_and_models_then_not_loaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = zoo.compare(PAIR, examples=60, records=tmp_path, **self.GIVEN)
        monkeypatch.setattr(checkpoint, "load", lambda *_, **__: pytest.fail("loaded"))
        again = zoo.compare(PAIR, examples=60, records=tmp_path, **self.GIVEN)
        assert again.table() == first.table()
        assert all(each.reused for row in again.outcomes[1:] for each in row)

    def test_too_few_images_to_halve_are_said_to_be_so(self) -> None:
        scores = zoo.compare(PAIR, examples=30, **self.GIVEN)
        (said,) = [note for note in scores.notes if note.startswith("halves has no")]
        assert "memorisation, precision: 30 real images are too few" in said


@pytest.fixture(scope="module")
def scores() -> Scores:
    given = [*PAIR, "autoencoder-digits"]
    return zoo.compare(given, ["nll", {"name": "knn", "labels": 200}], samples=2, examples=30)


class TestForms:
    def test_a_frame_has_a_row_for_each_figure(self, scores: Scores) -> None:
        pandas = pytest.importorskip("pandas")
        frame = scores.to_frame()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame.columns) == list(next(iter(scores.rows())))
        found = frame.pivot(index="metric", columns="model", values="value")
        assert found.loc["nll", PAIR].tolist() == figures_of_nll(scores)
        assert found.loc["nll"].isna().sum() == 1

    def test_without_pandas_it_is_said_what_to_install(
        self, scores: Scores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pandas", None)
        with pytest.raises(ZooError, match=r"pip install pandas"):
            scores.to_frame()

    def test_markdown_has_one_cell_for_each_model(self, scores: Scores) -> None:
        lines = scores.to_markdown().splitlines()
        rows = [line for line in lines if line.startswith("|")]
        assert {line.replace(r"\|", "").count("|") for line in rows} == {len(scores.models) + 2}
        assert len(rows) == 2 + 2 + 2 + 2
        assert [line[1:-1] for line in lines if line.startswith("*")] == scores.notes

    def test_json_and_csv_say_the_same(self, scores: Scores) -> None:
        content = json.loads(scores.to_json())
        assert (content["title"], content["notes"]) == (scores.title, scores.notes)
        assert content["rows"] == list(scores.rows())
        lines = csv.DictReader(io.StringIO(scores.to_csv()))
        for row, line in zip(content["rows"], lines, strict=True):
            assert {key: "" if value is None else str(value) for key, value in row.items()} == line

    def test_the_command_prints_each(self, scores: Scores, tmp_path: Path) -> None:
        asked = ["compare", *scores.models, "--metric", "nll", "--samples", "2", "--examples", "30",
                 "--metric", "{name: knn, labels: 200}"]  # fmt: skip
        path = tmp_path / "figures.csv"
        found = CliRunner().invoke(app, [*asked, "--markdown", "--csv", str(path)])
        assert found.exit_code == 0
        assert found.stdout == f"{scores.to_markdown()}\n"
        assert len(path.read_text().splitlines()) == 1 + 6
        found = CliRunner().invoke(app, [*asked, "--markdown", "--json"])
        assert found.exit_code == 2 and "--json or --markdown" in found.stderr


def figures_of_nll(scores: Scores) -> list[float]:
    return [each.measured.value for each in scores.outcomes[0] if each.measured is not None]


def test_models_that_have_not_what_is_asked_share_a_line() -> None:
    scores = zoo.compare(PAIR, ["samples-recognised"], examples=30)
    (line,) = [note for note in scores.notes if "have no" in note]
    assert line.startswith(f"{PAIR[0]}, {PAIR[1]} have no samples-recognised: ")


class TestOpened:
    """A source that was opened before, and what may happen to its file since."""

    def test_it_has_the_name_it_is_given(self) -> None:
        one = opened("gaussian-vae-digits")
        assert compare([one, one], ["weights"]).models == (
            "gaussian-vae-digits (1)",
            "gaussian-vae-digits (2)",
        )
        assert compare({"mine": one}, ["weights"]).models == ("mine",)
        assert opened(one) is one

    def test_a_file_that_changed_since_is_not_loaded_under_its_old_digest(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "mine.safetensors"
        shutil.copy(locate("gaussian-vae-digits"), file)
        entry = opened(file)
        compare(entry, ["elbo"], examples=10, records=tmp_path)
        assert "model" in vars(entry)
        again = opened(file)
        assert compare(again, ["elbo"], examples=10, records=tmp_path).outcomes[0][0].measured
        assert "model" not in vars(again)  # it is recorded
        shutil.copy(locate("beta-vae-digits"), file)
        with pytest.raises(CheckpointError, match="has changed since it was opened"):
            compare(again, ["rate"], examples=10, records=tmp_path)

    def test_a_file_that_is_gone_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.safetensors"
        shutil.copy(locate("gaussian-vae-digits"), file)
        entry = opened(file)
        file.unlink()
        with pytest.raises(CheckpointError, match=r"mine\.safetensors cannot be read any more"):
            compare(entry, ["weights"])
