"""The page in a real browser: it is quiet, fits its window, sorts, and decodes as Python does."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.core.condition import as_condition

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
NAMES = ["gaussian-vae-digits", "vmf-vae-digits", "cvae-digits", "autoencoder-digits",
         "nvae-lite-digits"]  # fmt: skip
PIXELS = """canvas => {
    // A copy, for browsers complain of a canvas that is read again and again.
    const brush = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    brush.drawImage(canvas, 0, 0);
    const image = brush.getImageData(0, 0, canvas.width, canvas.height);
    return {
        code: JSON.parse(canvas.dataset.code), model: canvas.dataset.model,
        pixels: [...image.data].filter((_, n) => n % 4 === 0),
    };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: it is of the extra 'dev'")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no browser here, none of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs with convolutions and with a globe, which no released model of the digits has."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"dataset": "digits", "epochs": 1, "progress": False}
    conv = {"name": "conv", "encoder_channels": [4, 4], "encoder_blocks": [0, 0],
            "decoder_channels": [4, 6], "decoder_blocks": [1, 1], "hidden": 16}  # fmt: skip
    gated = {**conv, "name": "gated-conv"}
    zoo.train("gaussian-vae", backbone=conv, latent_dim=2, directory=folder / "conv", **small)
    zoo.train("vmf-vae", backbone=gated, latent_dim=3, directory=folder / "globe", **small)
    return {"conv": folder / "conv", "globe": folder / "globe"}


@pytest.fixture(scope="module")
def models(trained: dict[str, Path]) -> dict[str, zoo.LatentVariableModel]:
    sources = {name: name for name in NAMES} | trained
    return {name: zoo.load(source) for name, source in sources.items()}


@pytest.fixture(scope="module")
def page_file(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "page.html"
    sources: dict[str, Any] = {name: name for name in NAMES} | trained
    return zoo.report(sources, benchmark="digits", examples=40, out=out)


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    """The page at 1300 pixels; whatever it asks of a network or complains of fails the test."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page, troubles = context.new_page(), []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url)
            if not request.url.startswith(("file:", "data:", "blob:")) else None)  # fmt: skip
    page.goto(page_file.as_uri())
    yield page
    context.close()
    assert troubles == []


def wake(page: Any) -> None:
    page.locator(".living").scroll_into_view_if_needed()
    page.wait_for_selector(".living[data-ready]", state="attached")


def agrees(canvas: Any, models: dict[str, zoo.LatentVariableModel], told: int = 0) -> list[float]:
    """Compare a canvas with what Python decodes; returns the code it shows."""
    found = canvas.evaluate(PIXELS)
    model = models[found["model"]]
    condition = None if model.conditioning is None else as_condition(model, told, 1)
    made = model.show(torch.tensor([found["code"]]), condition)
    assert isinstance(made, torch.Tensor)
    shown = torch.tensor(found["pixels"]) / 255
    assert shown.max() > 0.2  # no empty canvas
    assert (shown - made.flatten()).abs().max() <= 1 / 255
    code: list[float] = found["code"]
    return code


def order(page: Any) -> list[str]:
    names: list[str] = page.locator(".figures tbody tr").evaluate_all(
        "rows => rows.filter(row => row.offsetParent).map(row => row.dataset.model)"
    )
    return names


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_is_wider_than_the_window(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    wake(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    beyond = page.evaluate(
        """width => [...document.querySelectorAll("main *")].filter(each =>
            !each.closest(".scroll, svg, .top, .unseen")
            && each.getBoundingClientRect().right > width + 0.5).map(each => each.outerHTML)"""
        , width
    )  # fmt: skip
    assert beyond == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    level = sum(int(each) for each in paper[4:-1].split(",")) / 3
    assert level > 200 if scheme == "light" else level < 60


def test_a_column_sorts_all_rows_and_what_has_no_figure_stays_below(page: Any) -> None:
    first = order(page)
    assert set(first) == {*NAMES, "conv", "globe"}
    assert set(first[-2:]) == {"autoencoder-digits", "cvae-digits"}  # which are not ranked
    rate = page.locator(".figures thead th").nth(2)
    rate.get_by_role("button").click()
    assert rate.get_attribute("aria-sort") == "descending"
    values = page.locator(".figures tbody tr td:nth-child(3)").evaluate_all(
        "cells => cells.map(cell => cell.dataset.number)"
    )
    known = [float(value) for value in values if value is not None]
    assert known == sorted(known, reverse=True) and values[-1] is None
    strips = page.locator(".strips tbody tr").evaluate_all("rows => rows.map(r => r.dataset.model)")
    assert strips[0] is None and strips[1:] == order(page)
    rate.get_by_role("button").press("Enter")
    assert rate.get_attribute("aria-sort") == "ascending"
    assert order(page)[:-1] == strips[1:-1][::-1] and order(page)[-1] == "autoencoder-digits"


def test_the_filter_hides_models_everywhere(page: Any) -> None:
    page.get_by_label("Show").fill("VMF")
    assert order(page) == ["vmf-vae-digits"]
    assert page.locator(".card:visible").count() == 1
    assert page.locator(".series:visible").evaluate_all(
        "all => [...new Set(all.map(each => each.dataset.model))]"
    ) == ["vmf-vae-digits"]
    page.get_by_label("Show").fill("")
    assert len(order(page)) == len(NAMES) + 2


def test_sliders_decode_as_python_does(
    page: Any, models: dict[str, zoo.LatentVariableModel]
) -> None:
    wake(page)
    made = page.locator("canvas.made")
    for name in ["gaussian-vae-digits", "autoencoder-digits", "conv", "vmf-vae-digits"]:
        page.locator(".which").select_option(name)
        before = agrees(made, models)
        slider = page.locator(".sliders input").first
        reach = float(slider.get_attribute("max"))
        slider.evaluate(
            "(input, to) => { input.value = to; input.dispatchEvent(new Event('input')); }",
            0.7 * reach,
        )
        after = agrees(made, models)
        assert max(after) == pytest.approx(0.7 * reach, abs=1e-3) or after != before
        assert any(abs(value - 0.7 * reach) < 1e-3 for value in after)
        if name.startswith("vmf"):
            assert sum(value**2 for value in after) == pytest.approx(1)


def test_a_class_is_told(page: Any, models: dict[str, zoo.LatentVariableModel]) -> None:
    wake(page)
    page.locator(".which").select_option("cvae-digits")
    agrees(page.locator("canvas.made"), models, 0)
    page.locator(".told").select_option("7")
    agrees(page.locator("canvas.made"), models, 7)
    page.locator(".starts button").nth(4).click()
    agrees(page.locator("canvas.made"), models, 4)


@pytest.mark.parametrize("name", ["gaussian-vae-digits", "vmf-vae-digits", "globe"])
def test_a_pad_is_dragged_and_moved_by_keys(
    page: Any, models: dict[str, zoo.LatentVariableModel], name: str
) -> None:
    wake(page)
    page.locator(".which").select_option(name)
    made, pad = page.locator("canvas.made"), page.locator("canvas.pad")
    before = agrees(made, models)
    pad.press("ArrowRight")
    pad.press("ArrowUp")
    by_keys = agrees(made, models)
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"], steps=4)
    page.mouse.up()
    dragged = agrees(made, models)
    assert before != by_keys != dragged
    if name != "gaussian-vae-digits":
        assert sum(value**2 for value in dragged) == pytest.approx(1)
    page.mouse.move(box["x"], box["y"])  # not held any more
    assert agrees(made, models) == dragged


def test_codes_are_drawn_from_the_prior_where_it_is_known(
    page: Any, models: dict[str, zoo.LatentVariableModel]
) -> None:
    wake(page)
    page.locator(".which").select_option("vmf-vae-digits")
    before = agrees(page.locator("canvas.made"), models)
    page.locator(".random").click()
    after = agrees(page.locator("canvas.made"), models)
    assert after != before and sum(value**2 for value in after) == pytest.approx(1)
    page.locator(".which").select_option("autoencoder-digits")
    assert not page.locator(".random").is_visible()


def test_all_models_walk_between_two_images(
    page: Any, models: dict[str, zoo.LatentVariableModel]
) -> None:
    wake(page)
    specs = json.loads(page.locator(".specs").text_content())
    page.locator(".from").select_option("2")
    page.locator(".to").select_option("5")
    page.locator(".way").evaluate(
        "input => { input.value = 0.25; input.dispatchEvent(new Event('input')); }"
    )
    walkers = page.locator(".walkers canvas").all()
    assert len(walkers) == len(specs) == len(models) - 1  # not the hierarchy
    for canvas, spec in zip(walkers, specs, strict=True):
        code = agrees(canvas, models, 2)
        start, end = (torch.tensor(spec["codes"][n]) for n in (2, 5))
        way = models[spec["model"]].interpolate(start, end, 5)
        torch.testing.assert_close(torch.tensor(code), way[1], rtol=0, atol=2e-4)


def test_without_javascript_all_is_there(browser: Any, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator(".figures tbody tr").count() == len(NAMES) + 2
    assert page.get_by_text("They need JavaScript.").is_visible()
    assert not page.locator(".explore").is_visible() and not page.locator(".filter").is_visible()
    context.close()
