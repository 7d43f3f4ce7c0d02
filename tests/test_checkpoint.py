"""The checkpoint format: round trips, damage, lies, and processes killed while they save."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributions import Bernoulli as Pixels
from torch.distributions import Distribution, Independent
from torch.nn.functional import normalize

import zoo.variants as variants
from zoo.core import component
from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.latent_space import Euclidean
from zoo.core.model import LatentVariableModel, ModelConfig
from zoo.core.moments import LatentMoments
from zoo.errors import CheckpointError, ConfigError, UnknownNameError
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.registry import VariantSpec, packaged_root, read_registry
from zoo.settings import Settings
from zoo.storage import checkpoint, naming
from zoo.storage.blueprint import STORED
from zoo.storage.rounding import rounded
from zoo.storage.tensors import read_tensors, write_tensors


class Grey(Bernoulli):
    """Without parameters, of any intensities."""

    reads = "real"


class TinyConfig(ModelConfig):
    latent_dim: int = 2
    width: int = 3


class Tiny(LatentVariableModel):
    """Weights, a tied weight, a frozen one, and a buffer of integers."""

    Config = TinyConfig
    config: TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.space, self.likelihood = Euclidean(config.latent_dim), Grey(Settings(), (1, 2, 2))
        pixels = math.prod(config.input_shape)
        self.inner = nn.Linear(pixels, config.width)
        self.code = nn.Linear(config.width, config.latent_dim)
        self.tied = nn.Linear(config.width, config.latent_dim, bias=False)
        self.tied.weight = self.code.weight
        self.out = nn.Linear(config.latent_dim, pixels)
        self.frozen = nn.Parameter(torch.rand(config.width), requires_grad=False)
        self.register_buffer("steps", torch.tensor(7))

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        code = self.encode(batch.x)
        return Draws([], lambda: self.decode(code[None]), batch, lambda: code, code[None])

    def encode(self, x: Tensor) -> Tensor:
        return self.code(self.inner(x.flatten(1)) * self.frozen)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        logits = self.out(z).unflatten(-1, self.config.input_shape)
        return Independent(Pixels(logits=logits, validate_args=False), 3)

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        return temperature * torch.randn(n, self.code_dim, generator=generator)


class Buffered(Tiny):
    """A buffer that is not stored must have values after loading too."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.register_buffer("shift", torch.full((config.latent_dim,), 2.0), persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x) + self.shift


class Plain(Tiny):
    """And so must a tensor that is a plain attribute."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.shift = torch.full((config.latent_dim,), 2.0)

    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x) + self.shift


class Mixed(Tiny):
    """A buffer of its own precision."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.register_buffer("exact", torch.full((2,), math.pi, dtype=torch.float64))


class Deep(Tiny):
    """As many layers as it is told."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList()
        for _ in range(config.width):
            self.layers.append(nn.Linear(2, 2))


VARIANTS = {
    "tiny": VariantSpec(component=f"{__name__}:Tiny", summary="for tests"),
    "buffered": VariantSpec(component=f"{__name__}:Buffered", summary="for tests"),
    "plain": VariantSpec(component=f"{__name__}:Plain", summary="for tests"),
    "made": VariantSpec(component=f"{__name__}:Made", summary="for tests"),
    "mixed": VariantSpec(component=f"{__name__}:Mixed", summary="for tests"),
    "deep": VariantSpec(component=f"{__name__}:Deep", summary="for tests"),
    "gone": VariantSpec(component="zoo.no_such_module:Model", summary="plugin not installed"),
}
REGISTRY = read_registry([packaged_root() / "registry.yaml"]).model_copy(
    update={"variants": VARIANTS}
)


@pytest.fixture(scope="module", autouse=True)
def stand_in_registry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "registry", lambda: REGISTRY)
        patch.setattr(component, "registry", lambda: REGISTRY)
        patch.setattr(naming, "registry", lambda: REGISTRY)
        yield


class Made(Tiny):
    """Values that a constructor makes itself are real, whatever is done with them."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        numbers = torch.from_numpy(np.array([1.0, 2.0], dtype=np.float32))
        with torch.device("cpu"):
            generator = torch.Generator().manual_seed(0)
            made = {
                "drawn": torch.randn(2, generator=generator) + torch.rand(2, generator=generator),
                "times": torch.ones(2).mul_(3).div_(2),
                "filled": nn.init.constant_(torch.empty(2).fill_(1), 5),
                "in_place": torch.zeros(2).normal_(generator=generator).uniform_(1, 1),
            }
        made |= {"share": numbers.div_(numbers.sum()), "unit": normalize(numbers + 1, dim=0)}
        for name, values in made.items():
            self.register_buffer(name, values, persistent=False)


def tiny(latent_dim: int = 2, seed: int = 0, shape: tuple[int, ...] = (1, 2, 2)) -> Tiny:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tiny(TinyConfig(input_shape=shape, latent_dim=latent_dim))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, tiny(), variant="tiny", dataset="digits")
    return path


def rewrite(path: Path, tensors: dict[str, Tensor] | None = None, **changes: Any) -> None:
    """Forge the file: its tensors, or fields of what it says of itself."""
    old, metadata = read_tensors(path)
    content = {**json.loads(metadata["zoo"]), **changes}
    save_file(old if tensors is None else tensors, path, {"zoo": json.dumps(content)})


def assert_refused(path: Path, *parts: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    for part in (*parts, path.name):
        assert part in message, message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    latent_dim=st.integers(1, 6),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**31),
    dataset=st.none() | st.text(max_size=10),
    training=st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=4),
)
def test_round_trip(
    latent_dim: int,
    shape: tuple[int, int, int],
    seed: int,
    dataset: str | None,
    training: dict[str, Any] | None,
) -> None:
    model = tiny(latent_dim, seed, shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        checkpoint.save(path, model, variant="tiny", dataset=dataset, training=training)
        assert [entry.name for entry in Path(folder).iterdir()] == [path.name]
        metadata = checkpoint.read_metadata(path)
        loaded = checkpoint.load(path)
    assert metadata.dataset == dataset
    assert metadata.training == training
    assert loaded.config == model.config
    x = torch.rand(3, *shape)
    assert torch.equal(loaded.encode(x), model.encode(x))
    assert torch.equal(loaded.infer(x).elbo, model.infer(x).elbo)


@pytest.mark.parametrize(
    ("variant", "cls"), [("tiny", Tiny), ("buffered", Buffered), ("plain", Plain)]
)
def test_load_keeps_everything(variant: str, cls: type[Tiny], tmp_path: Path) -> None:
    path, model = tmp_path / "x.safetensors", cls(TinyConfig(input_shape=(1, 2, 2)))
    model.steps += 2
    checkpoint.save(path, model, variant=variant, dataset=None)
    before = torch.random.get_rng_state()
    loaded = checkpoint.load(path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(loaded) is cls
    assert not loaded.training
    assert loaded.tied.weight is loaded.code.weight
    assert loaded.steps.item() == 9
    x = torch.rand(2, 1, 2, 2)
    assert torch.equal(loaded.encode(x), model.encode(x))
    trained = {name: weight.requires_grad for name, weight in loaded.named_parameters()}
    assert trained == {name: weight.requires_grad for name, weight in model.named_parameters()}
    assert not trained["frozen"]


def test_values_a_constructor_makes_are_there_after_loading(tmp_path: Path) -> None:
    model = Made(TinyConfig(input_shape=(1, 2, 2)))
    checkpoint.save(tmp_path / "x", model, variant="made")
    loaded = dict(checkpoint.load(tmp_path / "x").named_buffers())
    for name, values in model.named_buffers():
        assert torch.equal(loaded[name], values), name


def test_a_loaded_model_is_independent_of_its_file(saved: Path) -> None:
    model = checkpoint.load(saved)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    saved.write_bytes(b"\xff" * saved.stat().st_size)  # in place: a mapped file would change
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    with torch.no_grad():
        model.frozen.add_(1)  # and it is writable


def test_half_storage(tmp_path: Path) -> None:
    model = tiny(latent_dim=300)
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    checkpoint.save(full, model, variant="tiny", dataset=None)
    checkpoint.save(half, model, variant="tiny", dataset=None, bits=16)
    assert half.stat().st_size < 0.7 * full.stat().st_size
    for name, tensor in checkpoint.load(half).state_dict().items():
        original = model.state_dict()[name]
        assert tensor.dtype == original.dtype
        torch.testing.assert_close(tensor, original, rtol=2**-11, atol=2**-24)


def test_half_storage_refuses_values_it_would_make_infinite(tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        model.out.bias[0] = 1e5
    with pytest.raises(CheckpointError, match=r"out\.bias .*float16"):
        checkpoint.save(tmp_path / "x", model, variant="tiny", dataset=None, bits=16)
    assert list(tmp_path.iterdir()) == []


def test_storage_in_8_bits(tmp_path: Path) -> None:
    model = tiny(latent_dim=300)
    with torch.no_grad():
        model.out.weight[1] = 0  # a row that has no scale
        model.out.weight[2] *= 1e6  # which float16 has no room for
    full, small = tmp_path / "full.safetensors", tmp_path / "small.safetensors"
    checkpoint.save(full, model, variant="tiny")
    checkpoint.save(small, model, variant="tiny", bits=8)
    assert small.stat().st_size < 0.5 * full.stat().st_size
    parameters, moved = dict(model.named_parameters()), 0
    for name, tensor in checkpoint.load(small).state_dict().items():
        original = model.state_dict()[name]
        assert tensor.dtype == original.dtype
        if name in parameters and original.ndim > 1 and original[0].numel() >= 8:
            rows = original.flatten(1)
            step = rows.abs().amax(1, keepdim=True) / 127
            assert ((tensor.flatten(1) - rows).abs() <= 0.501 * step).all(), name
            moved += 1
        else:
            torch.testing.assert_close(tensor, original, rtol=2**-11, atol=2**-24)
    assert moved
    again = tmp_path / "again.safetensors"
    checkpoint.save(again, checkpoint.load(small), variant="tiny", bits=8)
    assert_same_weights(checkpoint.load(again), checkpoint.load(small))


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0, msg=name)


def test_scales_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, tiny(latent_dim=300), variant="tiny", bits=8)
    tensors, _ = read_tensors(path)
    name = next(name.removesuffix(":scale") for name in tensors if name.endswith(":scale"))
    scale = tensors[f"{name}:scale"]
    for wrong in (scale[:-1], scale.double(), scale[None]):
        rewrite(path, {**tensors, f"{name}:scale": wrong})
        assert_refused(path, f"{name} is stored as I8", f"'{name}:scale' is unexpected")
    rewrite(path, {**tensors, f"{name}:scale": scale * torch.nan})
    assert_refused(path, f"{name} has NaN or infinity")
    rewrite(path, {key: tensor for key, tensor in tensors.items() if key != name})
    assert_refused(path, f"{name} is missing", f"'{name}:scale' is unexpected")
    rewrite(path, {**tensors, "steps:scale": torch.ones(1)})
    assert_refused(path, "'steps:scale' is unexpected")


@pytest.mark.parametrize("bits", [None, 8])
def test_moments_of_codes_stay_with_the_model(bits: int | None, tmp_path: Path) -> None:
    first, second, model = tmp_path / "1.safetensors", tmp_path / "2.safetensors", tiny()
    checkpoint.save(first, model, variant="tiny", bits=bits)
    assert checkpoint.load(first).latent_moments is None
    model.latent_moments = LatentMoments(torch.tensor([1.0, 2.0]), torch.tensor([0.1, 0.0]))
    checkpoint.save(first, model, variant="tiny", bits=bits)
    checkpoint.save(second, checkpoint.load(first), variant="tiny", bits=bits)
    found = checkpoint.load(second).latent_moments
    assert found is not None
    for ours, theirs in zip(found, model.latent_moments, strict=True):
        assert torch.equal(ours, theirs)


def test_moments_that_are_none_are_refused(saved: Path) -> None:
    tensors, _ = read_tensors(saved)
    mean, deviation = {"latents:mean": torch.zeros(2)}, {"latents:deviation": torch.ones(2)}
    for wrong in (
        mean,
        deviation,
        {**mean, "latents:deviation": -torch.ones(2)},
        {**deviation, "latents:mean": torch.zeros(3)},
        {**deviation, "latents:mean": torch.zeros(2).double()},
        {**deviation, "latents:mean": torch.tensor([0.0, torch.inf])},
    ):
        rewrite(saved, {**tensors, **wrong})
        assert_refused(saved, "moments of its codes", "each (2,) finite numbers", *wrong)
    rewrite(saved, {**tensors, **mean, **deviation})
    assert checkpoint.load(saved).latent_moments is not None


def test_bfloat16_is_read_and_other_types_are_refused(saved: Path) -> None:
    tensors, _ = read_tensors(saved)
    weight = tensors["out.weight"]
    rewrite(saved, {**tensors, "out.weight": weight.bfloat16()})
    assert torch.equal(
        checkpoint.load(saved).get_parameter("out.weight"), weight.bfloat16().float()
    )
    rewrite(saved, {**tensors, "out.weight": weight.double()})
    assert_refused(saved, "out.weight", "F64", "torch.float32")
    rewrite(saved, {**tensors, "out.weight": weight.int()})
    assert_refused(saved, "out.weight", "I32")
    rewrite(saved, {**tensors, "steps": tensors["steps"].int()})
    assert_refused(saved, "steps", "I32", "torch.int64")


def test_missing_unexpected_and_misshapen_tensors_are_named(saved: Path) -> None:
    tensors, _ = read_tensors(saved)
    changed = {name: tensor for name, tensor in tensors.items() if name != "frozen"}
    changed |= {"extra": torch.zeros(1), "out.bias": torch.zeros(9)}
    rewrite(saved, changed)
    assert_refused(
        saved, "frozen is missing", "'extra' is unexpected", "out.bias has shape (9,) instead of"
    )
    rewrite(saved, {f"x{index}": torch.zeros(1) for index in range(10)})
    assert_refused(saved, "and 15 more")


@pytest.mark.parametrize("size", [10**9, 10**12, 10**19, 10**30])
def test_sizes_no_memory_could_hold_are_refused(saved: Path, size: int) -> None:
    rewrite(saved, config={"input_shape": [1, 2, 2], "latent_dim": size, "width": size})
    assert_refused(saved)


LOAD_AND_MEASURE = """
import resource, zoo.storage.checkpoint as c, zoo.variants, test_checkpoint as t
zoo.variants.registry = zoo.core.component.registry = lambda: t.REGISTRY
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    c.load(sys.argv[1])
except c.CheckpointError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def test_a_size_that_memory_could_hold_allocates_nothing(saved: Path) -> None:
    config = {"input_shape": [1, 2, 2], "latent_dim": 20_000_000}  # 640 MB when really built
    rewrite(saved, config=config)
    grown_kib, message = run_python(LOAD_AND_MEASURE, str(saved)).stdout.split(" ", 1)
    assert "code.weight has shape (2, 3) instead of (20000000, 3)" in message
    assert int(grown_kib) < 50_000


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
    done = python("-c", paths + script, *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"variant": "../tiny"}, ["variant", "../tiny"]),
        ({"variant": "a/b"}, ["a/b"]),
        ({"variant": "os:system"}, ["os:system"]),
        ({"variant": "tinny"}, ["unknown variant 'tinny'", "did you mean 'tiny'?"]),
        ({"variant": "gone"}, ["does not resolve"]),
        ({"variant": ["tiny"]}, ["variant"]),
        ({"schema_version": 4}, ["format 4", "upgrade zoo"]),
        ({"schema_version": 0}, ["schema_version"]),
        ({"schema_version": "1"}, ["schema_version"]),
        ({"schema_version": True}, ["schema_version"]),
        ({"extra": 1}, ["unknown key 'extra'"]),
        ({"config": {"input_shape": [1, 2, 2], "latent_dims": 2}}, ["did you mean 'latent_dim'?"]),
        ({"config": {"input_shape": [1, 2, 2], "latent_dim": -1}}, []),
        ({"config": {}}, ["'input_shape' is required"]),
        ({"config": None}, ["config"]),
    ],
)
def test_lies_in_the_description(saved: Path, changes: dict[str, Any], parts: list[str]) -> None:
    rewrite(saved, **changes)
    assert_refused(saved, *parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        '{"schema_version": NaN}',
    ],
)
def test_a_description_that_is_no_json_object(saved: Path, text: str) -> None:
    tensors, _ = read_tensors(saved)
    save_file(tensors, saved, {"zoo": text})
    assert_refused(saved, "description")


def test_a_safetensors_file_of_someone_else(saved: Path) -> None:
    save_file({"x": torch.zeros(3)}, saved)
    assert_refused(saved, "without zoo's description")


def test_a_file_cut_short_anywhere_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    lengths = {round(len(content) * tenth / 10) for tenth in range(10)}
    for length in sorted(lengths | {1, 7, 8, 9, len(content) - 1}):
        saved.write_bytes(content[:length])
        assert_refused(saved)
        with pytest.raises(CheckpointError):
            checkpoint.read_metadata(saved)
        with pytest.raises(CheckpointError):
            read_tensors(saved)
    saved.write_bytes(content + b"\0")
    assert_refused(saved, "damaged")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_a_checkpoint_error_or_harmless(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        checkpoint.save(path, tiny(), variant="tiny", dataset="digits")
        content = bytearray(path.read_bytes())
        header = 8 + int.from_bytes(content[:8], "little")
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        try:
            model = checkpoint.load(path)
        except CheckpointError as error:
            assert str(path) in str(error)
        else:
            assert model.encode(torch.rand(1, *model.config.input_shape)).isfinite().all()


@pytest.mark.parametrize("length", [0, 1, 2**22 + 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_length_that_lies(saved: Path, length: int) -> None:
    content = saved.read_bytes()
    saved.write_bytes(length.to_bytes(8, "little") + content[8:])
    assert_refused(saved)


def test_an_oversized_header_is_refused_before_it_is_parsed(saved: Path) -> None:
    header = b"{" + b" " * (2**22 + 8)
    saved.write_bytes(len(header).to_bytes(8, "little") + header)
    assert_refused(saved, "4194304 allowed")


def test_what_reading_would_refuse_is_not_written(saved: Path) -> None:
    before = saved.read_bytes()
    said = r"cannot write .*tiny.safetensors: its header of .* has \d+ bytes, only 4194304 are read"
    with pytest.raises(CheckpointError, match=said):
        checkpoint.save(
            saved, tiny(), variant="tiny", dataset="digits", training={"note": "x" * 2**22}
        )
    with pytest.raises(CheckpointError, match=said):
        write_tensors(saved, {"x": torch.zeros(1)}, {"note": "x" * 2**22})
    assert saved.read_bytes() == before
    longest = {"note": "x" * (2**22 - 1000)}
    checkpoint.save(saved, tiny(), variant="tiny", dataset="digits", training=longest)
    assert checkpoint.read_metadata(saved).training == longest


def test_settings_that_are_too_long_are_named(saved: Path) -> None:
    config = {"width": 3, "tokenizer": '"' * 2**20}  # each quotation mark is stored as four bytes
    said = "here: the model's settings take 4194.* 3145728 are allowed, and model.tokenizer takes"
    with pytest.raises(CheckpointError, match=said):
        checkpoint.check_config(config, "here")
    checkpoint.check_config({**config, "tokenizer": '"' * (3 * 2**18 - 100)}, "here")


def test_pickles_are_named_and_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "model.safetensors"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"x": Bomb(), "padding": "y" * 99}, protocol))
        assert_refused(path, "is a pickle", "never reads")
    torch.save({"x": torch.zeros(30)}, path)
    assert_refused(path, "torch.save", "never reads")
    torch.save({"x": torch.zeros(30)}, path, _use_new_zipfile_serialization=False)
    assert_refused(path, "is a pickle")
    assert not (tmp_path / "exploded").exists()


def test_other_things_given_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    assert_refused(path, "there is no file")
    assert_refused(tmp_path, "is a folder")
    path.touch()
    assert_refused(path, "has only 0 bytes")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert_refused(path, "git lfs pull")
    path.write_text("<!DOCTYPE html><html>Not found</html>")
    assert_refused(path, "web page")
    path.write_text("some text that is nothing of all this")
    assert_refused(path, "not a safetensors file")
    assert_refused(Path("/dev/null"), "not a regular file")


def test_a_device_that_is_not_there(saved: Path) -> None:
    for device in ("warp", "cuda:99", "", -1, 2.5, object(), ["cpu"], torch.float16):
        with pytest.raises(CheckpointError, match="cannot move the model to the device") as caught:
            checkpoint.load(saved, device=device)  # type: ignore[arg-type]
        assert str(device) in str(caught.value)


def test_save_refuses_what_would_not_load_again(tmp_path: Path) -> None:
    path, model = tmp_path / "x.safetensors", tiny()
    with pytest.raises(UnknownNameError, match="did you mean 'tiny'"):
        checkpoint.save(path, model, variant="tinny", dataset=None)
    with pytest.raises(CheckpointError, match="is a Plain, got a Tiny; save it as 'tiny'"):
        checkpoint.save(path, model, variant="plain", dataset=None)
    for training in ({"loss": math.nan}, {"model": object()}):
        with pytest.raises(CheckpointError, match="not plain JSON"):
            checkpoint.save(path, model, variant="tiny", dataset=None, training=training)
    with pytest.raises(CheckpointError, match="choose an existing folder"):
        checkpoint.save(tmp_path / "no" / "x", model, variant="tiny", dataset=None)
    right = torch.ones(2)
    for mean, deviation in ((right[:1], right), (right, -right), (right / 0, right)):
        model.latent_moments = LatentMoments(mean, deviation)
        with pytest.raises(CheckpointError, match="the moments of its codes are"):
            checkpoint.save(path, model, variant="tiny")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("name", ["x:scale", "latents:mean"])
def test_names_that_files_use_themselves_are_refused(
    name: str, bits: int | None, tmp_path: Path
) -> None:
    model = tiny()
    model.register_buffer(name, torch.zeros(2))
    with pytest.raises(CheckpointError, match=f"{name}', a name that files use themselves"):
        checkpoint.save(tmp_path / "x", model, variant="tiny", bits=bits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "value"), [(torch.float64, 1e39), (torch.float32, torch.finfo(torch.float32).max)]
)
def test_8_bits_refuse_values_they_would_make_infinite(
    dtype: torch.dtype, value: float, tmp_path: Path
) -> None:
    model = tiny(latent_dim=8).to(dtype)
    with torch.no_grad():
        model.out.weight[1, 1] = value
    with pytest.raises(CheckpointError, match=r"out\.weight has values .*bits=None"):
        checkpoint.save(tmp_path / "x", model, variant="tiny", bits=8)
    assert list(tmp_path.iterdir()) == []


def test_tensors_of_any_shape_are_rounded() -> None:
    shapes = [(), (3,), (0, 10), (10, 0), (2, 8), (2, 2, 4), (8, 2)]
    tensors = {str(shape): torch.randn(shape) for shape in shapes}
    stored = rounded(tensors, 8, tensors)
    kinds = {name: tensor.dtype for name, tensor in stored.items()}
    assert {name for name in tensors if kinds[name] == torch.int8} == {
        "(0, 10)", "(2, 8)", "(2, 2, 4)",
    }  # fmt: skip
    assert all(stored[name].shape == tensor.shape for name, tensor in tensors.items())


def test_a_subclass_is_not_saved_under_its_parents_name(tmp_path: Path) -> None:
    path, config = tmp_path / "x.safetensors", TinyConfig(input_shape=(1, 2, 2))
    with pytest.raises(CheckpointError, match="is a Tiny, got a Plain; save it as 'plain'"):
        checkpoint.save(path, Plain(config), variant="tiny")
    unregistered = type("Own", (Tiny,), {})(config)
    with pytest.raises(CheckpointError, match="is a Tiny, got a Own; save the model itself"):
        checkpoint.save(path, unregistered, variant="tiny")
    with pytest.raises(CheckpointError, match="got a DataParallel; save the model itself"):
        checkpoint.save(path, nn.DataParallel(tiny()), variant="tiny")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_variant_is_found_from_the_model(tmp_path: Path) -> None:
    path, model = tmp_path / "x.safetensors", tiny()
    with pytest.raises(ConfigError, match=r"which variant this Tiny is.*variant='tiny'"):
        checkpoint.save(path, model)
    model.variant = "tiny"
    checkpoint.save(path, model)
    loaded = checkpoint.load(path)
    assert loaded.variant == "tiny"
    checkpoint.save(path, loaded, variant="tiny")
    assert checkpoint.read_metadata(path).dataset is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_neither_saved_nor_loaded(
    value: float, saved: Path
) -> None:
    before, model = saved.read_bytes(), tiny()
    tensors, _ = read_tensors(saved)
    with torch.no_grad():
        model.out.bias[1] = value
    with pytest.raises(CheckpointError, match=r"cannot write .*out\.bias has NaN or infinity"):
        checkpoint.save(saved, model, variant="tiny")
    assert saved.read_bytes() == before
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rewrite(saved, {**tensors, "out.bias": model.out.bias.detach().to(dtype)})
        assert_refused(saved, "out.bias has NaN or infinity")


def test_weights_whose_sum_overflows_are_numbers(tmp_path: Path) -> None:
    model = tiny()
    nn.init.constant_(model.out.weight, 3e38)
    checkpoint.save(tmp_path / "x", model, variant="tiny")
    assert torch.equal(
        checkpoint.load(tmp_path / "x").get_parameter("out.weight"), model.out.weight
    )


@pytest.mark.parametrize("cls", [Tiny, Buffered, Plain])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bits", [None, 16, 8])
def test_models_of_other_floats_load_again(
    cls: type[Tiny], dtype: torch.dtype, bits: int | None, tmp_path: Path
) -> None:
    path, model = tmp_path / "x.safetensors", cls(TinyConfig(input_shape=(1, 2, 2))).to(dtype)
    checkpoint.save(path, model, variant=cls.__name__.lower(), bits=bits)
    loaded = checkpoint.load(path)
    assert loaded.steps.dtype == torch.int64
    for name, tensor in loaded.state_dict().items():
        original = model.state_dict()[name]
        assert tensor.dtype == original.dtype
        expected = original.half().to(dtype) if bits and dtype.is_floating_point else original
        assert torch.equal(tensor, expected if tensor.is_floating_point() else original), name
    buffers, ours = dict(loaded.named_buffers()), dict(model.named_buffers())
    assert {n: b.dtype for n, b in buffers.items()} == {n: b.dtype for n, b in ours.items()}


def test_a_model_of_mixed_floats_is_not_saved(tmp_path: Path) -> None:
    model = tiny()
    model.inner.double()
    with pytest.raises(
        CheckpointError, match=r"inner\.weight is torch\.float64 .*model\.float\(\)"
    ):
        checkpoint.save(tmp_path / "x", model, variant="tiny")
    assert list(tmp_path.iterdir()) == []


def test_floats_that_a_constructor_mixes_are_kept(tmp_path: Path) -> None:
    model = Mixed(TinyConfig(input_shape=(1, 2, 2)))
    checkpoint.save(tmp_path / "x", model, variant="mixed")
    assert checkpoint.read_metadata(tmp_path / "x").dtype == "float32"
    loaded = checkpoint.load(tmp_path / "x")
    assert torch.equal(loaded.get_buffer("exact"), model.get_buffer("exact"))
    checkpoint.save(tmp_path / "x", model.double(), variant="mixed")
    loaded = checkpoint.load(tmp_path / "x")
    assert {p.dtype for p in loaded.parameters()} == {torch.float64}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("variant", ["tiny", "buffered", "plain", "mixed"])
def test_the_default_type_of_floats_does_not_matter(
    variant: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, config = tmp_path / "x.safetensors", {"input_shape": (1, 2, 2)}
    model = variants.Variant.find(variant).build(config)
    checkpoint.save(path, model)
    torch.set_default_dtype(dtype)
    try:
        loaded = checkpoint.load(path)
        made = variants.Variant.find(variant).build(config)
        assert torch.get_default_dtype() == dtype
        checkpoint.save(path, made)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours in (loaded, made, checkpoint.load(path)):
        types = {name: tensor.dtype for name, tensor in ours.state_dict().items()}
        assert types == {name: tensor.dtype for name, tensor in model.state_dict().items()}
    assert torch.equal(loaded.get_parameter("out.weight"), model.get_parameter("out.weight"))


def test_a_constructor_that_never_ends_is_stopped(saved: Path) -> None:
    rewrite(saved, variant="deep", config={"input_shape": [1, 2, 2], "width": 10**9})
    start = time.monotonic()
    assert_refused(saved, "no Deep can be built", "more than")
    assert time.monotonic() - start < 30
    nn.Linear(2, 2)  # and nothing is counted any more


@pytest.mark.parametrize(
    "shape", [[], [0, 2, 2], [-1, 2, 2], [1, 2**13, 2**13], [2**31], [2**70], [1] * 100_000]
)
def test_input_shapes_have_bounds(saved: Path, shape: list[int]) -> None:
    rewrite(saved, config={"input_shape": shape})
    assert_refused(saved) if len(shape) > 9 else assert_refused(saved, "'input_shape': each side")


def test_a_failed_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(saved, tiny(5), variant="tiny", dataset=None)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


SAVE_WITHOUT_ROOM = """
import resource, signal
import torch, zoo.storage.tensors as c
from zoo.errors import CheckpointError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    c.write_tensors(sys.argv[1], {"x": torch.zeros(1000)}, {})
except CheckpointError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits files the POSIX way")
def test_a_disk_that_is_really_full(saved: Path) -> None:
    before = saved.read_bytes()
    assert "cannot write" in run_python(SAVE_WITHOUT_ROOM, str(saved)).stdout
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, "a\0b"):
        with pytest.raises(CheckpointError, match="cannot write"):
            checkpoint.save(path, tiny(), variant="tiny")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.load("a\0b")


def test_others_may_read_a_saved_file_as_the_umask_says(saved: Path) -> None:
    ordinary = saved.parent / "ordinary"
    ordinary.touch()
    assert saved.stat().st_mode == ordinary.stat().st_mode


DTYPES = [*STORED]


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=4),
    device=st.sampled_from(["cpu", "meta"]),
)
def test_tensors_round_trip(dtype: torch.dtype, shape: list[int], device: str) -> None:
    whole = (torch.rand(shape) * 5).to(dtype)
    views = {"a": whole, "b": whole, "t": whole.mT if whole.ndim > 1 else whole}
    if whole.ndim and len(whole) > 1:
        views["slice"] = whole[1:]
        views["expanded"] = whole.expand(3, *shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write_tensors(path, views, {"note": "é"})
        read, metadata = read_tensors(path, device)
    assert metadata == {"note": "é"}
    assert read.keys() == views.keys()
    for name, tensor in read.items():
        assert tensor.device.type == device
        assert (tensor.shape, tensor.dtype) == (views[name].shape, dtype)
        assert device == "meta" or torch.equal(tensor, views[name])


KILLED_WRITERS = """
import os, random, signal, time
from pathlib import Path
import torch, zoo.storage.tensors as c
path = Path(sys.argv[1])
def write_for_ever(value):
    while True:
        value += 1
        c.write_tensors(path, {"x": torch.full((2_000_000,), float(value))}, {"v": str(value)})
c.write_tensors(path, {"x": torch.zeros(2_000_000)}, {"v": "0"})
unfinished, seen = 0, set()
for attempt in range(12):
    pid = os.fork()
    if pid == 0:
        write_for_ever(1000 * attempt)
    time.sleep(random.uniform(0.02, 0.25))
    while attempt % 2 and not list(path.parent.glob(".zoo-*.tmp")):
        time.sleep(0.001)  # every other one is killed while it writes
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for left in path.parent.glob(".zoo-*.tmp"):
        unfinished += 1
        left.unlink()
    tensors, metadata = c.read_tensors(path)
    assert (tensors["x"] == float(metadata["v"])).all()
    seen.add(metadata["v"])
print(unfinished, len(seen))
"""


@pytest.mark.skipif(not hasattr(sys, "abiflags"), reason="kills processes the POSIX way")
def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    done = run_python(KILLED_WRITERS, str(tmp_path / "x.safetensors"))
    unfinished, states = map(int, done.stdout.split())
    assert unfinished > 0, "no process was killed in the middle of writing"
    assert states > 1, "no process ever finished a file"
