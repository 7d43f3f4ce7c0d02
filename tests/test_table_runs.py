"""Tables from a file with gaps to figures, samples and codes, in Python and by command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from figures import figures
from torch import Tensor
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.columns import TableSchema
from zoo.errors import ConfigError, DataError
from zoo.modalities.tables import Tables
from zoo.variants import Variant

SMALL: dict[str, Any] = {"hidden": [16], "latent_dim": 3, "progress": False}


def call(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def frame(count: int = 300, gaps: float = 0.2) -> pd.DataFrame:
    """Six columns of six kinds that hang together; values of all but the last are missing."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=count)
    size = pd.cut(hidden, [-9, -0.5, 0.5, 9], labels=["S", "M", "L"])
    table = pd.DataFrame(
        {
            "height": 170 + 9 * hidden,
            "income": np.exp(7 + 0.5 * hidden),
            "children": generator.poisson(np.exp(0.3 * hidden)),
            "job": np.where(hidden > 0.3, "judge, retired", np.where(hidden > 0, "cook", "nurse")),
            "size": size,
            "member": np.where(generator.random(count) < 0.5, "yes", "no"),
        }
    )
    hide = generator.random(table.shape) < gaps
    hide[:, -1] = False
    return table.mask(hide)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "people.csv"
    frame().to_csv(path, index=False)
    return path


ORDER = {"size": {"name": "ordinal", "values": ["S", "M", "L"]}}


@pytest.fixture(scope="module", params=["tabular-vae", "miwae"])
def run(request: pytest.FixtureRequest, file: Path) -> zoo.Run:
    return zoo.train(
        request.param, dataset=str(file), columns=ORDER, labels="member", epochs=2,
        directory=file.parent / request.param, sample_every_epochs=1, **SMALL,
    )  # fmt: skip


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


def modality(model: zoo.LatentVariableModel) -> Tables:
    assert isinstance(model.modality, Tables)
    return model.modality


def test_figures_say_how_much_was_observed(run: zoo.Run) -> None:
    found = zoo.evaluate(run, samples=5)
    assert "% observed" in found.test_set and found.parts == "columns"
    assert (found.mse_per_pixel, found.bits_per_dim) == (None, None)
    assert "columns have no one scale" in str(found)
    assert found.nll is not None and "people/test, 30 rows" in str(found)
    assert figures(zoo.compare([run], ["nll"], samples=5)) == [found.nll.value]


def test_a_run_says_what_it_took_columns_for(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SMALL, "progress": True, "epochs": 1}
    zoo.train("tabular-vae", dataset=str(file), directory=tmp_path / "run", **settings)
    said = capsys.readouterr().err
    assert (
        "columns: height: positive, income: positive, children: count, job: category of 3" in said
    )
    assert "observed: 8" in said and "of train" in said


def test_samples_are_rows_in_the_units_of_the_data(run: zoo.Run, tmp_path: Path) -> None:
    first, again = (
        run.model.sample(200, generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert isinstance(first, Tensor) and isinstance(again, Tensor)
    assert torch.equal(first, again) and first.shape == (200, 5)
    assert 100 < first[:, 0].median() < 240
    assert set(first[:, 3].tolist()) <= {0, 1, 2} and (first[:, 2] == first[:, 2].round()).all()
    call("sample", run.directory, "--n", 40, "--out", tmp_path / "rows.csv")
    table = pd.read_csv(tmp_path / "rows.csv")
    assert list(table.columns) == ["height", "income", "children", "job", "size"]
    assert set(table["job"]) <= {"judge, retired", "cook", "nurse"} and len(table) == 40
    call("sample", run.directory, "--n", 40, "--out", tmp_path / "rows.npz")
    stored = arrays(tmp_path / "rows.npz")["tables"]
    assert np.array_equal(stored[:, 0], table["height"].to_numpy(np.float32))
    said = call("sample", run.directory, "--out", tmp_path / "rows.png", code=2).stderr
    assert "the model makes tables, for a file .csv or .npy or .npz" in said


def test_rows_are_written_and_read_again_as_they_were(run: zoo.Run, tmp_path: Path) -> None:
    rows = run.model.sample(30, generator=torch.Generator().manual_seed(2))
    assert isinstance(rows, Tensor)
    rows[::3, 1], rows[1::3, 3] = torch.nan, torch.nan
    known = modality(run.model)
    (tmp_path / "rows.csv").write_text("\n".join([known.header, *known.write(rows)]))
    data = zoo.load_dataset(tmp_path / "rows.csv", columns=run.model.config.table)  # type: ignore[attr-defined]
    found = torch.cat([split.rows for split in data.splits.values()])
    expected = sorted(rows.nan_to_num(-1).tolist())
    assert sorted(found.nan_to_num(-1).tolist()) == expected
    records = pd.DataFrame(known.records(rows))
    assert int(records["income"].isna().sum()) == 10


def test_saved_and_loaded_it_is_the_same(run: zoo.Run, tmp_path: Path) -> None:
    zoo.save(run, tmp_path / "mine.safetensors")
    loaded, x = zoo.load(tmp_path / "mine.safetensors"), zoo.load_dataset(
        run.directory.parent / "people.csv", columns=run.model.config.table  # type: ignore[attr-defined]
    ).test.rows  # fmt: skip
    assert torch.equal(loaded.encode(x), run.model.encode(x))
    assert loaded.config == run.model.config
    assert (
        zoo.evaluate(tmp_path / "mine.safetensors", samples=5).nll
        == zoo.evaluate(run, samples=5).nll
    )
    info = call("load", tmp_path / "mine.safetensors").stdout
    assert "size: ordinal of 3" in info and "std" not in info


def test_codes_and_reconstructions_in_files(run: zoo.Run, tmp_path: Path) -> None:
    call("encode", run.directory, "--out", tmp_path / "codes.npz")
    codes = arrays(tmp_path / "codes.npz")
    assert codes["codes"].shape == (30, 3) and set(codes["labels"].tolist()) == {0, 1}
    call("reconstruct", run.directory, "--n", 4, "--out", tmp_path / "pairs.npz")
    pairs = arrays(tmp_path / "pairs.npz")
    assert pairs["originals"].shape == pairs["reconstructions"].shape == (4, 5)
    assert np.isnan(pairs["originals"]).any() and np.isfinite(pairs["reconstructions"]).all()


def test_a_run_goes_on_as_if_it_had_not_stopped(file: Path, tmp_path: Path) -> None:
    settings = {**SMALL, "dataset": str(file), "columns": ORDER, "labels": "member"}
    zoo.train("tabular-vae", directory=tmp_path / "a", epochs=1, **settings)
    longer = zoo.resume(tmp_path / "a", epochs=3, progress=False)
    whole = zoo.train("tabular-vae", directory=tmp_path / "b", epochs=3, **settings)
    assert longer.metrics == whole.metrics


def test_commands_train_and_measure(file: Path, tmp_path: Path) -> None:
    (tmp_path / "types.yaml").write_text("height: real\njob: null\n")
    said = ("--columns", tmp_path / "types.yaml", "--labels", "member")
    small = ("--hidden", "[8]", "--epochs", 1, "--directory", tmp_path / "run")
    call("train", "miwae", "--dataset", file, *said, *small, "--objective.samples", 3)
    config: Any = zoo.load(tmp_path / "run").config
    assert config.table.described.startswith("height: real, income") and config.table.left_out == (
        "job",
    )
    found = json.loads(call("evaluate", tmp_path / "run", "--samples", 2, "--json").stdout)
    assert found["dataset"] == "people" and "observed" in found["test_set"]


def test_a_frame_with_gaps_and_an_array_with_nan_train(tmp_path: Path) -> None:
    run = zoo.train("tabular-vae", dataset=frame(), directory=tmp_path / "a", epochs=1, **SMALL)
    table: Any = run.model.config.table  # type: ignore[attr-defined]
    assert isinstance(table, TableSchema) and "size: ordinal of 3" in table.described
    x = torch.randn(100, 3)
    x[torch.rand(100, 3) < 0.2] = torch.nan
    x = x[~x.isnan().all(1)]
    run = zoo.train("tabular-vae", dataset=x, directory=tmp_path / "b", epochs=1, **SMALL)
    assert run.model.log_prob(x[:5], 3).isfinite().all()


def test_a_class_may_be_told(file: Path, tmp_path: Path) -> None:
    run = zoo.train(
        "tabular-vae", dataset=str(file), labels="member", condition="labels", epochs=1,
        directory=tmp_path / "run", **SMALL,
    )  # fmt: skip
    rows = run.model.sample(6, condition=1)
    assert isinstance(rows, Tensor) and rows.shape == (6, 5)
    assert "told labels" in zoo.evaluate(run, samples=2).test_set


@pytest.mark.parametrize(
    "settings", [{"posterior": "vmf"}, {"prior": "vamp"}, {"prior": "mixture"}]
)
def test_other_posteriors_and_priors(settings: dict[str, Any], file: Path, tmp_path: Path) -> None:
    run = zoo.train(
        "tabular-vae", dataset=str(file), directory=tmp_path / "run", epochs=1, **SMALL, **settings
    )
    assert zoo.evaluate(run, samples=2).nll is not None


def test_parts_of_others_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="'gaussian' is one of real, and tables are read as col"):
        zoo.create("tabular-vae", dataset=str(file), likelihood="gaussian")
    with pytest.raises(ConfigError, match="'columns' is one of columns, and images"):
        zoo.create("gaussian-vae", likelihood="columns")


def small_model() -> zoo.LatentVariableModel:
    kinds: dict[str, dict[str, Any]] = {
        "a": {"name": "real", "mean": 3, "std": 2},
        "b": {"name": "positive", "mean": 0, "std": 1},
        "c": {"name": "category", "values": ["x", "y"]},
    }
    columns = [{"name": name, "kind": kind} for name, kind in kinds.items()]
    found = Variant.find("tabular-vae")
    settings = {"input_shape": (3,), "table": {"columns": columns}, "latent_dim": 2}
    torch.manual_seed(0)
    return found.build(settings)


def test_gaps_reach_neither_bound_nor_gradients() -> None:
    """Whatever stands there: NaN, infinity, or a value."""
    x = torch.tensor([[4.0, 0.5, 1.0], [2.0, 3.0, 0.0]])
    observed = torch.tensor([[True, False, True], [False, True, False]])
    found = []
    for hidden in (torch.nan, torch.inf, 7.0):
        model = small_model().train()
        torch.manual_seed(1)
        batch = zoo.Batch(torch.where(observed, x, hidden), observed=observed)
        draws = model.infer(batch, 4)
        draws.log_evidence.sum().backward()
        found.append([draws.log_weights, *(p.grad for p in model.parameters())])
    assert all(each.isfinite().all() for each in found[0])
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


def test_nan_is_missing_without_a_mask() -> None:
    model = small_model().eval()
    x = torch.tensor([[4.0, torch.nan, 1.0]])
    torch.manual_seed(0)
    bare = model.infer(x).elbo
    torch.manual_seed(0)
    masked = model.infer(zoo.Batch(x.nan_to_num(5), observed=~x.isnan())).elbo
    assert torch.equal(bare, masked)
    with pytest.raises(DataError, match="row 1, column 'b' holds -1; a positive column holds"):
        model.infer(torch.tensor([[4.0, -1.0, 1.0]]))


def test_a_row_of_gaps_is_certain() -> None:
    """log p of nothing is 0, and the bound is minus the KL."""
    model = small_model().eval()
    draws = model.infer(torch.full((2, 3), torch.nan), 3)
    assert (draws.log_likelihood == 0).all()
    torch.testing.assert_close(draws.elbo, -draws.kl.sum(-1))
