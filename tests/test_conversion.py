"""Images made grey or RGB and of another size: closed forms, and the same on every way in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import figures
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.data.conversion import Conversion, mending, resize_and_crop, with_channels
from zoo.errors import ConfigError, DataError, ZooError
from zoo.storage.checkpoint import read_metadata

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (30, 10, 12, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (30, 10, 12), dtype=np.uint8)
PURE = {
    (0, 0, 0): 0,
    (255, 255, 255): 255,
    (255, 0, 0): 76,  # 0.299 * 255 = 76.245
    (0, 255, 0): 150,  # 0.587 * 255 = 149.685
    (0, 0, 255): 29,  # 0.114 * 255 = 29.07
    (255, 255, 0): 226,
    (10, 20, 30): 18,  # 2.99 + 11.74 + 3.42 = 18.15
}
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": [8], "epochs": 1, "progress": False}


def of(colour: tuple[int, ...]) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, -1, 1, 1)


def all_rows(data: zoo.data.Dataset) -> Tensor:
    return torch.cat([split.rows for split in data.splits.values()])


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """A command of the command line."""
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of one size: half coloured, half grey."""
    where = tmp_path / "pictures"
    where.mkdir()
    for number, image in enumerate([*COLOURS[:10], *GREY[:10]]):
        Image.fromarray(image).save(where / f"{number:02}.png")
    return where


class TestChannels:
    @pytest.mark.parametrize(("colour", "grey"), PURE.items())
    def test_luma_of_pure_colours(self, colour: tuple[int, ...], grey: int) -> None:
        assert with_channels(of(colour), 1).item() == grey

    def test_it_is_that_of_pillow(self) -> None:
        expected = [np.array(Image.fromarray(image).convert("L")) for image in COLOURS]
        found = with_channels(torch.from_numpy(COLOURS).permute(0, 3, 1, 2), 1)
        assert np.array_equal(found.squeeze(1), expected)

    def test_grey_is_repeated_and_comes_back_bit_for_bit(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
        repeated = with_channels(levels, 3)
        assert repeated.shape == (256, 3, 1, 1) and (repeated == levels).all()
        assert torch.equal(with_channels(repeated, 1), levels)

    def test_so_do_floats(self) -> None:
        x = torch.rand(200, 1, 20, 20, generator=torch.Generator().manual_seed(0))
        x[0], x[1], x[2] = 1.0, 0.0, 1e-38
        assert torch.equal(with_channels(with_channels(x, 3), 1), x)

    def test_floats_are_not_rounded_to_levels(self) -> None:
        x = torch.rand(100, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(3, 1, 1)
        expected = (x.double() * weights).sum(1, keepdim=True)
        found = with_channels(x, 1)
        torch.testing.assert_close(found.double(), expected, rtol=1e-7, atol=0)
        data = zoo.load_dataset(x, image_channels=1)
        assert data.train.rows.dtype == torch.float32 and data.likelihood == "gaussian"
        assert (data.train.rows * 255).frac().abs().max() > 0.1

    def test_what_is_right_stays(self) -> None:
        data = zoo.load_dataset(COLOURS, image_channels=3)
        assert data.digest() == zoo.load_dataset(COLOURS).digest()

    def test_black_and_white_colours_are_no_longer_so_when_mixed(self, tmp_path: Path) -> None:
        corners = RNG.integers(0, 2, COLOURS.shape, dtype=np.uint8) * np.uint8(255)
        np.save(tmp_path / "corners.npy", corners)
        for source in (corners, tmp_path / "corners.npy"):
            assert zoo.load_dataset(source).likelihood == "bernoulli"
            mixed = zoo.load_dataset(source, image_channels=1)
            assert mixed.likelihood == "discretized-logistic"
        run = zoo.train("gaussian-vae", dataset=corners, image_channels=1,
                        directory=tmp_path / "run", **SMALL)  # fmt: skip
        assert run.model.config.likelihood.name == "discretized-logistic"

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("last", [True, False])
    def test_alpha_is_left_out(self, channels: int, last: bool) -> None:
        images = COLOURS if channels == 3 else GREY[..., None]
        alpha = RNG.integers(0, 256, (*images.shape[:3], 1), dtype=np.uint8)
        with_alpha = np.concatenate([images, alpha], -1)
        given = with_alpha if last else np.moveaxis(with_alpha, -1, 1)
        with pytest.raises(DataError, match=r"image_channels=1 or 3 \(--image-channels\) leaves"):
            zoo.load_dataset(given)
        for wanted in (1, 3):
            found = zoo.load_dataset(given, image_channels=wanted)
            expected = zoo.load_dataset(images, image_channels=wanted)
            assert found.digest() == expected.digest()

    def test_a_dark_picture_with_alpha_is_black_and_white(self) -> None:
        """Alpha is left out before the values are judged."""
        images = np.zeros((30, 6, 6, 2), np.uint8)
        images[..., 0], images[..., 1] = RNG.integers(0, 2, (30, 6, 6)), 255
        data = zoo.load_dataset(images, image_channels=1)
        assert data.likelihood == "bernoulli" and data.train.rows.max() == 255

    def test_files_with_palettes_and_alpha(self, tmp_path: Path) -> None:
        colours = Image.fromarray(COLOURS[0])
        for number, mode in enumerate(["P", "RGBA", "LA", "PA", "L", "1", "RGB"]):
            colours.convert(mode).save(tmp_path / f"{number}.{'tif' if mode == 'PA' else 'png'}")
        plain = zoo.load_dataset(tmp_path)
        grey = zoo.load_dataset(tmp_path, image_channels=1)
        assert torch.equal(all_rows(grey), with_channels(all_rows(plain), 1))

    def test_16_bits_are_refused_still(self, tmp_path: Path) -> None:
        for number in range(3):
            Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / f"{number}.png")
        with pytest.raises(DataError, match="more than 8 bits a channel"):
            zoo.load_dataset(tmp_path, image_channels=1)

    def test_missing_pixels(self) -> None:
        """A mixed pixel is seen where all its colours are."""
        x = RNG.random((30, 4, 4, 3)).astype(np.float32)
        observed = RNG.random(x.shape) > 0.2
        data = zoo.load_dataset({"X": x, "observed": observed}, image_channels=1)
        whole = zoo.load_dataset(x, image_channels=1)
        seen = data.train.observed
        assert seen is not None and seen.shape == data.train.rows.shape
        assert seen.float().mean().item() == pytest.approx(0.8**3, abs=0.06)
        assert torch.equal(data.train.rows, whole.train.rows * seen)
        back = zoo.load_dataset(data, image_channels=3).train
        assert back.observed is not None and torch.equal(back.observed, seen.expand(-1, 3, -1, -1))

    def test_five_channels_are_neither(self) -> None:
        split = zoo.data.Split(torch.zeros(4, 5, 2, 2, dtype=torch.uint8))
        data = zoo.data.Dataset("mine", split, split, split, "gaussian", "none")
        with pytest.raises(DataError, match="mine: images of 5 channels are neither grey"):
            zoo.load_dataset(data, image_channels=1)


class TestSize:
    def test_the_centre_of_what_just_covers_it(self) -> None:
        """Columns 0..5 of 6x6: cropped to 6x4 they are 1..4; nothing is resized."""
        x = torch.arange(6, dtype=torch.uint8).expand(1, 1, 6, 6)
        assert torch.equal(resize_and_crop(x, 6, 4), x[..., 1:5])
        assert torch.equal(resize_and_crop(x.mT, 4, 6), x.mT[..., 1:5, :])

    def test_a_square_is_as_it_was(self) -> None:
        """The shorter side is scaled to it, as where only squares could be asked for."""
        x = torch.from_numpy(COLOURS).permute(0, 3, 1, 2)
        by_hand = torch.nn.functional.interpolate(x, (7, 8), mode="bilinear", antialias=True)
        assert torch.equal(resize_and_crop(x, 7, 7), by_hand[..., :7])

    @pytest.mark.parametrize("shape", [(28, 20), (20, 28), (3, 40), (1, 1)])
    def test_it_fits_and_keeps_one_colour(self, shape: tuple[int, int]) -> None:
        x = torch.full((2, 3, 9, 13), 77, dtype=torch.uint8)
        assert resize_and_crop(x, *shape).shape == (2, 3, *shape)
        assert (resize_and_crop(x, *shape) == 77).all()

    @pytest.mark.parametrize(
        "size", [(6, 9), [6, 9], "6x9", "6X9", (np.int64(6), 9), torch.Size((6, 9))]
    )
    def test_one_size_in_several_words(self, size: Any) -> None:
        data = zoo.load_dataset(COLOURS, image_size=size)
        assert data.train.shape == (3, 6, 9)
        assert data.digest() == zoo.load_dataset(COLOURS, image_size=(6, 9)).digest()

    def test_a_square_in_several_words(self) -> None:
        sizes = [8, "8", "8x8", (8, 8), np.uint8(8), torch.tensor(8)]
        assert {Conversion.of(size).size for size in sizes} == {(8, 8)}
        experiments = [zoo.Experiment.build("gaussian-vae", image_size=size) for size in sizes]
        assert {each.image_size for each in experiments} == {8}


WRONG: list[tuple[dict[str, Any], str]] = [
    *[
        ({"image_size": size}, "image_size must be a whole number, the side of a square")
        for size in (True, 8.0, "big", "8x", "x8", "8x8x8", "-8", "8*8", "", (8,) * 3, (),
                     (8, None), float("nan"), float("inf"), np.float32(8), torch.tensor(8.0),
                     torch.zeros(2, 2), b"8", {8: 8}, ...)
    ],
    *[({"image_size": size}, "image_size must be at least 1") for size in (0, -1, (0, 8), "0x8")],
    *[({"image_size": size}, "image_size must be at most 67,108") for size in (10**400, "9" * 9)],
    *[
        ({"image_channels": channels}, r"image_channels must be 1 \(grey\) or 3 \(RGB\), got")
        for channels in (0, 2, 4, -1, True, 1.0, "rgb", (1,), 10**400, float("nan"), ...)
    ],
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG, ids=str)
def test_what_they_cannot_be(options: dict[str, Any], message: str) -> None:
    for ask in (
        lambda: zoo.load_dataset("digits", **options),
        lambda: zoo.create("gaussian-vae", **options),
        lambda: zoo.train("gaussian-vae", progress=False, **options),
        lambda: zoo.evaluate("gaussian-vae-digits", **options),
    ):
        with pytest.raises(ZooError, match=message):
            ask()


@pytest.mark.parametrize("option", ["image_size", "image_channels"])
def test_no_images(option: str) -> None:
    with pytest.raises(DataError, match=f"vectors, which has no {option}; leave it out"):
        zoo.load_dataset(RNG.random((30, 4)), **{option: 1})


def test_every_way_in_is_the_same(folder: Path, tmp_path: Path) -> None:
    """A folder, arrays in files and in memory, a torch Dataset: the same pixels."""
    np.save(tmp_path / "x.npy", COLOURS)
    np.savez(tmp_path / "x.npz", images=COLOURS)
    in_torch = TensorDataset(torch.from_numpy(COLOURS).permute(0, 3, 1, 2))
    sources = (COLOURS, tmp_path / "x.npy", tmp_path / "x.npz", in_torch, zoo.load_dataset(COLOURS))
    asked: dict[str, Any] = {"image_size": "8x5", "image_channels": 1}
    assert len({zoo.load_dataset(source, **asked).digest() for source in sources}) == 1
    for image, file in zip(COLOURS[:20], sorted(folder.iterdir()), strict=True):
        Image.fromarray(image).save(file)
    decoded = zoo.load_dataset(folder, **asked)
    assert decoded.identity.pixels == zoo.load_dataset(COLOURS[:20], **asked).identity.pixels


def test_channels_come_before_the_size() -> None:
    x = torch.from_numpy(COLOURS).permute(0, 3, 1, 2)
    found = Conversion((5, 5), 1).applied(x)
    assert torch.equal(found, resize_and_crop(with_channels(x, 1), 5, 5))


def test_grey_and_coloured_files_together(folder: Path) -> None:
    assert zoo.load_dataset(folder).train.shape == (3, 10, 12)
    both = {c: zoo.load_dataset(folder, image_channels=c) for c in (1, 3)}
    assert both[3].digest() == zoo.load_dataset(folder).digest() != both[1].digest()
    assert torch.equal(all_rows(both[1]), with_channels(all_rows(both[3]), 1))


class TestRuns:
    ASKED: dict[str, Any] = {"image_size": (8, 6), "image_channels": 1}

    @pytest.fixture
    def run(self, folder: Path, tmp_path: Path) -> zoo.Run:
        return zoo.train("gaussian-vae", dataset=str(folder), directory=tmp_path / "run",
                         **self.ASKED, **SMALL)  # fmt: skip

    def test_the_command_line_does_the_same(
        self, folder: Path, run: zoo.Run, tmp_path: Path, invoke: Callable[..., Any]
    ) -> None:
        told = ["train", "gaussian-vae", "--dataset", str(folder),
                "--directory", str(tmp_path / "c"), "--image-size", "8x6",
                "--image-channels", "1", "--latent-dim", "2", "--hidden", "[8]",
                "--epochs", "1"]  # fmt: skip
        assert invoke(*told).exit_code == 0
        ours, theirs = (zoo.load(path).state_dict() for path in (run.directory, tmp_path / "c"))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        texts = [(path / "config.yaml").read_text() for path in (run.directory, tmp_path / "c")]
        assert texts[0] == texts[1]

    def test_the_checkpoint_says_so(self, run: zoo.Run) -> None:
        training = read_metadata(run.directory / "best.safetensors").training
        assert training is not None
        assert (training["image_size"], training["image_channels"]) == ([8, 6], 1)

    def test_a_run_goes_on_with_them_and_only_with_them(self, run: zoo.Run, folder: Path) -> None:
        longer = zoo.resume(run.directory, progress=False, epochs=2)
        assert longer.metrics["epoch"] in (1, 2) and len(longer.history) == 2
        assert longer.model.config.input_shape == (1, 8, 6)
        for other in ({"image_size": (6, 8), "image_channels": 1}, {"image_size": "8x6"}):
            with pytest.raises(ConfigError, match="image_"):
                zoo.train("gaussian-vae", dataset=str(folder), directory=run.directory,
                          **other, **SMALL)  # fmt: skip

    def test_its_own_data_are_converted_alike(
        self, run: zoo.Run, folder: Path, tmp_path: Path, invoke: Callable[..., Any]
    ) -> None:
        """They are those of the digest, or they are refused."""
        own = zoo.evaluate(run, samples=2)
        asked = zoo.evaluate(run, dataset=folder, image_channels=1, samples=2)
        assert own.test_set_sha256 == asked.test_set_sha256 and own.nll == asked.nll
        assert own.nll is not None
        assert figures(zoo.compare([run], ["nll"], samples=2)) == [own.nll.value]
        for command in ("encode", "reconstruct"):
            out = str(tmp_path / f"{command}.npz")
            assert invoke(command, str(run.directory), "--out", out).exit_code == 0
        assert np.load(tmp_path / "encode.npz")["codes"].shape == (2, 2)
        Image.fromarray(COLOURS[20]).save(folder / "00.png")
        with pytest.raises(DataError, match="has changed since the model was trained"):
            zoo.evaluate(run, samples=2)

    def test_other_data_are_converted_where_asked(
        self, run: zoo.Run, tmp_path: Path, invoke: Callable[..., Any]
    ) -> None:
        path = tmp_path / "others.npy"
        np.save(path, COLOURS)
        mends = r"with image_channels=1 \(--image-channels 1\)$"
        for ask in (zoo.evaluate, lambda run, dataset: zoo.compare([run], dataset=dataset)):
            with pytest.raises(DataError, match=mends):
                ask(run, dataset=path)
        table = zoo.compare([run], ["nll"], dataset=path, image_channels=1, samples=2)
        nll = zoo.evaluate(run, dataset=COLOURS, image_channels=1, samples=2).nll
        assert nll is not None
        assert figures(table) == [nll.value]
        for command in ("encode", "reconstruct"):
            told = [command, str(run.directory), "--dataset", str(path),
                    "--out", str(tmp_path / "x.npz")]  # fmt: skip
            refused = invoke(*told)
            assert refused.exit_code == 2 and "--image-channels 1" in refused.output
            assert invoke(*told, "--image-channels", "1").exit_code == 0

    def test_a_registered_set_says_what_was_done(self) -> None:
        model = zoo.create("gaussian-vae", dataset="digits", image_size="8x6", image_channels=3)
        assert model.config.input_shape == (3, 8, 6)
        score = zoo.evaluate(model, dataset="digits", image_channels=3, samples=2, examples=5)
        assert "converted to RGB, resized to 8x6" in score.test_set

    def test_fine_tuning_names_what_mends_it(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match=r"image_channels=1 and image_size=8 \(--image-ch"):
            zoo.train("gaussian-vae", dataset=str(folder), start_from="gaussian-vae-digits",
                      progress=False)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "given", "options"),
    [
        ((1, 8, 8), (3, 8, 8), "image_channels=1 (--image-channels 1)"),
        ((3, 8, 8), (3, 9, 8), "image_size=8 (--image-size 8)"),
        ((3, 8, 6), (1, 6, 8), "image_channels=3 and image_size=(8, 6) "
                               "(--image-channels 3 --image-size 8x6)"),
        ((5, 8, 6), (1, 6, 8), ""),
    ],
)  # fmt: skip
def test_only_options_that_help_are_named(
    wanted: tuple[int, ...], given: tuple[int, ...], options: str
) -> None:
    assert mending(wanted, given) == options
    if options:
        asked: dict[str, Any] = eval(f"dict({options.partition(' (--')[0].replace(' and ', ', ')})")
        image = torch.zeros(1, *given, dtype=torch.uint8)
        assert Conversion.of(**asked).applied(image).shape[1:] == wanted


def test_wrong_words_on_the_command_line(invoke: Callable[..., Any]) -> None:
    for words, message in (
        (("--image-size", "8by6"), "8x"),
        (("--image-size", "0"), "at least 1"),
        (("--image-channels", "2"), "1 (grey) or 3 (RGB)"),
        (("--image-channels", "rgb"), "--image-channels"),
    ):
        for command in (("train", "gaussian-vae"), ("evaluate", "gaussian-vae-digits")):
            found = invoke(*command, *words)
            assert found.exit_code == 2 and message in found.output
    refused = invoke("train", "--resume", "x", "--image-channels", "1")
    assert "leave out --image-channels" in refused.output
