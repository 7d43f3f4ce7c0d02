"""docs/reference.md: every registered name with its summary, equation, settings and paper.

All of it is what registry.yaml and the docstrings say.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from zoo.core.component import Component, Selected
from zoo.registry import COMPONENTS, read_registry, resolve
from zoo.registry.specs import ComponentSpec, Registry, VariantSpec
from zoo.settings import Settings
from zoo.training.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference.md"
HEAD = """# Reference

What every registered name is, with its equation, its settings and their defaults.

`python scripts/write_docs.py` writes this page; what it says stands in
[registry.yaml](../registry.yaml) and in the docstrings. `zoo list` and `zoo info NAME` show what is
registered where you are, plug-ins too. Any setting is an option of a training by its bare name."""
DOCTEST = re.compile(r"\n*^ *>>> .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
ROLE = re.compile(r":\w+:`~?([^`]+)`")


def page() -> str:
    """The page's text, of the packaged registry alone."""
    known = read_registry([ROOT / "registry.yaml"])
    links = " · ".join(
        f"[{section}](#{section})" for section in (*COMPONENTS, "training", "datasets")
    )
    parts = [HEAD, links]
    for section in COMPONENTS:
        parts += [f"## {section.capitalize()}", *components(known, section)]
    parts += ["## Training", training(), "## Datasets", datasets(known)]
    return "\n\n".join(parts) + "\n"


def components(known: Registry, section: str) -> Iterator[str]:
    """A piece for each name of a section; a docstring stands at the first name of its class."""
    told: dict[type, str] = {}
    for name, spec in known.names(section).items():
        assert isinstance(spec, ComponentSpec)
        cls = resolve(spec.component)
        yield f"### `{name}`\n\n{spec.summary}{f' ({spec.paper})' if spec.paper else ''}."
        if isinstance(spec, VariantSpec):
            yield entry(known, name, spec)
        if cls in told:
            yield f"Equation and settings are those of `{told[cls]}`."
        else:
            yield from described(cls)
        told.setdefault(cls, name)


def entry(known: Registry, name: str, spec: VariantSpec) -> str:
    """What a variant is composed of, and what is released of it."""
    said = {"config": spec.config, "objective": spec.objective, "training": spec.training}
    composed = yaml.safe_dump(
        {key: value for key, value in said.items() if value},
        sort_keys=False,
        default_flow_style=None,
    )
    released = [
        f"[`{checkpoint}`](../checkpoints/{checkpoint}.md)"
        for checkpoint, card in known.checkpoints.items()
        if card.variant == name
    ]
    return f"```yaml\n{composed}```" + (f"\n\nReleased: {', '.join(released)}" if released else "")


def described(cls: type[Component]) -> Iterator[str]:
    """A class's docstring without its example, and its settings."""
    yield f"```text\n{prose(cls)}\n```"
    if fields := cls.Config.model_fields:
        yield f"Settings: {', '.join(f'`{key}`{default(field)}' for key, field in fields.items())}."
        if said := prose(cls.Config):
            yield f"```text\n{said}\n```"


def prose(cls: type) -> str:
    """What a class says of itself, as plain text."""
    said = cls.__doc__ or ""
    plain = ROLE.sub(r"\1", DOCTEST.sub("", inspect.cleandoc(said)))
    return plain.replace("``", "").strip()


def default(field: FieldInfo) -> str:
    """How a setting's default is told."""
    if field.is_required():
        return " (of the data)"
    return f" {json.dumps(plain_value(field.get_default(call_default_factory=True)))}"


def plain_value(value: Any) -> Any:
    """A default as JSON knows it."""
    if isinstance(value, Selected):
        return value.dump()
    if isinstance(value, Settings):
        return plain_value(value.model_dump())
    if isinstance(value, Mapping):
        return {key: plain_value(each) for key, each in value.items()}
    return [plain_value(each) for each in value] if isinstance(value, tuple | list) else value


def training() -> str:
    """A table of the settings of a training, of what stands below each in the schema."""
    (schema,) = ast.parse(inspect.getsource(TrainingConfig)).body
    assert isinstance(schema, ast.ClassDef)
    told = {
        field.target.id: " ".join(str(below.value.value).replace("``", "`").split())
        for field, below in pairwise(schema.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }
    rows = [
        f"| `{key}` |{default(field)} | {told.get(key, '')} |"
        for key, field in TrainingConfig.model_fields.items()
    ]
    head = ["| setting | default | |", "|---|---|---|"]
    return "\n".join([prose(TrainingConfig), "", *head, *rows])


def datasets(known: Registry) -> str:
    """A table of the datasets known by name."""
    rows = [
        f"| `{name}` | {spec.summary} | {spec.license} |" for name, spec in known.datasets.items()
    ]
    return "\n".join(["| name | what it is | licence |", "|---|---|---|", *rows])
