"""How the description in a file of an earlier version becomes one of today.

Each step leads from one version to the next. It may rewrite the model's configuration and rename
tensors. A step is never changed once a version was released: files of every version stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from zoo.errors import ZooError
from zoo.mappings import merge
from zoo.registry import registry
from zoo.variants import model_class

SCHEMA_VERSION = 3

Config = dict[str, Any]


class Step(NamedTuple):
    """From a variant's name and its configuration to the new one; regular expressions of names."""

    configure: Callable[[str, Config], Config]
    renames: tuple[tuple[str, str], ...] = ()

    def rename(self, name: str) -> str:
        """What the tensor ``name`` of the version before is called."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name


def migrate(
    description: Mapping[str, Any], tensor_names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The description as of :data:`SCHEMA_VERSION`, and old -> new for each renamed tensor.

    What is no description of a model is returned as it is, for the schema to refuse. A rename
    applies where the model has no tensor of the old name.

    >>> description = {"schema_version": 1, "variant": "univae", "config": {"width": 64}}
    >>> migrate(description, ["lower.0.attention.look.weight", "norm.weight"])[1]
    {'lower.0.attention.look.weight': 'lower.0.attention.qkv.weight'}
    """
    version, variant, config = map(description.get, ("schema_version", "variant", "config"))
    if not isinstance(variant, str) or not isinstance(config, dict):
        return dict(description), {}
    if type(version) is not int or version not in STEPS:  # True is no version
        return dict(description), {}
    names = {name: name for name in tensor_names}
    for step in (STEPS[earlier] for earlier in range(version, SCHEMA_VERSION)):
        config = step.configure(variant, config)
        names = {old: step.rename(new) for old, new in names.items()}
    changed = {"schema_version": SCHEMA_VERSION, "config": config}
    return {**description, **changed}, {old: new for old, new in names.items() if old != new}


def _compose(variant: str, config: Config) -> Config:
    """1 -> 2: a class for each posterior became one class that is told its posterior and prior."""
    if "posterior" in config or not _is_told_its_posterior(variant):
        return config
    parts = _PARTS.get(variant) or registry().variant(variant).config
    parts = {key: parts[key] for key in ("posterior", "prior") if key in parts}
    kept = {key: value for key, value in config.items() if key != "concentration"}
    moved = {key: value for key, value in config.items() if key == "concentration"}
    return {**kept, **merge(parts, {"posterior": moved} if moved else {})}


def _is_told_its_posterior(variant: str) -> bool:
    try:
        return "posterior" in model_class(variant).Config.model_fields
    except ZooError:  # not here; who loads the model is told
        return False


_GAUSSIAN: Config = {"posterior": {"name": "gaussian"}, "prior": {"name": "standard-normal"}}
_SPHERE: Config = {"name": "uniform-sphere"}
_PARTS: dict[str, Config] = {
    "gaussian-vae": _GAUSSIAN,
    "beta-vae": _GAUSSIAN,
    "vmf-vae": {"posterior": {"name": "vmf"}, "prior": _SPHERE},
    "vmf-vae-fixed": {"posterior": {"name": "vmf-fixed"}, "prior": _SPHERE},
    "power-spherical-vae": {"posterior": {"name": "power-spherical"}, "prior": _SPHERE},
}
"""Of the variants of version 1. Others, derived from them elsewhere, are registered with theirs."""

STEPS: dict[int, Step] = {
    1: Step(
        _compose,
        (
            (r"\battention\.look\b", "attention.qkv"),
            (r"\battention\.leave\b", "attention.out"),
            (r"\bfeed_forward\.enter\b", "feed_forward.up"),
            (r"\bfeed_forward\.leave\b", "feed_forward.down"),
            (r"\bbefore_attention\b", "attention_norm"),
            (r"\bbefore_feed_forward\b", "feed_forward_norm"),
            (r"^halves$", "segment_embedding"),
            (r"^tokens\.places$", "tokens.position_embedding"),
            (r"^(latents\.\d+)\.head\.", r"\1.posterior."),
            (r"^(steps\.\d+)\.to_posterior\.", r"\1.posterior.projection."),
        ),
    ),
    2: Step(lambda _, config: config),  # 3 may hold weights in 8 bits, and moments of codes
}
"""Version -> the step to the next."""
