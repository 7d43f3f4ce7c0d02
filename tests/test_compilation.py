"""Compiled or not, an evaluation says the same; where nothing can be compiled, it says that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from processes import python

import zoo
from zoo.compilation import compiled
from zoo.core.bounds import log_evidence, weigher
from zoo.data import load_dataset

UNABLE = """
import torch._inductor.config
import zoo
from zoo.errors import ConfigError
torch._inductor.config.cpp.cxx = ("/nowhere/c++",)
for act in (
    lambda: zoo.evaluate("gaussian-vae-digits", samples=2, examples=4, compile=True),
    lambda: zoo.train("gaussian-vae", dataset="digits", epochs=1, compile=True, directory="run"),
):
    try:
        act()
    except ConfigError as error:
        print(error)
"""


def test_an_evaluation_has_the_same_draws_and_figures() -> None:
    """In one chunk: code for each further size takes as long to generate."""
    plain, fast = (
        zoo.evaluate("gaussian-vae-digits", samples=100, examples=9, compile=compile)
        for compile in (False, True)
    )
    assert plain.nll is not None
    assert fast.nll is not None
    assert fast.nll.value == pytest.approx(plain.nll.value, rel=2e-6)  # other draws: 1e-3
    assert fast.nll.stderr == pytest.approx(plain.nll.stderr, rel=1e-5)
    assert (fast.elbo, fast.kl_per_group) == (plain.elbo, plain.kl_per_group)


@pytest.mark.usefixtures("traced_alone")
@torch.no_grad()
def test_every_count_of_draws_is_weighed_right() -> None:
    """Those of the last chunk, too, and of fewer examples than the ones before."""
    model = zoo.load("gaussian-vae-digits")
    split = load_dataset("digits").test.fixed("binary", 0)
    weigh = compiled(weigher(model))
    for examples, samples, chunk in ((5, 50, 64), (5, 7, 64), (3, 50, 64), (1, 1, 1)):
        some = split.batch(torch.arange(examples), kind="binary")
        found = []
        for way in (None, weigh):
            torch.manual_seed(3)
            found.append(log_evidence(model, some, samples, chunk, way).log_p)
        torch.testing.assert_close(found[1], found[0], rtol=2e-6, atol=0)


def test_a_machine_without_a_compiler_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = python("-c", UNABLE, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2
    assert all("No working C++ compiler" in each and "leave 'compile' out" in each for each in said)
