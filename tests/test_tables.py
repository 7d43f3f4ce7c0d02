"""Tables from files, frames and arrays: kinds of columns, gaps, splits, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import zoo
from zoo.columns import TableSchema
from zoo.columns.schema import values_of
from zoo.data import Dataset, load_for_model
from zoo.data.tables import csv_file
from zoo.errors import ConfigError, DataError

PEOPLE = """age,job,income,member,score,class
31,cook,1520.5,yes,-0.5,b
?,nurse,2210.25,no,0.25,a
58,,1999.75,yes,NA,a
44,"judge, retired",3120.5,NaN,1.5,b
"""


def written(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def people(folder: Path, copies: int = 5) -> Path:
    header, *rows = PEOPLE.splitlines()
    return written(folder, "\n".join([header, *rows * copies]) + "\n")


def kinds(data: Dataset) -> dict[str, str]:
    assert data.table is not None
    return {column.name: column.kind.name for column in data.table.columns}


def all_rows(data: Dataset) -> torch.Tensor:
    return torch.cat([split.rows for split in data.splits.values()])


def known(schema: TableSchema | None, name: str) -> tuple[str, ...] | None:
    assert schema is not None
    return values_of(schema.columns[schema.names.index(name)])


class TestFiles:
    def test_kinds_are_inferred_and_gaps_read(self, tmp_path: Path) -> None:
        data = zoo.load_dataset(people(tmp_path), labels="class")
        assert (data.modality, data.likelihood, len(data.train)) == ("tables", "columns", 16)
        assert kinds(data) == {
            "age": "count", "job": "category", "income": "positive", "member": "binary",
            "score": "real",
        }  # fmt: skip
        assert known(data.table, "job") == ("cook", "judge, retired", "nurse")
        rows = torch.unique(all_rows(data).nan_to_num(-9), dim=0)
        expected = [[31, 0, 1520.5, 1, -0.5], [-9, 2, 2210.25, 0, 0.25], [58, -9, 1999.75, 1, -9],
                    [44, 1, 3120.5, -9, 1.5]]  # fmt: skip
        assert sorted(rows.tolist()) == sorted(expected)

    def test_labels_are_no_part_of_x(self, tmp_path: Path) -> None:
        data = zoo.load_dataset(people(tmp_path), labels="class")
        assert data.table is not None
        assert (data.table.labels, data.table.classes, data.classes) == ("class", ("a", "b"), 2)
        ages, labels = data.train.rows[:, 0], data.train.labels
        assert labels is not None and labels.dtype == torch.int64
        assert (labels[ages == 31] == 1).all() and (labels[ages == 58] == 0).all()

    def test_statistics_are_those_of_what_is_observed_of_the_training_split(
        self, tmp_path: Path
    ) -> None:
        data = zoo.load_dataset(people(tmp_path))
        assert data.table is not None
        score = data.train.rows[:, 4]
        config: Any = data.table.columns[4].kind.config
        assert config.mean == pytest.approx(score[~score.isnan()].mean().item())
        assert config.std == pytest.approx(score[~score.isnan()].std(correction=0).item())

    @pytest.mark.parametrize("separator", [";", "\t"])
    def test_other_separators_and_a_mark_of_byte_order(
        self, separator: str, tmp_path: Path
    ) -> None:
        text = "\ufeff" + "a,b\n1,2.5\n2,3.5\n3,4.5\n\n".replace(",", separator)
        assert kinds(zoo.load_dataset(written(tmp_path, text))) == {"a": "count", "b": "positive"}

    def test_a_column_whose_first_text_comes_late(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was read as numbers before is read again: 1 and 01 are two texts."""
        monkeypatch.setattr(csv_file, "ROWS_AT_ONCE", 3)
        lines = ["a,b", *["1,5", "01,6", "2,7"] * 3, "x,8", "1,x"]
        data = zoo.load_dataset(written(tmp_path, "\n".join(lines)), columns={"b": "category"})
        assert known(data.table, "a") == ("01", "1", "2", "x")
        assert known(data.table, "b") == ("5", "6", "7", "8", "x")
        assert all_rows(data)[:, 0].long().bincount().tolist() == [3, 4, 3, 1]

    def test_columns_may_be_said(self, tmp_path: Path) -> None:
        asked = {"age": "real", "job": None, "score": {"name": "ordinal"}, "member": "category"}
        data = zoo.load_dataset(people(tmp_path), columns=asked)
        assert kinds(data) == {"age": "real", "income": "positive", "member": "category",
                               "score": "ordinal", "class": "binary"}  # fmt: skip
        assert known(data.table, "score") == ("-0.5", "0.25", "1.5")

    def test_columns_may_be_said_by_a_file(self, tmp_path: Path) -> None:
        file = written(tmp_path, "age: real\njob: null\n", "types.yaml")
        data = zoo.load_dataset(people(tmp_path), columns=file)
        assert kinds(data)["age"] == "real" and "job" not in kinds(data)

    def test_an_order_of_texts_is_to_be_said(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="'job' is to be ordinal, and its values have no order"):
            zoo.load_dataset(people(tmp_path), columns={"job": "ordinal"})
        order = ["nurse", "cook", "judge, retired"]
        data = zoo.load_dataset(
            people(tmp_path), columns={"job": {"name": "ordinal", "values": order}}
        )
        assert known(data.table, "job") == tuple(order)

    def test_values_may_be_said_as_numbers(self, tmp_path: Path) -> None:
        asked = {"age": {"name": "ordinal", "values": [58, 44, 31]}}
        data = zoo.load_dataset(people(tmp_path), columns=asked)
        assert known(data.table, "age") == ("58", "44", "31")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "first line is to name the columns, and is empty"),
            ("a,b\n", "names of columns and no rows"),
            ("a,,c\n1,2,3\n", "column 2 has no name"),
            ("a,b,a\n1,2,3\n", "two columns are called 'a'"),
            ("1,2.5\n3,4\n", "holds numbers, 1, 2.5...; write names above it"),
            ("a,b\n1,2\n3\n", "line 3 has 1 fields, the first line 2"),
            ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields"),
            ('a,b\n1,"2\n3,4\n', "line 3: unexpected end of data"),
            ("a,b\n1,inf\n3,4\n", "row 1, column 'b' is infinite"),
            ("a,b\n1,2\n,?\n3,4\n", "row 2 has no value"),
            ("a,b\n1,\n2,NA\n3,?\n", "column 'b' has no value"),
        ],
    )
    def test_damaged_files_are_refused(self, text: str, said: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=said):
            zoo.load_dataset(written(tmp_path, text))

    def test_what_is_no_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(b"a,b\n\xff\xfe,2\n")
        with pytest.raises(DataError, match="not UTF-8 text"):
            zoo.load_dataset(path)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"columns": {"agee": "count"}}, "no such column; did you mean 'age'"),
            ({"columns": {"age": "counts"}}, "column 'age': unknown column 'counts'; did you mean"),
            ({"columns": ["count"]}, "lists 1 kinds, and there are 6 columns"),
            ({"columns": {"job": "real"}}, "row 1, column 'job' holds 'cook', and a real column"),
            ({"columns": {"score": "count"}}, "row .*, column 'score' holds .*; a count column"),
            ({"columns": {"score": "positive"}}, "got -0.5 to .*; choose the kind 'real'"),
            ({"columns": {"job": "binary"}}, "column 'job'.*at most 2"),
            ({"columns": {"job": {"name": "category", "values": ["cook"]}}},
             "row 2, column 'job' holds 'nurse', which is none of its values cook"),
            ({"columns": {"age": 3}}, "its kind is a name, or .*, got 3"),
            ({"columns": 3}, "a mapping from names to kinds"),
            ({"columns": dict.fromkeys(["age", "job", "income", "member", "score", "class"])},
             "every column is left out"),
            ({"labels": "klass"}, "labels names 'klass', and there is no such column; did you"),
        ],
    )  # fmt: skip
    def test_what_is_asked_wrongly(
        self, options: dict[str, Any], said: str, tmp_path: Path
    ) -> None:
        with pytest.raises(DataError, match=said):
            zoo.load_dataset(people(tmp_path), **options)

    def test_names_of_rows_are_refused(self, tmp_path: Path) -> None:
        lines = ["id,a", *(f"row{n},{n}" for n in range(1500))]
        with pytest.raises(DataError, match=r"'id' has 1,500 different values .*leave it out"):
            zoo.load_dataset(written(tmp_path, "\n".join(lines)))

    def test_numbers_that_float32_cannot_tell_apart_are_refused(self, tmp_path: Path) -> None:
        lines = ["t,a", *(f"{1.7e9 + n},{n}" for n in range(50))]
        with pytest.raises(DataError, match="'t' holds numbers around 1.7e.09 .*subtract"):
            zoo.load_dataset(written(tmp_path, "\n".join(lines)))

    def test_one_number_alone_is_a_category_and_no_density(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a,b\n" + "2.5,1.5\n2.5,3\n" * 10)
        assert kinds(zoo.load_dataset(path)) == {"a": "category", "b": "positive"}
        with pytest.raises(DataError, match="'a' holds 2.5 alone"):
            zoo.load_dataset(path, columns={"a": "real"})

    def test_columns_of_what_is_no_table_are_refused(self) -> None:
        with pytest.raises(DataError, match="digits holds images, which has no columns"):
            zoo.load_dataset("digits", columns={"a": "real"})


class TestMemory:
    def test_nan_and_masks_are_gaps_of_arrays(self) -> None:
        x = np.arange(60.0).reshape(20, 3)
        x[3, 1] = np.nan
        seen = np.ones((20, 3), bool)
        seen[5, 0] = False
        data = zoo.load_dataset({"X": x, "observed": seen, "y": np.arange(20) % 3}, columns={})
        found = all_rows(data)
        assert data.modality == "tables" and int(found.isnan().sum()) == 2
        assert data.classes == 3 and kinds(data) == dict.fromkeys(["x0", "x1", "x2"], "count")

    def test_without_columns_arrays_are_vectors(self) -> None:
        assert zoo.load_dataset(np.zeros((5, 3))).modality == "vectors"
        with pytest.raises(DataError, match="such as 'tabular-vae'"):
            zoo.load_dataset(np.full((5, 3), np.nan))

    def test_files_of_arrays_keep_their_parts(self, tmp_path: Path) -> None:
        parts = {"train": np.arange(8.0)[:, None], "test": np.array([[np.nan], [3.0]])}
        np.savez(tmp_path / "a.npz", **parts, test_labels=np.array([1, 0]))
        with pytest.raises(DataError, match="row 9 has no value"):
            zoo.load_dataset(tmp_path / "a.npz", columns=["real"])
        np.savez(tmp_path / "a.npz", train=np.arange(8.0)[:, None], test=np.array([[2.5], [3.0]]))
        data = zoo.load_dataset(tmp_path / "a.npz", columns=["real"])
        assert data.test.rows.flatten().tolist() == [2.5, 3.0]
        assert len(data.train) + len(data.validation) == 8

    def test_the_types_of_a_frame_decide(self) -> None:
        frame = pd.DataFrame(
            {
                "count": [1, 2, 3, 900_000] * 5,
                "float": [1.0, 2.0, None, 4.0] * 5,
                "flag": [True, False, True, True] * 5,
                "text": ["a", None, "b", "c"] * 5,
                "size": pd.Categorical(["S", "L", "M", "L"] * 5, ["S", "M", "L"], ordered=True),
                "maybe": pd.array([1, None, 0, 7] * 5, dtype="Int64"),
            }
        )
        data = zoo.load_dataset(frame, labels="flag")
        assert kinds(data) == {"count": "count", "float": "count", "text": "category",
                               "size": "ordinal", "maybe": "count"}  # fmt: skip
        assert known(data.table, "size") == ("S", "M", "L")
        row = all_rows(data)[all_rows(data)[:, 0] == 2][0].nan_to_num(-9)
        assert row.tolist() == [2, 2, -9, 2, -9]
        assert data.classes == 2

    def test_what_is_no_number_of_a_frame(self) -> None:
        with pytest.raises(DataError, match=r"'a' of the DataFrame holds datetime64.*give dates"):
            zoo.load_dataset(pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 3)}))
        twice = pd.DataFrame([[1, "a"]] * 5, columns=["a", "a"])
        with pytest.raises(DataError, match="two columns are called 'a'"):
            zoo.load_dataset(twice)


class TestAsAModelReads:
    @pytest.fixture
    def model(self, tmp_path: Path) -> zoo.LatentVariableModel:
        return zoo.create("tabular-vae", dataset=str(people(tmp_path)), labels="class", hidden=[8])

    def test_its_columns_are_found_by_name(
        self, model: zoo.LatentVariableModel, tmp_path: Path
    ) -> None:
        text = "class,score,member,income,job,age\n" + "a,0.5,yes,3.5,cook,?\n" * 5
        data = load_for_model(model.config, written(tmp_path, text, "new.csv"))
        first = data.train.rows[0].nan_to_num(-9)
        assert first.tolist() == [-9, 0, 3.5, 1, 0.5]
        assert data.train.labels is not None and (data.train.labels == 0).all()

    @pytest.mark.parametrize(
        ("header", "row", "said"),
        [
            ("age,job,income,member", "1,cook,2,yes", "missing score, unknown none"),
            ("age,job,income,member,score,iq", "1,cook,2,yes,3,4", "missing none, unknown iq"),
            ("age,job,income,member,score", "1,cock,2,yes,3", "row 1, column 'job' holds 'cock'"),
            ("age,job,income,member,score", "1,cook,2,yes,x", "row 1, column 'score' holds 'x'"),
            ("age,job,income,member,score", "1,cook,-2,yes,3", "column 'income' holds -2"),
            ("age,job,income,member,score", "1.5,cook,2,yes,3", "column 'age' holds 1.5"),
        ],
    )
    def test_others_are_refused(
        self, model: zoo.LatentVariableModel, header: str, row: str, said: str, tmp_path: Path
    ) -> None:
        path = written(tmp_path, "\n".join([header, *[row] * 5]), "new.csv")
        with pytest.raises(DataError, match=said):
            load_for_model(model.config, path)

    def test_what_is_unknown_may_count_as_missing(
        self, model: zoo.LatentVariableModel, tmp_path: Path
    ) -> None:
        rows = "1,cock,2,yes,3\n" * 30
        path = written(tmp_path, "age,job,income,member,score\n" + rows, "new.csv")
        with pytest.raises(DataError, match="unknown_is_missing"):
            zoo.evaluate(model, dataset=str(path), samples=2)
        found = zoo.evaluate(model, dataset=str(path), samples=2, unknown_is_missing=True)
        assert "80.0 % observed" in found.test_set

    def test_a_table_of_other_columns_is_refused(
        self, model: zoo.LatentVariableModel, tmp_path: Path
    ) -> None:
        data = zoo.load_dataset(people(tmp_path), columns={"age": "real"}, labels="class")
        with pytest.raises(DataError, match="was read with other columns than the model's"):
            zoo.evaluate(model, dataset=data, samples=2)
        with pytest.raises(DataError, match="holds vectors, the model reads tables"):
            zoo.evaluate(model, dataset=zoo.load_dataset(np.zeros((9, 5))), samples=2)

    def test_other_variants_name_those_that_read_tables(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not tables; train tabular-vae"):
            zoo.create("gaussian-vae", dataset=str(people(tmp_path)))
        with pytest.raises(ConfigError, match="reads tables, not images"):
            zoo.create("tabular-vae", dataset="digits")
