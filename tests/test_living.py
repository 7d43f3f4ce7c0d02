"""What the page's script is given of decoders is enough to make their pictures."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo
from zoo.api.report import exhibit
from zoo.api.source import dataset_for, opened
from zoo.errors import UnsupportedError
from zoo.nn.layers import Layer, run
from zoo.reporting import living as module
from zoo.reporting.exhibit import Exhibit
from zoo.reporting.living import alive, living, packed, parts_of, step_of, tensors


def shown(name: str) -> Exhibit:
    entry = opened(name)
    return exhibit(name, entry, dataset_for(entry, "digits"))


def unpacked(spec: dict[str, Any]) -> list[Layer]:
    """The layers, read independently of what wrote them, as the script does."""
    text = spec["weights"].translate(str.maketrans(",.:", "<>&"))
    content = zlib.decompress(base64.b85decode(text)[: spec["bytes"]])
    low, high = np.frombuffer(content, np.uint8).reshape(2, -1).astype(np.int32)
    numbers = torch.from_numpy((low + 256 * high + 2**15) % 2**16 - 2**15).float()
    return _layers(spec["layers"], iter(_pieces(spec["layers"], numbers)))


def _pieces(layers: list[dict[str, Any]], numbers: Tensor) -> list[Tensor]:
    sizes = list(_sizes(layers))
    found = torch.split(numbers, [int(np.prod(each["size"])) for each in sizes])
    return [f.view(each["size"]) * each["step"] for f, each in zip(found, sizes, strict=True)]


def _sizes(layers: list[dict[str, Any]]) -> Any:
    for layer in layers:
        yield from layer["weights"]
        for branch in layer["branches"]:
            yield from _sizes(branch)


def _layers(layers: list[dict[str, Any]], pieces: Any) -> list[Layer]:
    return [
        Layer(
            each["kind"],
            tuple(next(pieces) for _ in each["weights"]),
            each,
            tuple([_layers(branch, pieces) for branch in each["branches"]]),
        )
        for each in layers
    ]


@pytest.mark.parametrize("name", ["gaussian-vae-digits", "vmf-vae-digits", "autoencoder-digits"])
def test_what_is_packed_makes_the_pictures_of_the_model(name: str) -> None:
    each = shown(name)
    spec = alive(each).spec
    z = each.model.sample_codes(300, generator=torch.Generator().manual_seed(7))
    made = run(unpacked(spec), z).clamp(0, 1)
    assert (made - each.model.show(z)).abs().max() < 1 / 255
    codes = torch.tensor(spec["codes"])
    again = each.model.reconstruct(each.batch)  # type: ignore[arg-type]
    assert (run(unpacked(spec), codes).clamp(0, 1) - again).abs().max() < 1 / 255
    assert spec["labels"] == list(range(10)) and len(spec["weights"]) < 120_000


def test_a_model_that_is_told_a_class_reads_it_beside_its_code() -> None:
    each = shown("cvae-digits")
    spec = alive(each).spec
    assert spec["classes"] == 10
    z, told = each.model.sample_codes(10, condition=torch.arange(10)), torch.arange(10)
    made = run(unpacked(spec), torch.cat([z, torch.eye(10)], dim=-1))
    assert (made - each.model.show(z, told)).abs().max() < 1 / 255


def test_sliders_reach_as_far_as_codes_lie_and_on_a_sphere_to_its_poles() -> None:
    flat, round_ = alive(shown("autoencoder-digits")).spec, alive(shown("vmf-vae-digits")).spec
    assert max(flat["reach"]) > 3 and round_["reach"] == [1.0] * 9
    assert flat["random"] is False and round_["random"] is True
    assert round_["parts"] == [("sphere", 9)] and len(round_["order"]) == 8


def test_what_cannot_live_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["gaussian-vae-digits", "nvae-lite-digits", "univae-digits"]
    found, reasons = living([shown(name) for name in names])
    assert [each.model for each in found] == names[:1]
    assert set(reasons) == set(names[1:]) and "list of layers" in reasons["nvae-lite-digits"]
    without = exhibit("gaussian-vae-digits", opened("gaussian-vae-digits"), None)
    with pytest.raises(UnsupportedError, match="no examples here"):
        alive(without)
    monkeypatch.setattr(module, "MOST_WEIGHTS", 1000)
    with pytest.raises(UnsupportedError, match=r"has 0\.1 megabytes in half precision"):
        alive(shown("gaussian-vae-digits"))


def test_the_best_decoders_have_the_room_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for which too little is left leaves it to a smaller one after it."""
    names = ["gaussian-vae-digits", "cvae-digits", "vmf-vae-digits"]
    shows = [shown(name) for name in names]
    letters = [len(alive(each).spec["weights"]) for each in shows]
    assert letters[2] < letters[1]
    monkeypatch.setattr(module, "MOST_OF_ALL", letters[0] + letters[2])
    found, reasons = living(shows)
    assert [each.model for each in found] == [names[0], names[2]]
    assert list(reasons) == names[1:2] and "a page of fewer models" in reasons[names[1]]


def test_layers_that_are_not_what_the_model_decodes_by_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each = shown("gaussian-vae-digits")
    honest = type(each.model).decoder_layers  # type: ignore[attr-defined]
    monkeypatch.setattr(type(each.model), "decoder_layers", lambda model: honest(model)[:-1])
    with pytest.raises(UnsupportedError, match="do not make what it decodes"):
        alive(each)


def test_steps_are_powers_of_two_of_which_all_weights_are_whole_multiples() -> None:
    torch.manual_seed(0)
    weights = torch.randn(300, 300)
    step = step_of(weights, 8)
    assert step == 2.0**-8 or step == 2.0**-9
    assert step_of(torch.zeros(3), 8) == 1.0
    spiked = torch.cat([torch.randn(2**16) * 1e-3, torch.tensor([40.0])])
    numbers = spiked / step_of(spiked, 12)
    assert numbers.abs().max() <= 2**15 - 1
    layers = [Layer("scale", (torch.tensor([-0.5, 0.25]),))]
    content = zlib.decompress(packed(layers, 6))
    planes = np.frombuffer(content, np.uint8).reshape(2, 2).astype(np.int32)
    found = (planes[0] + 256 * planes[1]).astype(np.uint16).astype(np.int16)
    assert (found * step_of(torch.tensor([-0.5, 0.25]), 6)).tolist() == [-0.5, 0.25]
    assert len(list(tensors(layers))) == 1


def test_a_codebook_has_nothing_between_its_codes(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Codebook, where there is nothing between"):
        parts_of(zoo.create("vq-vae", dataset="digits").space)
