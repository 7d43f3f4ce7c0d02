"""The optimiser of matrices: torch's parts as one, and a closed form of its first step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.training.muon import Muon

LR, DECAY = 0.02, 0.1


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.Conv1d(1, 2, 3), nn.Linear(3, 5, bias=False))


def gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, steps: range) -> list[Tensor]:
    for step in steps:
        for group in optimiser.param_groups:
            group["lr"] = LR / (1 + step)
        gradients(model, step)
        optimiser.step()
    return [p.detach().clone() for p in model.parameters()]


def test_a_matrix_is_stepped_by_its_gradient_without_singular_values() -> None:
    """Entries change by 0.2 lr in the root mean square, whatever the gradient's scale and shape."""
    matrix = nn.Parameter(torch.zeros(30, 20))
    left, values, right = torch.linalg.svd(torch.randn(30, 20), full_matrices=False)
    matrix.grad = 1e3 * left @ torch.diag(values) @ right
    Muon([matrix], LR, 0.0).step()
    torch.testing.assert_close(matrix.square().mean().sqrt().item(), 0.2 * LR, rtol=0.2, atol=0)
    aligned = -(left.T @ matrix.detach() @ right.T)  # diagonal, and all of one size
    sizes = aligned.diagonal() / (0.2 * LR * 30**0.5)
    assert ((sizes > 0.6) & (sizes < 1.3)).all()
    assert (aligned - torch.diag(aligned.diagonal())).abs().max() < 0.05 * aligned.abs().max()


def test_the_parts_are_those_of_torch() -> None:
    ours, theirs = network(), network()
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    others = [p for p in theirs.parameters() if p.ndim != 2]
    apart = (
        torch.optim.Muon(matrices, LR, DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, LR, weight_decay=DECAY),
    )
    found = stepped(ours, Muon(list(ours.parameters()), LR, DECAY), range(4))
    for step in range(4):
        for part in apart:
            part.param_groups[0]["lr"] = LR / (1 + step)
            gradients(theirs, step)
            part.step()
    for mine, wanted in zip(found, theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize("kept", [slice(None), slice(0, 1), slice(1, 2)])
def test_restored_it_goes_on_bit_for_bit(kept: slice) -> None:
    """With matrices and others, with matrices alone, and without any."""
    whole = network()
    parameters = list(whole[0].parameters())[kept]
    optimiser = Muon(parameters, LR, DECAY)
    stepped(whole, optimiser, range(3))
    resumed, state = copy.deepcopy(whole), copy.deepcopy(optimiser.state_dict())
    again = Muon(list(resumed[0].parameters())[kept], LR, DECAY)
    again.load_state_dict(state)
    wanted = stepped(whole, optimiser, range(3, 6))
    for mine, right in zip(stepped(resumed, again, range(3, 6)), wanted, strict=True):
        assert torch.equal(mine, right)


def test_an_older_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ConfigError, match="muon needs torch 2.9 or later, here is"):
        Muon([nn.Parameter(torch.zeros(2, 2))], LR, 0.0)
