"""Settings and ways of decoding that are given as text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from zoo.errors import ConfigError, did_you_mean, nearest

if TYPE_CHECKING:
    from zoo.variants.univae.decoding import Decoding

SECTIONS = ("train", "model", "objective")

Made = TypeVar("Made")


class _Value(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as YAML 1.2 has it; PyYAML wants 1.0e-3."""


_Value.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_settings(
    assignments: list[str], section_of: Callable[[str], str] | None = None
) -> dict[str, dict[str, Any]]:
    """``SECTION.KEY=VALUE`` -> the settings of each section; dots nest, values are YAML.

    ``section_of`` says the section of a key that is given without one, and raises ConfigError for
    one it does not know. Raises ConfigError for what is not of that form, with the nearest section.

    >>> parse_settings(["train.lr=1e-3", "model.backbone.hidden=[256, 128]"])
    {'train': {'lr': 0.001}, 'model': {'backbone': {'hidden': [256, 128]}}, 'objective': {}}
    """
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for text in assignments:
        section, keys, value = _split(text, section_of)
        _assign(sections[section], keys, _parse_value(value, text), text)
    return sections


def _split(text: str, section_of: Callable[[str], str] | None) -> tuple[str, list[str], str]:
    """The section, the keys in it, and the value as text."""
    place, equals, value = text.partition("=")
    first, *keys = place.strip().split(".")
    if first == "objective" and not keys and section_of:  # as in Python, objective="beta"
        keys = ["name"]
    elif first not in SECTIONS and first and section_of and not _is_slip(first, keys, section_of):
        first, keys = section_of(first), [first, *keys]
    if not equals or not keys or not all(keys):
        raise ConfigError(f"--set {text}: write SECTION.KEY=VALUE, for example train.lr=1e-3")
    if first not in SECTIONS:
        raise ConfigError(
            f"--set {text}: unknown section {first!r}{did_you_mean(first, SECTIONS)} "
            "Settings are named train.KEY, model.KEY or objective.KEY."
        )
    return first, keys, value


def _is_slip(first: str, keys: list[str], section_of: Callable[[str], str]) -> bool:
    """Whether a section's name was meant: no setting is called so, and a section nearly is."""
    try:
        section_of(first)
    except ConfigError:
        return bool(keys) and nearest(first, SECTIONS) is not None
    return False


def _parse_value(value: str, text: str) -> Any:
    try:
        return yaml.load(value, _Value)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2000-99-99
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"--set {text}: the value is not YAML: {reason}") from error


def parse_part(option: str, text: str) -> str | dict[str, Any]:
    """A part by its name, or in YAML with its settings.

    >>> parse_part("--score", "{name: likelihood, samples: 100}")
    {'name': 'likelihood', 'samples': 100}
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        found: dict[str, Any] = yaml.load(text, _Value)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{option} {text}: it is not YAML: {reason}") from error
    return found


def parse_parts(option: str, texts: list[str] | None) -> list[str | dict[str, Any]] | None:
    """Each of an option that may be repeated; None where it was not given."""
    return [parse_part(option, each) for each in texts] if texts else None


def _assign(settings: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    *parents, last = keys
    for key in parents:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise _whole_and_in_parts(text, key)
    if isinstance(settings.get(last), dict):
        raise _whole_and_in_parts(text, last)
    settings[last] = value


def _whole_and_in_parts(text: str, key: str) -> ConfigError:
    return ConfigError(
        f"--set {text}: {key} is set both as a whole and in parts; "
        f"choose its kind with {key}.name=KIND to set other parts of it too"
    )


def parse_settings_of(variant: str, assignments: list[str]) -> dict[str, dict[str, Any]]:
    """:func:`parse_settings`, where a variant's settings need no section: names find it.

    >>> parse_settings_of("beta-vae", ["lr=1e-3", "beta=2", "backbone.hidden=[8]"])
    {'train': {'lr': 0.001}, 'model': {'backbone': {'hidden': [8]}}, 'objective': {'beta': 2}}
    """
    from zoo.training.options import route
    from zoo.variants import Variant

    found = Variant.find(variant)
    components = {"objective", *found.model.Config.model_fields}
    chosen = {key: name for key, name in _choices(assignments) if key in components}

    def section_of(key: str) -> str:
        routed = route({key: None, **chosen}, found)
        return next(section for section, settings in routed.items() if key in settings)

    return parse_settings(assignments, section_of)


def _choices(assignments: list[str]) -> Iterator[tuple[str, str]]:
    """What is set to a name, by whichever place: it may be the component that knows a setting."""
    for text in assignments:
        place, _, name = text.partition("=")
        yield place.strip().removeprefix("model.").removesuffix(".name"), name.strip()


def decoded_by(method: Callable[..., Made], decoding: str | None) -> Callable[..., Made]:
    """A model's method, by the decoding that is asked for, see :func:`parse_decoding`."""
    if decoding is None:
        return method
    if "decoding" not in inspect.signature(method).parameters:
        raise ConfigError(
            f"--decoding {decoding}: only models that make sentences or images token by token, as "
            "univae does, can be decoded in several ways; leave it out"
        )
    return partial(method, decoding=parse_decoding(decoding))


def parse_decoding(text: str) -> Decoding:
    """``greedy``, ``beam=WIDTH``, or ``temperature=T`` and ``top-p=P`` with a comma between.

    Raises ConfigError for anything else, UnsupportedError for numbers that will not do.

    >>> parse_decoding("temperature=0.8,top-p=0.9")
    Draw(temperature=0.8, top_p=0.9)
    """
    from zoo.variants.univae.decoding import Beam, Draw, Greedy

    if text.strip() == "greedy":
        return Greedy()
    pairs = [part.partition("=") for part in text.split(",")]
    values = {key.strip(): _parse_number(value) for key, _, value in pairs}
    once = len(values) == len(pairs)
    if once and values.keys() == {"beam"}:
        return Beam(values["beam"])
    if once and values.keys() <= {"temperature", "top-p"}:
        return Draw(values.get("temperature", 1.0), values.get("top-p", 1.0))
    raise ConfigError(
        f"--decoding {text}: write greedy, beam=WIDTH, or one or both of temperature=T and "
        "top-p=P with a comma between"
    )


def _parse_number(text: str) -> Any:
    """An int or a float where it is one; who gets it says what is wrong with anything else."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
