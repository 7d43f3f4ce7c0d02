"""The pictures of what latents control."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from zoo.modalities.tokenizer import Tokenizer
from zoo.storage import checkpoint
from zoo.variants.nvae_lite import NVAELite, NVAELiteConfig, ScaleConfig
from zoo.variants.univae import UniVAE, UniVAEConfig
from zoo.variants.univae.decoding import Decoding, Draw
from zoo.variants.vae import VAE, VAEConfig

SCALES = (
    ScaleConfig(channels=4, groups=1, latents=2),
    ScaleConfig(channels=4, groups=2, latents=1),
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "draw_latents.py"
    spec = importlib.util.spec_from_file_location("draw_latents", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> NVAELite:
    torch.manual_seed(0)
    config = NVAELiteConfig(input_shape=(1, 8, 8), scales=SCALES, stem=())
    model = NVAELite(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def test_coarser_scales_are_kept_and_finer_ones_drawn(script: ModuleType, model: NVAELite) -> None:
    x = torch.rand(3, 1, 8, 8).round()
    rows = script.by_scale(model, x).view(3, -1, 1, 8, 8)
    assert rows.shape[1] == 2 + script.DRAWS * 2
    assert torch.equal(rows[:, 0], x)
    torch.testing.assert_close(rows[:, 1], model.reconstruct(x))
    finest, all_scales = rows[:, 2 : 2 + script.DRAWS], rows[:, 2 + script.DRAWS :]
    for drawn in (finest, all_scales):
        assert not torch.equal(drawn[:, 0], drawn[:, 1])
    # Draws that keep the coarse scale lie closer to the reconstruction than those that keep none.
    near, far = ((part - rows[:, 1:2]).square().mean() for part in (finest, all_scales))
    assert near < far


def test_temperatures_share_their_random_numbers(script: ModuleType, model: NVAELite) -> None:
    rows = script.by_temperature(model).view(len(script.TEMPERATURES), script.SAMPLES, 1, 8, 8)
    own = model.sample(script.SAMPLES, 0.7, torch.Generator().manual_seed(0))
    assert torch.equal(rows[script.TEMPERATURES.index(0.7)], own)


def test_files(script: ModuleType, model: NVAELite, tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    checkpoint.save(source, model, variant="nvae-lite", dataset="digits")
    assert script.main([str(source), "--output", str(tmp_path / "out")]) == 0
    for name, columns in (("temperatures", script.SAMPLES), ("scales", 2 + 2 * script.DRAWS)):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert picture.width == 7 * (9 * columns + 1)


def test_groups_are_drawn_anew_one_by_one(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = UniVAEConfig(input_shape=(1, 8, 8), width=16, heads=2, hidden=24, layers=3, groups=2)
    model, x = UniVAE(config).eval(), torch.rand(3, 1, 8, 8).round()
    codes: list[torch.Tensor] = []

    def generate(model: UniVAE, z: torch.Tensor, decoding: Decoding) -> torch.Tensor:
        assert decoding == Draw()
        codes.append(z)
        return torch.zeros(len(z), 1, 8, 8)

    monkeypatch.setattr(UniVAE, "generate", generate)
    rows = script.by_group(model, x).view(3, -1, 1, 8, 8)
    assert rows.shape[1] == 1 + script.DRAWS * 3 == 1 + len(codes)
    assert torch.equal(rows[:, 0], x)
    own = model.encode(x).view(3, 2, -1)
    kept = [(code.view(3, 2, -1) == own).all(-1).all(0).tolist() for code in codes]
    each = [[True, True], [False, True], [True, False]]
    assert kept == [which for which in each for _ in range(script.DRAWS)]


def test_groups_of_a_file(script: ModuleType, tmp_path: Path) -> None:
    small = {"width": 16, "heads": 2, "hidden": 24, "layers": 3, "groups": 2}
    model = UniVAE(UniVAEConfig(input_shape=(1, 8, 8), **small)).eval()
    source = tmp_path / "model.safetensors"
    checkpoint.save(source, model, variant="univae", dataset="digits")
    assert script.main([str(source), "--output", str(tmp_path)]) == 0
    with Image.open(tmp_path / "groups.png") as picture:
        assert picture.width == 7 * (9 * (1 + 3 * script.DRAWS) + 1)
        assert picture.height == 7 * (9 * script.IMAGES + 1)


def test_sentences_make_no_picture(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "model.safetensors"
    text = {
        "input_shape": (4,),
        "tokenizer": Tokenizer.learn(["a cat"], "words").json,
        "likelihood": "categorical",
    }
    model = UniVAE(UniVAEConfig.parse({**text, "width": 16, "heads": 2}, "test"))
    checkpoint.save(source, model, variant="univae", dataset="ptb")
    with pytest.raises(SystemExit):
        script.main([str(source)])
    assert "is neither an nvae-lite nor a univae of images" in capsys.readouterr().err


def test_another_model_is_refused(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "model.safetensors"
    flat = VAE(VAEConfig(input_shape=(1, 8, 8)))
    checkpoint.save(source, flat, variant="gaussian-vae", dataset="digits")
    with pytest.raises(SystemExit):
        script.main([str(source)])
    assert "is neither an nvae-lite nor a univae" in capsys.readouterr().err
