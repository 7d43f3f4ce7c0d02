"""Ways of decoding against exhaustive search, closed forms and counts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.errors import UnsupportedError
from zoo.modalities.tokenizer import END, PAD, UNKNOWN, Tokenizer
from zoo.variants.univae import UniVAE, UniVAEConfig
from zoo.variants.univae.beams import Beams
from zoo.variants.univae.decoding import Beam, Draw, Greedy, Mean, beam_search, nucleus
from zoo.variants.univae.state import DecoderState

LENGTH = 4
WORDS = 5
"""<pad>, <end>, <unk> and two letters."""


def build(**settings: Any) -> UniVAE:
    """A small model in double precision, whose next token depends strongly on what came before."""
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2, "latent_dim": 4}
    model = UniVAE(UniVAEConfig.parse({**small, **settings}, "test")).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def of_text(length: int = LENGTH, table: float = 0.1, end: float = -1.5) -> UniVAE:
    """The larger ``table``, the surer each token; the larger ``end``, the shorter the sentences."""
    tokenizer = Tokenizer.learn(["ab"], "characters")
    assert len(tokenizer) == WORDS
    model = build(input_shape=(length,), tokenizer=tokenizer.json, likelihood="categorical")
    with torch.no_grad():
        model.tokens.table.mul_(table)
        model.tokens.bias.copy_(torch.tensor([0.0, end, 0.0, 0.0, 0.0]))
    return model


def every_sentence() -> Tensor:
    """All ids there can be: up to three letters and an end, or four letters without one."""
    letters = (UNKNOWN, UNKNOWN + 1, UNKNOWN + 2)
    rows = [
        [*word, END, *[PAD] * (LENGTH - 1 - length)]
        for length in range(LENGTH)
        for word in itertools.product(letters, repeat=length)
    ]
    return torch.tensor([*rows, *map(list, itertools.product(letters, repeat=LENGTH))])


def likelihoods(model: UniVAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x|z) of every x under every code (N, D): (N, len(x))."""
    return model.log_likelihood(x, model.grouped(z)[:, None].expand(-1, len(x), -1, -1))


@pytest.fixture(scope="module")
def text() -> tuple[UniVAE, Tensor, Tensor]:
    model = of_text()
    z = model.sample_codes(8, generator=torch.Generator().manual_seed(0))
    return model, z, likelihoods(model, every_sentence(), z)


def test_the_probabilities_of_all_sentences_sum_to_one(text: tuple[UniVAE, Tensor, Tensor]) -> None:
    torch.testing.assert_close(text[2].exp().sum(1), torch.ones(8).double())


def test_a_wide_beam_finds_the_likeliest_sentence(text: tuple[UniVAE, Tensor, Tensor]) -> None:
    model, z, table = text
    found = model.generate(z, Beam(width=27 * WORDS))
    assert torch.equal(found, every_sentence()[table.argmax(1)])


def test_beams_never_find_worse_than_their_first(text: tuple[UniVAE, Tensor, Tensor]) -> None:
    """One beam is the greedy sentence; more find likelier ones here."""
    model, z, table = text
    one = model.generate(z, Beam(width=1))
    assert torch.equal(one, model.generate(z, Greedy()))
    scores = [
        model.log_likelihood(model.generate(z, Beam(width=width)), model.grouped(z)[None])[0]
        for width in (1, 3, 27 * WORDS)
    ]
    assert (scores[2] >= scores[1] - 1e-9).all() and (scores[2] >= scores[0] - 1e-9).all()
    assert (scores[2] > scores[0] + 1e-9).any()
    torch.testing.assert_close(scores[2], table.amax(1))


def test_the_score_of_a_beam_is_the_log_likelihood_of_its_sentence() -> None:
    """Of sentences long enough for beginnings to change places in the beam many times."""
    model = of_text(length=12, table=0.2, end=-5.0)
    z = model.sample_codes(20, generator=torch.Generator().manual_seed(0))
    beams = Beams(len(z), 4, z.device)
    with torch.no_grad():
        found = beam_search(
            DecoderState(model, model.grouped(z).repeat_interleave(4, 0)), model.tokens, beams
        )
    assert ((found != PAD).sum(1) >= 10).any()
    assert torch.equal(found, model.generate(z, Beam(width=4)))
    of_beam, of_greedy = (
        model.log_likelihood(sentences, model.grouped(z)[None])[0]
        for sentences in (found, model.generate(z, Greedy()))
    )
    torch.testing.assert_close(beams.scores[:, 0], of_beam, rtol=0, atol=1e-9)
    assert of_beam.mean() > of_greedy.mean() + 1


def test_beams_of_binary_images() -> None:
    model = build(input_shape=(1, 2, 4))
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).double().view(-1, 1, 2, 4)
    z = model.sample_codes(6)
    best = every[likelihoods(model, every, z).argmax(1)]
    assert torch.equal(model.generate(z, Beam(width=16)), best)


def test_draws_of_a_temperature_follow_the_tempered_probabilities(
    text: tuple[UniVAE, Tensor, Tensor],
) -> None:
    model, z, _ = text
    torch.manual_seed(0)
    drawn = model.generate(z[:1].expand(20_000, -1), Draw(temperature=2.0))[:, 0]
    first = torch.tensor([[word, *[PAD] * (LENGTH - 1)] for word in range(1, WORDS)])
    expected = (likelihoods(model, first, z[:1])[0] / 2).softmax(0)
    counts = drawn.bincount(minlength=WORDS)[1:] / len(drawn)
    error = (expected * (1 - expected) / len(drawn)).sqrt()
    assert ((counts - expected).abs() <= 4 * error).all()


def test_a_tiny_nucleus_is_greedy(text: tuple[UniVAE, Tensor, Tensor]) -> None:
    model, z, _ = text
    assert torch.equal(model.generate(z, Draw(top_p=1e-6)), model.generate(z, Greedy()))


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=12),
    st.floats(0.01, 1),
    st.floats(0.05, 20),
)
def test_the_nucleus_is_the_smallest_that_has_its_share(
    logits: list[float], top_p: float, temperature: float
) -> None:
    draw = Draw(temperature=temperature, top_p=top_p)
    whole = (torch.tensor(logits).double() / temperature).softmax(0)
    found = nucleus(torch.tensor(logits).double(), draw)
    assert found.sum().item() == pytest.approx(1)
    kept = found > 0
    assert whole[kept].sum() >= top_p - 1e-9
    assert whole[kept].sum() - whole[kept].min() <= top_p + 1e-9
    assert not (~kept).any() or whole[kept].min() >= whole[~kept].max() - 1e-12
    torch.testing.assert_close(found[kept], whole[kept] / whole[kept].sum())


def test_decoding_stops_when_all_sentences_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = of_text(end=1e6), []
    append = DecoderState.append
    monkeypatch.setattr(
        DecoderState, "append", lambda self, tokens: calls.append(1) or append(self, tokens)
    )
    z = model.sample_codes(3)
    for decoding in (Greedy(), Draw(), Beam(width=2)):
        assert model.generate(z, decoding).tolist() == [[END, PAD, PAD, PAD]] * 3
    assert not calls


def test_ended_sentences_wait_for_the_others() -> None:
    """Each row is what it is alone, whichever of them end first."""
    model = of_text(table=0.3)  # so that the likeliest sentences have many lengths
    z = model.sample_codes(40, generator=torch.Generator().manual_seed(3))
    for decoding in (Greedy(), Beam(width=3)):
        together = model.generate(z, decoding)
        assert len({int((row != PAD).sum()) for row in together}) > 1
        for row, code in zip(together, z, strict=True):
            assert torch.equal(row, model.generate(code[None], decoding)[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Draw(temperature=0), "temperature must be a number above 0, got 0"),
        (lambda: Draw(top_p=2), "top_p must be above 0 and at most 1, got 2"),
        (lambda: Beam(0), "width of 1 to 1024, got 0"),
        (lambda: Beam(99_999_999), "width of 1 to 1024, got 99999999"),
        (lambda: Beam(2.5), "width of 1 to 1024, got 2.5"),
        (lambda: Mean(0), "whole number of draws, 1 to 1024, got 0"),
    ],
)
def test_decodings_that_are_none_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        wrong()
    model = of_text()
    for decoding in ("greedy", Draw, 3):
        with pytest.raises(UnsupportedError, match=r"decoding must be Greedy\(\)"):
            model.sample(2, decoding=decoding)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=r"decoding=zoo.Draw\(temperature=0.5\)"):
        model.sample(2, temperature=0.5)
    with pytest.raises(UnsupportedError, match="sentences have no mean"):
        model.sample(2, decoding=Mean())
    assert model.sample(0) == []


def test_a_temperature_near_zero_is_greedy() -> None:
    for temperature in (1e-38, 1e-300):
        probabilities = nucleus(torch.tensor([2.0, 1.0, -torch.inf]), Draw(temperature))
        assert probabilities.tolist() == [1, 0, 0]


def test_a_boundless_temperature_is_uniform() -> None:
    probabilities = nucleus(torch.tensor([2.0, 1.0, -torch.inf]), Draw(1e300))
    assert probabilities.tolist() == [0.5, 0.5, 0]


def test_intensities_cannot_be_ranked() -> None:
    model = build(input_shape=(1, 2, 2), likelihood="discretized-logistic")
    codes = model.sample_codes(2)
    assert model.show(codes, decoding=Draw()).shape == (2, 1, 2, 2)  # type: ignore[union-attr]
    for decoding in (Draw(top_p=0.5), Beam(width=2)):
        with pytest.raises(UnsupportedError, match=r"use Draw\(\) or Greedy\(\)"):
            model.show(codes, decoding=decoding)


def test_beams_are_no_more_rows_than_the_model_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = of_text(), []
    z = model.sample_codes(5, generator=torch.Generator().manual_seed(0))
    expected = model.generate(z, Beam(width=3))

    generate = Beam.generate

    def spy(self: Beam, begin: Any, part: Tensor, tokens: Any) -> Tensor:
        seen.append(len(part) * self.width)
        return generate(self, begin, part, tokens)

    monkeypatch.setattr(Beam, "generate", spy)
    monkeypatch.setattr(UniVAE, "examples_within", lambda _self, _numbers: 7)
    assert torch.equal(model.generate(z, Beam(width=3)), expected)
    assert seen == [6, 6, 3]


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic", "gaussian"])
def test_draws_lie_in_the_support(likelihood: str) -> None:
    model = build(input_shape=(1, 2, 2), likelihood=likelihood)
    p = model.decode(model.sample_codes(50))
    assert p.support.check(p.sample()).all()


def test_what_is_no_batch_of_codes_is_refused() -> None:
    model = of_text()
    for wrong in (torch.zeros(2, 5), torch.zeros(2, 9)):
        for use in (model.show, model.decode):
            with pytest.raises(
                UnsupportedError, match=r"codes \(..., 8\), got torch.float32 of shape \(2, [59]\)"
            ):
                use(wrong)
    with pytest.raises(UnsupportedError, match=r"one as code\[None\], got \(8,\)"):
        model.show(torch.zeros(8))


def test_sentences_in_and_out() -> None:
    model = of_text()
    codes = model.encode(["ab", "b"])
    assert torch.equal(model.read([" ab\n", "b "]), model.read(["ab", "b"]))
    torch.testing.assert_close(codes, model.encode(model.read(["ab", "b"])))
    assert model.reconstruct(["ab", "b"]) == model.show(codes)
    between = model.interpolate("ab", "b", 5)
    assert between == model.show(model.interpolate(codes[0], codes[1], 5))
    assert [between[0], between[-1]] == model.reconstruct(["ab", "b"])
    assert model.edit(["ab"], groups=[]) == model.reconstruct(["ab"])
    generator = torch.Generator().manual_seed(0)
    drawn = model.sample(4, generator=generator, decoding=Draw(top_p=0.9))
    assert len(drawn) == 4 and all(isinstance(each, str) for each in drawn)
    edited = [
        model.edit(["ab"] * 9, [0], torch.Generator().manual_seed(0), Draw()) for _ in range(2)
    ]
    assert edited[0] == edited[1]
    for wrong in (codes[0], codes[:, :3], ["ab"]):
        with pytest.raises(UnsupportedError, match=r"give codes \(..., 8\), got"):
            model.interpolate("ab", wrong, 3)  # type: ignore[call-overload]
