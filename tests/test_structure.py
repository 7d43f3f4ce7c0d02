"""The way the code is laid out: imports run one way, files and functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.registry import COMPONENTS, registry

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "zoo").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "scripts" / "benchmarks").glob("*.py"))
LAYERS = (
    ("zoo.errors",),
    ("zoo.compilation", "zoo.devices", "zoo.environment", "zoo.files", "zoo.mappings",
     "zoo.memory", "zoo.precision", "zoo.randomness", "zoo.settings", "zoo.startup",
     "zoo.yaml_files"),
    ("zoo.registry",),
    ("zoo.distributions", "zoo.geometry"),
    ("zoo.core",),
    ("zoo.backbones", "zoo.columns", "zoo.likelihoods", "zoo.modalities", "zoo.nn",
     "zoo.posteriors", "zoo.priors"),
    ("zoo.core.bounds", "zoo.core.condition", "zoo.core.model", "zoo.core.reading"),
    ("zoo.data",),
    ("zoo.variants",),
    ("zoo.objectives", "zoo.storage"),
    ("zoo.evaluation", "zoo.training"),
    ("zoo.metrics",),
    ("zoo.pictures", "zoo.studies"),
    ("zoo.tasks",),
    ("zoo.reporting",),
    ("zoo.api",),
    ("zoo.cli", "zoo.testing"),
    ("zoo",),
)  # fmt: skip
"""From the bottom: a module imports from its own layer and those before it."""


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> int:
    """That of the longest prefix."""
    prefixes = {prefix: n for n, layer in enumerate(LAYERS) for prefix in layer}
    fitting = [p for p in prefixes if module == p or module.startswith(f"{p}.")]
    return prefixes[max(fitting, key=len)]


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The modules of zoo that are imported when a module is, at its top level."""
    for statement in ast.iter_child_nodes(tree):
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("zoo"):
            for alias in statement.names:
                inner = f"{statement.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").is_file()
                yield inner if is_module else str(statement.module)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_run_one_way(file: Path) -> None:
    own = layer_of(name_of(file))
    above = [m for m in imports_of(ast.parse(file.read_text("utf-8"))) if layer_of(m) > own]
    assert not above, f"{name_of(file)} imports from above it: {above}"


@pytest.mark.parametrize("file", [*FILES, *BENCHMARKS], ids=name_of)
def test_files_and_functions_are_short(file: Path) -> None:
    text = file.read_text("utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
            assert lines <= 45, f"{node.name} has {lines} lines"


def test_no_component_is_told_from_others_by_its_class() -> None:
    """What a component is like it says itself, so that a plug-in's can be like it too."""
    classes = {
        spec.component.partition(":")[2]: spec.component.partition(":")[0]
        for section in COMPONENTS
        for spec in registry().names(section).values()
    }
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                found = {n for n in asked & classes.keys() if classes[n] != name_of(file)}
                assert not found, f"{name_of(file)} asks whether something is a {found}"
