"""The way the code is laid out: imports run one way, files and functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from zoo.registry import COMPONENTS, registry

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "zoo").rglob("*.py"))
LIMITED = [*FILES, *sorted((ROOT / "scripts" / "benchmarks").glob("*.py"))]
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


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def test_imports_run_one_way() -> None:
    assert len(FILES) > 400
    layers = {name_of(file): layer_of(name_of(file)) for file in FILES}
    above = {
        name_of(file): [m for m in imports_of(tree_of(file)) if layer_of(m) > layers[name_of(file)]]
        for file in FILES
    }
    assert not {name: found for name, found in above.items() if found}


def test_files_are_short() -> None:
    lengths = {name_of(file): file.read_text("utf-8").count("\n") for file in LIMITED}
    assert not {name: lines for name, lines in lengths.items() if lines > 300}


def test_functions_are_short() -> None:
    functions = [
        (f"{name_of(file)}: {node.name}", lines_of(node))
        for file in LIMITED
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [(name, lines) for name, lines in functions if lines > 45]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]


def test_no_component_is_told_from_others_by_its_class() -> None:
    """What a component is like it says itself, so that a plug-in's can be like it too."""
    classes = {
        spec.component.partition(":")[2]: spec.component.partition(":")[0]
        for section in COMPONENTS
        for spec in registry().names(section).values()
    }
    for file in FILES:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                found = {n for n in asked & classes.keys() if classes[n] != name_of(file)}
                assert not found, f"{name_of(file)} asks whether something is a {found}"
