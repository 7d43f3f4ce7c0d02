"""The deterministic code of an example, and what is shown of codes."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.testing.cases import Case
from zoo.testing.contract.rule import Rules, has_mean
from zoo.testing.expect import close, expect, refused, same, seed

rules = Rules()


@rules.add()
def encoding_is_deterministic_and_each_example_stands_alone(case: Case) -> None:
    """A code depends on its example, and on nothing else."""
    model, batch = case.model(), case.batch(4)
    codes = model.encode(batch).detach()
    same(codes, model.encode(batch).detach(), "codes of the same examples")
    alone = [
        model.encode(batch._replace(x=x, condition=told)).detach()
        for x, told in zip(torch.split(batch.x, 1), _split(batch.condition, 4), strict=True)
    ]
    close(codes, torch.cat(alone), "codes together and alone")
    expect(not torch.allclose(codes[0], codes[1]), "two examples have one code")


def _split(condition: Tensor | None, count: int) -> list[Tensor | None]:
    return [None] * count if condition is None else list(torch.split(condition, 1))


@rules.add()
def reconstructions_are_what_codes_look_like(case: Case) -> None:
    """reconstruct(x) is show(encode(x))."""
    model, batch = case.model(), case.batch(3)
    shown, again = model.reconstruct(batch), model.show(model.encode(batch), batch.condition)
    if isinstance(shown, Tensor):
        assert isinstance(again, Tensor)
        close(shown, again, "reconstructions")
    else:
        expect(shown == again, f"{shown} and {again} differ")


@rules.add(has_mean)
def what_is_shown_are_means(case: Case) -> None:
    """Where a likelihood has one in closed form."""
    model, batch = case.model(), case.batch(3)
    with torch.no_grad():
        codes = model.encode(batch)
        mean = model.decode(codes, batch.condition).mean
    shown = model.show(codes, batch.condition)
    expected = model.modality.write(mean)
    assert isinstance(shown, Tensor) and isinstance(expected, Tensor)
    same(shown, expected, "what is shown")


@rules.add()
def groups_that_are_kept_stay_as_they_are(case: Case) -> None:
    """Editing draws the chosen groups from the prior and leaves the others."""
    model, batch = case.model(), case.batch(3)
    with torch.no_grad():
        codes = model.encode(batch)
        last = len(model.group_widths) - 1
        new = model.resample_groups(codes, [last], seed(0), batch.condition)
    kept, drawn = (torch.split(each, list(model.group_widths), dim=-1) for each in (codes, new))
    for group in range(last):
        same(kept[group], drawn[group], f"group {group}")
    expect(not torch.equal(kept[last], drawn[last]), f"group {last} is not drawn")
    expect(len(model.edit(batch, [last], seed(0))) == 3, "an edit shows another number")


@rules.add(once=True)
def groups_that_there_are_not_are_refused(case: Case) -> None:
    """By their numbers."""
    model, batch = case.model(), case.batch(2)
    for groups in ([len(model.group_widths)], [-1], 0):
        refused(lambda g=groups: model.edit(batch, g), UnsupportedError, "groups of latents")  # type: ignore[misc]
