"""What pages say of records is what the records say: one script writes it, and has run."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import zoo

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        return importlib.import_module("write_docs")


def test_pages_are_as_the_script_writes_them(script: ModuleType) -> None:
    pages = dict(script.pages())
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "a record, the registry or a docstring changed: run scripts/write_docs.py"
    assert {"numbers.md", "tables.md", "reference.md", "compression.svg"} <= {p.name for p in pages}
    assert set((ROOT / "checkpoints").glob("*.md")) <= set(pages)


def test_runs_of_whoever_writes_them_are_not_told(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = zoo.reproduce("davidson2018")
    trials = {(trial.point, trial.seed): trial for trial in report.study.trials()}
    figures = {"ELBO": {"value": -1.25, "stderr": 0.5}}
    own = [
        {"point": point, "seed": seed, "protocol": trials[point, seed].protocol,
         "figures": figures, "epochs": 1, "made": {}}
        for point, seed in (report.missing[0], report.results[0].of)
    ]  # fmt: skip
    local = tmp_path / "runs" / "reproduce" / "davidson2018" / "results.json"
    local.parent.mkdir(parents=True)
    local.write_text(json.dumps(own), encoding="utf-8")
    assert "-1.25 ± 0.50" in zoo.reproduce("davidson2018").to_markdown()  # they are told of there
    for page in ("numbers.md", "label.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert script.tables.filled_in(text) == text


def test_every_table_of_a_record_is_in_a_page(script: ModuleType) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    marked = [found[1] for found in script.tables.MARKED.finditer(text)]
    assert sorted(marked) == sorted(script.tables.TABLES)


def test_a_figure_that_was_typed_is_written_over(script: ModuleType) -> None:
    page = (ROOT / "docs" / "label.md").read_text(encoding="utf-8")
    assert script.tables.filled_in(page.replace("| 89.4 ± 1.3 |", "| 99.4 ± 1.3 |")) == page
    assert page.count("| 89.4 ± 1.3 |") == 1


def test_figures_of_a_checkpoint_s_earlier_file_are_not_shown(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = script.tables.metrics
    records = metrics.recorded("generation")
    assert "`vmf-vae-mnist`" in metrics.samples()
    records["samples/vmf-vae-mnist"]["sha256"] = "another"
    monkeypatch.setattr(metrics, "recorded", lambda _: records)
    assert "`vmf-vae-mnist`" not in metrics.samples()
    assert "`gaussian-vae-mnist`" in metrics.samples()


def test_every_table_of_figures_is_written(script: ModuleType) -> None:
    """But for those of speed, whose claims tests/test_benchmark_claims.py holds.

    The reference is written whole.
    """
    typed = {
        line.split("|")[1].strip()
        for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        if path.name != "reference.md"
        for line in script.tables.MARKED.sub("", path.read_text(encoding="utf-8")).splitlines()
        if re.match(r"\|(.*\|)? -?[\d.,]+( ± [\d.]+)?( %| ms| million)? \|", line)
    }
    speeds = {"pythae", "bare loop, float32", "bare loop: uint8 in memory, fused Adam, float32"}
    assert {each for each in typed if not each.startswith("`zoo.train`")} == speeds


def test_what_a_card_shows_is_kept(script: ModuleType) -> None:
    card = (ROOT / "checkpoints" / "univae-tang.md").read_text(encoding="utf-8")
    assert "Random samples from the prior" in script.cards.shown_by(card)
    with pytest.raises(ValueError, match="no part between"):
        script.cards.shown_by("# a card")
