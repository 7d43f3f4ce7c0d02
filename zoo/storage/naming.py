"""Which variant a model is, as its file will say."""

from __future__ import annotations

from zoo.core.model import LatentVariableModel
from zoo.errors import CheckpointError, ConfigError
from zoo.registry import registry
from zoo.variants import Variant


def variant_of(model: LatentVariableModel) -> str:
    """The name that a model was made by. Raises ConfigError for one that was not made by name."""
    variant = getattr(model, "variant", None)
    if isinstance(variant, str):
        return variant
    fitting = _variants_of(type(model))
    example = fitting[0] if fitting else "my-vae"
    raise ConfigError(
        f"cannot tell which variant this {type(model).__name__} is; say it, as in "
        f"save(path, model, variant={example!r})" + _listed(fitting, "; of its class are {}")
    )


def check_fits(model: LatentVariableModel, variant: str) -> None:
    """Raise CheckpointError for a model of another class, or of other parts, than a variant has.

    Also for one of a subclass, which would load as what it is not. A name that the model was made
    by may have had other parts chosen; one that it is given by hand says what it is.
    """
    found = Variant.find(variant)
    cls = found.model
    if type(model) is cls:
        if variant != model.variant:
            _check_parts(model, found)
        return
    fitting = _listed(_variants_of(type(model)), "save it as {}")
    raise CheckpointError(
        f"the variant {variant!r} is a {cls.__name__}, got a {type(model).__name__}; "
        + (fitting or "save the model itself, not a compiled or distributed wrapper of it")
    )


def _check_parts(model: LatentVariableModel, variant: Variant) -> None:
    for part, name in variant.differing(model.config).items():
        names = (Variant.find(name) for name in _variants_of(type(model)))
        fitting = [each.name for each in names if not each.differing(model.config)]
        mended = _listed(fitting, "; save it as {}") or (
            "; leave the name out where the model was made by name, or register its parts as a "
            "variant"
        )
        has = f"has the {part} {name!r}" if name else f"has no {part}"
        raise CheckpointError(f"{variant.name!r} is another variant: this model {has}{mended}")


def _variants_of(cls: type) -> list[str]:
    path = f"{cls.__module__}:{cls.__qualname__}"
    return [name for name, spec in registry().variants.items() if spec.component == path]


def _listed(names: list[str], sentence: str) -> str:
    return sentence.format(" or ".join(map(repr, names))) if names else ""
