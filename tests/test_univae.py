"""UniVAE against its definition: the masks, the two passes, the cache, the latents."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn.functional import pad

from zoo.core.component import Selected
from zoo.errors import DataError, UnsupportedError, ZooError
from zoo.mappings import merge
from zoo.modalities.tokenizer import PAD, Tokenizer
from zoo.priors import Given
from zoo.variants import Facts, Variant
from zoo.variants.univae import UniVAE, UniVAEConfig
from zoo.variants.univae.attention import KeyValueCache
from zoo.variants.univae.decoding import Draw, Greedy, Mean
from zoo.variants.univae.patches import build_patches, join_patches, split_patches
from zoo.variants.univae.rotary import Rotary, rotary
from zoo.variants.univae.state import DECODER, ENCODER
from zoo.variants.univae.transformer import TransformerLayer

SHAPE = (1, 6, 8)
TOKENS = 12
SENTENCES = ["a cat", "a dog ran far away", "the dog sat"]
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "hidden": 24, "layers": 5, "groups": 3,
                         "latent_dim": 4}  # fmt: skip


def build(**settings: Any) -> UniVAE:
    """A small model in double precision, its parts as large as trained ones."""
    torch.manual_seed(0)
    config = UniVAEConfig.parse({"input_shape": SHAPE, **SMALL, **settings}, "test")
    model = UniVAE(config).double().eval()
    with torch.no_grad():
        for parameter in (model.start, model.segment_embedding, learned_places(model)):
            parameter.mul_(25)
    return model


def learned_places(model: UniVAE) -> Tensor:
    """Zeros for sentences, which have none."""
    return getattr(model.tokens, "position_embedding", torch.zeros(1))


def images(count: int, seed: int = 1, shape: tuple[int, ...] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, *shape), generator=generator).double()


def model_and_examples(kind: str, **settings: Any) -> tuple[UniVAE, Tensor]:
    """Of images, or of sentences of several lengths, all shorter than they might be."""
    if kind == "images":
        return build(**settings), images(3)
    text = {"tokenizer": Tokenizer.learn(SENTENCES, "words").json, "likelihood": "categorical"}
    model = build(input_shape=(8,), **text, **settings)
    return model, model.read(SENTENCES)


def independent(i: int, j: int, length: int) -> bool:
    """The first mask: whether position i sees j in [x ; x], both halves of ``length``."""
    same = (i < length) == (j < length)
    return same and (i < length or j <= i)


def joined(i: int, j: int, length: int) -> bool:
    """The second: also the first half's start token is seen by all."""
    return independent(i, j, length) or j == 0


def places(x: Tensor) -> Tensor:
    """The start at (0, 0), then the patches of the 3 x 4 grid; or the words one after another."""
    if x.ndim == 2:
        return torch.arange(1.0 + x.shape[1]).double()[:, None]
    grid = [(row, column) for row in (1, 2, 3) for column in (1, 2, 3, 4)]
    return torch.tensor([(0, 0), *grid]).double()


def real(x: Tensor) -> Tensor:
    """Which positions of a half, its start among them, are not padding: (B, length)."""
    there = x != PAD if x.ndim == 2 else torch.ones(len(x), TOKENS, dtype=torch.bool)
    return pad(there, (1, 0), value=True)


def mask(rule: Any, length: int) -> Tensor:
    pairs = itertools.product(range(2 * length), repeat=2)
    return torch.tensor([rule(i, j, length) for i, j in pairs]).view(2 * length, -1)


def embedded(model: UniVAE, x: Tensor, half: int) -> Tensor:
    """A half of the one sequence, (B, length, W)."""
    start = model.start.expand(len(x), 1, -1)
    vectors = torch.cat([start, model.tokens.embed(model.tokens.split(x))], 1)
    return vectors + learned_places(model) + model.segment_embedding[half]


class OneSequence:
    """UniVAE by its definition: one sequence [x ; x], dense masks, padding that nothing sees.

    Before layer k + l position 0 is overwritten with the projection of the latents z (B, G, d), or
    of the posteriors' modes. The first half may be another batch than x.
    """

    def __init__(
        self, model: UniVAE, x: Tensor, z: Tensor | None = None, first: Tensor | None = None
    ) -> None:
        first = x if first is None else first
        halves = embedded(model, first, ENCODER), embedded(model, x, DECODER)
        self.embeddings = state = torch.cat(halves, 1)
        self.length = length = halves[0].shape[1]
        angles = rotary(places(x), model.config.width // model.config.heads)
        twice = Rotary(*(torch.cat([each, each]) for each in angles))
        seen = torch.cat([real(first), real(x)], 1)[:, None, None]
        modes = []
        for layer in model.lower:
            state = layer(state, twice, mask=seen & mask(independent, length))
        prior = model.prior(Given(state))
        upper = zip(model.upper, model.latents, strict=True)
        for index, (layer, latent) in enumerate(upper):
            modes.append(latent(state[:, 0], prior).mode)
            chosen = modes[-1] if z is None else z[:, index]
            state = torch.cat([latent.prefix(chosen), state[:, 1:]], 1)
            state = layer(state, twice, mask=seen & mask(joined, length))
        self.modes = torch.stack(modes, 1)
        read = model.norm(state[:, length:-1])  # the decoder's last position predicts nothing
        self.log_likelihood = model.tokens.log_prob(read, model.tokens.split(x)).sum(-1)

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of the log-likelihood by the embeddings of either half, (B, length, W)."""
        (gradient,) = torch.autograd.grad(self.log_likelihood.sum(), self.embeddings)
        return gradient[:, : self.length], gradient[:, self.length :]


def test_the_bound_and_the_weights_are_made_of_the_definitions_parts() -> None:
    model, x = build(posterior="vmf"), images(2)
    draws = model.infer(x, 3)
    latents = sum(latent.prior.log_prob(latent.z) - latent.posterior.log_prob(latent.z)
                  for latent in draws.latents)  # fmt: skip
    for draw, z in enumerate(model.grouped(draws.z)):
        log_likelihood = OneSequence(model, x, z).log_likelihood
        torch.testing.assert_close(draws.log_likelihood[draw], log_likelihood)
        expected = log_likelihood + latents.view(3, 2)[draw]
        torch.testing.assert_close(draws.log_weights[draw], expected)
    divergences = [kl_divergence(latent.posterior, latent.prior) for latent in draws.latents]
    kl = torch.stack(divergences, 1).view(3, 2, 3).mean(0)
    torch.testing.assert_close(draws.kl, kl)
    torch.testing.assert_close(draws.elbo, draws.log_likelihood.mean(0) - kl.sum(1))


def test_the_decoder_sees_latents_of_unit_variance() -> None:
    for posterior in ("vmf", "gaussian"):
        model = build(posterior=posterior)
        latent = model.latents[0]
        with torch.no_grad():
            latent.expand.weight.copy_(torch.eye(16, 4))
            latent.expand.bias.zero_()
        z = model.sample_codes(4000, generator=torch.Generator().manual_seed(0))[:, :4]
        assert latent.prefix(z)[:, 0, :4].var().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", ["images", "sentences"])
@pytest.mark.parametrize(
    "posterior", ["vmf-fixed", "vmf", "power-spherical", "gaussian", "batch-norm"]
)
def test_the_two_passes_are_the_one_sequence_of_the_definition(posterior: str, kind: str) -> None:
    model, x = model_and_examples(kind, posterior=posterior)
    draws = model(x)
    z = model.grouped(draws.z)
    expected = OneSequence(model, x, z[0])
    modes = [
        latent.posterior.code(q) for latent, q in zip(model.latents, draws.posteriors, strict=True)
    ]
    torch.testing.assert_close(torch.stack(modes, 1), expected.modes)
    torch.testing.assert_close(draws.log_likelihood[0], expected.log_likelihood)
    torch.testing.assert_close(model.log_likelihood(x, z)[0], expected.log_likelihood)


def test_each_dropout_is_for_training_alone() -> None:
    """That of the vectors and those of the layers, each switched on by itself."""
    model, x = build(dropout=0.5), images(2)
    z = model.grouped(model.encode(x))[None]
    assert torch.equal(model.log_likelihood(x, z), model.log_likelihood(x, z))
    dropouts = [part for part in model.modules() if isinstance(part, nn.Dropout)]
    assert len(dropouts) == 1 + model.config.layers
    for dropout in dropouts:
        dropout.train()
        assert not torch.equal(model.log_likelihood(x, z), model.log_likelihood(x, z))
        dropout.eval()


def test_the_masks_position_by_position() -> None:
    """What each position's output depends on, by gradients through one layer of each kind."""
    torch.manual_seed(0)
    layer = TransformerLayer(8, 2, 16, depth=1).double()
    angles = rotary(torch.arange(4.0).double()[:, None], 4)
    for causal in (False, True):
        x = torch.randn(1, 4, 8).double().requires_grad_()
        out = layer(x, angles, causal=causal)
        for i in range(4):
            (gradient,) = torch.autograd.grad(out[0, i].sum(), x, retain_graph=True)
            seen = gradient[0].abs().sum(-1) > 0
            # Either half of the mask: the encoder's sees all, the decoder's what came before.
            half = 4 if causal else 0
            assert seen.tolist() == [independent(half + i, half + j, 4) for j in range(4)]


@pytest.mark.parametrize("kind", ["images", "sentences"])
def test_the_encoder_reaches_the_decoder_through_the_latents_alone(kind: str) -> None:
    """Halves of different examples: by gradients, and the two passes are that one sequence."""
    model, x = model_and_examples(kind)
    first = x.roll(1, 0)
    whole = OneSequence(model, x, first=first)
    encoder, _ = whole.gradients()
    assert torch.equal((encoder != 0).any(-1), real(first))
    z = whole.modes.detach().requires_grad_()
    encoder, decoder = OneSequence(model, x, z, first).gradients()
    assert (encoder == 0).all() and (decoder[:, 0] != 0).any(-1).all()
    torch.testing.assert_close(model.grouped(model.encode(first)), whole.modes)
    log_likelihood = model.log_likelihood(x, z[None])[0]
    torch.testing.assert_close(log_likelihood, whole.log_likelihood)
    (gradient,) = torch.autograd.grad(log_likelihood.sum(), z)
    assert (gradient != 0).any(-1).all()


def test_a_patch_is_given_the_latents_and_those_before_it() -> None:
    """log p of patch t changes with patch s of the input exactly where s <= t."""
    model, x = build(), images(1)
    z = model.grouped(model.encode(x))[None]

    def by_patch(x: Tensor) -> Tensor:
        found: list[Tensor] = []
        original = model.tokens.log_prob
        model.tokens.log_prob = (  # type: ignore[method-assign]
            lambda state, patches: found.append(original(state, patches)) or found[-1]
        )
        model.log_likelihood(x, z)
        del model.tokens.log_prob
        return found[0].flatten()

    before = by_patch(x)
    for s in range(TOKENS):
        patches = split_patches(x, 2).clone()
        patches[:, s, 0] = 1 - patches[:, s, 0]
        changed = by_patch(join_patches(patches, 2, SHAPE)) != before
        assert not changed[:s].any() and changed[s:].all()


def test_later_posteriors_depend_on_earlier_draws() -> None:
    model, x = build(posterior="vmf"), images(1)

    def given(first: Tensor) -> list[Tensor]:
        codes = torch.cat([first, torch.eye(4).double()[[2, 3]].flatten()])
        return [q.mode for q in model.infer(x, given=codes.view(1, 1, -1)).posteriors]

    one, other = (given(torch.eye(4).double()[i]) for i in (0, 1))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


def test_what_is_given_stands_for_the_draws() -> None:
    model, x = build(posterior="vmf"), images(2)
    draws = model.infer(x, 3)
    again = model.infer(x, given=draws.z)
    assert again.z is not draws.z and torch.equal(again.z, draws.z)
    for part in ("log_likelihood", "log_q", "log_p", "log_weights", "kl"):
        assert torch.equal(getattr(again, part), getattr(draws, part))


def test_the_code_of_draws_is_that_of_the_encoder() -> None:
    """The modes, each given the modes before it, and not the draws."""
    model, x = build(posterior="vmf"), images(2)
    draws = model(x)
    assert torch.equal(draws.code, model.encode(x))
    assert not torch.equal(draws.posteriors[1].mode, model.grouped(draws.code)[:, 1])


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic-mixture"])
def test_decoding_with_a_cache_is_decoding_without(likelihood: str) -> None:
    """The states that generate sees are those of the whole sequence."""
    model = build(likelihood=likelihood)
    z = model.encode(images(3))
    states: list[Tensor] = []
    likeliest = model.tokens.likeliest
    model.tokens.likeliest = (  # type: ignore[method-assign]
        lambda state: states.append(state) or likeliest(state)
    )
    x = model.generate(z, Greedy())
    seen: list[Tensor] = []
    original = model.tokens.log_prob
    model.tokens.log_prob = (  # type: ignore[method-assign]
        lambda state, patches: seen.append(state) or original(state, patches)
    )
    model.log_likelihood(x, model.grouped(z)[None])
    torch.testing.assert_close(torch.stack(states, 1), seen[0][0])


def test_the_cache_holds_what_was_put_in() -> None:
    cache = KeyValueCache(5)
    keys, values = torch.randn(2, 3, 2, 5, 4).unbind()
    for start, stop in ((0, 2), (2, 3), (3, 5)):
        k, v = cache.extend(keys[:, :, start:stop], values[:, :, start:stop])
        assert torch.equal(k, keys[:, :, :stop]) and torch.equal(v, values[:, :, :stop])
    assert cache.filled == 5


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    """Given z, over the 256 images of 2 x 4 pixels."""
    model = build(input_shape=(1, 2, 4))
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).double()
    x = every.view(-1, 1, 2, 4)
    z = model.sample_codes(2)
    for code in z:
        log_prob = model.decode(code.expand(len(x), -1)).log_prob(x)
        assert log_prob.exp().sum().item() == pytest.approx(1)


def test_draws_follow_the_likelihood() -> None:
    model = build(input_shape=(1, 2, 2), layers=2, groups=1)
    code = model.sample_codes(1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    drawn = model.decode(code[0]).sample((20_000,)).flatten(1)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
    expected = model.decode(code.expand(16, -1)).log_prob(every.view(16, 1, 2, 2)).exp()
    counts = (drawn[:, None] == every).all(-1).double().mean(0)
    error = (expected * (1 - expected) / len(drawn)).sqrt()
    assert ((counts - expected).abs() <= 4 * error).all()


def test_draws_of_intensities_follow_their_likelihood() -> None:
    settings = {"patch": 1, "layers": 2, "groups": 1, "likelihood": "discretized-logistic"}
    model = build(input_shape=(1, 1, 1), **settings)
    code = model.sample_codes(1, generator=torch.Generator().manual_seed(0))[0]
    torch.manual_seed(0)
    drawn = (255 * model.decode(code).sample((20_000,)).flatten()).round().long()
    levels = torch.arange(256).double().view(-1, 1, 1, 1) / 255
    expected = model.decode(code.expand(256, -1)).log_prob(levels).exp()
    assert expected.sum().item() == pytest.approx(1)
    counts = drawn.bincount(minlength=256).double()
    statistic = ((counts - 20_000 * expected).square() / (20_000 * expected)).sum().item()
    assert statistic < 255 + 5 * (2 * 255) ** 0.5


@pytest.mark.parametrize("rows", [2048, 3])
@pytest.mark.parametrize("posterior", ["vmf", "gaussian"])
def test_the_density_of_codes_is_that_of_the_walk(
    posterior: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """q(z|x) of each code given each image, by a walk that is led through that code.

    For all codes at once, or for one at a time.
    """
    model, x = build(posterior=posterior), images(3)
    monkeypatch.setattr(UniVAE, "decode_batch", rows)
    torch.manual_seed(2)
    found = model.log_posteriors(x)
    torch.manual_seed(2)
    for code, row in zip(model(x).z[0], found, strict=True):
        for one, value in zip(x, row, strict=True):
            log_q = model.infer(one[None], given=code[None, None]).log_q
            torch.testing.assert_close(value, log_q.sum())


def test_a_batch_normalised_posterior_cannot_collapse() -> None:
    """In training its KL is at least d gamma^2 / 2 in each group, however little is said of x."""
    model, x = build(posterior={"name": "batch-norm", "gamma": 0.8}).train(), images(64)
    with torch.no_grad():
        for latent in model.latents:
            latent.posterior.projection.weight.mul_(1e-2)  # hardly anything is said of x
    kl = model(x).kl
    assert (kl.mean(0) >= 4 * 0.8**2 / 2 * 0.999).all()
    with pytest.raises(UnsupportedError, match="at least 2 examples, got 1"):
        model(x[:1])


def test_editing_draws_the_named_latents_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build(), images(5)
    assert torch.equal(model.edit(x, groups=[]), model.reconstruct(x))  # type: ignore[arg-type]
    shown: list[Tensor] = []
    monkeypatch.setattr(model, "show", lambda z, decoding: shown.append(z))
    model.edit(x, groups=[2, 0], generator=torch.Generator().manual_seed(1))
    before, after = model.encode(x).view(5, 3, 4), shown[0].view(5, 3, 4)
    assert torch.equal(after[:, 1], before[:, 1])
    assert not torch.isclose(after[:, [0, 2]], before[:, [0, 2]]).any()
    torch.testing.assert_close(after.norm(dim=-1), torch.ones(5, 3).double())
    for groups in ([3], [-1], 0, [0.5]):
        with pytest.raises(UnsupportedError, match="numbered 0 to 2, got"):
            model.edit(x, groups=groups)  # type: ignore[arg-type]


def test_shapes_broadcast_as_those_of_any_distribution() -> None:
    model = build(input_shape=(1, 2, 2))
    likelihood = model.decode(model.sample_codes(3))
    x = likelihood.sample((5,))
    found = likelihood.log_prob(x)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found[4], likelihood.log_prob(x[4]))
    one = model.decode(model.sample_codes(1)[0])
    torch.testing.assert_close(one.log_prob(x)[:, 0], one.log_prob(x[:, 0]))
    every = model.decode(model.sample_codes(6).view(2, 3, -1))
    twice = torch.stack([x[0], x[0]])
    torch.testing.assert_close(every.log_prob(x[0]), every.log_prob(twice))


@pytest.mark.parametrize(
    ("likelihood", "measure"),
    [("bernoulli", "mass"), ("discretized-logistic", "mass"), ("gaussian", "density")],
)
def test_masses_are_told_from_densities(likelihood: str, measure: str) -> None:
    model = build(likelihood=likelihood)
    assert model.measure == measure
    assert model.likelihood is model.tokens.patches.likelihood
    kept = [name for name in model.state_dict() if "likelihood" in name]
    assert kept == ["tokens.patches.likelihood.raw_scale"] * (likelihood == "gaussian")


def test_the_likeliest_intensities_are_the_means_in_range() -> None:
    """Of a mass the mean of all 256 intensities, up to half a step; of a density it is clamped."""
    torch.manual_seed(0)
    state, levels = 3 * torch.randn(50, 16), torch.arange(256.0)[:, None] / 255
    masses = build_patches(1, 16, Selected.parse("likelihoods", "discretized-logistic"))
    expected = masses.log_prob(state[:, None], levels).exp() @ levels
    torch.testing.assert_close(masses.likeliest(state), expected, rtol=0, atol=0.5 / 255)
    densities = build_patches(4, 16, Selected.parse("likelihoods", "gaussian"))
    means = densities.parameters_of(state)
    assert (means < 0).any() and (means > 1).any()
    torch.testing.assert_close(densities.likeliest(state), means.clamp(0, 1))


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic"])
def test_an_image_is_shown_as_the_mean_over_the_decoders_draws(likelihood: str) -> None:
    """That of many draws; always the same; nearer to x than the likeliest patches are."""
    model = build(input_shape=(1, 2, 4), likelihood=likelihood)
    codes = model.sample_codes(2, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    drawn = model.decode(codes).sample((4000,))
    shown = model.show(codes, decoding=Mean(draws=1000))
    torch.testing.assert_close(shown, drawn.mean(0), rtol=0, atol=0.05)
    before = torch.random.get_rng_state()
    assert torch.equal(model.show(codes), model.show(codes, decoding=Mean(draws=16)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(model.estimate(codes), model.show(codes, decoding=Greedy()))
    errors = [
        (drawn - model.show(codes, decoding=decoding)).square().mean()
        for decoding in (Mean(), Greedy(), Draw())
    ]
    assert errors[0] < errors[1] + 1e-3 and errors[0] < errors[2]


def test_the_mean_of_a_patch_is_that_of_its_classes() -> None:
    patches = build_patches(3, 16, Selected.parse("likelihoods", "bernoulli")).double()
    state = 3 * torch.randn(5, 16).double()
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3))).double()
    probabilities = patches.log_prob(state[:, None].expand(-1, 8, -1), every).exp()
    torch.testing.assert_close(patches.mean(state), probabilities @ every)


def test_grey_pixels_are_refused_where_patches_are_black_and_white() -> None:
    model, x = build(), images(2)
    with pytest.raises(DataError, match=r"pixels must be 0 or 1, got 0\.05"):
        model.encode(0.9 * x + 0.05)


def test_a_part_of_the_posterior_can_be_set_alone() -> None:
    variant, facts = Variant.find("univae"), Facts((1, 28, 28), "bernoulli")
    settings = merge(variant.spec.config, {"posterior": {"concentration": 7.0}})
    posterior = variant.complete(settings, facts)["posterior"]
    assert posterior == {"name": "vmf-fixed", "concentration": 7.0}
    assert variant.complete({"posterior": "gaussian"}, facts)["prior"] == {
        "name": "standard-normal"
    }


@pytest.mark.parametrize("kind", ["bernoulli", "discretized-logistic"])
def test_pixels_that_are_none_are_refused(kind: str) -> None:
    model, x = build(likelihood=kind).eval(), images(2)
    for wrong in (255 * x, -x, x * torch.nan):
        for use in (model.encode, lambda wrong: model.log_prob(wrong, 2)):
            with pytest.raises(DataError, match=r"pixels must be in \[0, 1\], got"):
                use(wrong)


def test_caches_bound_the_rows_on_a_cpu_and_memory_elsewhere() -> None:
    assert build().decode_batch == 2048
    large = UniVAE(UniVAEConfig(input_shape=(1, 28, 28), layers=2, groups=1))
    assert 10 < large.decode_batch < 40
    assert 100 < large.to("meta").decode_batch < 200


def test_logits_bound_the_rows_of_text() -> None:
    """Not the caches: most sentences are far shorter than they might be."""
    words = " ".join(map(str, range(20_000)))
    tokenizer = Tokenizer.learn([words], "words").json
    text = {"input_shape": (64,), "tokenizer": tokenizer, "likelihood": "categorical"}
    model = UniVAE(UniVAEConfig.parse({**text, **SMALL}, "test"))
    assert model.decode_batch == 2**24 // (64 * (20_003 + 4 * 16))


def test_patches_are_laid_out_row_by_row() -> None:
    x = torch.arange(48.0).view(1, 1, 6, 8)
    patches = split_patches(x, 2)
    assert patches[0, :2].tolist() == [[0, 1, 8, 9], [2, 3, 10, 11]]
    assert patches[0, 4].tolist() == [16, 17, 24, 25]
    assert torch.equal(join_patches(patches, 2, SHAPE), x)


@pytest.mark.parametrize("axes", [1, 2])
def test_rotary_products_depend_on_differences_alone(axes: int) -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 8).double()
    where = torch.randint(0, 50, (2, axes)).double()
    shifted = where + torch.randint(1, 20, (axes,))
    near, far = (
        (rotary(each, 8).rotate(torch.stack([q, k])).prod(0).sum().item())
        for each in (where, shifted)
    )
    assert near == pytest.approx(far)
    moved = rotary(where + torch.tensor([[1.0], [0.0]]), 8).rotate(torch.stack([q, k]))
    assert moved.prod(0).sum().item() != pytest.approx(near)


def test_many_draws_share_the_lower_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build(), images(2)
    rows: list[int] = []
    for layer in model.lower:
        layer.register_forward_hook(lambda _m, given, _out: rows.append(len(given[0])))
    assert model.infer(x, 7).log_weights.shape == (7, 2)
    assert set(rows) == {2}


@pytest.mark.parametrize("kind", ["images", "sentences"])
def test_many_draws_share_what_the_first_upper_layer_has_of_x(kind: str) -> None:
    """Its queries, keys and values of x are made once in either half, not once for every draw."""
    model, x = model_and_examples(kind)
    shared: list[tuple[int, int]] = []
    for layer in model.upper:
        own = layer.attention.with_prefix

        def spy(prefix: Tensor, x: Tensor, *rest: Any, own: Any = own) -> Tensor:
            shared.append((len(prefix), len(x)))
            attended: Tensor = own(prefix, x, *rest)
            return attended

        layer.attention.with_prefix = spy
    model.infer(x, 7).log_weights.sum()
    assert shared == [(21, 3)] * 2


def test_traversals_turn_the_latents_that_a_direction_names() -> None:
    model = build()
    code = model.sample_codes(2)
    direction = torch.zeros_like(code)
    direction[:, 4:8] = torch.randn(4).double()
    path = model.traverse(code, direction, torch.tensor([0.0, 0.5, math.pi]))
    torch.testing.assert_close(path[0], code)
    assert torch.equal(path[:, :, :4], code[:, :4].expand(3, -1, -1))
    assert torch.equal(path[:, :, 8:], code[:, 8:].expand(3, -1, -1))
    torch.testing.assert_close(path[2, :, 4:8], -code[:, 4:8])
    angles = (path[1, :, 4:8] * code[:, 4:8]).sum(-1).acos()
    torch.testing.assert_close(angles, torch.full_like(angles, 0.5))
    middle = model.interpolate(code[0], code[1], 3)[1].view(3, 4)
    torch.testing.assert_close(middle.norm(dim=-1), torch.ones(3).double())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patch": 4}, "patches of 4 x 4 do not tile 6 x 8"),
        ({"input_shape": (4, 6, 8)}, "at most 12 pixels, 4 channels of 2 x 2 are 16"),
        ({"width": 18}, "width 18 must be a multiple of 4 times heads"),
        ({"groups": 5}, r"groups \(5\) must be less than layers \(5\)"),
        ({"posterior": "vmf-fixd"}, "did you mean 'vmf-fixed'"),
        ({"prior": "standard-normal"}, "choose the prior 'uniform-sphere'"),
        ({"input_shape": (12,)}, "vectors of numbers this model does not read"),
        ({"likelihood": "categorical"}, "text, and text alone"),
        ({"input_shape": (1, 2**11, 2**11)}, "at most 65,536 tokens, got 1,048,576"),
        ({"posterior": {"name": "vmf-fixed", "concentration": -1}}, "concentration"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said):
        build(**settings)
