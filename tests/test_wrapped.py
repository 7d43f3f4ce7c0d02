"""What wrappers see of a model is its forward: gradients agree across processes and graphs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from processes import Process

import zoo

SCRIPT = """
import sys
import torch
import zoo
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

variant, folder, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = f"file://{folder}/store"
distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
torch.manual_seed(0)
model = zoo.create(variant, latent_dim=3).train()
whole = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
torch.manual_seed(rank)
wrapped = DistributedDataParallel(model)
draws = wrapped(whole[4 * rank : 4 * rank + 4])
(-draws.log_likelihood.mean() + draws.kl.sum(-1).mean()).backward()
torch.save({name: p.grad for name, p in model.named_parameters()}, f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.parametrize("variant", ["autoencoder", "vmf-vae"])
def test_two_processes_share_their_gradients(variant: str, tmp_path: Path) -> None:
    """Draws are lazy, so most of what is differentiated runs after the wrapper's forward."""
    processes = [Process("-c", SCRIPT, variant, tmp_path, rank) for rank in range(2)]
    assert [process.finish().returncode for process in processes] == [0, 0]
    ours, theirs = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    if variant == "vmf-vae":  # whose draws differ from process to process
        return
    torch.manual_seed(0)
    model = zoo.create(variant, latent_dim=3).train()
    whole = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    (-model(whole).log_likelihood.mean()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad)


def test_a_compiled_model_answers_with_the_same_draws() -> None:
    torch.compiler.reset()
    model = zoo.create("gaussian-vae", latent_dim=3)
    x = torch.rand(4, 1, 8, 8).round()
    compiled = torch.compile(model, backend="eager")
    torch.manual_seed(0)
    expected = model(x, 5)
    torch.manual_seed(0)
    found = compiled(x, 5)
    torch.testing.assert_close(found.log_weights, expected.log_weights)
    torch.testing.assert_close(found.kl, expected.kl)
