"""The page says what was measured, shows what models make, and needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import python
from torch import Tensor
from typer.testing import CliRunner

import zoo
from zoo.api.report import exhibit
from zoo.api.source import opened
from zoo.cli import app
from zoo.core.component import Selected
from zoo.data import Split
from zoo.errors import ConfigError, ZooError
from zoo.metrics import Measured, Outcome, Scores
from zoo.registry import CheckpointSpec, MetricSpec, RecipeSpec, registry
from zoo.reporting import svg
from zoo.reporting.cards import card, recorded
from zoo.reporting.chapter import chapter
from zoo.reporting.charts import learning, likelihood_and_cost, pairs, rate_and_distortion
from zoo.reporting.exhibit import Exhibit, Point, points, released_curve, representatives
from zoo.reporting.page import rendered
from zoo.reporting.strips import neighbours, reconstructions, row_of, samples
from zoo.reporting.summary import headline, measured, summary
from zoo.storage import checkpoint

NAMES = ["gaussian-vae-digits", "vmf-vae-digits", "autoencoder-digits"]
CHAPTER = r'<section class="chapter" id="\d+" aria-label="([\w-]+)">(.*?)<!-- end of chapter -->'
VOID = {"meta", "img", "link", "input", "col", "br"}


SPEC = CheckpointSpec(
    variant="gaussian-vae",
    dataset="digits",
    summary="A small one",
    file="small.safetensors",
    sha256="a" * 64,
    bytes=123456,
    license="MIT",
    data_license="CC BY 4.0",
    metrics={
        "nll": MetricSpec(value=20.5, stderr=0.3, samples=1000, test_set="all digits"),
        "active_units": MetricSpec(value=8),
    },
    recipe=RecipeSpec(
        command="zoo train gaussian-vae", seed=3, revision="abc1234", hardware="2 cores",
        duration="1 min",
    ),
)  # fmt: skip


class Page(HTMLParser):
    """What a page says, refers to and opens without closing."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three models of the digits, of 60 test images."""
    out = tmp_path_factory.mktemp("report") / "new" / "page.html"
    found = zoo.report(NAMES, benchmark="digits", examples=60, out=out)
    assert found == out and list(out.parent.iterdir()) == [out]
    return out.read_text(encoding="utf-8")


def measure(*names: str) -> Scores:
    return zoo.compare(names, ["elbo", "rate", "distortion"], benchmark="digits", examples=60)


def shown(name: str) -> Exhibit:
    return exhibit(name, opened(name), zoo.load_dataset("digits"))


def decoded(reference: str | None) -> np.ndarray[Any, Any]:
    assert reference is not None and reference.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(reference.partition(",")[2]))) as image:
        return np.asarray(image)


def made_up(*rows: tuple[str, list[Measured | None]]) -> Scores:
    """Scores of models a, b, ... with the given figures of metrics."""
    metrics = tuple(Selected.parse("metrics", name) for name, _ in rows)
    outcomes = tuple(
        tuple(Outcome(each, None if each else "it has none") for each in row) for _, row in rows
    )
    return Scores("some", tuple("abcdef"[: len(rows[0][1])]), metrics, outcomes)


# The whole page


def test_the_page_needs_nothing_beside_it(page: str) -> None:
    found = Page(page)
    assert found.open == []
    assert all(each.startswith(("data:", "#")) for each in found.references)
    assert not re.search(r"@import|url\(|https?://|//cdn", page)
    anchors = {attributes.get("id") for _, attributes in found.tags}
    assert {each[1:] for each in found.references if each.startswith("#")} <= anchors


def test_pictures_have_words_and_tables_have_heads(page: str) -> None:
    found = Page(page)
    assert all(each.get("alt") for each in found.all("img"))
    assert all(each.get("aria-label") for each in found.all("svg"))
    assert all(each.get("scope") in ("row", "col") for each in found.all("th"))
    assert found.all("html")[0]["lang"] == "en"


def test_the_figures_are_those_of_measure(page: str) -> None:
    scores = measure(*NAMES)
    table = page[page.index('<table class="figures"') : page.index("</table>")]
    for row in scores.rows():
        if row["value"] is not None:
            assert f'data-number="{row["value"]}"' in table
    best = table[table.index('class="best"') :]
    assert best.startswith(f'class="best" data-number="{max_elbo(scores)}"')
    assert table.index("gaussian-vae-digits") < table.index("vmf-vae-digits")
    assert "Autoencoder has no posterior density" in page
    assert "22.20<i> ± 0.22</i>" in table and "K = 1000" in table  # of a card


def max_elbo(scores: Scores) -> float:
    return max(each.measured.value for each in scores.outcomes[0] if each.measured)


def test_what_is_said_of_models_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    path = zoo.report(
        {hostile: "gaussian-vae-digits", "b": "beta-vae-digits"},
        dataset="digits", examples=20, out=tmp_path / "page.html",
    )  # fmt: skip
    content = path.read_text(encoding="utf-8")
    assert "<script>alert" not in content
    assert Page(content).text.count(hostile) >= 6


def test_what_makes_no_page_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.api.report.compare", None)
    out = tmp_path / "page.html"
    with pytest.raises(ConfigError, match="models of one dataset.*of several.*fashion-mnist"):
        zoo.report(["gaussian-vae-digits", "gaussian-vae-fashion-mnist"], out=out)
    with pytest.raises(ConfigError, match="was trained on digits, and the page is of mnist"):
        zoo.report(["gaussian-vae-digits"], benchmark="mnist", out=out)
    with pytest.raises(ConfigError, match="the page is a file .html, for example page.txt.html"):
        zoo.report(["gaussian-vae-digits"], out=tmp_path / "page.txt")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ConfigError, match="a folder of that name"):
        zoo.report(["gaussian-vae-digits"], out=tmp_path / "folder.html")
    with pytest.raises(ConfigError, match="give a list of models"):
        zoo.report("gaussian-vae-digits", out=out)
    with pytest.raises(zoo.ZooError, match="digit"):
        zoo.report(["gaussian-vae-digits"], benchmark="digit", out=out)
    assert not out.exists()


def test_all_metrics_are_those_of_the_benchmark(tmp_path: Path) -> None:
    benchmark, out = tmp_path / "mine.yaml", tmp_path / "page.html"
    benchmark.write_text(
        "summary: small\ndataset: digits\nexamples: 20\nmetrics: [weights, squared-error]\n"
    )
    arguments = ["report", "autoencoder-digits", "--benchmark", str(benchmark), "--out", str(out)]
    found = CliRunner().invoke(app, [*arguments, "--metric", "all"])
    assert found.exit_code == 0, found.output
    heads = re.findall(r'<span class="sort" title="[^"]*">([\w-]+)', out.read_text("utf-8"))
    assert heads == ["weights", "squared-error", "nll"]  # the last is on its card
    refused = CliRunner().invoke(app, [*arguments, "--metric", "all", "--metric", "nll"])
    assert refused.exit_code != 0


def test_compare_writes_the_page_too(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    asked = ["compare", *NAMES[:2], "--dataset", "digits", "--split", "validation",
             "--examples", "30", "--metric", "rate", "--html"]  # fmt: skip
    found = CliRunner().invoke(app, [*asked, str(out)])
    assert found.exit_code == 0, found.output
    page = out.read_text("utf-8")
    assert "digits: validation, 30 examples" in page
    row = re.search(r"^rate.*$", found.output, re.MULTILINE)
    figures = [] if row is None else re.findall(r"\d+\.\d+ ±", row[0])
    assert len(figures) == 2 and all(f"{each[:-2]}<i> ±" in page for each in figures)


def test_the_page_of_compare_has_its_very_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is measured twice: times, and what is not to be recorded, would be others."""
    calls = []
    monkeypatch.setattr("zoo.api.report.compare", lambda *_, **__: calls.append(1))
    out = tmp_path / "page.html"
    asked = ["compare", *NAMES[:2], "--dataset", "digits", "--examples", "30", "--no-records",
             "--metric", "decode-time", "--json", "--html", str(out)]  # fmt: skip
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0 and not calls, found.output
    rows = json.loads(found.stdout)["rows"]
    page = out.read_text("utf-8")
    assert len(rows) == 2 and all(f'data-number="{row["value"]}"' in page for row in rows)


def test_what_makes_no_page_is_refused_before_models_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "compare", None)
    (tmp_path / "file").write_text("")
    for sources, more, words in (
        (NAMES[:2], ["--html", tmp_path], "--html"),
        (NAMES[:2], ["--html", tmp_path / "a.html", "--average-seeds"], "out --average-seeds"),
        (NAMES[:2], ["--html", tmp_path / "file" / "a.html"], "file is no folder"),
        (["gaussian-vae-mnist", "gaussian-vae-digits"], ["--html", tmp_path / "a.html"],
         "a page shows models of one dataset"),
    ):  # fmt: skip
        asked = ["compare", *sources, *map(str, more)]
        refused = CliRunner().invoke(app, asked)
        assert refused.exit_code == 2 and words in refused.stderr, refused.stderr


def test_colours_are_made_grey_for_the_page_too(tmp_path: Path) -> None:
    """Both what is measured and what is shown."""
    colours = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8)).astype(np.uint8)
    data = {"train": colours, "validation": colours[:9], "test": colours[:30]}
    given: dict[str, Any] = {"dataset": data, "metrics": ["distortion"]}
    with pytest.raises(ZooError, match="image_channels"):
        zoo.report(NAMES[:1], out=tmp_path / "a.html", **given)
    scores = zoo.compare(NAMES[:1], dataset=data, metrics=["distortion"], image_channels=1)
    figure = scores.outcomes[0][0].measured
    page = zoo.report(NAMES[:1], out=tmp_path / "a.html", image_channels=1, **given)
    assert figure is not None and f'data-number="{figure.value}"' in page.read_text("utf-8")


def test_scores_are_those_of_the_models_shown(tmp_path: Path) -> None:
    given: dict[str, Any] = {"dataset": "digits", "examples": 20}
    scores = zoo.compare(NAMES[:2], ["rate"], **given)
    with pytest.raises(ConfigError, match="scores are of gaussian-vae-digits, vmf-vae-digits, "):
        zoo.report(NAMES[1:2], out=tmp_path / "a.html", dataset="digits", scores=scores)
    with pytest.raises(ConfigError, match="either examples or scores"):
        zoo.report(NAMES[:2], out=tmp_path / "a.html", scores=scores, **given)


def test_charts_are_of_the_benchmark_s_own_examples(tmp_path: Path) -> None:
    """Figures of shifted examples stand in the table, under what was done to them."""
    (tmp_path / "shift.yaml").write_text(
        "summary: noise\ndataset: digits\nexamples: 30\nmetrics: [rate, distortion]\n"
        "shifts: {noisy: {noise: 0.2}}\n"
    )
    scores = zoo.compare(NAMES[:2], benchmark=tmp_path / "shift.yaml", records=False)
    assert scores.shifts == ("", "", "noisy", "noisy")
    own = {name: row.measured for name, row in zip(scores.models, scores.outcomes[0], strict=True)}
    found = pairs(scores, "rate", "distortion")
    assert {name: rate for name, (rate, _) in found.items()} == {
        name: each and each.value for name, each in own.items()
    }


def test_what_could_be_reached_is_no_model_of_the_page(tmp_path: Path) -> None:
    """The training set in the samples' place has a figure of its own, and stands in no chart."""
    metrics = ["rate", "distortion", "precision"]
    given = {"benchmark": "digits", "examples": 40, "metrics": metrics, "records": False}
    scores = zoo.compare(NAMES[:2], **given)
    assert scores.references and len(scores.outcomes[2]) > len(scores.models)
    entries = [(name, opened(name)) for name in NAMES[:2]]
    data = zoo.load_dataset("digits")
    found = chapter("digits", [exhibit(name, each, data) for name, each in entries], scores)
    assert all(len(row.cells) >= len(metrics) for row in found.summary.rows)
    assert {row.model for row in found.summary.rows} == set(NAMES[:2])
    column, cells = measured(scores, 2)
    assert column.name == "precision" and len(cells) == 2
    below = found.summary.references
    assert [row.model for row in below] == list(scores.references)
    assert all(len(row.cells) == len(found.summary.columns) for row in below)
    assert [row.cells[2].number for row in below] == [
        each.measured and each.measured.value for each in scores.outcomes[2][2:]
    ]
    foot = re.findall(r"<tfoot>.*?</tfoot>", rendered([found], title="two"), re.DOTALL)
    assert len(foot) == 1 and all(name in foot[0] for name in scores.references)


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match=r"page.html: cannot write it: disk full"):
        zoo.report(["gaussian-vae-digits"], dataset="digits", examples=4, out=path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# The table


def test_the_best_is_named_and_how_far_the_next_is() -> None:
    each = [torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.5, -2.6, -3.4])]
    found = made_up(("elbo", [Measured.of_each("elbo", values) for values in each]))
    assert headline(found) == "a is best on elbo, −2.00 ± 0.58; b is next, 0.500 ± 0.058 away."


def test_models_within_two_errors_are_tied() -> None:
    found = made_up(("nll", [Measured(80.0, 1.0), Measured(81.0, 1.0), Measured(99.0, 1.0)]))
    assert headline(found) == "a and b are tied on nll: within two standard errors."
    _, cells = measured(found, 0)
    assert [cell.state for cell in cells] == ["best", "tie", ""]
    assert [cell.place for cell in cells] == [1.0, pytest.approx(18 / 19), 0.0]
    assert cells[1].to_best == "+1.0 ± 1.4"


def test_one_model_is_no_best_and_what_is_not_ranked_has_no_place() -> None:
    alone = made_up(("elbo", [Measured(-80.0, 1.0)]))
    assert measured(alone, 0)[1][0].state == "" and headline(alone) == ""
    rates = made_up(("rate", [Measured(8.0, 1.0), Measured(9.0, 1.0)]))
    assert [cell.place for cell in measured(rates, 0)[1]] == [None, None] and headline(rates) == ""
    told = Measured(-60.0, 1.0, basis="told")
    mixed = made_up(("elbo", [Measured(-80.0, 1.0), Measured(-90.0, 1.0), told, None]))
    _, cells = measured(mixed, 0)
    assert (cells[2].to_best, cells[2].place, cells[2].state) == ("not ranked", None, "")
    assert (cells[3].value, cells[3].note) == ("–", "it has none")
    rows = summary(mixed, dict.fromkeys("abcd")).rows
    assert [row.model for row in rows] == ["a", "b", "c", "d"]


def test_the_nll_of_cards_stands_where_it_was_not_measured() -> None:
    cards: dict[str, CheckpointSpec | None] = {"a": SPEC, "b": None}
    found = summary(made_up(("elbo", [Measured(-3.0, 1.0), Measured(-2.0, 0.1)])), cards)
    column, by_name = found.columns[-1], {row.model: row.cells[-1] for row in found.rows}
    assert (column.name, by_name["a"].value, by_name["a"].to_best, by_name["b"].value) == (
        "nll, on its card", "20.50", "K = 1000", "–",
    )  # fmt: skip
    own = summary(made_up(("nll", [Measured(3.0, 1.0), Measured(2.0, 0.1)])), cards)
    assert [column.name for column in own.columns] == ["nll"]


# What models make


def test_reconstructions_are_those_of_the_model_under_the_images() -> None:
    each = shown("gaussian-vae-digits")
    assert each.batch is not None and each.batch.labels is not None
    assert each.batch.labels.tolist() == list(range(10))
    found = reconstructions([each])
    assert found is not None
    given, made = (np.asarray(row.image) for row in found.rows)
    assert np.array_equal(given, np.asarray(row_of(each.batch.x, 10)))
    again = each.model.reconstruct(each.batch)
    assert isinstance(again, Tensor)
    assert np.array_equal(made, np.asarray(row_of(again, 10)))


def test_a_model_that_copies_shows_the_same_image_twice() -> None:
    each = shown("gaussian-vae-digits")
    assert each.data is not None and isinstance(each.data.train, Split)
    copies = each.data.train.images[100:110].float() / 255
    found = neighbours([each], {each.name: copies})
    assert found is not None and found.paired
    image = np.asarray(found.rows[0].image)
    assert np.array_equal(image[1:25], image[26:50])
    ours = neighbours([each], {each.name: samples(each)})
    assert ours is not None
    other = np.asarray(ours.rows[0].image)
    assert not np.array_equal(other[1:25], other[26:50])


def test_examples_of_each_class_come_first_and_none_twice() -> None:
    images = torch.zeros(30, 1, 2, 2, dtype=torch.uint8)
    labels = torch.tensor([-1, 5, 5, 2] + [9] * 26)
    assert representatives(Split(images, labels)).tolist() == [3, 1, 4, 0, 2, 5, 6, 7, 8, 9]
    assert representatives(Split(images[:3])).tolist() == [0, 1, 2]


def test_a_card_shows_what_codes_mean_and_where_the_model_is_from() -> None:
    found = card(shown("nvae-lite-digits"))
    assert len(found.pictures) == 3  # traversal, groups, map
    assert found.facts["codes"] == "R¹²⁸ in 5 groups"
    assert "zoo train" in found.facts["command"]
    assert found.figures == recorded(registry().checkpoint("nvae-lite-digits"))


def test_without_data_there_are_samples_and_recorded_figures() -> None:
    entry = opened("cvae-digits")
    found = chapter("digits", [exhibit("cvae-digits", entry, None)], notes=["no data here"])
    assert [strip.title for strip in found.strips] == ["Samples"]
    assert found.aligned[0][0] == "cvae-digits" and found.notes == ["no data here"]
    assert found.summary.rows[0].cells[0].value == "19.71"
    assert found.cards[0].pictures == []


def test_the_claims_of_papers_stand_beside_the_figures() -> None:
    """Of models of the same kinds on the same data."""
    names = ["vmf-vae-mnist", "gaussian-vae-mnist"]
    found = chapter("mnist", [exhibit(name, opened(name), None) for name in names])
    sphere, *planes = found.published
    assert sphere.startswith("Davidson") and "S-VAE, d = 10 (ELBO -97.7, log p(x) -93.16)" in sphere
    assert any("VAE (NLL 86.76)" in line for line in planes) and len(planes) == 2
    page = rendered([found], "papers")
    assert "What papers report of such models (3)" in page and sphere.replace("&", "&amp;") in page
    digits = chapter("digits", [exhibit("cvae-digits", opened("cvae-digits"), None)])
    assert not digits.published and "What papers report" not in rendered([digits], "none")


# Charts


def test_round_numbers_and_axes() -> None:
    assert svg.round_numbers(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    axis = svg.across(1, 100, "epoch", log=True)
    assert axis.at(10) == pytest.approx((svg.LEFT + svg.WIDTH - svg.RIGHT) / 2)
    assert axis.ticks == [1, 2, 5, 10, 20, 50, 100]
    up = svg.upwards(0, 4, "nats")
    assert (up.at(0), up.at(4)) == (svg.HEIGHT - svg.BOTTOM, svg.TOP)


def test_rate_and_distortion_stand_where_they_belong() -> None:
    found = rate_and_distortion({"a": (10.0, 60.0), "b": (20.0, 80.0)}, {"a": 0, "b": 1})
    assert found is not None
    places = [
        (float(x), float(y))
        for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', found.picture)
    ]
    (x1, y1), (x2, y2) = places
    assert x1 < x2 and y1 > y2
    assert "a: rate 10.00, distortion 60.00, ELBO -70.00" in found.picture
    # Bounds are straight lines of one sum: those of a and b lie on theirs.
    lines = re.findall(r'class="bound" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"',
                       found.picture)  # fmt: skip
    slopes = [(float(d) - float(b)) / (float(c) - float(a)) for a, b, c, d in lines]
    assert slopes and max(slopes) - min(slopes) < 0.02
    assert rate_and_distortion({"a": (10.0, 60.0)}, {"a": 0}) is None


def test_a_likelihood_stands_over_what_it_costs() -> None:
    found = likelihood_and_cost({"a": (1e5, 90.0), "b": (1e6, 80.0)}, "weights", {"a": 0, "b": 1})
    assert found is not None and found.title == "Likelihood and weights"
    (x1, y1), (x2, y2) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', found.picture)
    assert float(x1) < float(x2) and float(y1) < float(y2)  # more nats are higher up
    assert "a: 100,000 weights, 90.00 nats" in found.picture
    assert likelihood_and_cost({"a": (1e5, 90.0)}, "weights", {"a": 0}) is None


def test_names_beside_points_do_not_cover_each_other() -> None:
    found = svg.apart({"first": (100.0, 50.0), "other": (104.0, 51.0), "third": (99.0, 49.0)})
    downs = sorted(float(re.findall(r'y="([\d.]+)"', each)[0]) for each in found.values())
    assert all(b - a >= svg.LINE for a, b in zip(downs, downs[1:], strict=False))


def test_a_curve_begins_where_it_enters_the_chart() -> None:
    late = [Point(n, -80.0 - 1 / n) for n in range(2, 101)]
    found = learning({"a": [Point(1, -500.0), *late]}, {"a": 0})
    assert found is not None
    through = re.findall(r'points="([^"]+)"', found.picture)[0].split()
    heights = [float(each.partition(",")[2]) for each in through]
    assert heights[0] == pytest.approx(svg.HEIGHT - svg.BOTTOM, abs=0.1)
    assert max(heights) <= svg.HEIGHT - svg.BOTTOM + 0.1 and min(heights) >= svg.TOP
    assert learning({"a": late[:1]}, {"a": 0}) is None


def test_a_training_that_was_gone_on_with_is_drawn_on() -> None:
    epochs = [each.epoch for each in released_curve("nvae-lite-mnist")]
    assert epochs == sorted(epochs) and len(set(epochs)) == len(epochs) > 50


def test_curves_are_those_of_the_trainings(tmp_path: Path) -> None:
    released = released_curve("gaussian-vae-digits")
    assert len(released) > 100 and released[-1].elbo > released[0].elbo
    run = zoo.train(
        "gaussian-vae", dataset="digits", epochs=2, latent_dim=2, hidden=[8],
        directory=tmp_path / "run", progress=False,
    )  # fmt: skip
    found = exhibit(str(run.directory), opened(run.directory), None).curve
    assert list(found) == points(run.history) and len(found) == 2
    page = zoo.report([run, run.directory], examples=20, out=tmp_path / "a.html")
    assert page.read_text(encoding="utf-8").count("<polyline") == 2


def release(
    folder: Path, name: str, dataset: str, variant: str = "gaussian-vae", **settings: Any
) -> dict[str, object]:
    """A registry entry for an untrained model kept where downloads are kept."""
    file = folder / "checkpoints" / f"{name}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    root = str(folder.parent / "data")
    model = zoo.create(variant, dataset=dataset, data_root=root, latent_dim=4, **settings)
    checkpoint.save(file, model, variant=variant, dataset=dataset)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    changes = {
        "variant": variant,
        "dataset": dataset,
        "file": file.name,
        "sha256": digest,
        "bytes": len(content),
    }
    return SPEC.model_copy(update=changes).model_dump(mode="json", exclude_none=True)


def test_the_demo_shows_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    home, corpora = tmp_path / "home", tmp_path / "data" / "ptb"
    corpora.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        lines = [f"the {animal} sat" for animal in ("cat", "dog", "emu") * 8]
        (corpora / f"{part}.txt").write_text("\n".join(lines) + "\n")
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2}
    entries = {
        "tested-text": release(home, "tested-text", "ptb", "univae", **small),
        "tested-digits": release(home, "tested-digits", "digits"),
        "tested-kmnist": release(home, "tested-kmnist", "kmnist"),
        "tested-broken": {**release(home, "tested-broken", "digits"), "sha256": "b" * 64},
    }
    extra = tmp_path / "extra.yaml"
    extra.write_text(json.dumps({"checkpoints": entries}))  # JSON is YAML
    checkout = Path(__file__).parent.parent
    script = checkout / "scripts" / "demo.py"
    places = {"ZOO_HOME": str(home), "ZOO_REGISTRY": str(extra), "ZOO_DATA": ""}
    options = [str(tmp_path / "page"), "--samples", "2", "--examples", "20"]
    options += ["--data-root", str(tmp_path / "data")]
    env = {**os.environ, **places}
    done = python(script, *options, env=env, cwd=tmp_path, warnings_are_errors=True)
    assert done.returncode == 0, done.stderr
    assert "digits: test, 20 examples, K = 2, seed 0" in done.stdout
    content = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    chapters = dict(re.findall(CHAPTER, content, re.DOTALL))
    digits, letters, text = chapters["digits"], chapters["kmnist"], chapters["ptb"]
    assert "tested-digits" in digits and "tested-broken is not loaded" in digits
    assert letters.count("<img") == 1 and "not measured here: kmnist" in letters
    given, made = re.findall("<ol>(.*?)</ol>", text)[:2]
    assert re.findall("<li>(.*?)</li>", given)[:3] == [
        f"the {animal} sat" for animal in ("cat", "dog", "emu")
    ]
    assert made.count("<li>") == given.count("<li>")


def test_each_model_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table and the pictures are of one model."""
    loaded: list[Path] = []
    load = checkpoint.load

    def counted(path: Path, **options: Any) -> Any:
        loaded.append(path)
        return load(path, **options)

    monkeypatch.setattr(checkpoint, "load", counted)
    names = ["gaussian-vae-digits", "vmf-vae-digits"]
    zoo.report(names, benchmark="digits", examples=20, out=tmp_path / "page.html")
    assert sorted(path.stem for path in loaded) == names
