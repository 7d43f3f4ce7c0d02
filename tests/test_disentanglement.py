"""Scores of disentanglement: codes of known score, closed forms, invariances, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from zoo.core.component import Selected
from zoo.errors import DataError, UnsupportedError
from zoo.evaluation.disentanglement import (
    Forests,
    beta_vae_score,
    compactness,
    completeness,
    disentanglement,
    factor_vae_score,
    forests,
    modularity,
    mutual_information_gap,
    normalised_information,
    separated_predictability,
)
from zoo.evaluation.disentanglement.checked import checked
from zoo.evaluation.disentanglement.information import entropies
from zoo.evaluation.disentanglement.pairs import sharing
from zoo.metrics import Measured, Subject
from zoo.testing.codes import Coded, standard

SIZES = (3, 6, 8, 12)
KINDS = len(SIZES)


@cache
def grown(codes: Tensor, factors: Tensor) -> Forests:
    """The forests of very these tensors."""
    return forests(codes, factors)


@cache
def told(codes: Tensor, factors: Tensor) -> Tensor:
    """What the numbers of very these tensors tell."""
    return normalised_information(codes, factors)


def dci(part: Callable[[Tensor], float]) -> Callable[[Tensor, Tensor], float]:
    return lambda codes, factors: part(grown(codes, factors).importance)


SCORES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "mig": mutual_information_gap,
    "sap": separated_predictability,
    "dci-disentanglement": dci(disentanglement),
    "dci-completeness": dci(completeness),
    "dci-informativeness": lambda z, v: grown(z, v).explained.mean().item(),
    "factor-vae-score": lambda z, v: factor_vae_score(z, v)[0],
    "beta-vae-score": lambda z, v: beta_vae_score(z, v)[0],
    "info-modularity": lambda z, v: modularity(told(z, v)),
    "info-compactness": lambda z, v: compactness(told(z, v)),
}
CHANCE = {"factor-vae-score": 1 / KINDS, "beta-vae-score": 1 / KINDS}
NOISE_DECIDES = ("info-modularity", "info-compactness")


def drawn(count: int = 900, seed: int = 0) -> Tensor:
    """Independent factors, (N, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(n, (count,), generator=generator) for n in SIZES], 1)


def noise(count: int = 900, width: int = KINDS, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


FACTORS = drawn()
PERFECT = standard(FACTORS) + 0.02 * noise()
ROTATION = (
    torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).double() / 2
)
ROTATED = PERFECT @ ROTATION
"""Every number of the code says as much of each factor as of the others."""
MIXED = 0.7 * PERFECT + 0.5 * ROTATED
NOISE = noise()


@pytest.mark.parametrize("name", SCORES)
def test_codes_that_are_the_factors_score_one(name: str) -> None:
    """Of SAP what chance gives is missing, 1 / size of each; MIG sees the noise as information."""
    most = 1 - sum(1 / n for n in SIZES) / KINDS if name == "sap" else 1
    assert SCORES[name](PERFECT, FACTORS) == pytest.approx(most, abs=0.04)


@pytest.mark.parametrize("name", SCORES)
def test_noise_scores_chance(name: str) -> None:
    found = SCORES[name](NOISE, FACTORS)
    if name in NOISE_DECIDES:  # as their definition has it
        assert found < 0.75
    else:
        assert found == pytest.approx(CHANCE.get(name, 0), abs=0.03) or (
            name == "dci-informativeness" and -0.15 < found < 0
        )


@pytest.mark.parametrize("name", [n for n in SCORES if n != "dci-informativeness"])
def test_rotated_codes_score_less(name: str) -> None:
    least = 0.04 if name in CHANCE else 0.4  # a rotation is known to fool these two
    rotated = SCORES[name](ROTATED, FACTORS)
    assert rotated < SCORES[name](PERFECT, FACTORS) - least


def test_rotated_codes_say_as_much() -> None:
    assert SCORES["dci-informativeness"](ROTATED, FACTORS) > 0.9


@pytest.mark.parametrize("name", SCORES)
def test_names_and_order_and_scales_do_not_matter(name: str) -> None:
    """Order of dimensions and factors, names of values, sign and, but for InfoM, C, scale."""
    scale = torch.tensor([1.0, 1.0, -1.0, 1.0] if name in NOISE_DECIDES else [9.0, -1, 0.2, 3])
    other = (MIXED * scale)[:, [2, 0, 3, 1]]
    names = 7 * FACTORS[:, [1, 3, 0, 2]] - 3
    # Trees of a forest are drawn, ties of neighbours broken, and pairs drawn by the order.
    tolerance = 1e-9 if name in ("mig", "sap") else 0.03
    expected = SCORES[name](MIXED, FACTORS)
    assert SCORES[name](other, names) == pytest.approx(expected, abs=tolerance)


def test_a_factor_said_twice_is_modular_and_not_compact() -> None:
    twice = torch.cat([PERFECT, standard(FACTORS) + 0.02 * noise(seed=2)], 1)
    scores = {name: score(twice, FACTORS) for name, score in SCORES.items()}
    assert scores["mig"] < 0.03 and scores["sap"] < 0.03
    assert scores["dci-disentanglement"] > 0.95 and scores["info-modularity"] > 0.95
    assert scores["dci-completeness"] < 0.8
    # Two of eight have all: the largest share is a half, and (1/2 - 1/8) / (1 - 1/8) = 3/7.
    assert scores["info-compactness"] == pytest.approx(3 / 7, abs=0.03)


def test_a_number_that_says_two_factors_is_compact_and_not_modular() -> None:
    """All pairs of a and b in one number: it tells both whole."""
    a, b = torch.cartesian_prod(torch.arange(4), torch.arange(4)).repeat(200, 1).T
    c = torch.randint(3, (len(a),), generator=torch.Generator().manual_seed(0))
    codes = torch.stack([4.0 * a + b, 5.0 * c], 1) + 0.01 * noise(len(a), 2)
    factors = torch.stack([a, b, c], 1)
    # Of the first number the larger share is a half, of the second one all.
    modular = ((0.5 + 1) / 2 - 1 / 3) / (1 - 1 / 3)
    information = normalised_information(codes, factors)
    assert modularity(information) == pytest.approx(modular, abs=0.02)
    assert compactness(information) == pytest.approx(1, abs=0.02)
    assert mutual_information_gap(codes, factors) == pytest.approx(1, abs=0.02)


def test_the_gap_of_a_noisy_channel_is_that_of_its_closed_form() -> None:
    """A bit that is flipped in a tenth of the cases tells log 2 - H(0.1); another one nothing."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(2, (40_000, 2), generator=generator)
    flipped = torch.rand(40_000, generator=generator) < 0.1
    codes = torch.stack([factors[:, 0] ^ flipped, factors[:, 1]], 1).double()
    entropy = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9)) / math.log(2)
    expected = (1 - entropy + 1) / 2
    # Of a share p of N, that of the gap is below sqrt(p (1 - p) / N) log((1 - p) / p) / log 2 / 2.
    assert mutual_information_gap(codes, factors) == pytest.approx(expected, abs=0.012)


def test_a_factor_of_more_values_than_bins_has_its_bins_alone() -> None:
    factors = torch.cartesian_prod(torch.arange(40), torch.arange(2)).repeat(2, 1)
    expected = (math.log(20) / math.log(40) + 1) / 2
    assert mutual_information_gap(factors.double(), factors) == pytest.approx(expected)


def test_the_weighted_entropies_of_an_importance() -> None:
    """By hand: rows (3, 1), (0, 4) have entropies 0.8113 and 0 bits, and equal weights."""
    importance = torch.tensor([[3.0, 1.0], [0.0, 4.0]])
    assert disentanglement(importance) == pytest.approx(1 - 0.811278 / 2, abs=1e-5)
    # Columns (3, 0) and (1, 4): weights 3/8 and 5/8, of the second 0.7219 bits.
    assert completeness(importance) == pytest.approx(1 - 5 / 8 * 0.721928, abs=1e-5)
    assert disentanglement(torch.ones(3, 5)) == pytest.approx(0, abs=1e-12)
    assert disentanglement(torch.zeros(3, 5)) == 0


def test_a_code_that_has_collapsed_scores_chance() -> None:
    codes = torch.zeros(len(FACTORS), 3)
    for name, score in SCORES.items():
        if name not in NOISE_DECIDES:
            assert score(codes, FACTORS) == pytest.approx(CHANCE.get(name, 0), abs=0.03)


def test_dimensions_of_a_small_range_are_not_active() -> None:
    more = torch.cat([PERFECT, 0.01 * NOISE], 1)
    assert normalised_information(more, FACTORS).shape == (KINDS, KINDS)
    one = torch.cat([PERFECT[:, :1], 0.01 * NOISE], 1)
    assert compactness(normalised_information(one, FACTORS)) == 1


def test_a_dimension_that_stands_still_has_no_votes() -> None:
    still = torch.cat([PERFECT, torch.full((len(FACTORS), 1), 0.1)], 1)
    assert factor_vae_score(still, FACTORS)[0] == 1
    assert beta_vae_score(still, FACTORS)[0] == 1


def test_rows_share_values_as_frequent_as_those_of_the_examples() -> None:
    values = torch.tensor([0, 0, 0, 1, 1, 2])  # 2 is nobody else's
    found = sharing(values, 20_000, 3, torch.Generator().manual_seed(0))
    of_rows = values[found]
    assert (of_rows == of_rows[:, :1]).all()
    shares = of_rows[:, 0].bincount().double() / 20_000
    error = (0.6 * 0.4 / 20_000) ** 0.5
    assert shares[0].item() == pytest.approx(0.6, abs=4 * error) and len(shares) == 2
    among = found[of_rows[:, 0] == 0].flatten().bincount().double()
    assert (among / among.sum() - 1 / 3).abs().max() < 4 * (2 / 9 / among.sum()) ** 0.5


def test_the_entropy_is_that_of_the_frequencies() -> None:
    found = entropies(torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]]))
    torch.testing.assert_close(found, torch.tensor([2.0, 4.0]).double().log())


def test_a_factor_of_one_value_is_left_out() -> None:
    more = torch.cat([FACTORS, torch.full((len(FACTORS), 1), 9)], 1)
    assert torch.equal(checked(PERFECT, more)[1], FACTORS)


@pytest.mark.parametrize(
    ("codes", "factors", "words"),
    [
        (PERFECT, FACTORS[:-1], r"\(N, D\) and factors \(N, L\)"),
        (PERFECT, FACTORS.double(), "integers, got torch.float64"),
        (PERFECT * math.nan, FACTORS, "NaN"),
        (PERFECT[:, :1], FACTORS, "got 1 and 4"),
        (PERFECT, FACTORS[:, :1], "got 4 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(codes: Tensor, factors: Tensor, words: str) -> None:
    for name, score in SCORES.items():
        with pytest.raises(DataError, match=words):
            score(codes, factors)
        assert name


def test_factors_that_no_two_examples_share_are_refused() -> None:
    alone = torch.stack([torch.arange(50), torch.arange(50) % 2], 1)
    for score in (factor_vae_score, beta_vae_score):
        with pytest.raises(DataError, match="no two of 50 examples share"):
            score(noise(50, 2), alone)


SUBJECT = Coded(MIXED, FACTORS)


def measured(name: str, subject: Subject) -> Measured:
    metric = Selected.parse("metrics", name).build()
    metric.check(subject)
    with torch.no_grad():
        found: Measured = metric.measure(subject)
    return found


@pytest.mark.parametrize("name", SCORES)
def test_metrics_are_the_functions(name: str) -> None:
    found = measured(name, SUBJECT)
    assert found.value == pytest.approx(SCORES[name](MIXED, FACTORS), abs=1e-9)


def test_the_error_of_the_gap_is_that_of_other_examples() -> None:
    """12 draws tell a deviation to a fifth, and so do ten groups."""
    found = []
    for seed in range(12):
        factors = drawn(600, seed)
        codes = standard(factors) + noise(600, seed=seed + 100)
        found.append(measured("mig", Coded(codes, factors)))
    spread = torch.tensor([each.value for each in found]).std().item()
    assert spread == pytest.approx(sum(each.stderr or 0 for each in found) / 12, rel=0.5)


@pytest.mark.parametrize("name", CHANCE)
def test_the_error_of_draws_is_that_of_other_seeds(name: str) -> None:
    score = factor_vae_score if name == "factor-vae-score" else beta_vae_score
    codes = ROTATED + noise(seed=3)
    found = [score(codes, FACTORS, seed) for seed in range(4)]
    values, errors = (torch.tensor(column) for column in zip(*found, strict=True))
    # The votes that are learnt from are drawn anew too, hence more than one error.
    assert values.std() < 4 * errors.mean() and len(set(values.tolist())) > 1
    ours = measured(name, Coded(codes, FACTORS))
    assert ours.monte_carlo == pytest.approx(found[0][1]) and ours.stderr is None


@pytest.mark.parametrize("name", SCORES)
def test_what_has_no_factors_is_refused(name: str) -> None:
    for labels in (FACTORS[:, 0], FACTORS.float(), FACTORS[:, :1]):
        with pytest.raises(UnsupportedError, match="codes are not factors.*'sprites'"):
            measured(name, Coded(PERFECT, labels))
    with pytest.raises(UnsupportedError, match="code of one number"):
        measured(name, Coded(PERFECT[:, :1], FACTORS))
