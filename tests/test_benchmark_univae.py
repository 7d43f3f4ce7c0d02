"""The benchmark of UniVAE's two forms, at sizes that say nothing about speed."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).parents[1]
WIDTH, HIDDEN, LAYERS, GROUPS, LATENT, VOCABULARY, LENGTH = 32, 88, 3, 2, 16, 50, 5
MODEL = ["--width", str(WIDTH), "--layers", str(LAYERS), "--groups", str(GROUPS)]
MODEL += ["--vocabulary", str(VOCABULARY), "--lengths", str(LENGTH), "--tokens", "20"]
RUN = ["--sentences", "2", "--rounds", "1", "--block", "0.001", "--wait", "0", "--threads", "1"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as Python does when it runs one."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("benchmarks.univae")


def test_both_forms_are_timed_and_compared(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("benchmarks._blocks.PEAK_SECONDS", 0.02)
    file = tmp_path / "univae.json"
    assert benchmark.main([*MODEL, *RUN, "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    cases = {(row["case"]["work"], row["case"]["precision"]): row for row in content["cases"]}
    works, precisions = ("train", "sample"), ("float32", "bfloat16")
    assert set(cases) == {(work, precision) for work in works for precision in precisions}
    for case in cases.values():
        first, second = list(case["contenders"].values())[-2:]
        speeds = [form["per_second"]["median"] for form in (first, second)]
        assert second["ratio"]["median"] == pytest.approx(speeds[1] / speeds[0])
    for precision in precisions:
        forms = cases["train", precision]["contenders"]
        for name, each in zip(("two passes", "one sequence"), operations(), strict=True):
            assert 0 < forms[name]["of_peak"]["median"] < 1
            assert forms[name]["megaflop"] == pytest.approx(each / 1e6)
    assert content["command"].startswith("python scripts/benchmarks univae --width 32")
    shown = capsys.readouterr().out
    assert benchmark.NOTE in shown and content["note"] == benchmark.NOTE
    assert "two passes" in shown and "no cache" in shown


def read(benchmark: ModuleType) -> argparse.Namespace:
    """The options of a short run."""
    parser = benchmark.build_parser("univae", "", block=1.0)
    options: argparse.Namespace = benchmark.add_arguments(parser).parse_args([*MODEL, *RUN])
    return options


def operations() -> tuple[float, float]:
    """Of a step for each token, in two passes and in one sequence, from the shapes alone."""
    layer = 4 * WIDTH**2 + 3 * WIDTH * HIDDEN
    ends = LENGTH * VOCABULARY * WIDTH + 2 * GROUPS * WIDTH * LATENT  # the logits, the latents
    # The encoder's six positions stop before the last layer, and in the one before only the first
    # looks; the decoder's are five, with a latent six, each of which looks at itself and those
    # before it. Both halves expand all latents that they read.
    again = (GROUPS - 1) * WIDTH * LATENT
    first = layer + 5 * 2 * WIDTH**2
    passes = (6 + 5 + 2 * 6) * layer + first + again, 6 * 6 + 6 + 15 + 2 * 21
    sequence = 3 * 12 * layer, 3 * 12 * 12
    ours, theirs = (
        3 * (2 * (products + ends) + 4 * WIDTH * pairs) / LENGTH
        for products, pairs in (passes, sequence)
    )
    return ours, theirs


def test_forms_that_differ_are_not_timed(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = read(benchmark)
    independent, joined = benchmark.build_masks(LENGTH)

    def leaky(length: int) -> tuple[Tensor, Tensor]:
        """The decoder's first position sees the one after it."""
        wrong = independent.clone()
        wrong[1 + length, 2 + length] = True
        return wrong, joined

    with monkeypatch.context() as patch:
        patch.setattr(benchmark, "build_masks", leaky)
        with pytest.raises(AssertionError, match="forms of the training step differ"):
            benchmark.build_cases(options)
    monkeypatch.setattr(
        benchmark, "generated", lambda model, z: benchmark.generated_anew(model, z.flip(0))
    )
    with pytest.raises(AssertionError, match="without the cache differs"):
        benchmark.build_cases(options)


def test_every_sentence_is_written_to_its_whole_length(benchmark: ModuleType) -> None:
    options = read(benchmark)
    model = benchmark.build_model(40, options)
    torch.manual_seed(1)
    z = model.sample_codes(20)
    written = benchmark.generated(model, z)
    assert written.shape == (20, 40) and (written > 1).all()
