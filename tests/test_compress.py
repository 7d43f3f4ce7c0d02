"""Bits back: what is compressed comes back, in as many bits as the bound says, or is refused."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python
from torch import Tensor
from torch.distributions import Independent, Normal
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.core.component import component_class
from zoo.core.descent import Descending
from zoo.core.model import LatentVariableModel
from zoo.distributions import DiscretizedLogistic, MixtureOfDiscretizedLogistics
from zoo.distributions.in_steps import decided, steps_of
from zoo.errors import DataError, UnsupportedError
from zoo.registry import registry
from zoo.tasks.compress.codec import batch_sizes, table_of
from zoo.tasks.compress.container import MAGIC, read_header
from zoo.tasks.compress.general import General
from zoo.tasks.compress.grids import Grid, grids_of, relative
from zoo.tasks.compress.identity import digest_of, floats_here
from zoo.tasks.compress.pictures import Pictures
from zoo.tasks.compress.stack import Stack, seed_words
from zoo.tasks.compress.task import Compress
from zoo.testing.cases import Case, cases_of, first_case

ROOT = Path(zoo.__file__).parents[1]
TASK = Compress(Compress.Config())
CASES = {
    f"{name}-{case}": case
    for name in ("gaussian-vae", "bn-vae", "nvae-lite")
    for case in cases_of(name, {})
    if case.known.measure == "mass"
}
QUICK = [name for name in CASES if not name.endswith("8bit")]


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return zoo.load_dataset("digits").test.fixed("binary", 0).images > 127


@pytest.fixture(scope="module")
def compressed(digits: Tensor) -> bytes:
    return zoo.compress("gaussian-vae-digits", digits[:40])


@pytest.mark.parametrize("name", CASES)
def test_every_likelihood_comes_back(name: str) -> None:
    TASK.try_out(CASES[name].model(), CASES[name].batch(3))


@pytest.mark.parametrize("name", list(registry().variants))
def test_every_variant_does_it_or_says_why_not(name: str) -> None:
    case = first_case(name)
    try:
        TASK.check_model(case.model())
    except UnsupportedError as error:
        assert "choose one with normal posteriors" in str(error), error
        return
    TASK.try_out(case.model(), case.batch(3))


@settings(max_examples=15)
@given(st.sampled_from(QUICK), st.sampled_from([0, 1, 2, 7, 20]), st.integers(0, 3))
def test_any_number_of_examples_of_any_weights(name: str, count: int, seed: int) -> None:
    case = CASES[name]
    model = restless(case.model(seed))
    x = case.examples(count)
    assert torch.equal(TASK.decompress(model, TASK.compress(model, x)), x)


def restless(model: LatentVariableModel) -> LatentVariableModel:
    """Larger weights: no posterior is the prior."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_what_comes_back_has_the_type_of_what_was_given(dtype: torch.dtype, digits: Tensor) -> None:
    model, x = zoo.load("gaussian-vae-digits"), digits[:3].to(dtype)
    found = zoo.decompress(model, zoo.compress(model, x))
    assert found.dtype == dtype and torch.equal(found, x)
    assert zoo.compress(model, x.numpy()) == zoo.compress(model, x)


@pytest.mark.parametrize("name", ["gaussian-vae-digits", "nvae-lite-digits"])
def test_the_rate_is_the_bound(name: str, digits: Tensor) -> None:
    """Known words taken off, of 600 images; the bound with draws of its own."""
    train = zoo.load_dataset("digits").train.fixed("binary", 0)
    x = (train.images > 127)[:600]
    model = zoo.load(name)
    stack = pushed(model, x)
    with torch.no_grad():
        torch.manual_seed(0)
        bound = -model.infer(x.float(), 16).elbo.sum().item() / math.log(2)
    rate = 32 * (len(stack.words) - stack.seeds)
    assert rate == pytest.approx(bound, rel=0.012), f"{rate / bound - 1:.2%}"


def pushed(model: LatentVariableModel, x: Tensor) -> Stack:
    from zoo.tasks.compress.codec import Codec
    from zoo.tasks.compress.identity import same_floats

    stack = Stack()
    with same_floats():
        Codec(model).push(stack, x.to(torch.uint8))
    return stack


def test_another_process_decodes_every_byte(tmp_path: Path, digits: Tensor) -> None:
    """By the command line, in a process with other threads."""
    np.save(tmp_path / "in.npy", digits.numpy())
    result = CliRunner().invoke(
        app,
        ["compress", "gaussian-vae-digits", f"{tmp_path}/in.npy", f"{tmp_path}/out.zoo"],
    )
    assert result.exit_code == 0, result.output
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "decompress", "out.zoo", "out.npy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "out.npy"), digits.numpy())


def test_threads_of_the_caller_do_not_matter(digits: Tensor) -> None:
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(zoo.compress("nvae-lite-digits", digits[:40]))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert found[0] == found[1]


def test_the_caller_s_noise_and_settings_are_left_alone(digits: Tensor) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    data = zoo.compress("gaussian-vae-digits", digits[:2])
    assert torch.equal(torch.rand(1), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert zoo.compress("gaussian-vae-digits", digits[:2]) == data


def test_damaged_files_are_refused(compressed: bytes, digits: Tensor) -> None:
    model, noise = zoo.load("gaussian-vae-digits"), random.Random(0)
    for number in range(300):
        copy = bytearray(compressed)
        if number % 3 == 0:
            del copy[noise.randrange(len(copy)) :]
        elif number % 3 == 1:
            copy += noise.randbytes(1 + number)
        else:
            copy[noise.randrange(len(copy))] ^= 1 << noise.randrange(8)
        with pytest.raises(DataError):
            zoo.decompress(model, bytes(copy))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": 41}, "announces 41 examples and holds 40"),
        ({"count": -1}, "its header is none"),
        ({"shape": [1, 10**9, 8]}, "another model compressed"),
        ({"dtype": "object"}, "its header is none"),
        ({"model": "0" * 64}, "another model compressed these examples, 'gaussian-vae-digits'"),
        ({"floats": "torch 1.0"}, "were compressed with torch 1.0, and here is torch"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_header_of_something_else_is_refused(
    changed: dict[str, Any], message: str, compressed: bytes
) -> None:
    """With the right checksum, as whoever means it can write it."""
    with pytest.raises(DataError, match=message):
        zoo.decompress("gaussian-vae-digits", with_header(compressed, changed))


def with_header(data: bytes, changed: dict[str, Any]) -> bytes:
    length = struct.unpack_from("<H", data, 10)[0]
    header = json.loads(zlib.decompress(data[12 : 12 + length]))
    described = zlib.compress(json.dumps({**header, **changed}).encode())
    start = MAGIC + struct.pack("<HH", 2, len(described)) + described
    return start + struct.pack("<I", zlib.crc32(start)) + data[12 + length + 4 :]


def test_a_header_that_inflates_without_end_is_refused(compressed: bytes) -> None:
    described = zlib.compress(b" " * 30_000_000)[:60_000]
    start = MAGIC + struct.pack("<HH", 2, len(described)) + described
    with pytest.raises(DataError, match="its header is none"):
        read_header(start + struct.pack("<I", zlib.crc32(start)))


def test_a_block_that_announces_more_than_it_can_hold_is_refused(compressed: bytes) -> None:
    start = compressed[: 12 + struct.unpack_from("<H", compressed, 10)[0] + 4]
    words = struct.pack("<2I", 1, 1)
    for examples, length in ((2**16, 2), (65, 2), (40, 2**31), (0, 2)):
        head = struct.pack("<5I", examples, length, 0, zlib.crc32(words), 0)
        block = head + struct.pack("<I", zlib.crc32(head)) + words
        with pytest.raises(DataError, match="damaged"):
            zoo.decompress("gaussian-vae-digits", start + block)


def test_words_of_something_else_are_not_decoded(compressed: bytes) -> None:
    """All checksums of the file are right; that of the decoded examples is not."""
    length = struct.unpack_from("<H", compressed, 10)[0]
    start, rest = compressed[: 12 + length + 4], compressed[12 + length + 4 :]
    examples, count, seeds, _, checksum = struct.unpack_from("<5I", rest)
    words = bytearray(rest[24:])
    words[4] ^= 1
    head = struct.pack("<5I", examples, count, seeds, zlib.crc32(words), checksum)
    block = head + struct.pack("<I", zlib.crc32(head)) + words
    with pytest.raises(DataError, match="what is decoded is not what was compressed"):
        zoo.decompress("gaussian-vae-digits", start + block)


@pytest.mark.parametrize("log_scale", [-7.0, -5.0, -3.0, 0.0])
def test_masses_of_256_intensities_come_back_however_peaked_they_are(log_scale: float) -> None:
    """Sums of them in float32 left some with no probability, and a trained model's panicked."""
    loc = torch.linspace(-0.2, 1.2, 5000)
    pixels = Independent(DiscretizedLogistic(loc, torch.full_like(loc, log_scale)), 1)
    (step,) = [next(steps_of(pixels, 255))]
    symbols = np.random.default_rng(0).integers(0, 256, len(loc))  # likely and unlikely ones
    stack = Stack()
    stack.push_symbols(symbols, table_of(step))
    assert Stack(stack.words).pop_symbols(table_of(step)).tolist() == symbols.tolist()
    drawn = (pixels.sample() * 255).long().numpy()  # these take what their masses say
    said = Stack()
    said.push_symbols(drawn, table_of(step))
    bits = -pixels.log_prob(torch.from_numpy(drawn) / 255).item() / math.log(2)
    assert 32 * len(said.words) == pytest.approx(bits, rel=0.01, abs=64)


def test_another_version_and_other_files_are_refused(compressed: bytes) -> None:
    with pytest.raises(DataError, match="format 1, this zoo reads format 2"):
        zoo.decompress("gaussian-vae-digits", compressed[:8] + b"\1\0" + compressed[10:])
    for other in (b"", b"PK", compressed[1:]):
        with pytest.raises(DataError, match="no compressed examples"):
            zoo.decompress("gaussian-vae-digits", other)
    with pytest.raises(DataError, match="expected the bytes"):
        zoo.decompress("gaussian-vae-digits", "a.zoo")  # type: ignore[arg-type]


def test_the_file_names_its_checkpoint(compressed: bytes) -> None:
    header = read_header(compressed)
    assert header.name == "gaussian-vae-digits"
    assert header.sha256 == registry().checkpoint("gaussian-vae-digits").sha256
    model = zoo.load("gaussian-vae-digits")
    assert header.model == digest_of(model) and header.floats == floats_here()
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    with pytest.raises(DataError, match="another model compressed"):
        zoo.decompress(model, compressed)


@pytest.mark.parametrize(
    "x",
    [
        torch.full((1, 1, 8, 8), 255, dtype=torch.uint8),
        torch.full((1, 1, 8, 8), 256, dtype=torch.int64),
        torch.full((1, 1, 8, 8), 0.5),
        torch.full((1, 1, 8, 8), torch.nan),
        torch.zeros(1, 1, 8, 9),
        torch.zeros(1, 1, 8, 8, dtype=torch.complex64),
        np.zeros((1, 1, 8, 8), object),
        [[1]],
    ],
    ids=str,
)
def test_examples_that_would_not_come_back_are_refused(x: Any) -> None:
    with pytest.raises(DataError):
        zoo.compress("gaussian-vae-digits", x)


def test_a_model_that_is_being_trained_is_refused(digits: Tensor) -> None:
    with pytest.raises(UnsupportedError, match=r"call model\.eval\(\)\.cpu\(\)"):
        zoo.compress(zoo.load("gaussian-vae-digits").train(), digits[:1])


def test_a_model_that_diverged_is_refused(digits: Tensor) -> None:
    model = zoo.load("gaussian-vae-digits")
    with torch.no_grad():
        list(model.parameters())[-1].fill_(torch.nan)
    with pytest.raises(UnsupportedError, match="a training that diverged"):
        zoo.compress(model, digits[:1])


@pytest.mark.parametrize("name", [name for name in CASES if "images-bern" in name])
def test_priors_and_likelihood_are_the_same_floats_without_examples(name: str) -> None:
    case: Case = CASES[name]
    model = case.model()
    assert isinstance(model, Descending)
    batch, drawn, priors = case.batch(5), [], []
    with torch.no_grad():

        def draw(p: Any, q: Any) -> Tensor:
            priors.append(p.mean)
            drawn.append(q.sample())
            return drawn[-1]

        known = model.descend(5, draw, batch)
        given, unknown_priors = iter(drawn), []

        def repeat(p: Any, q: Any) -> Tensor:
            assert q is None
            unknown_priors.append(p.mean)
            return next(given)

        unknown = model.descend(5, repeat)
    assert torch.equal(known.mean, unknown.mean)
    assert all(torch.equal(a, b) for a, b in zip(priors, unknown_priors, strict=True))
    codes = torch.cat([z.movedim(-1, 1).flatten(1) if z.ndim > 2 else z for z in drawn], 1)
    draws = model.infer(batch, given=codes[None])
    torch.testing.assert_close(draws.likelihood.mean[0], known.mean)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_steps_of_a_mixture_have_its_mass(channels: int) -> None:
    """The product of the steps' masses is what log_prob says."""
    torch.manual_seed(0)
    loc = torch.rand(2, 4, channels, 3, 5)
    coefficients = torch.rand(2, 4, channels * (channels - 1) // 2, 3, 5) - 0.5
    p = MixtureOfDiscretizedLogistics(
        torch.randn(2, 4, 3, 5), loc, torch.randn_like(loc) - 2, coefficients
    )
    check_steps(p, (p.sample() * 255).round().long(), 255)


def test_the_steps_of_other_likelihoods_have_their_mass() -> None:
    for name in ("gaussian-vae-images-bernoulli", "gaussian-vae-images-discretized-logistic",
                 "gaussian-vae-images-pixelcnn"):  # fmt: skip
        model, highest = CASES[name].model(), 255 if "logistic" in name else 1
        with torch.no_grad():
            p = model.decode(model.sample_codes(2))
            check_steps(p, (CASES[name].examples(2) * highest).round().long(), highest)


def check_steps(p: Any, symbols: Tensor, highest: int) -> None:
    log_mass = torch.zeros(len(symbols), dtype=torch.float64)

    def decide(step: Any) -> Tensor:
        nonlocal log_mass
        torch.testing.assert_close(step.masses.sum(-1), torch.ones_like(step.masses[..., 0]))
        found = symbols[step.where]
        each = step.masses.gather(-1, found[..., None]).double().log()
        log_mass = log_mass + each.flatten(1).sum(1)
        return found

    assert torch.equal(decided(p, highest, decide), symbols)
    torch.testing.assert_close(
        log_mass.float(), p.log_prob(symbols / highest), rtol=1e-4, atol=1e-3
    )


def test_a_distribution_without_steps_is_refused() -> None:
    p = torch.distributions.OneHotCategorical(torch.ones(3))
    with pytest.raises(UnsupportedError, match="OneHotCategorical does not say"):
        steps_of(p, 1)
    one = DiscretizedLogistic(torch.zeros(3), torch.zeros(3))
    assert next(steps_of(Independent(one, 1), 255)).masses.shape == (3, 256)


def test_numbers_stand_for_latents_as_near_as_a_bucket_is_wide() -> None:
    torch.manual_seed(0)
    p = Independent(Normal(torch.full((4,), 2.0), torch.full((4,), 3.0)), 1)
    q = Independent(Normal(2 + torch.randn(50, 4), torch.full((50, 4), 0.3)), 1)
    grid, stack = Grid(torch.tensor([0.0, 2**-4, 2**-5, 2**-7])), Stack()
    numbers = grid.pop_posterior(stack, p, q)
    z = grid.latents(numbers, p)
    off = (z - q.mean)[:, 1:] / 0.3  # fmt: skip
    assert off.abs().max() < 5 and off.std() == pytest.approx(1, abs=0.2)
    before = stack.words
    grid.push_prior(stack, numbers)
    assert np.array_equal(grid.pop_prior(stack, 50), numbers)
    assert np.array_equal(stack.words, before)
    grid.push_posterior(stack, numbers, p, q)
    assert stack.is_spent and torch.equal(z, grid.latents(numbers, p))
    shift, ratio = relative(p, q)
    torch.testing.assert_close(ratio, torch.full((50, 4), 0.1, dtype=torch.float64))
    torch.testing.assert_close(shift, (q.mean.double() - 2) / 3)


def test_grids_follow_from_the_model_alone() -> None:
    first, second = (grids_of(zoo.load("nvae-lite-digits")) for _ in range(2))
    assert all(torch.equal(a.widths, b.widths) for a, b in zip(first, second, strict=True))
    assert sum(grid.count for grid in first) > 0


def test_known_words_are_laid_beneath_only_as_needed() -> None:
    mean, deviation = np.zeros(100), np.full(100, 20.0)
    stack = Stack()
    numbers = stack.pop_normal(mean, deviation)
    assert 0 < stack.seeds < 100 * 8 / 32 + 8 and 10 < numbers.std() < 30
    stack.push_normal(numbers, mean, deviation)
    assert stack.is_spent
    received = Stack(seed_words(3), 3)
    received.pop_normal(mean, deviation)
    assert received.seeds == 3


@given(st.integers(0, 5000))
def test_batches_hold_all_examples_and_begin_small(n: int) -> None:
    sizes = list(batch_sizes(n))
    assert sum(sizes) == n and all(
        size <= max(1, sum(sizes[:i]) // 16) for i, size in enumerate(sizes)
    )


def test_programs_compress_the_same_images(digits: Tensor) -> None:
    symbols = digits.to(torch.uint8).numpy()
    for name, spec in registry().baselines.items():
        rival = component_class("baselines", name)
        if rival.task == "compress":
            found = rival(rival.Config.parse(spec.config, name))
            size = found.size(symbols, 1)
            assert 0.2 * symbols.size < 8 * size < 1.2 * symbols.size, name
            assert found.size(symbols * 255, 255) > 0, name


def test_pictures_hold_every_pixel() -> None:
    """Random bits cannot be compressed, so as many must be there; also in colour."""
    noise = np.random.default_rng(0)
    for form, count in (("png", 2100), ("webp", 100)):
        rival = Pictures(Pictures.Config(form=form))  # type: ignore[arg-type]
        assert rival.size(noise.integers(0, 2, (count, 1, 8, 8), np.uint8), 1) >= count * 8
        assert rival.size(noise.integers(0, 256, (20, 3, 8, 8), np.uint8), 255) >= 20 * 192
        with pytest.raises(UnsupportedError, match="1 or 3"):
            rival.size(np.zeros((2, 2, 8, 8), np.uint8), 1)
    assert General(General.Config()).size(noise.integers(0, 2, (100, 64), np.uint8), 1) >= 800


def test_without_constriction_the_message_says_what_to_install() -> None:
    code = (
        "import sys, importlib.metadata as installed\n"
        "sys.modules['constriction'] = None\n"
        "version = installed.version\n"
        "def known(name):\n"
        "    if name == 'constriction': raise installed.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "installed.version = known\n"
        "import torch, zoo\n"
        "try: zoo.compress('gaussian-vae-digits', torch.zeros(1, 1, 8, 8))\n"
        "except zoo.ZooError as error: print(error)"
    )
    done = python("-c", code)
    assert "pip install constriction" in done.stdout, done.stderr


def test_the_command_says_what_is_wrong(tmp_path: Path, digits: Tensor) -> None:
    np.save(tmp_path / "in.npy", digits[:2].numpy())
    mine = tmp_path / "mine.safetensors"
    zoo.save(zoo.create("gaussian-vae", dataset="digits", latent_dim=3), mine)
    out = f"{tmp_path}/out.zoo"
    assert call("compress", mine, tmp_path / "in.npy", out) == ""
    assert "give the one it is of as --model" in call("decompress", out, tmp_path / "b.npy")
    assert call("decompress", out, tmp_path / "b.npy", "--model", mine) == ""
    assert "must end in .npy" in call("decompress", out, tmp_path / "b.txt")
    assert "cannot read it" in call("decompress", tmp_path / "none", tmp_path / "b.npy")
    assert "a file .npy" in call("compress", mine, tmp_path / "in.txt", out)


def call(*arguments: object) -> str:
    """The error of a command, nothing of one that does it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.output if result.exit_code else ""
