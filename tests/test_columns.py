"""Kinds of columns against closed forms: masses, densities, Jacobians, and what networks see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from zoo.columns import Column, ColumnKind, Layout, TableSchema
from zoo.columns.numbers import MIN_SCALE
from zoo.core.component import component_class
from zoo.errors import ConfigError
from zoo.registry import registry

SETTINGS: dict[str, dict[str, Any]] = {
    "real": {"mean": 3.0, "std": 2.0},
    "positive": {"mean": 0.5, "std": 0.7},
    "count": {"mean": 1.5, "std": 0.6},
    "category": {"values": ("red", "green", "blue")},
    "ordinal": {"values": ("low", "middle", "high", "top")},
    "binary": {"values": ("no", "yes")},
}


def kind_of(name: str, *settings: dict[str, Any]) -> ColumnKind:
    cls = component_class("columns", name)
    found: ColumnKind = cls([cls.Config(**each) for each in settings or [SETTINGS[name]]])
    return found


def numbers_for(kind: ColumnKind, *batch: int) -> Tensor:
    return torch.randn(*batch, kind.numbers, generator=torch.Generator().manual_seed(1))


def schema_of(**kinds: dict[str, Any]) -> TableSchema:
    columns = [{"name": name, "kind": kind} for name, kind in kinds.items()]
    return TableSchema.parse({"columns": columns}, "test")


def test_every_kind_is_tested_here() -> None:
    assert set(registry().columns) == set(SETTINGS)


@pytest.mark.parametrize("name", ["category", "ordinal", "binary", "count"])
def test_masses_sum_to_one(name: str) -> None:
    kind = kind_of(name)
    p = kind.likelihood(numbers_for(kind, 5))
    most = 5000 if name == "count" else len(SETTINGS[name]["values"])
    values = torch.arange(most).view(-1, 1, 1).expand(-1, 5, 1).double()
    total = p.log_prob(values).double().exp().sum(0)
    torch.testing.assert_close(total, torch.ones(5, 1).double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["real", "positive"])
def test_densities_integrate_to_one(name: str) -> None:
    kind = kind_of(name)
    p = kind.likelihood(numbers_for(kind, 5))
    grid = torch.linspace(-40, 60, 400_001, dtype=torch.float64)
    if name == "positive":
        grid = torch.linspace(1e-6, 400, 400_001, dtype=torch.float64)
    density = p.log_prob(grid.view(-1, 1, 1)).double().exp()
    total = torch.trapezoid(density, grid, dim=0)
    torch.testing.assert_close(total, torch.ones(5, 1).double(), rtol=2e-3, atol=0)


def test_a_real_column_is_normal_in_its_own_units() -> None:
    p = kind_of("real").likelihood(torch.zeros(2))
    scale = 2 * (math.log(2) + MIN_SCALE)  # softplus(0), and the least deviation
    expected = scipy.stats.norm(3, scale).logpdf(4.2)
    assert p.log_prob(torch.tensor([4.2])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("zeros", [False, True])
def test_a_positive_column_is_log_normal(zeros: bool) -> None:
    """Where some are 0, with the probability that is left of their mass."""
    kind = kind_of("positive", {"mean": 0.5, "std": 0.7, "zeros": zeros})
    p = kind.likelihood(torch.tensor([0.0, 0.0, -0.4][: kind.numbers]))
    zero = 1 / (1 + math.exp(0.4)) if zeros else 0.0
    normal = scipy.stats.lognorm(0.7 * (math.log(2) + MIN_SCALE), scale=math.exp(0.5))
    expected = math.log(1 - zero) + normal.logpdf(2.3)
    assert p.log_prob(torch.tensor([2.3])).item() == pytest.approx(expected, rel=1e-5)
    if zeros:
        assert p.log_prob(torch.zeros(1)).exp().item() == pytest.approx(zero, rel=1e-5)
    median = normal.ppf((0.5 - zero) / (1 - zero))
    assert kind.typical(p).item() == pytest.approx(median, rel=1e-4)


@pytest.mark.parametrize("count", [0, 3, 4000])
def test_a_count_is_negative_binomial(count: int) -> None:
    kind = kind_of("count", {"mean": 6.0, "std": 1.0})
    p = kind.likelihood(torch.zeros(2))
    mean, failures = math.exp(6.0), math.exp(2.0)
    expected = scipy.stats.nbinom(failures, failures / (failures + mean)).logpmf(count)
    assert p.log_prob(torch.tensor([float(count)])).item() == pytest.approx(expected, rel=1e-6)
    assert p.mean.item() == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("name", ["real", "positive", "count"])
def test_draws_far_from_all_data_can_be_read_again(name: str) -> None:
    """Of decoded numbers as large as codes far from the data have, no draw is infinite or NaN."""
    kind = kind_of(name, {"mean": 2.0, "std": 3.0})
    for numbers in (torch.full((2,), 1e3), torch.tensor([1e3, -1e3]), torch.tensor([-1e3, 1e3])):
        p = kind.likelihood(numbers)
        draws = p.sample((200,))  # (200, 1)
        assert draws.isfinite().all()
        assert kind.features(draws).isfinite().all()
        assert not p.log_prob(draws).isnan().any()


def test_the_best_guess_of_positive_numbers_is_a_mean_that_no_single_draw_decides() -> None:
    kind = kind_of("positive", {"mean": 0.0, "std": 0.5})
    draws = torch.tensor([[1.0], [2.0], [3.0]])
    assert kind.best_guess(draws, torch.ones(3, 1)).item() == pytest.approx(2)
    far = torch.cat([draws, torch.tensor([[1e30]])])
    assert kind.best_guess(far, torch.ones(4, 1)).item() == pytest.approx((6 + math.exp(2)) / 4)


def test_a_column_with_zeros_beside_one_without() -> None:
    """Each finds its own logit; networks see which values are 0."""
    without = {"mean": 0.5, "std": 0.7}
    kind = kind_of("positive", without, {**without, "zeros": True})
    assert (kind.numbers, kind.owners) == (5, [0, 1, 1])
    p = kind.likelihood(torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shares = (p.sample(torch.Size([20_000])) == 0).double().mean(0)
    assert shares[0] == 0 and shares[1].item() == pytest.approx(0.881, abs=0.01)
    assert kind.typical(p)[1] == 0
    x = torch.tensor([[math.exp(0.5), 0.0]])
    torch.testing.assert_close(kind.features(x), torch.tensor([[0.0, 0.0, 1.0]]))
    assert kind.possible(x.flip(1)).tolist() == [[False, True]]


def test_ordinals_are_differences_of_cumulative_logits() -> None:
    """With two columns of other sizes beside each other, far in the tails as well."""
    sizes = (4, 2)
    kind = kind_of("ordinal", *({"values": tuple("abcd"[:size])} for size in sizes))
    numbers = 8 * numbers_for(kind, 50).double()
    logits = kind.likelihood(numbers).log_prob(torch.zeros(50, 2))
    first = torch.tensor([math.log(1 / 3), 0.0], dtype=torch.float64) + numbers[:, [0, 3]]
    torch.testing.assert_close(logits, torch.nn.functional.logsigmoid(first))
    highest = kind.likelihood(numbers).log_prob(torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(
        highest[:, 1], torch.nn.functional.logsigmoid(-first[:, 1]), rtol=1e-6, atol=1e-9
    )
    assert kind.likelihood(numbers).log_prob(torch.tensor([2.0, 1.0])).isfinite().all()


def test_padding_gives_no_mass_and_no_gradient_that_is_none() -> None:
    kind = kind_of("category", {"values": ("a",)}, {"values": tuple("abcdef")})
    numbers = numbers_for(kind, 3).requires_grad_()
    p = kind.likelihood(numbers)
    p.log_prob(torch.tensor([0.0, 5.0])).sum().backward()
    assert numbers.grad is not None and numbers.grad.isfinite().all()
    assert (numbers.grad[:, 0] == 0).all() and numbers.grad[:, 1:].any()
    drawn = p.sample(torch.Size([1000]))
    assert (drawn[..., 0] == 0).all() and drawn[..., 1].max() == 5


@pytest.mark.parametrize("name", SETTINGS)
def test_draws_are_possible_and_agree_with_the_density(name: str) -> None:
    kind = kind_of(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        p = kind.likelihood(numbers_for(kind, 2))
        drawn = p.sample(torch.Size([20_000]))
    assert kind.possible(drawn.float()).all()
    middle = drawn.median(0).values
    below = (drawn <= middle).double().mean(0)
    if kind.has_values or name == "count":
        grid = torch.arange(int(drawn.max()) + 1).view(-1, 1, 1).expand(-1, 2, 1)
        masses = p.log_prob(grid.double()).double().exp()
        expected = torch.where(grid <= middle, masses, 0).sum(0)
    else:
        expected = torch.full_like(below, 0.5)
    torch.testing.assert_close(below, expected.double(), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_networks_see_has_unit_scale_and_tells_values_apart(name: str) -> None:
    kind = kind_of(name)
    numbers = np.random.default_rng(0).uniform(1, 20, 500)
    x = np.arange(500) % 4 % len(SETTINGS[name].get("values", range(4))) + 0.0
    if not kind.has_values:
        x = np.rint(numbers) if name == "count" else numbers
        kind = type(kind)([kind.fit(x, ())])
    seen = kind.features(torch.from_numpy(x).float()[:, None])
    assert seen.shape == (500, len(kind.owners)) and seen.abs().max() < 5
    if not kind.has_values:
        torch.testing.assert_close(seen.mean(), torch.zeros(()), rtol=0, atol=1e-4)
        torch.testing.assert_close(seen.std(correction=0), torch.ones(()), rtol=1e-3, atol=0)
    assert len(torch.unique(seen, dim=0)) == len(np.unique(x))


def test_ordinals_are_seen_as_a_thermometer() -> None:
    seen = kind_of("ordinal").features(torch.tensor([[0.0], [2.0], [3.0]]))
    assert seen.tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_zeros_of_positive_numbers_are_learned_apart() -> None:
    kind = component_class("columns", "positive")
    found = kind.fit(np.array([0.0, math.e, math.e**3]), ())
    assert (found.zeros, found.mean, found.std) == (True, pytest.approx(2), pytest.approx(1))
    assert not kind.fit(np.array([0.5, 2.0]), ()).zeros
    with pytest.raises(ConfigError, match="at least 0, .* got -1 to 2; choose the kind 'real'"):
        kind.fit(np.array([-1.0, 2.0]), ())


ALL = schema_of(**{name: {"name": name, **settings} for name, settings in SETTINGS.items()})
MIXED = TableSchema(columns=(*ALL.columns[3:], *ALL.columns[:3], Column.parse(
    {"name": "more", "kind": {"name": "real", "mean": 0, "std": 1}}, "test")))  # fmt: skip


def rows(schema: TableSchema, count: int) -> Tensor:
    x = torch.arange(float(count))[:, None] % torch.tensor([3, 4, 2, 5, 7, 9, 6])
    return x[:, : len(schema.columns)] + torch.tensor([0, 0, 0, 0.5, 0.5, 0, 0.5])


def test_columns_of_one_kind_are_found_at_their_places() -> None:
    """Whatever the order: what a layout says of a table is what each column says alone."""
    layout, x = Layout(MIXED), rows(MIXED, 20)
    assert layout.possible(x).all()
    numbers = torch.randn(20, layout.numbers, generator=torch.Generator().manual_seed(0))
    together = layout.likelihood(numbers).log_prob_by_column(x)
    start = 0
    for kind, places in layout.groups:
        part = numbers[:, start : start + kind.numbers]
        start += kind.numbers
        expected = kind.likelihood(part).log_prob(x[:, places])
        torch.testing.assert_close(together[:, places], expected.float())
    total = layout.likelihood(numbers).log_prob(x)
    torch.testing.assert_close(total, together.sum(1))


def test_what_is_missing_counts_nothing_and_leaves_gradients_whole() -> None:
    layout, x = Layout(MIXED), rows(MIXED, 20)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.5
    gaps = torch.where(observed, x, torch.nan)
    numbers = torch.randn(20, layout.numbers, requires_grad=True)
    p = layout.likelihood(numbers)
    found = p.log_prob_observed(gaps, observed)
    expected = torch.where(observed, p.log_prob_by_column(x), 0).sum(1)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert numbers.grad is not None and numbers.grad.isfinite().all()
    own = numbers.grad[:, : layout.groups[0].kind.numbers]  # of the category, the first column
    assert (own[~observed[:, 0]] == 0).all() and own[observed[:, 0]].any()


def test_features_are_0_where_a_value_is_missing_and_say_which() -> None:
    layout, x = Layout(MIXED), rows(MIXED, 6)
    observed = torch.zeros_like(x, dtype=torch.bool)
    assert not layout.features(x, observed).any()
    observed[:, 1] = True
    seen = layout.features(x, observed)
    assert seen.shape == (6, layout.width)
    assert seen[:, -7:].tolist() == [[0, 1, 0, 0, 0, 0, 0]] * 6
    assert seen[:, :-7].any(1).tolist() == (x[:, 1] > 0).tolist()


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, 3.0), (0, 0.5), (0, -1.0), (2, 2.0), (3, torch.inf), (4, 0.0), (4, -2.0), (5, 1.5),
     (5, -1.0), (5, torch.nan)],
)  # fmt: skip
def test_values_that_columns_cannot_have(column: int, value: float) -> None:
    layout, x = Layout(MIXED), rows(MIXED, 4)
    x[2, column] = value
    wrong = (~layout.possible(x)).nonzero().tolist()
    assert wrong == [[2, column]]


@pytest.mark.parametrize("unit", [1000.0, 1e-3])
def test_another_unit_adds_its_logarithm_and_nothing_else(unit: float) -> None:
    """A table in metres and one in millimetres: what was learned of each is of its own."""
    generator = np.random.default_rng(0)
    x = np.stack([generator.normal(7, 3, 400), generator.lognormal(1, 1, 400)], axis=1)
    x[::7, 1] = 0

    def layout_of(values: np.ndarray[Any, Any]) -> Layout:
        kinds = [component_class("columns", name) for name in ("real", "positive")]
        columns = [kind.fit(column, ()) for kind, column in zip(kinds, values.T, strict=True)]
        names = ["real", "positive"]
        return Layout(schema_of(**{
            name: {"name": name, **column.model_dump()}
            for name, column in zip(names, columns, strict=True)
        }))  # fmt: skip

    numbers = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    scores, seen = [], []
    for scaled in (x, unit * x):
        layout, values = layout_of(scaled), torch.from_numpy(scaled).float()
        scores.append(layout.likelihood(numbers).log_prob_by_column(values))
        seen.append(layout.features(values, torch.ones(400, 2, dtype=torch.bool)))
    difference = torch.full((400, 2), math.log(unit))
    difference[::7, 1] = 0  # a mass has no unit
    torch.testing.assert_close(scores[0] - scores[1], difference, rtol=0, atol=2e-3)
    torch.testing.assert_close(*seen, rtol=0, atol=1e-4)


def test_a_schema_names_each_column_once() -> None:
    column = {"name": "age", "kind": {"name": "real", "mean": 0, "std": 1}}
    with pytest.raises(ConfigError, match="2 columns are called 'age'"):
        TableSchema.parse({"columns": [column, column]}, "test")
    with pytest.raises(ConfigError, match="unknown column 'reel'; did you mean 'real'"):
        TableSchema.parse({"columns": [{"name": "a", "kind": "reel"}]}, "test")
    assert TableSchema.parse(ALL.model_dump(mode="json"), "again") == ALL
