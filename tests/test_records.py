"""Records: what is measured is measured once, and nothing old is served for something new."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import Process, python

import zoo
from zoo.cli.compare import _folded
from zoo.core.component import Selected
from zoo.errors import ConfigError, DataError, ZooError
from zoo.metrics import Measured, Outcome, Records, Scores, Subject, measure_all
from zoo.metrics.records import PACKAGED, Key
from zoo.metrics.run import key_of
from zoo.registry import registry

MODEL = "gaussian-vae-digits"
TWO = [MODEL, "beta-vae-digits"]


def subject(**changes: object) -> Subject:
    given = {"identity": "a" * 64, "samples": 5, "examples": 20} | changes
    data = given.pop("data", None) or zoo.load_dataset("digits")
    return Subject(lambda: zoo.load(MODEL), data, **given)  # type: ignore[arg-type]


def key(name: str = "nll", **changes: object) -> Key:
    found = key_of(subject(**changes), Selected.parse("metrics", name))
    assert found is not None
    return found


class TestWhatAKeyHolds:
    def test_it_is_the_same_for_the_same(self) -> None:
        assert key().path == key().path

    @pytest.mark.parametrize(
        "change", [{"identity": "b" * 64}, {"samples": 6}, {"examples": 21}, {"seed": 1},
                   {"split": "validation"}]
    )  # fmt: skip
    def test_whatever_changes_the_figure_changes_it(self, change: dict[str, object]) -> None:
        assert key(**change).path != key().path

    def test_the_number_of_samples_matters_to_those_that_draw_them_alone(self) -> None:
        assert key("elbo", samples=6).path == key("elbo").path

    def test_a_pixel_and_a_label_change_it(self) -> None:
        data = zoo.load_dataset("digits")
        rows = data.test.rows.clone()
        rows[0, 0, 0, 0] ^= 1
        labels = data.test.labels
        assert labels is not None
        for test in (replace(data.test, rows=rows), replace(data.test, labels=labels.flip(0))):
            assert key(data=replace(data, test=test)).path != key().path

    def test_a_version_and_a_setting_change_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = key("nll")
        monkeypatch.setattr(Selected.parse("metrics", "nll").component, "version", 99)
        assert key("nll").path != before.path

    def test_another_classifier_changes_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = key("precision")
        spec = registry().classifiers["classifier-digits"]
        other = {"classifier-digits": spec.model_copy(update={"sha256": "0" * 64})}
        found = registry().model_copy(update={"classifiers": other})
        monkeypatch.setattr("zoo.metrics.features.files.registry", lambda: found)
        assert key("precision").path != before.path

    def test_a_model_in_memory_has_none(self) -> None:
        assert key_of(subject(identity=None), Selected.parse("metrics", "nll")) is None


class TestReading:
    def test_what_was_written_comes_back_bit_by_bit(self, tmp_path: Path) -> None:
        records, values = Records(tmp_path), torch.randn(7).double()
        for measured in (Measured.of_each("x", values, values.square(), "mass"), Measured(3.0)):
            records.write(key(), measured, 0.1)
            found = records.read(key())
            assert found is not None
            assert replace(found, values=None) == replace(measured, values=None)
            if measured.values is not None:
                assert found.values is not None
                assert torch.equal(found.values, values)

    @pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
    def test_a_damaged_file_counts_as_none_and_is_written_anew(
        self, damage: str, tmp_path: Path
    ) -> None:
        records = Records(tmp_path)
        records.write(key(), Measured.of_each("x", torch.randn(500)), 0.1)
        path = tmp_path / key().path
        content = bytearray(path.read_bytes())
        if damage == "bit":
            content[len(content) // 2] ^= 1
        shorter = {"cut": content[: len(content) // 2], "bit": content, "empty": b""}
        path.write_bytes(shorter.get(damage, b"no record"))
        assert records.read(key()) is None
        records.write(key(), Measured(1.0), 0.1)
        assert records.read(key()) == Measured(1.0)

    def test_whatever_byte_is_damaged(self, tmp_path: Path) -> None:
        """An archive can be wrong in many ways: its stream, its method, a flag of encryption."""
        records, measured = Records(tmp_path), Measured.of_each("x", torch.randn(20))
        of = key()
        records.write(of, measured, 0.1)
        path = tmp_path / of.path
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            found = records.read(of)
            assert found is None or found.value == measured.value

    def test_a_record_under_another_s_name_is_none(self, tmp_path: Path) -> None:
        records = Records(tmp_path)
        records.write(key(), Measured(1.0), 0.1)
        other = key(seed=5)
        (tmp_path / key().path).rename(tmp_path / other.path)
        assert records.read(other) is None

    def test_those_of_the_package_are_read_too(self, tmp_path: Path) -> None:
        Records(tmp_path / "packaged").write(key(), Measured(2.0), 0.1)
        records = Records(tmp_path / "own", read_too=[tmp_path / "packaged"])
        assert records.read(key()) == Measured(2.0)


class TestMeasuring:
    def test_a_second_call_loads_no_model(self, tmp_path: Path) -> None:
        def refuse() -> zoo.LatentVariableModel:
            raise AssertionError("the model was loaded")

        metrics = [Selected.parse("metrics", name) for name in ("nll", "elbo", "active-units")]
        records = Records(tmp_path)
        first = measure_all(subject(), metrics, records)
        data = zoo.load_dataset("digits")
        known = Subject(refuse, data, identity="a" * 64, samples=5, examples=20)
        second = measure_all(known, metrics, records)
        assert [each.reused for each in first + second] == [False] * 3 + [True] * 3
        assert [each.measured and each.measured.value for each in first] == [
            each.measured and each.measured.value for each in second
        ]

    def test_a_figure_that_cannot_be_recorded_is_not_lost(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file", tmp_path / "file" / "below"):
            found = zoo.compare(MODEL, ["elbo"], examples=20, records=folder)
            assert found.outcomes[0][0].measured is not None
            assert f"1 figures could not be recorded: {folder}: Not a directory" in str(found)

    def test_a_deleted_record_changes_nothing_but_time(self, tmp_path: Path) -> None:
        def found() -> Scores:
            return zoo.compare(TWO, ["elbo"], examples=20, records=tmp_path)

        first = found()
        assert found().outcomes[0][0].reused
        for path in tmp_path.rglob("*.npz"):
            path.unlink()
        again = found()
        assert not again.outcomes[0][0].reused
        assert [each.value for each in again.differences(0) if each] == [
            each.value for each in first.differences(0) if each
        ]

    def test_eight_processes_at_once_lose_nothing(self, tmp_path: Path) -> None:
        code = (
            "import sys, torch, zoo; torch.set_num_threads(1)\n"
            f"scores = zoo.compare({TWO}, ['elbo', 'rate'], examples=20, records=sys.argv[1])\n"
            "print(scores.to_json())"
        )
        running = [Process("-c", code, tmp_path) for _ in range(8)]
        answers = [json.loads(process.finish().stdout)["rows"] for process in running]
        figures = [[(row["value"], row["stderr"]) for row in rows] for rows in answers]
        assert all(each == figures[0] for each in figures)
        assert len(list(tmp_path.rglob("*.npz"))) == 4
        assert not list(tmp_path.rglob("*.tmp"))
        scores = zoo.compare(TWO, ["elbo", "rate"], examples=20, records=tmp_path)
        assert all(outcome.reused for row in scores.outcomes for outcome in row)


class TestScores:
    def test_differences_are_paired(self) -> None:
        scores = zoo.compare(TWO, ["elbo"], records=False)
        one, other = (outcome.measured for outcome in scores.outcomes[0])
        assert one is not None
        assert other is not None
        assert one.values is not None
        assert other.values is not None
        best, apart = scores.differences(0)
        assert best is not None
        assert apart is not None
        assert (scores.best(0), best.value) == (0, 0.0)
        paired = (other.values - one.values).numpy()
        assert apart.value == pytest.approx(other.value - one.value)
        assert apart.stderr == pytest.approx(np.std(paired, ddof=1) / len(paired) ** 0.5)
        assert one.stderr is not None
        assert apart.stderr < one.stderr

    def test_those_within_two_errors_of_the_best_are_ties(self) -> None:
        scores = zoo.compare({"a": MODEL, "b": MODEL, "c": "beta-vae-digits"}, ["elbo"],
                             records=False)  # fmt: skip
        assert scores.ties(0) == [True, True, False]

    def test_likelihoods_of_another_basis_are_not_ranked(self) -> None:
        """A density is no mass, however much lower it is."""
        metric = Selected.parse("metrics", "nll")
        mass, density = (
            Outcome(Measured.of_each("x", torch.randn(5), basis=basis))
            for basis in ("probability mass of binary pixels", "probability density of real pixels")
        )
        alike = Scores("title", ("a", "b"), (metric,), ((mass, mass),))
        mixed = Scores("title", ("a", "b"), (metric,), ((mass, density),))
        assert [each and each.value for each in mixed.differences(0)] == [0.0, None]
        assert alike.ties(0) == [True, True]
        assert mixed.ties(0) == [False, False]  # of one there is no best
        assert "b is not ranked by nll: its figures are of probability density of" in str(mixed)

    def test_what_a_model_has_not_is_said_and_no_error(self) -> None:
        scores = zoo.compare("autoencoder-digits", ["nll", "squared-error"], records=False,
                             examples=20)  # fmt: skip
        assert "autoencoder-digits has no nll: " in str(scores)
        assert scores.outcomes[1][0].measured is not None
        assert [row["value"] is None for row in scores.rows()] == [True, False]
        assert len(scores.to_csv().splitlines()) == 3

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"metrics": ["nl"]}, "nll"),
            ({"metrics": "nll"}, "list of metrics"),
            ({"metrics": ["nll", "nll"]}, "twice"),
            ({"benchmark": "digits", "dataset": "digits"}, "not both"),
            ({"split": "tests"}, "test"),
            ({"samples": 0}, "samples"),
            ({"records": 3}, "path"),
        ],
    )
    def test_what_is_asked_wrongly(self, given: dict[str, object], words: str) -> None:
        with pytest.raises((ConfigError, zoo.ZooError), match=words):
            zoo.compare(MODEL, **given)  # type: ignore[arg-type]


class TestAskedWrongly:
    @pytest.mark.parametrize(
        ("metrics", "said"),
        [(5, "give a list of metrics, got 5"), ({"name": "knn"}, "for one as"),
         (b"elbo", "for one as"), ([], "no metric is named"), (iter([]), "no metric is named")],
    )  # fmt: skip
    def test_what_is_no_list_of_metrics(self, metrics: Any, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            zoo.compare(MODEL, metrics, examples=20)

    def test_names_that_are_no_text(self) -> None:
        with pytest.raises(ConfigError, match="name models by text, got 1"):
            zoo.compare({1: MODEL}, ["elbo"])  # type: ignore[dict-item]

    @pytest.mark.parametrize("wrong", [-1, 2**63, 2**80])
    def test_a_seed_that_generators_do_not_take(self, wrong: int) -> None:
        with pytest.raises(ConfigError, match="seed must be 0 to"):
            zoo.compare(MODEL, ["elbo"], seed=wrong)

    def test_one_example_has_no_error(self) -> None:
        with pytest.raises(DataError, match="at least 2 examples, got 1"):
            zoo.compare(MODEL, ["elbo"], examples=1)

    def test_a_long_seed_is_one_for_all_metrics(self, tmp_path: Path) -> None:
        """scikit-learn takes 32 bits."""
        found = zoo.compare(MODEL, ["ari"], examples=50, seed=2**63 - 1, records=tmp_path)
        assert found.outcomes[0][0].measured is not None

    @pytest.mark.parametrize("metric", ["ari", "recall", "active-units", "squared-error"])
    def test_a_diverged_model_is_named(self, metric: str) -> None:
        model = zoo.load(MODEL)
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
        with pytest.raises(ZooError, match="mine has weights that are not finite"):
            zoo.compare({"mine": model}, [metric], dataset="digits", examples=50)


def test_wide_tables_are_folded_each_by_itself() -> None:
    names = [f"a-model-with-a-long-name-{n}" for n in range(20)]
    found = zoo.compare(dict.fromkeys(names, MODEL), ["elbo", "rate"], examples=20, records=False)
    *tables, _ = _folded(str(found), 90).rpartition("\n\n")  # notes are sentences
    lines = "".join(tables).split("\n")
    assert max(map(len, lines)) <= 90
    assert all(sum(name in line.split() for line in lines) == 2 for name in names)
    assert _folded(str(found), 10_000) == str(found)


def test_a_file_of_figures_that_cannot_be_written(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "no regular file"), (tmp_path / "no" / "x", "no folder")):
        asked = ["compare", MODEL, "--metric", "elbo", "--examples", "20", "--csv", str(path)]
        done = python("-m", "zoo", *asked)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --csv") and said in done.stderr


SHARED = Path(__file__).parents[2] / "shared" / "data"
SHIPPED = sorted(PACKAGED.rglob("*.npz"))


def test_released_models_have_records() -> None:
    assert {path.parent.name for path in SHIPPED} >= {
        registry().checkpoints[name].sha256[:16] for name in ("nvae-lite-mnist", "pixel-vae-mnist")
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_record_is_whole_of_a_released_file_and_of_this_version(path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        said = json.loads(bytes(file["record"]))
    found = Key(**said["key"])
    assert found.model in {spec.sha256 for spec in registry().checkpoints.values()}
    metric = Selected.parse("metrics", found.metric)
    assert (found.metric, found.version) == (metric.dump(), metric.component.version)
    measured = Records(PACKAGED, read_too=()).read(found)
    assert measured is not None
    assert measured.values is None or len(measured.values) == 10_000


def test_two_models_of_mnist_are_compared_by_records_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No model is loaded, and the error of the difference is a fraction of each one's."""
    if not (SHARED / "MNIST").is_dir():
        pytest.skip(f"{SHARED} has no MNIST")
    monkeypatch.setattr("zoo.storage.checkpoint.load", lambda *given, **more: pytest.fail("loaded"))
    pair = ["nvae-lite-mnist", "pixel-vae-mnist"]
    scores = zoo.compare(pair, ["elbo"], benchmark="mnist", data_root=str(SHARED),
                         records=tmp_path)  # fmt: skip
    assert [outcome.reused for outcome in scores.outcomes[0]] == [True, True]
    best, apart = scores.differences(0)
    assert best is not None
    assert apart is not None
    one = scores.outcomes[0][0].measured
    assert one is not None
    errors = [each.stderr for each in (best, apart) if each.stderr]
    assert one.stderr is not None
    assert 0 < sum(errors) < one.stderr / 3
