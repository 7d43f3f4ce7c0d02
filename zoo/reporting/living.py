"""Decoders that run in the page: layers, weights in few bits, and codes to begin with."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.core.export import Decode
from zoo.core.latent_space import Euclidean, LatentSpace, Product, Sphere
from zoo.core.model import LatentVariableModel
from zoo.data.examples import are_classes
from zoo.errors import UnsupportedError
from zoo.nn.layers import Layer, layers_of, run
from zoo.reporting.exhibit import Exhibit

MOST_WEIGHTS = 2**19
"""A megabyte of them in half precision."""
MOST_OF_ALL = 5 * 2**20
"""Letters of the weights of the decoders of a chapter, of which those of the best come first."""
EXACT = 0.5 / 255
"""How far pictures of the page's weights may be from the model's: both are rounded to 1/255."""
FINENESS = range(6, 13)
"""Bits by which the steps of weights are finer than their root mean square: the fewest that do."""
LARGE, FINER = 2**16, 3
"""Tensors of fewer weights cost little, and err in all places of a map: they are so much finer."""
TRIED = 200
"""Codes whose pictures are compared."""
SLIDERS = 8
FOR_HTML = str.maketrans("<>&", ",.:")
"""Base 85 with digits that need no escape in a page; the script's alphabet is the same."""
MOST_STEPS = 2**15 - 1
"""From zero, in 16 bits."""
PLACES = 4
"""Binary ones of a step after its first: few, so that multiples are rounded alike in the page."""


@dataclass(frozen=True)
class Living:
    """A decoder that runs in the page: ``spec`` is what its script reads, ``codes`` among it."""

    model: str
    spec: dict[str, Any]


def living(exhibits: Sequence[Exhibit]) -> tuple[list[Living], dict[str, str]]:
    """The decoders that can run in the page, and of the other models the reason, by name."""
    found, reasons, room = [], {}, MOST_OF_ALL
    for each in exhibits:
        try:
            made = alive(each)
            refuse_beyond(room, len(made.spec["weights"]))
        except UnsupportedError as error:
            reasons[each.name] = str(error)
        else:
            room -= len(made.spec["weights"])
            found.append(made)
    return found, reasons


@torch.no_grad()
def alive(exhibit: Exhibit) -> Living:
    """A model's decoder for the page. Raises UnsupportedError where it cannot run there."""
    model, codes, batch = exhibit.model, exhibit.codes, exhibit.batch
    refuse_lifeless(model)
    if codes is None or batch is None:
        raise UnsupportedError("there are no examples here whose codes it could begin with")
    parts, layers = parts_of(model.space), layers_of(Decode(model))
    refuse_large(layers)
    codes = codes.float()
    fineness = fineness_of(layers, exhibit, codes[:TRIED])
    widest = codes.std(0, correction=0).argsort(descending=True)[:SLIDERS]
    weights = packed(layers, fineness)
    spheres = all(kind == "sphere" for kind, _ in parts)
    spec = {
        "model": exhibit.name,
        "shape": list(model.modality.shape),
        "parts": parts,
        "classes": 0 if model.conditioning is None else model.conditioning.width,
        "codes": [[round(number, 5) for number in code] for code in model.encode(batch).tolist()],
        "labels": labels_of(batch.labels),
        "order": widest.tolist(),
        "reach": reaches(codes, parts),
        "random": spheres or (model.code_variance == 1 and model.has_evidence),
        "layers": [described(layer, fineness) for layer in layers],
        "weights": base85(weights),
        "bytes": len(weights),
    }
    return Living(exhibit.name, spec)


def refuse_lifeless(model: LatentVariableModel) -> None:
    """Raise UnsupportedError for models that the page's script could not show."""
    if model.modality.name != "images":
        raise UnsupportedError(f"it makes {model.modality.name}, and the page shows images")
    if model.conditioning is not None and model.conditioning.classes is None:
        raise UnsupportedError("it is told numbers, and the page can tell a class alone")


def refuse_large(layers: Sequence[Layer]) -> None:
    """Raise UnsupportedError for a decoder of more than a megabyte in half precision."""
    if (count := sum(each.numel() for each in tensors(layers))) > MOST_WEIGHTS:
        raise UnsupportedError(
            f"its decoder has {2 * count / 2**20:.1f} megabytes in half precision, and the page "
            "takes 1 of each at most"
        )


def refuse_beyond(room: int, letters: int) -> None:
    """Raise UnsupportedError for a decoder for which those before it leave no room."""
    if letters > room:
        raise UnsupportedError(
            f"its decoder takes {letters / 2**20:.1f} megabytes, and those of the better "
            f"models leave {room / 2**20:.1f} of {MOST_OF_ALL / 2**20:.1f}; make a page of "
            "fewer models"
        )


def labels_of(labels: Tensor | None) -> list[int]:
    """The classes of examples, where they have any."""
    return [] if labels is None or not are_classes(labels) else labels.tolist()


def parts_of(space: LatentSpace) -> list[tuple[str, int]]:
    """A space as flat parts and spheres, each with its width.

    >>> parts_of(Product((Sphere(3), Euclidean(2))))
    [('sphere', 3), ('flat', 2)]
    """
    if isinstance(space, Euclidean):
        return [("flat", space.dim)]
    if isinstance(space, Sphere):
        return [("sphere", space.dim)]
    if isinstance(space, Product):
        return [part for each in space.parts for part in parts_of(each)]
    raise UnsupportedError(
        f"its codes live in a {type(space).__name__}, where there is nothing between them"
    )


def fineness_of(layers: Sequence[Layer], exhibit: Exhibit, codes: Tensor) -> int:
    """The coarsest grid of weights on which the pictures stay Python's.

    Raises UnsupportedError where none does: then the model does not decode by these layers alone.
    """
    model = exhibit.model
    codes, told = tried(model, codes, exhibit.seed)
    truth = model.modality.shown(model.estimate(codes, told))
    assert isinstance(truth, Tensor)
    inputs = codes if told is None else torch.cat([codes, one_hot(model, told)], dim=-1)
    for fineness in FINENESS:
        made = run([layer.changed(partial(on_grid, fineness=fineness)) for layer in layers], inputs)
        if (made.clamp(0, 1) - truth).abs().max() <= EXACT:
            return fineness
    if (run(layers, inputs).clamp(0, 1) - truth).abs().max() <= EXACT:
        raise UnsupportedError("weights in 16 bits are too coarse for its pictures")
    raise UnsupportedError("its layers, run one after another, do not make what it decodes")


def tried(model: LatentVariableModel, codes: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
    """Codes of examples and of the prior, as many of each, and what they are told."""
    told, count = None, len(codes)
    if model.conditioning is not None:
        told = torch.arange(2 * count, device=codes.device) % model.conditioning.width
    generator = torch.Generator(codes.device).manual_seed(seed)
    condition = None if told is None else told[count:]
    drawn = model.sample_codes(count, generator=generator, condition=condition)
    return torch.cat([codes, drawn]), told  # (2 N, D)


def one_hot(model: LatentVariableModel, told: Tensor) -> Tensor:
    """Classes (B,) as the numbers (B, C) beside codes."""
    assert model.conditioning is not None
    return torch.nn.functional.one_hot(told, model.conditioning.width).to(torch.float32)


def on_grid(weights: Tensor, fineness: int) -> Tensor:
    """Weights rounded to whole multiples of their grid's step."""
    step = step_of(weights, fineness)
    return (weights / step).round() * step


def step_of(weights: Tensor, fineness: int) -> float:
    """A power of two, at most the weights' root mean square over 2^fineness; 1 of zeros.

    Of few weights it is an eighth of that. Where their multiples would not all be whole numbers of
    16 bits it is the least step for which they are, of a few binary places.

    >>> step_of(torch.tensor([0.5, -0.5]), 5)
    0.001953125
    """
    size, most = weights.square().mean().sqrt().item(), weights.abs().max().item()
    if size == 0:
        return 1.0
    fineness += 0 if weights.numel() >= LARGE else FINER
    place = 2.0 ** (math.floor(math.log2(most / MOST_STEPS)) - PLACES)
    least = math.ceil(most / MOST_STEPS / place) * place
    return max(2.0 ** math.floor(math.log2(size) - fineness), least)


def described(layer: Layer, fineness: int) -> dict[str, Any]:
    """A layer as the page's script reads it; its weights stand elsewhere, in this order."""
    sizes = [{"size": list(w.shape), "step": step_of(w, fineness)} for w in layer.weights]
    branches = [[described(each, fineness) for each in branch] for branch in layer.branches]
    return {"kind": layer.kind, **layer.settings, "weights": sizes, "branches": branches}


def packed(layers: Sequence[Layer], fineness: int) -> bytes:
    """All weights as multiples of their steps: low bytes, then high bytes, deflated."""
    every = [(w / step_of(w, fineness)).round().flatten() for w in tensors(layers)]
    numbers = torch.cat(every).numpy().astype("<i2")  # (n,)
    planes = numbers.view(np.uint8).reshape(-1, 2).T  # (2, n)
    # Nothing repeats itself in weights: Huffman codes alone make them smaller than matches do.
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    return deflate.compress(planes.tobytes()) + deflate.flush()


def base85(content: bytes) -> str:
    """Bytes, and zeros to a multiple of four, as text; in fewer characters than base 64."""
    return base64.b85encode(content, pad=True).decode("ascii").translate(FOR_HTML)


def tensors(layers: Sequence[Layer]) -> Iterator[Tensor]:
    """The weights, those of a layer before those of its branches."""
    for layer in layers:
        yield from layer.weights
        for branch in layer.branches:
            yield from tensors(branch)


def reaches(codes: Tensor, parts: Sequence[tuple[str, int]]) -> list[float]:
    """How far from 0 each coordinate is moved: as far as codes lie, at least 3; on spheres 1."""
    on_spheres = torch.cat([torch.full((width,), kind == "sphere") for kind, width in parts])
    far = codes.abs().amax(0).clamp(min=3.0)  # (D,)
    return [round(each, 3) for each in torch.where(on_spheres, 1.0, far).tolist()]
