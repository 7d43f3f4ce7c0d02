"""Variants by name: from a registered name and settings to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from zoo.columns import TableSchema
from zoo.core.component import Selected, component_class, having, options_by_name, options_of
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.errors import ConfigError
from zoo.mappings import merge
from zoo.modalities import Form, modality_of
from zoo.precision import float32_by_default
from zoo.priors import usual_prior
from zoo.registry import VariantSpec, registry

if TYPE_CHECKING:
    from zoo.data import Dataset


PARTS = ("posterior", "prior", "likelihood", "condition")
"""What a variant is made of: distributions, and what they are told. Networks are settings."""
CLASSES = "classes"
"""The setting of a model that infers a class: how many the data have."""
CHOSEN_BY_DATA = "likelihood"
"""The part that settings need not name: data know which suits them."""


@dataclass(frozen=True)
class Facts:
    """What data decide of a model: an example's shape, p(x|z), and what there is to be told."""

    shape: tuple[int, ...]
    likelihood: str
    tokenizer: str | None = None
    classes: int | None = None
    numbers: int | None = None
    table: TableSchema | None = None

    @property
    def form(self) -> Form:
        """What there is to know of examples beside their shape."""
        return self.tokenizer or self.table

    @classmethod
    def of(cls, data: Dataset) -> Facts:
        """Those of a dataset."""
        numbers = None
        if data.classes is None:
            columns = [data.train.condition, data.train.labels]
            told = next((column for column in columns if column is not None), None)
            numbers = None if told is None else told[0].numel()
        classes, table = data.classes, data.table
        return cls(data.train.shape, data.likelihood, data.tokenizer, classes, numbers, table)


class Variant:
    """A variant's name, resolved once, where it enters."""

    def __init__(self, name: str, spec: VariantSpec, model: type[LatentVariableModel]) -> None:
        self.name, self.spec, self.model = name, spec, model

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variant) and (self.name, self.model) == (other.name, other.model)

    def __hash__(self) -> int:
        return hash((self.name, self.model))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, Variant) else cls.find(given),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def find(cls, name: str) -> Variant:
        """What a registered name stands for.

        Raises UnknownNameError for a name not registered, ConfigError for one that is no model's.
        """
        return cls(name, registry().variant(name), component_class("variants", name))

    def columns(self, settings: Mapping[str, Any], asked: object) -> object:
        """The kinds of a table's columns: a model's own, those asked for, or {}, all inferred.

        None for a variant that need not read tables.
        """
        if (known := settings.get("table")) is not None:
            return TableSchema.parse(known, f"model {self.name!r}: table")
        return {} if asked is None and self.model.reads == ("tables",) else asked

    def options(self, given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Where each option of the model is set: among its own, or within one of its components.

        Which components these are, ``given`` options may say.
        """
        fields = self.model.Config.model_fields
        settings = merge(self._registered(), given)
        parts = {
            option: (part, option)
            for part, section in reversed(self._sections.items())
            for option in _options_of_part(part, section, settings.get(part))
        }
        return parts | {name: (name,) for name in fields if name != "input_shape"}

    def hint(self, option: str) -> str | None:
        """Which part of the model has an option, and how to choose it; None where none has."""
        found = ((part, having(option, section)) for part, section in self._sections.items())
        return next((owner_hint(part, names[0]) for part, names in found if names), None)

    @property
    def _sections(self) -> dict[str, str]:
        """The section of the registry of each part that is chosen by name."""
        fields = self.model.Config.model_fields.items()
        return {
            name: get_args(field.annotation)[0].section
            for name, field in fields
            if get_origin(field.annotation) is Selected
        }

    def _registered(self) -> dict[str, Any]:
        """The registered settings, and the parts that stand where these name none."""
        fields = self.model.Config.model_fields
        usual = {part: fields[part].default for part in self._sections if part != CHOSEN_BY_DATA}
        named = {part: name for part, name in usual.items() if isinstance(name, str)}
        return {**named, **_spelt_out(self.spec.config)}

    def settings(
        self, given: Mapping[str, Any], base: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The registered settings, or those of ``base``, with the ``given`` on top.

        One that only a component has, as its backbone's ``hidden``, goes to it. Raises ConfigError
        for one that only a component which is not chosen has.
        """
        places = self.options(given)
        settings = self._registered() if base is None else _spelt_out(base)
        # A part before its options: what names it anew would drop them.
        for key in sorted(given, key=lambda key: len(places.get(key, ()))):
            if key not in places and (hint := self.hint(key)):
                raise ConfigError(f"model {self.name!r}: unknown option {key!r}. {hint}")
            outer, *inner = places.get(key, (key,))
            settings = merge(settings, {outer: {key: given[key]} if inner else given[key]})
        return settings

    def parse(self, config: Mapping[str, Any]) -> ModelConfig:
        """A complete configuration. Raises ConfigError, naming the nearest setting."""
        return self.model.Config.parse(config, f"model {self.name!r}")

    def complete(self, settings: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """``settings`` with what the data decides filled in and every default spelt out.

        A likelihood the settings name wins over the data's. Raises ConfigError when they do not
        fit.
        """
        fields = self.model.Config.model_fields
        self._refuse_other_modality(modality_of(facts.shape, facts.form).name)
        asked = settings.get("input_shape", facts.shape)
        if not isinstance(asked, Sequence) or tuple(asked) != tuple(facts.shape):
            raise ConfigError(
                f"model {self.name!r}: the data's examples are {tuple(facts.shape)}, 'input_shape' "
                f"says {asked!r}; leave it out: the data decides"
            )
        from_data: dict[str, Any] = {CHOSEN_BY_DATA: facts.likelihood, CLASSES: facts.classes}
        from_data = {key: value for key, value in from_data.items() if key in fields}
        if facts.tokenizer is not None:
            from_data["tokenizer"] = facts.tokenizer
        if facts.table is not None:
            from_data["table"] = facts.table.model_dump(mode="json")
        given = merge(from_data, {**settings, "input_shape": facts.shape})
        if given.get("condition") is not None:
            told = {"classes": facts.classes, "numbers": facts.numbers}
            given = merge({"condition": told}, _spelt_out(given))
            _check_classes("condition.classes", given["condition"]["classes"], facts.classes)
        _check_classes(CLASSES, given.get(CLASSES), facts.classes)
        return self.parse(given).model_dump(mode="json")

    def _refuse_other_modality(self, modality: str) -> None:
        if modality not in self.model.reads:
            own, others = " or ".join(self.model.reads), " or ".join(_readers(modality))
            raise ConfigError(
                f"{self.name!r} reads {own}, not {modality}; train {others or 'one of your own'}"
            )

    def differing(self, config: ModelConfig) -> dict[str, str | None]:
        """The parts of a configuration that are not those the variant names, by what they are for.

        Parts are what a variant is, where settings say how large: the posterior, the prior (the
        usual one of the posterior where it names none), the likelihood where it names one (the data
        choose it elsewhere), and the condition, None for a model that is told nothing.
        """
        fields = type(config).model_fields
        named = {"condition": None, **self.spec.config}
        if (posterior := getattr(config, "posterior", None)) is not None:
            usual = {"posterior": fields["posterior"].default, "prior": usual_prior(posterior)}
            named = {**usual, **named}
        chosen = [part for part in PARTS if part in named and part in fields]
        parts = {part: _name_of(getattr(config, part)) for part in chosen}
        return {part: name for part, name in parts.items() if name != _name_of(named[part])}

    def described(self, config: ModelConfig) -> str:
        """The variant's name and the parts that are not its own.

        >>> found = Variant.find("gaussian-vae")
        >>> found.described(found.parse({"input_shape": (4,), "posterior": "vmf"}))
        'gaussian-vae with posterior vmf'
        """
        differing = self.differing(config).items()
        parts = [f"no {part}" if name is None else f"{part} {name}" for part, name in differing]
        return f"{self.name} with {', '.join(parts)}" if parts else self.name

    def build(self, config: Mapping[str, Any]) -> LatentVariableModel:
        """A freshly initialised model from a complete configuration."""
        settings = self.parse(config)
        with float32_by_default():
            model = self.model(settings)
        if missing := [part for part in ("space", "likelihood") if not hasattr(model, part)]:
            raise ConfigError(
                f"variants.{self.name}: {self.model.__name__} does not say "
                f"{' and '.join(map(repr, missing))}; set self.{missing[0]} in its constructor"
            )
        model.variant = self.name
        return model


def _name_of(chosen: Any) -> str | None:
    """Of a part as a configuration holds it or an entry names it: a condition by its column."""
    if isinstance(chosen, Mapping):
        return str(chosen.get("name") or chosen.get("on", "labels"))
    for attribute in ("name", "on"):
        chosen = getattr(chosen, attribute, chosen)
    return None if chosen is None else str(chosen)


def owner_hint(part: str, name: str) -> str:
    """
    >>> owner_hint("prior", "vamp")
    "The prior 'vamp' has it: add prior='vamp'."
    """
    return f"The {part} {name!r} has it: add {part}={name!r}."


def _options_of_part(part: str, section: str, chosen: Any) -> list[str]:
    """Those of the component that is chosen, or of any where the data will choose."""
    is_named = isinstance(chosen, str) or (isinstance(chosen, Mapping) and "name" in chosen)
    if part == CHOSEN_BY_DATA and not is_named:
        return [option for options in options_by_name(section).values() for option in options]
    return options_of(section, chosen)


def _spelt_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With the column of a condition as a setting of it, which others may be merged with."""
    told = settings.get("condition")
    return {**settings, "condition": {"on": told}} if isinstance(told, str) else dict(settings)


def _check_classes(setting: str, told: Any, found: int | None) -> None:
    if found is not None and isinstance(told, int) and told < found:
        raise ConfigError(
            f"{setting} is {told}, and the data have {found} classes; leave it out: the "
            "data say how many there are"
        )


def _readers(modality: str) -> list[str]:
    """Of each class that can be made for examples of a modality one variant, the first."""
    classes = {name: component_class("variants", name) for name in registry().variants}
    first = {cls: name for name, cls in reversed(classes.items()) if modality in cls.reads}
    return [name for name, cls in classes.items() if first.get(cls) == name]


def model_class(variant: str) -> type[LatentVariableModel]:
    """The class a variant's name stands for; see :meth:`Variant.find`."""
    return Variant.find(variant).model
