"""Validation errors say the place, what was given, what is allowed and the nearest valid word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from zoo.errors import ConfigError, UnknownNameError, ZooError, nearest
from zoo.mappings import merge
from zoo.settings import Settings


class Circle(Settings):
    radius: float = Field(1.0, gt=0, le=10)


class Polygon(Settings):
    corners: int = Field(3, ge=3)
    angles: tuple[float, ...] = ()


class Corner(Settings):
    rounding: float = 0.0


class Drawing(Settings):
    title: str
    shape: Circle = Circle()
    outline: Polygon = Polygon()
    corners: dict[str, Corner] = {}
    line: Corner | None = None
    tags: list[str] = []
    mode: Literal["draft", "final"] = "draft"


def error(data: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Drawing.parse(data, "drawing.yaml")
    message = str(caught.value)
    assert message.startswith("drawing.yaml: ")
    return message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, ["'title' is required"]),
        ({"title": "t", "shap": {}}, ["unknown key 'shap'", "did you mean 'shape'?",
                                      "Allowed: corners, line, mode, outline, shape, tags"]),
        ({"title": "t", "qqq": 1}, ["unknown key 'qqq'. Allowed: corners,"]),
        ({"title": "t", "outline": {"radius": 1}},
         ["unknown key 'outline.radius'. Allowed: angles, corners."]),
        ({"title": "t", "shape": {"radis": 1}},
         ["unknown key 'shape.radis'; did you mean 'radius'? Allowed: radius."]),
        ({"title": "t", "corners": {"left": {"roundin": 1}}},
         ["unknown key 'corners.left.roundin'; did you mean 'rounding'? Allowed: rounding."]),
        ({"title": "t", "line": {"roundin": 1}}, ["'line.roundin'; did you mean 'rounding'?"]),
        ({"title": "t", "shape": 3}, ["'shape'", "(got 3)"]),
        ({"title": "t", "shape": {"radius": 0}},
         ["'shape.radius'", "greater than 0", "(got 0)"]),
        ({"title": "t", "shape": {"radius": 11}},
         ["less than or equal to 10", "(got 11)"]),
        ({"title": "t", "shape": {"radius": float("nan")}}, ["finite number"]),
        ({"title": "t", "line": {"rounding": float("inf")}}, ["'line.rounding'", "finite number"]),
        ({"title": "t", "outline": {"angles": [1.0, "x"]}},
         ["'outline.angles.1'", "valid number", "(got 'x')"]),
        ({"title": 3}, ["'title'", "valid string", "(got 3)"]),
        ({"title": "t", "tags": "one"}, ["'tags'", "valid list", "(got 'one')"]),
        ({"title": "t", "mode": "finl"}, ["'mode'", "'draft' or 'final'", "(got 'finl')",
                                          "did you mean 'final'?"]),
    ],
)  # fmt: skip
def test_errors_name_the_place_and_what_is_allowed(data: dict[str, Any], said: list[str]) -> None:
    message = error(data)
    assert all(part in message for part in said), message


def test_all_problems_are_reported_at_once() -> None:
    message = error({"tags": 1, "mode": "x"})
    assert all(place in message for place in ("'title' is required", "'tags'", "'mode'"))


def test_settings_are_immutable_and_round_trip() -> None:
    drawing = Drawing.parse({"title": "t", "outline": {"corners": 5}}, "here")
    assert Drawing.parse(drawing.model_dump(mode="json"), "again") == drawing
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        drawing.title = "u"  # type: ignore[misc]


class TestNearest:
    @pytest.mark.parametrize(
        ("given_name", "expected"),
        [("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist"), ("digit", "digits"),
         ("", None), ("zzz", None)],
    )  # fmt: skip
    def test_forgives_case_and_spelling(self, given_name: str, expected: str | None) -> None:
        assert nearest(given_name, ["mnist", "fashion-mnist", "digits"]) == expected

    def test_returns_the_candidate_as_it_is_written(self) -> None:
        assert nearest("kmnist", ["KMNIST"]) == "KMNIST"

    @given(st.text(), st.lists(st.text(), max_size=5))
    def test_is_a_candidate_or_none(self, name: str, candidates: list[str]) -> None:
        assert nearest(name, candidates) in {None, *candidates}
        if name in candidates and name:
            found = nearest(name, candidates)
            assert found is not None
            assert found.casefold() == name.casefold()

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        message = str(UnknownNameError("colour", "rde", ["red", "blue"]))
        assert message == "unknown colour 'rde'; did you mean 'red'? Known: blue, red."
        assert str(UnknownNameError("colour", "x", [])) == "unknown colour 'x'. Known: none."
        assert issubclass(UnknownNameError, ZooError)


plain = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "name"]), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


class TestMerge:
    @given(plain)
    def test_nothing_changes_nothing(self, a: dict[str, Any]) -> None:
        assert merge(a, {}) == a
        assert merge({}, a) == a
        assert merge(a, a) == a

    @given(plain, plain)
    def test_twice_is_once_and_every_override_arrives(
        self, a: dict[str, Any], b: dict[str, Any]
    ) -> None:
        before = repr((a, b))
        once = merge(a, b)
        assert merge(once, b) == once
        assert set(once) == {*a, *b}
        for key, value in b.items():
            if not isinstance(value, dict):
                assert once[key] == value
        for key in set(a) - set(b):
            assert once[key] == a[key]
        assert repr((a, b)) == before

    @pytest.mark.parametrize(
        ("base", "override", "expected"),
        [
            ({"name": "mlp", "hidden": [4]}, {"hidden": [5]}, {"name": "mlp", "hidden": [5]}),
            ({"name": "mlp", "hidden": [4]}, {"name": "conv"}, {"name": "conv"}),
            ({"name": "mlp", "hidden": [4]}, {"name": "mlp"}, {"name": "mlp", "hidden": [4]}),
            ({"name": "mlp", "hidden": [4]}, "mlp", "mlp"),
            ("conv", {"hidden": 8}, {"name": "conv", "hidden": 8}),
            ("conv", {"name": "mlp", "hidden": [8]}, {"name": "mlp", "hidden": [8]}),
            (3, {"name": "mlp"}, {"name": "mlp"}),
            ({"name": "mlp"}, None, None),
        ],
    )
    def test_another_kind_replaces_and_the_same_kind_merges(
        self, base: object, override: object, expected: object
    ) -> None:
        assert merge({"part": base}, {"part": override}) == {"part": expected}
