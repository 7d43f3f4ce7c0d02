"""Pictures of what codes mean: every kind on every variant, and each by what it must show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.core.batch import Batch
from zoo.core.component import Selected
from zoo.core.latent_space import Codebook, Euclidean, Product, Sphere
from zoo.errors import ConfigError, DataError, UnknownNameError, UnsupportedError
from zoo.metrics.features import classifier_of
from zoo.pictures.code_map import CodeMap
from zoo.pictures.sheet import Sheet
from zoo.tasks.drawing import Drawing, plain_show
from zoo.tasks.manifold import even_quantiles
from zoo.testing.cases import cases_of

TURNED = {
    "manifold": {"principal": True, "n": 2},
    "traverse": {"n": 2, "steps": 3},
    "interpolate": {"steps": 3},
    "temperatures": {"n": 2, "temperatures": [1.0]},
    "classes": {"n": 2},
    "groups": {"n": 3, "draws": 1},
}
"""Options with which a kind fits more models than by default, and is quick."""


def made(kind: str, **options: Any) -> Drawing:
    found: Drawing = Selected.parse("tasks", {"name": kind, **options}).build()
    return found


class TestManifold:
    def test_it_shows_what_the_quantiles_decode_to(self) -> None:
        """Against the normal distribution function itself, by bisection."""
        model = zoo.create("gaussian-vae", latent_dim=2, hidden=[8])
        sheet = zoo.draw("manifold", model, n=3)
        at = [-bisected(5 / 6), 0.0, bisected(5 / 6)]
        codes = torch.tensor([[x, y] for y in reversed(at) for x in at])
        with torch.no_grad():
            expected = model.decode(codes).mean
        assert isinstance(sheet, Sheet) and isinstance(sheet.shown, torch.Tensor)
        torch.testing.assert_close(sheet.shown, expected, rtol=1e-4, atol=1e-5)
        assert sheet.columns == 3

    @pytest.mark.parametrize(
        ("variant", "settings"),
        [
            ("gaussian-vae", {"latent_dim": 2}),
            ("vmf-vae", {"latent_dim": 3}),
            ("vmf-vae", {"latent_dim": 2}),
            ("flow-prior-vae", {"latent_dim": 2}),
            ("vmf-product-vae", {"latent_dim": 6, "spheres": [3, 3]}),
        ],
    )
    def test_quantiles_of_uniform_numbers_are_draws_of_the_prior(
        self, variant: str, settings: dict[str, Any]
    ) -> None:
        """Their first two moments, within the error of so many draws."""
        count, generator = 20_000, torch.Generator().manual_seed(0)
        try:
            model = zoo.create(variant, **settings)
        except ConfigError:
            pytest.skip("no such setting")
        with torch.no_grad():
            u = torch.rand(count, model.quantile_dim, generator=generator)
            ours = model.quantiles(u.clamp(1e-6, 1 - 1e-6)).double()
            drawn = model.sample_codes(count, generator=generator).double()
        for power in (1, 2, 4):
            a, b = ours**power, drawn**power
            error = ((a.var(0) + b.var(0)) / count).sqrt()
            assert ((a.mean(0) - b.mean(0)).abs() < 5 * error).all(), power

    def test_the_sphere_s_map_has_cells_of_one_area(self) -> None:
        """Of a sphere cut at even heights (Archimedes), and all the way around."""
        model = zoo.create("vmf-vae", latent_dim=3)
        codes = made("manifold", n=4).codes(model, None, None).view(4, 4, 3)  # type: ignore[attr-defined]
        heights = torch.tensor([0.75, 0.25, -0.25, -0.75])
        torch.testing.assert_close(codes[..., 2], heights[:, None].expand(4, 4))
        angles = torch.atan2(codes[..., 1], codes[..., 0])
        expected = torch.tensor([-0.75, -0.25, 0.25, 0.75]) * math.pi
        torch.testing.assert_close(angles, expected.expand(4, 4))

    def test_principal_axes_are_those_of_the_codes(self) -> None:
        """A plane is made whole: the axes span it, the deviations are the codes' own."""
        model = zoo.create("gaussian-vae", latent_dim=5, hidden=[8])
        batch = Batch(torch.rand(200, 1, 8, 8).round())
        drawing = made("manifold", n=2, principal=True)
        with torch.no_grad():
            codes = model.encode(batch).double()
            ours = drawing.codes(model, batch, None).double()  # type: ignore[attr-defined]
        centred = codes - codes.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / 199)
        away = ours - codes.mean(0)
        step = bisected(0.75) * values[-2:].sqrt()
        torch.testing.assert_close(
            (away @ vectors[:, -2:]).abs(), step.expand(4, 2), rtol=1e-3, atol=1e-4
        )
        assert (away @ vectors[:, :-2]).abs().max() < 1e-4

    def test_a_class_is_told(self) -> None:
        told = zoo.create("cvae", latent_dim=2, hidden=[8])
        three, five = (zoo.draw("manifold", told, n=2, condition=c) for c in (3, 5))
        assert not torch.equal(three.array, five.array)
        codes = even_quantiles(2)
        with torch.no_grad():
            expected = told.decode(torch.special.ndtri(codes), torch.full((4,), 3)).mean
        torch.testing.assert_close(three.array, expected)

    def test_m2_shows_one_class(self) -> None:
        model = zoo.create("m2", latent_dim=2)
        codes = made("manifold", n=2).codes(model, None, torch.full((4,), 7))  # type: ignore[attr-defined]
        assert codes[:, :10].argmax(1).tolist() == [7] * 4
        with pytest.raises(UnsupportedError, match="say which one"):
            zoo.draw("manifold", model)

    @pytest.mark.parametrize(
        ("variant", "settings", "message"),
        [
            ("gaussian-vae", {"latent_dim": 3}, "latent_dim=2 .3 on a sphere"),
            ("vmf-vae", {"latent_dim": 4}, "the codes of this model 3"),
            ("vamp-vae", {"latent_dim": 2}, "Vamp has no quantiles in closed form"),
            ("autoencoder", {"latent_dim": 2}, "no quantiles in closed form"),
            ("cvae", {"latent_dim": 2}, r"is told classes .* condition=3"),
            ("nvae-lite", {}, "--principal"),
        ],
    )
    def test_what_has_none_is_refused(
        self, variant: str, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UnsupportedError, match=message):
            zoo.draw("manifold", zoo.create(variant, **settings))


def bisected(probability: float) -> float:
    """Where the normal distribution function has a value."""
    low, high = -10.0, 10.0
    for _ in range(100):
        middle = (low + high) / 2
        below = 0.5 * (1 + math.erf(middle / math.sqrt(2))) < probability
        low, high = (middle, high) if below else (low, middle)
    return low


class TestTraverse:
    def test_on_a_sphere_it_goes_once_around_each_great_circle(self) -> None:
        model = zoo.create("vmf-vae", latent_dim=4, hidden=[8])
        batch = Batch(torch.rand(9, 1, 8, 8).round())
        with torch.no_grad():
            rows = made("traverse", n=4, steps=5).rows(model, batch)  # type: ignore[attr-defined]
            code = model.encode(batch)[0]
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(4, 5))
        torch.testing.assert_close(rows[:, 2], code.expand(4, 4))
        for end in (0, 4):
            torch.testing.assert_close(rows[:, end], -code.expand(4, 4), atol=1e-5, rtol=0)
        inner = (rows[:, 1] * code).sum(-1)
        torch.testing.assert_close(inner, torch.zeros(4), atol=1e-5, rtol=0)

    def test_the_dimensions_that_vary_most_come_first(self) -> None:
        model = zoo.create("gaussian-vae", latent_dim=4, hidden=[8])
        batch = Batch(torch.rand(50, 1, 8, 8).round())
        with torch.no_grad():
            rows = made("traverse", n=2, steps=3, example=7).rows(model, batch)  # type: ignore[attr-defined]
            codes = model.encode(batch)
        deviations = codes.std(0, correction=0)
        most = deviations.argsort(descending=True)[:2]
        for row, axis in zip(rows, most, strict=True):
            moved = row - codes[7]
            torch.testing.assert_close(moved[2, axis], 3 * deviations[axis], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(moved[0], -moved[2])
            assert moved[2].count_nonzero() == 1

    def test_around_the_prior_s_mean(self) -> None:
        model = zoo.create("gaussian-vae", latent_dim=3, hidden=[8])
        batch = Batch(torch.rand(5, 1, 8, 8).round())
        drawing = made("traverse", around="prior", steps=3)
        with torch.no_grad():
            assert not drawing.rows(model, batch)[:, 1].any()  # type: ignore[attr-defined]
        with pytest.raises(UnsupportedError, match="no standard deviation to scale"):
            zoo.draw("traverse", zoo.create("vmf-vae"), around="prior")

    def test_an_example_that_there_is_not(self) -> None:
        batch = Batch(torch.rand(5, 1, 8, 8).round())
        with pytest.raises(DataError, match="there are 5, from 0"):
            made("traverse", example=5).draw(zoo.create("gaussian-vae"), batch, lambda z, c: z)


class TestInterpolate:
    def test_rows_lead_from_one_example_to_the_other(self) -> None:
        model = zoo.load("vmf-vae-digits")
        data = zoo.load_dataset("digits").test.fixed("binary", 0)
        x = data.batch(torch.arange(4), kind="real").x
        sheet = zoo.draw("interpolate", "vmf-vae-digits", n=2, steps=3)
        rows = sheet.array.view(2, 5, 1, 8, 8)
        torch.testing.assert_close(rows[:, [0, 4]], x.view(2, 2, 1, 8, 8))
        torch.testing.assert_close(rows[:, [1, 3]].flatten(0, 1), model.reconstruct(x))
        middle = torch.nn.functional.normalize(model.encode(x).view(2, 2, -1).sum(1), dim=-1)
        torch.testing.assert_close(rows[:, 2], model.show(middle))  # halfway on the great circle

    def test_sentences_are_lines(self) -> None:
        case = next(c for c in cases_of("univae", {}) if c.known.modality.name == "text")
        model, batch = case.model(), case.batch(4)
        sheet = made("interpolate", steps=3).draw(model, batch, plain_show(model))
        assert isinstance(sheet, Sheet)
        lines = sheet.lines
        assert len(lines) == 11 and lines[5] == "" and lines[0] == "a cat"
        assert lines[1:4] == model.interpolate("a cat", "a hat", 3)  # type: ignore[attr-defined]
        with pytest.raises(UnsupportedError, match=r"write a file \.txt"):
            _ = sheet.picture

    def test_one_example_makes_no_pair(self) -> None:
        batch = Batch(torch.rand(1, 1, 8, 8).round())
        with pytest.raises(DataError, match="a pair has 2 examples, and there are 1"):
            made("interpolate").draw(zoo.create("gaussian-vae"), batch, lambda z, c: z)


class TestGroups:
    def test_kept_groups_and_those_drawn_below_them(self) -> None:
        """Draws that keep the coarse scale lie closer to the reconstruction."""
        model = zoo.load("nvae-lite-digits")
        sheet = zoo.draw("groups", model, dataset="digits", n=8, draws=4, keep=[[0, 1], []])
        rows = sheet.array.view(8, 10, 1, 8, 8)
        near, far = (
            (rows[:, part] - rows[:, 1:2]).square().mean() for part in (slice(2, 6), slice(6, 10))
        )
        assert 0 < near < far

    def test_groups_that_there_are_not(self) -> None:
        with pytest.raises(UnsupportedError, match="groups of latents, numbered 0 to"):
            zoo.draw("groups", zoo.create("nvae-lite"), keep=[[99]])
        with pytest.raises(UnsupportedError, match="'nvae-lite', 'univae' or 'm2'"):
            zoo.draw("groups", "gaussian-vae-digits")


def test_classes_have_a_row_each_and_a_column_one_style() -> None:
    """A classifier of the zoo's recognises them; m2's prior of styles is not told the class."""
    sheet = zoo.draw("classes", "cvae-digits", n=10)
    assert isinstance(sheet, Sheet) and isinstance(sheet.shown, torch.Tensor)
    told = torch.arange(10).repeat_interleave(10)
    assert sheet.columns == 10
    classes = classifier_of(zoo.load_dataset("digits"))(sheet.shown).argmax(-1)
    assert (classes == told).float().mean() > 0.9
    codes, classes = made("classes", n=4).codes(zoo.load("m2-digits"))  # type: ignore[attr-defined]
    assert torch.equal(classes, torch.arange(10).repeat_interleave(4))
    y, styles = codes[:, :10], codes[:, 10:].view(10, 4, -1)
    assert torch.equal(y.argmax(-1), classes)
    assert torch.equal(styles, styles[:1].expand_as(styles)) and not styles[0, 0].equal(
        styles[0, 1]
    )


def test_classes_are_of_models_that_are_told_them() -> None:
    with pytest.raises(UnsupportedError, match="'gaussian-vae' is told nothing; .*cvae-digits"):
        zoo.draw("classes", "gaussian-vae-digits")


def test_temperatures_share_their_noise() -> None:
    model = zoo.create("gaussian-vae", latent_dim=3)
    rows = made("temperatures", n=5, temperatures=[0.5, 1.0]).codes(model, None)  # type: ignore[attr-defined]
    torch.testing.assert_close(2 * rows[0], rows[1])


def test_pixels_are_means_or_draws() -> None:
    """Binary draws are 0 or 1, and over many draws their mean is the mean."""
    given: dict[str, Any] = {"n": 4, "temperatures": [0.0] * 150}
    drawn = zoo.draw("temperatures", "gaussian-vae-digits", pixels="draws", **given)
    means = zoo.draw("temperatures", "gaussian-vae-digits", **given)
    assert isinstance(drawn, Sheet) and isinstance(means, Sheet)
    assert isinstance(drawn.shown, torch.Tensor) and isinstance(means.shown, torch.Tensor)
    assert set(drawn.shown.unique().tolist()) == {0.0, 1.0}
    # All codes are the prior's mean, so that all images are of one distribution.
    p = means.shown[0]
    error = (drawn.shown.mean(0) - p).abs() / (p * (1 - p) / len(drawn.shown)).sqrt().clamp(
        min=1e-3
    )
    assert error.max() < 5
    with pytest.raises(ConfigError, match="'means' or 'draws', got 'all'"):
        zoo.draw("temperatures", "gaussian-vae-digits", pixels="all")  # type: ignore[arg-type]
    case = next(c for c in cases_of("gaussian-vae", {}) if c.known.modality.name == "vectors")
    with pytest.raises(UnsupportedError, match="latent-map shows codes, and nothing decoded"):
        zoo.draw("latent-map", "gaussian-vae-digits", pixels="draws")
    with pytest.raises(UnsupportedError, match="makes vectors"):
        zoo.draw("temperatures", case.model(), pixels="draws")


class TestLatentMap:
    def test_codes_of_two_numbers_and_of_spheres_are_as_they_are(self) -> None:
        batch = Batch(torch.rand(9, 1, 8, 8).round(), labels=torch.arange(9) % 4)
        for variant, dim in (("gaussian-vae", 2), ("vmf-vae", 3)):
            model = zoo.create(variant, latent_dim=dim, hidden=[8])
            with torch.no_grad():
                drawn = made("latent-map").draw(model, batch, lambda z, c: z)
                assert torch.equal(drawn.array, model.encode(batch))
            assert isinstance(drawn, CodeMap)
            assert torch.equal(drawn.labels, batch.labels)  # type: ignore[arg-type]
            assert drawn.circles == (dim == 2)

    def test_distances_in_the_plane_are_at_most_those_of_codes(self) -> None:
        drawn = zoo.draw("latent-map", "gaussian-vae-digits", n=40)
        data = zoo.load_dataset("digits").test.take(40).fixed("binary", 0)
        codes = zoo.load("gaussian-vae-digits").encode(data.batch(torch.arange(40), kind="real"))
        assert (torch.cdist(drawn.array, drawn.array) <= torch.cdist(codes, codes) + 1e-3).all()

    def test_numbers_as_labels_colour_nothing(self) -> None:
        batch = Batch(torch.rand(9, 1, 8, 8).round(), labels=torch.rand(9))
        with torch.no_grad():
            drawn = made("latent-map").draw(zoo.create("gaussian-vae"), batch, lambda z, c: z)
        assert isinstance(drawn, CodeMap) and drawn.labels is None


class TestSpaces:
    spaces = (
        Euclidean(3),
        Sphere(3),
        Product((Sphere(2), Euclidean(1))),
        Codebook(torch.tensor([[0.0], [1.0], [4.0]]), 3),
    )

    @pytest.mark.parametrize("space", spaces, ids=lambda space: type(space).__name__)
    def test_a_projection_is_nearest_and_stays(self, space: Any) -> None:
        points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        codes = space.project(points)
        torch.testing.assert_close(space.project(codes), codes)
        others = codes.roll(1, 0)
        assert ((points - codes).norm(dim=-1) <= (points - others).norm(dim=-1) + 1e-6).all()

    def test_dimensions_and_reach(self) -> None:
        assert [space.manifold_dim for space in self.spaces] == [3, 2, 2, 0]
        reach = [space.reach(torch.ones(3)).tolist() for space in self.spaces]
        pi = pytest.approx(math.pi)
        assert reach == [[3, 3, 3], [pi, pi, pi], [pi, pi, 3], [3, 3, 3]]


class TestCalls:
    def test_unknown_kinds_and_options(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown picture 'manifolds'; did you mean"):
            zoo.draw("manifolds", "gaussian-vae-digits")
        with pytest.raises(ConfigError, match="'interpolate' has it|'traverse' has it"):
            zoo.draw("latent-map", "gaussian-vae-digits", steps=3)
        with pytest.raises(UnsupportedError, match="token by token"):
            zoo.draw("traverse", "gaussian-vae-digits", decoding=zoo.Greedy())
        with pytest.raises(ConfigError, match="unknown split 'tests'; did you mean 'test'"):
            zoo.draw("traverse", "gaussian-vae-digits", split="tests")
        with pytest.raises(ConfigError, match="does not say which dataset"):
            zoo.draw("traverse", zoo.create("gaussian-vae"))

    def test_the_seed_decides_and_nothing_else_is_touched(self) -> None:
        model = zoo.load("nvae-lite-digits").train()
        torch.manual_seed(3)
        state = torch.get_rng_state()
        first, again, other = (
            zoo.draw("groups", model, dataset="digits", n=2, draws=1, seed=seed).array
            for seed in (0, 0, 1)
        )
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), state) and model.training

    @pytest.mark.parametrize(
        ("arguments", "size"),
        [
            (["manifold", "gaussian-vae-digits", "--principal", "--n", "4"], (259, 259)),
            (["traverse", "vmf-vae-digits", "--n", "2", "--steps", "3"], (196, 133)),
            (
                ["groups", "nvae-lite-digits", "--n", "2", "--keep", "0,1", "--keep", "none"],
                (637, 133),
            ),
            (["temperatures", "cvae-digits", "--condition", "3", "--temperature", "1"], (1015, 70)),
        ],
    )
    def test_files_are_what_their_names_say(
        self, arguments: list[str], size: tuple[int, int], tmp_path: Path
    ) -> None:
        out = tmp_path / "new" / "x.png"
        result = CliRunner().invoke(app, ["draw", *arguments, "--out", str(out)])
        assert result.exit_code == 0, result.output
        with Image.open(out) as picture:
            assert picture.format == "PNG"
            assert picture.size == size

    def test_arrays_and_wrong_files(self, tmp_path: Path) -> None:
        import numpy as np

        command = ["draw", "interpolate", "vmf-vae-digits", "--n", "1", "--steps", "2", "--out"]
        out = tmp_path / "x.npz"
        assert CliRunner().invoke(app, [*command, str(out)]).exit_code == 0
        assert np.load(out)["examples"].shape == (4, 1, 8, 8)
        wrong = {".txt": "no sentences to write", ".gif": "must end in .png or .npy"}
        for suffix, message in wrong.items():
            result = CliRunner().invoke(app, [*command, str(tmp_path / f"x{suffix}")])
            assert result.exit_code == 2 and message in result.output
        kept = ["draw", "groups", "nvae-lite-digits", "--keep", "x", "--out", str(out)]
        assert "--keep x: write groups" in CliRunner().invoke(app, kept).output
