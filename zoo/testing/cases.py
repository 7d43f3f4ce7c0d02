"""What the contract is checked on: a variant made small, and examples that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.columns import TableSchema
from zoo.core.batch import Batch
from zoo.core.component import component_class
from zoo.core.condition import needed_condition
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError
from zoo.likelihoods import InputKind
from zoo.mappings import merge
from zoo.modalities.tokenizer import Tokenizer
from zoo.randomness import seeded
from zoo.registry import registry
from zoo.testing.small import small_settings
from zoo.variants import Facts, Variant

CLASSES = 3
"""Of the labels that a variant is told where it is told any."""
SENTENCES = ("a cat", "a hat", "the cat sat", "that hat")


@dataclass(frozen=True)
class Case:
    """A small version of a variant for examples of one shape with one likelihood."""

    name: str
    variant: Variant
    config: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    def model(self, seed: int = 0) -> LatentVariableModel:
        """A new one, in evaluation mode, its weights drawn from ``seed``."""
        with seeded(seed, torch.device("cpu")):
            return self.variant.build(self.config).eval()

    @cached_property
    def known(self) -> LatentVariableModel:
        """One that is only asked what it can do."""
        return self.model()

    def examples(self, count: int) -> Tensor:
        """``count`` examples, the same at every call."""
        generator = torch.Generator().manual_seed(7)
        return EXAMPLES[self.known.modality.name](self.known, count, generator)

    def batch(self, count: int) -> Batch:
        """``count`` examples, and what the model is told of them."""
        return Batch(self.examples(count), self.condition(count))

    def condition(self, count: int) -> Tensor | None:
        """What a model that must be told something is told of ``count`` examples."""
        return None if needed_condition(self.known) is None else torch.arange(count) % CLASSES


def cases_of(name: str, settings: Mapping[str, Any]) -> list[Case]:
    """A case for each kind of examples and each registered likelihood that a variant takes.

    Raises ConfigError, the last that it met, where there is none.
    """
    return list(_cases(name, settings))


def first_case(name: str, settings: Mapping[str, Any] | None = None) -> Case:
    """The first of :func:`cases_of`; no other is made."""
    return next(_cases(name, settings or {}))


def _cases(name: str, settings: Mapping[str, Any]) -> Iterator[Case]:
    variant = Variant.find(name)
    refusal, found = None, False
    for label, facts in _offers(variant, settings):
        try:
            case = _case(variant, label, facts, settings)
            case.known  # noqa: B018 -- parts may refuse a shape only where they are built
        except ConfigError as error:
            refusal = error
            continue
        found = True
        yield case
    if refusal is not None and not found:
        raise refusal


def _case(variant: Variant, label: str, facts: Facts, settings: Mapping[str, Any]) -> Case:
    likelihood = {"likelihood": facts.likelihood} if _chooses_likelihood(variant) else {}
    chosen = variant.settings({**likelihood, **settings})
    small = small_settings(variant.model, chosen)
    return Case(label, variant, variant.complete(merge(merge(chosen, small), settings), facts))


def _offers(variant: Variant, settings: Mapping[str, Any]) -> Iterator[tuple[str, Facts]]:
    """Kinds of examples, each with the likelihoods of it: what a variant may take or refuse."""
    names = registry().likelihoods if _chooses_likelihood(variant) else ["bernoulli"]
    if (own := settings.get("likelihood")) is not None:
        names = [own if isinstance(own, str) else own["name"]]
    for likelihood in names:
        for modality, shape in SHAPES[component_class("likelihoods", likelihood).reads]:
            form = tokenizer() if modality == "text" else None
            table = _table() if modality == "tables" else None
            facts = Facts(shape, likelihood, form, CLASSES, table=table)
            yield f"{modality}-{likelihood}", facts


def _chooses_likelihood(variant: Variant) -> bool:
    return "likelihood" in variant.model.Config.model_fields


@cache
def tokenizer() -> str:
    """Of the characters of the sentences."""
    return Tokenizer.learn(SENTENCES, "characters").json


@cache
def _table() -> TableSchema:
    """A column of each kind."""
    kinds: list[dict[str, object]] = [
        {"name": "real", "mean": 100, "std": 5},
        {"name": "positive", "mean": 0, "std": 1},
        {"name": "count", "mean": 1.5, "std": 0.7},
        {"name": "category", "values": ["red", "green", "blue"]},
        {"name": "ordinal", "values": ["low", "middle", "high", "top"]},
        {"name": "binary", "values": ["no", "yes"]},
    ]
    columns = [{"name": str(kind["name"]), "kind": kind} for kind in kinds]
    return TableSchema.parse({"columns": columns}, "the table of the contract")


def _images(model: LatentVariableModel, count: int, generator: torch.Generator) -> Tensor:
    shape = (count, *model.modality.shape)
    levels = torch.randint(0, 256, shape, generator=generator) / 255
    return levels.round() if model.input_kind == "binary" else levels


def _vectors(model: LatentVariableModel, count: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.randn(count, *model.modality.shape, generator=generator)


def _text(model: LatentVariableModel, count: int, generator: torch.Generator) -> Tensor:
    several = SENTENCES * (1 + count // len(SENTENCES))
    return model.modality.read(several[:count]) if count else torch.zeros(0, 1, dtype=torch.int64)


def _tables(model: LatentVariableModel, count: int, generator: torch.Generator) -> Tensor:
    """Every kind of column, each of its values among a few examples."""
    numbers = torch.randn(count, 2, generator=generator)
    values = torch.arange(count)[:, None] % torch.tensor([9, 3, 4, 2])  # (count, 4)
    return torch.cat([100 + 5 * numbers[:, :1], numbers[:, 1:].exp(), values], dim=1)  # (count, 6)


SHAPES: dict[InputKind, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "binary": (("images", (1, 8, 8)),),
    "unit": (("images", (3, 9, 7)),),
    "real": (("images", (1, 8, 8)), ("vectors", (5,))),
    "tokens": (("text", (16,)),),
    "columns": (("tables", (6,)),),
}
"""What of each kind there is, and of which shape; odd and unequal sides among them."""
EXAMPLES: dict[str, Callable[[LatentVariableModel, int, torch.Generator], Tensor]] = {
    "images": _images,
    "vectors": _vectors,
    "text": _text,
    "tables": _tables,
}
"""By modality, how examples are made."""
