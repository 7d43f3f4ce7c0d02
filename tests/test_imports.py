"""What a process has imported after the first things that people do."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zoo.distributions import meridian, polar
from zoo.distributions.bessel_ratio import series
from zoo.distributions.constants import constant_in_graphs

# A name each of what is slow to import and what loading and sampling never need.
COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}
OTHERS = {"sklearn", "torchvision", "tokenizers", "requests", "rich", "jinja2", "tensorboard"}


def imported(code: str, names: set[str]) -> list[str]:
    """Which of ``names`` a fresh process has imported after ``code``."""
    script = f"import sys\n{code}\nprint(*sorted({names!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    "code",
    [
        "import zoo",
        "import zoo\nzoo.list_variants(), zoo.list_datasets(), zoo.list_checkpoints('*mnist*')",
        "import zoo\nzoo.info('vmf-vae-mnist')",
    ],
)
def test_the_catalogue_does_without_torch(code: str) -> None:
    assert imported(code, {"torch", "numpy"} | COMPILER | OTHERS) == []


@pytest.mark.parametrize(
    "code",
    [
        "import zoo\nzoo.list_variants(), zoo.list_checkpoints('*mnist*')",
        "from zoo.cli import app\napp(['list'], standalone_mode=False)",
    ],
)
def test_a_list_does_without_the_schemas(code: str) -> None:
    """With the library of commands that constraints.txt names, too."""
    assert imported(code, {"pydantic"}) == []


def test_loading_imports_no_more_than_it_needs() -> None:
    """Nor does sampling, of spheres neither; all in one process, since torch takes the time."""
    names = ("gaussian-vae-digits", "vmf-vae-digits", "power-spherical-vae-mnist")
    code = f"import zoo, zoo.distributions as d\nfor name in {names}: zoo.load(name).sample(2)"
    code += "\nfor name in dir(d): getattr(d, name)"
    assert imported(code, COMPILER | OTHERS) == []


def test_no_model_is_built_for_a_file_by_way_of_the_compiler() -> None:
    """On torch's "meta" device a product with a number, or a matrix 1, imported it: a second."""
    code = (
        "import torch, zoo\n"
        "from zoo.storage.blueprint import blueprint\n"
        "from zoo.testing.cases import cases_of\n"
        "for name in zoo.list_checkpoints(): zoo.load(name)\n"
        "for case in (case for name in zoo.list_variants() for case in cases_of(name, {})):\n"
        "    cls = case.variant.model\n"
        "    config = cls.Config.parse(dict(case.config), name)\n"
        "    blueprint(cls, config, torch.float32, stored=1000)\n"
    )
    assert imported(code, COMPILER) == []


def test_the_compiler_is_told_by_the_mark_that_torch_sets() -> None:
    def marked() -> int:
        return 1

    before = set(vars(marked))
    (mark,) = set(vars(torch.compiler.assume_constant_result(marked))) - before
    for function in (series, meridian.fitted, meridian.gauss_legendre, polar.angle_table):
        assert vars(function)[mark] is True
    assert vars(constant_in_graphs(lambda: 1))[mark] is True
