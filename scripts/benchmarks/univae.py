"""Time the two forms of UniVAE's training step, and sampling with and without its cache.

Weights and sentences are random and no sentence ends early: this measures speed, and says nothing
of how well a model does. Tokens per second are of the data: each once a step, or once written.

``train``: bound, loss, backward and optimiser step. "two passes" is the model as it is, encoder and
decoder one after the other; "one sequence" is the definition, both halves in one sequence of twice
the length under dense masks, made of the same layers. ``sample``: whole sentences of the likeliest
tokens; "cache" keeps the keys and values of the positions so far, "no cache" reads the whole prefix
again for every token. Before anything is timed both forms of each must agree on two sentences, in
double precision: the bound and its gradients under one seed, and all that is picked.

"of peak" is the fraction that training reaches of the rate of matrix products, as the benchmark
``throughput`` has it, but products that a causal mask hides are not counted. Those that a dense
mask hides are: they are computed.

    python scripts/benchmarks univae [--lengths 32 128 512] [--json FILE]
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from _records import positive
from benchmarks._blocks import TYPES, counted, in_blocks, products
from benchmarks._figures import PRODUCTS, Case, Contender
from benchmarks._harness import build_parser, measure, report, start
from torch import Tensor
from torch.distributions import kl_divergence
from torch.testing import assert_close

from zoo.errors import ConfigError
from zoo.modalities.tokenizer import END, UNKNOWN, Tokenizer
from zoo.priors import Given
from zoo.randomness import seeded
from zoo.training.config import TrainingConfig
from zoo.training.device import autocast
from zoo.training.optim import build_optimizer
from zoo.variants.univae import UniVAE, UniVAEConfig
from zoo.variants.univae.decoding import Greedy
from zoo.variants.univae.rotary import Rotary
from zoo.variants.univae.state import DECODER, ENCODER

NOTE = "A measurement of speed on random weights and random tokens: no result of a model."
CPU = torch.device("cpu")
NEVER = -100.0
"""A bias that keeps a token from ever being the likeliest."""

Masks = tuple[Tensor, Tensor]


class Terms(NamedTuple):
    """Of the bound: log p(x|z), (B,), and the KL of each group, (B, G)."""

    log_likelihood: Tensor
    kl: Tensor


Bound = Callable[[UniVAE, Tensor], Terms]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = add_arguments(build_parser(__name__, __doc__, block=2.0))
    options = start(parser, arguments)
    try:
        cases = build_cases(options)
    except ConfigError as error:
        parser.error(str(error))
    report(options, cases, measure(cases, options), extra={"note": NOTE})
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What this benchmark is told beside what all are."""
    parser.add_argument("--lengths", type=positive, nargs="+", default=[32, 128, 512])
    parser.add_argument("--width", type=positive, default=256)
    parser.add_argument("--layers", type=positive, default=6)
    parser.add_argument("--groups", type=positive, default=4)
    parser.add_argument("--vocabulary", type=positive, default=10_000)
    parser.add_argument("--tokens", type=positive, default=4096, help="in a training step")
    parser.add_argument("--sentences", type=positive, default=4, help="written at a time")
    parser.add_argument("--precision", nargs="+", choices=TYPES, default=list(TYPES))
    return parser


def build_cases(options: argparse.Namespace) -> list[Case]:
    """Every work, length and precision, the forms of it found to agree."""
    cases = []
    for length in options.lengths:
        model = build_model(length, options)
        shape = max(1, options.tokens // length), length
        ids = torch.randint(UNKNOWN, len(model.tokenizer), shape)
        z = model.sample_codes(options.sentences)
        check_training(model, ids[:2])
        check_sampling(model, z[:2])
        for precision in options.precision:
            config = TrainingConfig.parse({"precision": precision}, "precision")
            works = {
                "train": training(model, ids, config, options),
                "sample": sampling(model, z, config, options),
            }
            for work, forms in works.items():
                about = {"work": work, "length": length, "precision": precision}
                cases.append(Case(about, forms, "tokens"))
    return cases


def build_model(length: int, options: argparse.Namespace) -> UniVAE:
    """A model of sentences of ``length`` tokens that never end before."""
    words = map(str, range(options.vocabulary))
    torch.manual_seed(0)
    settings = {
        "input_shape": (length,),
        "tokenizer": Tokenizer.learn(words, "words", options.vocabulary).json,
        "likelihood": "categorical",
        "width": options.width,
        "hidden": 8 * round(options.width / 3),  # as many numbers as in a plain part of 4 W
        "layers": options.layers,
        "groups": options.groups,
    }
    model = UniVAE(UniVAEConfig.parse(settings, "the model"))
    with torch.no_grad():
        model.get_parameter("tokens.bias")[END] = NEVER
    return model


def check_training(model: UniVAE, ids: Tensor) -> None:
    """Raise AssertionError unless both forms have the same bound and gradients."""
    model = copy.deepcopy(model).double()
    found = []
    dense = partial(one_sequence, masks=build_masks(ids.shape[1]))
    for bound in (two_passes, dense):
        with seeded(0, CPU):
            terms = bound(model, ids)
        gradients = torch.autograd.grad(mean_loss(terms), list(model.parameters()))
        found.append((terms.log_likelihood, terms.kl, *gradients))
    assert_close(*found, msg=lambda text: f"the forms of the training step differ: {text}")


def check_sampling(model: UniVAE, z: Tensor) -> None:
    """Raise AssertionError unless the same is picked with the cache and without."""
    model, z = copy.deepcopy(model).double(), z.double()
    written, anew = generated(model, z), generated_anew(model, z)
    assert_close(written, anew, msg="what is written without the cache differs")


def training(
    model: UniVAE, ids: Tensor, config: TrainingConfig, options: argparse.Namespace
) -> dict[str, Contender]:
    """Both forms of a step, each with a copy of the model."""

    def form(bound: Bound, uncounted: int = 0) -> Contender:
        own = copy.deepcopy(model)
        call = partial(bound, own, ids)
        operations = 3 * (counted(call) - uncounted)  # backward has twice those of forward
        return in_blocks(options, build_step(own, call, config), ids.numel(), operations)

    dense = partial(one_sequence, masks=build_masks(ids.shape[1]))
    return {
        PRODUCTS: products(config.precision, CPU),
        "one sequence": form(dense),
        "two passes": form(two_passes, hidden_operations(model, *ids.shape)),
    }


def build_step(
    model: UniVAE, bound: Callable[[], Terms], config: TrainingConfig
) -> Callable[[], None]:
    """A step of an optimiser that goes on from call to call."""
    optimizer = build_optimizer(config, model)

    def step() -> None:
        with autocast(config, CPU):
            terms = bound()
        mean_loss(terms).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def mean_loss(terms: Terms) -> Tensor:
    """Minus the ELBO, over the batch."""
    return terms.kl.sum(1).mean() - terms.log_likelihood.mean()


def hidden_operations(model: UniVAE, batch: int, length: int) -> int:
    """Of the decoder's attention to later positions, which PyTorch counts and nothing needs."""
    # The start and all tokens but the last; in the upper layers a latent stands before them.
    positions = [length] * len(model.lower) + [length + 1] * len(model.upper)
    pairs = sum(n * (n - 1) // 2 for n in positions)
    return 4 * batch * model.config.width * pairs  # keys and values, a product and a sum each


def two_passes(model: UniVAE, ids: Tensor) -> Terms:
    """The bound as the model computes it."""
    draws = model(ids)
    return Terms(draws.log_likelihood.squeeze(0), draws.kl)


def one_sequence(model: UniVAE, ids: Tensor, masks: Masks) -> Terms:
    """The bound by the definition: one sequence [x ; x] of sentences without padding."""
    independent, joined = masks
    length, vectors = len(independent) // 2, model.tokens.embed(ids)
    state = torch.cat([model.embed_sequence(vectors, half) for half in (ENCODER, DECODER)], dim=1)
    rotary = Rotary(*(each.repeat(2, 1) for each in model.rotary(length)))
    for layer in model.lower:
        state = layer(state, rotary, mask=independent)
    kl, prior = [], model.prior(Given(model.start))
    for layer, latent in zip(model.upper, model.groups, strict=True):
        q = latent(state[:, 0], prior)
        z = q.rsample()
        kl.append(kl_divergence(q, prior))
        state = layer(torch.cat([latent.prefix(z), state[:, 1:]], dim=1), rotary, mask=joined)
    read = model.norm(state[:, length:-1])  # the last position predicts nothing
    return Terms(model.tokens.log_prob(read, ids).sum(-1), torch.stack(kl, dim=1))


def build_masks(length: int) -> Masks:
    """Which position sees which in [x ; x]: before the first latent, and from it on."""
    half = 1 + length  # the start stands before the tokens
    independent = torch.zeros(2 * half, 2 * half, dtype=torch.bool)
    independent[:half, :half] = True
    independent[half:, half:] = torch.ones(half, half).tril()
    joined = independent.clone()
    joined[:, 0] = True  # where the latents stand
    return independent, joined


def sampling(
    model: UniVAE, z: Tensor, config: TrainingConfig, options: argparse.Namespace
) -> dict[str, Contender]:
    """Sentences for codes (N, D), without the cache and with it."""
    tokens = len(z) * model.tokens.length

    def form(write: Callable[[UniVAE, Tensor], Tensor]) -> Contender:
        def call() -> None:
            with autocast(config, CPU):
                write(model, z)

        return in_blocks(options, call, tokens)

    return {"no cache": form(generated_anew), "cache": form(generated)}


def generated(model: UniVAE, z: Tensor) -> Tensor:
    """The likeliest ids (N, T) for codes (N, D), as the model writes them."""
    return model.generate(z, Greedy())


@torch.no_grad()
def generated_anew(model: UniVAE, z: Tensor) -> Tensor:
    """The same; every next token's state is that of a decoder's pass over all before it."""
    ids = torch.zeros(len(z), 0, dtype=torch.int64)
    for _ in range(model.tokens.length):
        picked = model.tokens.likeliest(model.norm(last_state(model, ids, z)))
        ids = torch.cat([ids, picked[:, None]], dim=1)
    return model.tokens.join(ids)


def last_state(model: UniVAE, ids: Tensor, z: Tensor) -> Tensor:
    """The decoder's at the last of ids (N, t), for codes (N, D): (N, W)."""
    state = model.embed_sequence(model.tokens.embed(ids), DECODER)
    rotary = model.rotary(state.shape[1])
    for layer in model.lower:
        state = layer(state, rotary, causal=True)
    latents = model.grouped(z).unbind(1)
    for layer, latent, chosen in zip(model.upper, model.groups, latents, strict=True):
        state = torch.cat([latent.prefix(chosen), state], dim=1)
        state = layer(state, rotary.repeat_first(), causal=True)[:, 1:]
    return state[:, -1]
