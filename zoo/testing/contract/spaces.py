"""Codes where they live: lines, great circles, and both side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.core.latent_space import Codebook, Euclidean, LatentSpace, Sphere
from zoo.errors import UnsupportedError
from zoo.testing.cases import Case
from zoo.testing.contract.rule import Rules, parts_of
from zoo.testing.expect import close, expect, refused, same, seed, shaped

rules = Rules()


@rules.add(once=True)
def codes_live_in_their_space(case: Case) -> None:
    """Those of examples, of draws and of the prior: of unit length, or of the codebook."""
    model, batch = case.model(), case.batch(3)
    with torch.no_grad():
        draws = model.infer(batch, 2)
        drawn = model.sample_codes(3, generator=seed(0), condition=batch.condition)
    for codes in (draws.z, draws.code, drawn):
        for space, part in _apart(model.space, codes):
            expect(part.isfinite().all(), "a code is not finite")
            if isinstance(space, Sphere):
                close(part.norm(dim=-1), torch.ones(part.shape[:-1]), "lengths of codes")
            if isinstance(space, Codebook):
                same(part, space.in_floats(part, part.dtype), "codes, and those of the codebook")


@rules.add(once=True)
def paths_lead_from_the_first_code_to_the_last(case: Case) -> None:
    """By halves: straight through the middle, at equal angles, or by codes of the codebook."""
    model = case.model()
    start, end = model.sample_codes(2, generator=seed(0), condition=_told(case))
    path = model.interpolate(start, end, 3)
    shaped(path, (3, model.code_dim), "a path")
    same(path[0], start, "the start")
    same(path[-1], end, "the end")
    for (space, a), (_, middle), (_, b) in zip(
        *(_apart(model.space, code) for code in (start, path[1], end)), strict=True
    ):
        halfway = (a + b) / 2
        expected = halfway / halfway.norm() if isinstance(space, Sphere) else halfway
        if isinstance(space, Euclidean | Sphere):
            close(middle, expected, "the middle")
        if isinstance(space, Codebook):
            same(middle, space.in_floats(halfway, middle.dtype), "the code nearest the middle")


@rules.add(once=True)
def traversals_move_by_the_amounts(case: Case) -> None:
    """Euclidean distances, or angles: nothing at 0, and the direction's length does not count."""
    model = case.model()
    code, direction = model.sample_codes(2, generator=seed(0), condition=_told(case))
    amounts = torch.tensor([0.0, 0.5])
    moved = model.traverse(code, direction, amounts)
    shaped(moved, (2, model.code_dim), "a traversal")
    close(moved[0], code, "a traversal of nothing")
    close(moved, model.traverse(code, 3 * direction, amounts), "a longer direction")
    for (space, a), (_, b) in zip(
        *(_apart(model.space, each) for each in (code, moved[1])), strict=True
    ):
        if isinstance(space, Euclidean):
            close((b - a).norm(), torch.tensor(0.5), "the distance")
        if isinstance(space, Sphere):
            close(torch.dot(a, b).clamp(-1, 1).acos(), torch.tensor(0.5), "the angle", atol=1e-3)


@rules.add(once=True)
def pictures_are_no_codes(case: Case) -> None:
    """Paths are of codes: examples are refused, with a hint at encode."""
    model, x = case.model(), case.examples(2)
    wrong = x.float().flatten(1)[:, :1].repeat(1, model.code_dim + 1)  # (B, D + 1)
    for given in (x if x.shape[-1] != model.code_dim else wrong, wrong):
        refused(lambda g=given: model.interpolate(g, g, 3), UnsupportedError, "encode")  # type: ignore[misc]
        refused(lambda g=given: model.traverse(g, g, torch.ones(1)), UnsupportedError, "encode")  # type: ignore[misc]


def _apart(space: LatentSpace, codes: Tensor) -> list[tuple[LatentSpace, Tensor]]:
    parts = list(parts_of(space))
    return list(zip(parts, torch.split(codes, [part.dim for part in parts], dim=-1), strict=True))


def _told(case: Case) -> Tensor | None:
    return case.condition(2)
