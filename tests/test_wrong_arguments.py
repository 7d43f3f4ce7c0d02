"""Arguments of another kind than is asked for: one line that says so, on every entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.core.model import LatentVariableModel
from zoo.errors import ConfigError, DataError, UnknownNameError, UnsupportedError, ZooError

HUGE = 10**400
NO_PATHS: list[Any] = [3, float("nan"), b"bytes", ..., [], "a\0b", "~no-such-user-here/x"]


@pytest.fixture(scope="module")
def model() -> LatentVariableModel:
    return zoo.load("gaussian-vae-digits")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is accepted by mistake writes its files here."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", NO_PATHS, ids=repr)
def test_what_is_no_path(path: Any, model: LatentVariableModel, tmp_path: Path) -> None:
    asked: dict[str, Callable[[], Any]] = {
        "save": lambda: zoo.save(model, path, variant="gaussian-vae"),
        "load": lambda: zoo.load(path),
        "resume": lambda: zoo.resume(path),
        "registry": lambda: zoo.use_registry(path),
        "load_dataset": lambda: zoo.load_dataset("mnist", root=path),
        "create": lambda: zoo.create("univae", dataset="ptb", data_root=path),
        "evaluate": lambda: zoo.evaluate(model, dataset="mnist", data_root=path),
        "data_root": lambda: zoo.train("gaussian-vae", data_root=path, progress=False),
        "start_from": lambda: zoo.train("gaussian-vae", start_from=path, progress=False),
    }
    if path != []:  # none is given: the default is used
        asked["directory"] = lambda: zoo.train(
            "gaussian-vae", directory=path, epochs=1, progress=False
        )
    for ask in asked.values():
        with pytest.raises(ZooError):
            ask()
    assert not list(tmp_path.iterdir())


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called ~ was made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    run = zoo.train(
        "gaussian-vae", directory="~/run", epochs=1, latent_dim=2, hidden=[4], progress=False
    )
    assert run.directory == tmp_path / "run"
    zoo.save(run, "~/mine.safetensors")
    assert (tmp_path / "mine.safetensors").is_file()


@pytest.mark.parametrize("name", [[], {}, 3, None, 1.5, ...], ids=repr)
def test_what_is_no_name(name: Any) -> None:
    for ask in (zoo.info, zoo.verify, zoo.create, zoo.train):
        with pytest.raises(ZooError, match="unknown|no variant"):
            ask(name)
    if name is not None:
        with pytest.raises(UnknownNameError, match="unknown benchmark"):
            zoo.compare(["gaussian-vae-digits"], benchmark=name)


@pytest.mark.parametrize("pattern", [3, None, b"*", []], ids=repr)
def test_what_is_no_pattern(pattern: Any) -> None:
    lists = (zoo.list_variants, zoo.list_datasets, zoo.list_benchmarks, zoo.list_checkpoints)
    for ask in lists:
        with pytest.raises(ConfigError, match="a pattern of names must be text"):
            ask(pattern)


@pytest.mark.parametrize("sources", [3, ..., {"gaussian-vae-digits"}, b"x", True], ids=repr)
def test_what_is_no_list_of_models(sources: Any) -> None:
    with pytest.raises(ConfigError, match=r"give a list of models|expected|no path|cannot"):
        zoo.compare(sources, dataset="digits")


@pytest.mark.parametrize("device", [HUGE, -(2**70), "cuda:99", torch.device("cuda", 9), "gpu", 1.5])
def test_what_is_no_device_here(device: Any) -> None:
    with pytest.raises(ConfigError, match="is not available here"):
        zoo.load("gaussian-vae-digits", device=device)


@pytest.mark.parametrize("number", [None, 1.5, "2", float("nan"), float("inf"), [], HUGE, True, -1])
class TestNumbers:
    def test_of_samples(self, model: LatentVariableModel, number: Any) -> None:
        """Infinitely many were drawn until the memory was full."""
        x = torch.zeros(2, 1, 8, 8)
        with pytest.raises(UnsupportedError, match="samples must be a whole number"):
            model.log_prob(x, number)
        with pytest.raises(UnsupportedError, match="samples must be a whole number"):
            model.infer(x, number)
        with pytest.raises(UnsupportedError, match="the number of draws must be a whole one"):
            model.sample(number)

    def test_of_a_chunk(self, model: LatentVariableModel, number: Any) -> None:
        with pytest.raises(UnsupportedError, match="chunk must be a whole number"):
            model.log_prob(torch.zeros(2, 1, 8, 8), 2, number)

    def test_of_steps(self, model: LatentVariableModel, number: Any) -> None:
        codes = torch.zeros(2, model.code_dim)
        with pytest.raises(UnsupportedError, match="a path has at least 2 steps"):
            model.interpolate(*codes, number)


@pytest.mark.parametrize("option", ["samples", "seed"])
def test_none_is_no_number(model: LatentVariableModel, option: str) -> None:
    asked: dict[str, Any] = {option: None}
    with pytest.raises(ConfigError, match=f"{option} must be a whole number, got None"):
        zoo.evaluate(model, dataset="digits", **asked)


@pytest.mark.parametrize("generator", [3, "seed", float("nan"), torch.zeros(2)], ids=repr)
def test_what_is_no_generator(model: LatentVariableModel, generator: Any) -> None:
    for ask in (
        lambda: model.sample(2, generator=generator),
        lambda: model.edit(torch.zeros(2, 1, 8, 8), groups=[0], generator=generator),
    ):
        with pytest.raises(UnsupportedError, match=r"generator must be a torch\.Generator"):
            ask()


def test_examples_of_another_device(model: LatentVariableModel) -> None:
    x = torch.zeros(2, 1, 8, 8, device="meta")
    for ask in (model.encode, model.reconstruct, lambda x: model.log_prob(x, 2)):
        with pytest.raises(DataError, match="the examples are on meta, the model is on cpu"):
            ask(x)


@pytest.mark.parametrize("bits", ["16", 4, True, 16.5, []], ids=repr)
def test_what_is_no_number_of_bits(model: LatentVariableModel, bits: Any) -> None:
    """Weights were halved for "no"."""
    with pytest.raises(ConfigError, match="bits must be 16, 8 or None"):
        zoo.save(model, "x.safetensors", variant="gaussian-vae", bits=bits)
