"""The task: which models can do it, and examples to bytes and back."""

from __future__ import annotations

import random
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.core.batch import Batch
from zoo.core.descent import Descending
from zoo.core.model import LatentVariableModel
from zoo.core.reading import floats_of
from zoo.distributions.in_steps import steps_of
from zoo.errors import DataError, UnsupportedError, ZooError
from zoo.likelihoods.base import HIGHEST
from zoo.randomness import seeded
from zoo.tasks.base import Task
from zoo.tasks.compress.codec import Codec
from zoo.tasks.compress.container import (
    MOST_EXAMPLES,
    Block,
    Header,
    checksum,
    packed,
    unpacked,
)
from zoo.tasks.compress.examples import DTYPES, examples_of, symbols_of
from zoo.tasks.compress.grids import relative
from zoo.tasks.compress.identity import digest_of, floats_here, same_floats
from zoo.tasks.compress.stack import Stack

FITTING = (
    "choose one with normal posteriors and priors, as gaussian-vae, bn-vae and nvae-lite, and "
    "binary or 8-bit examples"
)


class Compress(Task):
    """Examples in about as many bits as minus the ELBO says, by bits back (Townsend et al. 2019).

    The code of an example is drawn by bits that are to be sent anyway, and the receiver gets them
    back: log q(z|x) - log p(x, z) is left (arXiv:1901.04866).
    """

    def check_model(self, model: LatentVariableModel) -> None:
        if reason := _unfit(model):
            raise UnsupportedError(f"it cannot compress: {reason}; {FITTING}")
        floats_of(model)
        if model.training or any(each.device.type != "cpu" for each in model.parameters()):
            raise UnsupportedError(
                "examples are coded by a model in eval mode on the CPU, where sums are always "
                "taken in one order; call model.eval().cpu()"
            )
        try:
            with same_floats(), seeded(0, torch.device("cpu")):
                _try_parts(model)
        except UnsupportedError as error:
            raise UnsupportedError(f"it cannot compress: {error}; {FITTING}") from error

    def compress(
        self,
        model: LatentVariableModel,
        x: object,
        name: str | None = None,
        sha256: str | None = None,
    ) -> bytes:
        """Examples (N, ...) in bytes; see :func:`zoo.compress`. A checkpoint has a name."""
        self.check_model(model)
        symbols = symbols_of(model, x)
        dtype = str(x.dtype).removeprefix("torch.")  # type: ignore[attr-defined]
        header = Header(
            model=digest_of(model),
            name=name,
            sha256=sha256,
            shape=model.modality.shape,
            dtype=dtype,
            count=len(symbols),
            floats=floats_here(),
        )
        with same_floats():
            codec = Codec(model)
            parts = torch.split(symbols, MOST_EXAMPLES) if len(symbols) else ()
            return packed(header, [_coded(codec, part) for part in parts])

    def decompress(self, model: LatentVariableModel, data: bytes) -> Tensor:
        """The examples; see :func:`zoo.decompress`."""
        self.check_model(model)
        header, blocks = unpacked(data)
        check_same(model, header)
        with same_floats():
            codec = Codec(model)
            parts = [_decoded(codec, block) for block in blocks]
        empty = torch.zeros(0, *model.modality.shape, dtype=torch.uint8)
        return examples_of(model, torch.cat([empty, *parts]), DTYPES[header.dtype])

    def try_out(self, model: LatentVariableModel, batch: Batch) -> None:
        """What comes back is what was given; another model's and damaged bytes are refused."""
        data = bytearray(self.compress(model, batch.x))
        found = self.decompress(model, bytes(data))
        same = found.dtype == batch.x.dtype and torch.equal(found, batch.x)
        assert same, "other examples come back"
        bit = random.Random(0).randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        for damaged in (bytes(data), bytes(data[:-1])):
            assert _is_refused(self, model, damaged), "damaged bytes are decoded"


def check_same(model: LatentVariableModel, header: Header) -> None:
    """Raise DataError for another model than coded the examples, and for other floats."""
    if header.shape != model.modality.shape or header.model != digest_of(model):
        named = "" if header.name is None else f", {header.name!r}"
        raise DataError(
            f"another model compressed these examples{named}, of shape {header.shape}: its weights "
            f"have the SHA-256 {header.model[:16]}..., this one's {digest_of(model)[:16]}...; "
            "decompress them with that one"
        )
    if header.floats != floats_here():
        raise DataError(
            f"the examples were compressed with {header.floats}, and here is {floats_here()}: "
            "numbers may differ in their last digits, and nothing could be decoded; decompress "
            "them where they were compressed, or on a machine with the same"
        )


def _unfit(model: LatentVariableModel) -> str | None:
    """What about the kind of model does not do, before any of it is run."""
    if not model.has_evidence:
        return "its codes are certain and have no density, so that no bits come back"
    if model.measure != "mass" or model.input_kind not in HIGHEST:
        return (
            f"it reads {model.input_kind} values under a {model.measure}, no binary or 8-bit ones"
        )
    if model.has_classes:
        return "it sums over the classes of an example, and coding needs one"
    if model.conditioning is not None:
        return f"it is told {model.conditioning.on} beside x, which would have to be sent as well"
    if not isinstance(model, Descending):
        return f"{type(model).__name__} does not draw its latents group by group from outside"
    return None


def _try_parts(model: LatentVariableModel) -> None:
    """Raise UnsupportedError where a distribution of an example cannot be coded."""

    def choose(p: Distribution, q: Distribution | None) -> Tensor:
        assert q is not None
        relative(p, q)
        return q.sample()

    x = torch.zeros(1, *model.modality.shape, dtype=floats_of(model))
    likelihood = cast("Descending", model).descend(1, choose, Batch(x))
    step = next(steps_of(likelihood, HIGHEST[model.input_kind]))
    if not step.masses.isfinite().all():
        raise UnsupportedError(
            "its probabilities are not finite, as of a training that diverged; choose another "
            "checkpoint"
        )


def _coded(codec: Codec, symbols: Tensor) -> Block:
    stack = Stack()
    codec.push(stack, symbols)
    missing = len(symbols) // 32 + 1 - len(stack.words)
    if missing > 0:  # a block holds a bit for each example
        stack.lay_beneath(missing)
    return Block(len(symbols), stack.words, stack.seeds, _checksum(symbols))


def _decoded(codec: Codec, block: Block) -> Tensor:
    stack = Stack(block.words, block.seeds)
    symbols = codec.pop(stack, block.examples)
    if _checksum(symbols) != block.checksum or not stack.is_spent:
        raise DataError(
            "what is decoded is not what was compressed: this machine takes the model's sums in "
            "another order than the one that compressed; decompress there"
        )
    return symbols


def _checksum(symbols: Tensor) -> int:
    return checksum(symbols.contiguous().numpy().tobytes())


def _is_refused(task: Compress, model: LatentVariableModel, data: bytes) -> bool:
    try:
        task.decompress(model, data)
    except ZooError:
        return True
    return False
