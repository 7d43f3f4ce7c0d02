"""The VQ-VAE: what the contract that all variants pass does not ask."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import forked
from safetensors.torch import load_file, save_file
from same_run import assert_same_run
from torch import Tensor
from torch.nn.functional import one_hot

import zoo
from zoo.core.component import Selected
from zoo.core.latent_space import Codebook
from zoo.core.model import LatentVariableModel
from zoo.distributions.point_mass import PointMass
from zoo.errors import ConfigError, UnsupportedError
from zoo.objectives import Step
from zoo.testing.expect import seed
from zoo.variants.vq_vae import VQVAE, VQVAEConfig
from zoo.variants.vq_vae.codebook import DEAD, MovingCodebook
from zoo.variants.vq_vae.prior import CodePrior, GridPrior

SMALL: dict[str, Any] = {
    "channels": [8, 8],
    "blocks": 1,
    "codebook_size": 8,
    "latent_dim": 3,
    "prior_width": 8,
    "prior_radii": [1, 1],
}


def small(**settings: Any) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(VQVAEConfig.parse({"input_shape": (1, 8, 8), **SMALL, **settings}, "small")).eval()


def pixels(count: int, number: int = 1) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=seed(number)).round()


def space(size: int = 7, dim: int = 3, places: int = 4) -> Codebook:
    return Codebook(torch.randn(size, dim, generator=seed(0)), places)


class TestCodebook:
    """The space."""

    def test_the_nearest_code_is_that_of_a_search_through_all(self) -> None:
        within, z = space(), torch.randn(5, 2, 12, generator=seed(1))
        found = within.nearest(z)
        assert found.shape == (5, 2, 4)
        for place, index in zip(z.view(-1, 3), found.flatten(), strict=True):
            distances = [(place - vector).square().sum().item() for vector in within.vectors]
            assert distances.index(min(distances)) == index

    def test_vectors_that_nearly_coincide_are_told_apart(self) -> None:
        """In single precision a product of matrices loses what they differ by."""
        base = 100 * torch.randn(64, generator=seed(0))
        close = base + 1e-4 * torch.randn(50, 64, generator=seed(1))
        within = Codebook(close, places=1)
        assert torch.equal(within.nearest(close).flatten(), torch.arange(50))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_codes_of_other_floats_are_the_same_codes(self, dtype: torch.dtype) -> None:
        within = space()
        codes = within.codes(torch.randint(7, (6, 4), generator=seed(2)))
        assert torch.equal(within.in_floats(codes.to(dtype), torch.float32), codes)

    def test_the_gradient_passes_straight_through(self) -> None:
        within, z = space(), torch.randn(5, 12, generator=seed(1)).requires_grad_()
        weights = torch.randn(5, 12, generator=seed(3))
        rounded = within.in_floats(z, torch.float32)
        assert torch.equal(rounded, within.codes(within.nearest(z)))
        (gradient,) = torch.autograd.grad((weights * rounded).sum(), z)
        assert torch.equal(gradient, weights)

    def test_a_path_goes_from_code_to_code_and_each_place_changes_by_itself(self) -> None:
        within = Codebook(torch.tensor([[0.0], [1.0], [5.0]]), places=2)
        path = within.interpolate(torch.tensor([0.0, 0.0]), torch.tensor([5.0, 1.0]), 6)
        assert path.tolist() == [[0, 0], [1, 0], [1, 0], [1, 1], [5, 1], [5, 1]]
        moved = within.traverse(
            torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0]), torch.tensor([0.4, 0.6, 9.0])
        )
        assert moved.tolist() == [[0, 1], [1, 1], [5, 1]]


class TestMovingAverages:
    def test_are_those_of_a_plain_loop(self) -> None:
        """With codes far apart, of which one dies, over batches of random points."""
        torch.manual_seed(0)
        codebook = MovingCodebook(5, 2, decay=0.9)
        counts, sums = [0.0] * 5, [[0.0, 0.0] for _ in range(5)]
        restarted = 0
        for number in range(40):
            points = torch.randn(40, 2, generator=seed(number))
            indices = torch.randint(4 if number > 5 else 5, (40,), generator=seed(number))
            codebook.update(points, indices)
            for k in range(5):
                chosen = [
                    p for p, i in zip(points.tolist(), indices.tolist(), strict=True) if i == k
                ]
                counts[k] = 0.9 * counts[k] + 0.1 * len(chosen)
                for axis in range(2):
                    total = sum(point[axis] for point in chosen)
                    sums[k][axis] = 0.9 * sums[k][axis] + 0.1 * total
                if counts[k] < DEAD * 40 / 5:
                    restarted += 1
                    start = codebook.vectors[k]
                    assert (points == start).all(-1).any(), "a dead code starts at a point"
                    counts[k] = 40 / 5
                    sums[k] = [counts[k] * start[axis].item() for axis in range(2)]
            expected = torch.tensor(sums) / torch.tensor(counts)[:, None]
            torch.testing.assert_close(codebook.vectors, expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(codebook.counts, torch.tensor(counts))
        assert restarted

    def test_the_first_batch_puts_the_codebook_where_the_points_are(self) -> None:
        torch.manual_seed(0)
        codebook, points = MovingCodebook(6, 3, decay=0.99), 100 + torch.randn(20, 3)
        codebook.update(points, torch.zeros(20, dtype=torch.int64))
        torch.testing.assert_close(codebook.vectors[0], points.mean(0))
        starts = codebook.vectors[1:]
        assert all((points - start).abs().sum(-1).min() < 1e-4 for start in starts)
        assert len(starts.unique(dim=0)) == 5

    def test_a_batch_that_is_not_finite_or_empty_changes_nothing(self) -> None:
        torch.manual_seed(0)
        codebook = MovingCodebook(4, 2, decay=0.9)
        codebook.update(torch.randn(30, 2), torch.randint(4, (30,)))
        before = {name: each.clone() for name, each in codebook.named_buffers()}
        points = torch.randn(30, 2)
        points[3, 1] = torch.nan
        codebook.update(points, torch.randint(4, (30,)))
        codebook.update(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
        assert all(torch.equal(before[name], each) for name, each in codebook.named_buffers())

    def test_are_of_all_processes(self, tmp_path: Path) -> None:
        """Two that see half of the points each end where one that sees all of them does."""
        children = [forked(_follow, tmp_path, rank) for rank in range(2)]
        for child in children:
            child.join(120)
            assert child.exitcode == 0
        first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        alone = _begun()
        alone.update(*_points(0))
        torch.testing.assert_close(first["before.sums"], alone.sums)
        torch.testing.assert_close(first["before.counts"], alone.counts)
        # Of the second batch nothing chose the last code, which started again, once for both.
        assert (_points(1)[0][:30] == first["after.vectors"][4]).all(-1).any()

    @pytest.mark.parametrize(
        ("counts", "expected"),
        [([5, 5, 5, 5], 4.0), ([20, 0, 0, 0], 1.0), ([0, 7, 7, 0], 2.0), ([3, 1, 0, 0], None)],
    )
    def test_perplexity_of_known_indices(self, counts: list[int], expected: float | None) -> None:
        indices = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
        if expected is None:
            expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
        found = MovingCodebook(4, 2, 0.9).perplexity(indices.view(2, -1))
        assert found.item() == pytest.approx(expected)

    def test_only_training_moves_them_and_only_by_inference(self) -> None:
        model, x = small(), pixels(6)
        before = model.codebook.vectors.clone()
        codes = model.infer(x).z
        model.train()
        model.encode(x), model.infer(x, given=codes), model.decode(codes)
        assert torch.equal(model.codebook.vectors, before)
        model.infer(x)
        assert not torch.equal(model.codebook.vectors, before)


def _begun() -> MovingCodebook:
    """One whose counts are far from those of dead codes, but for the last."""
    torch.manual_seed(0)
    codebook = MovingCodebook(5, 2, decay=0.9)
    codebook.counts.copy_(torch.tensor([9.0, 8.0, 7.0, 6.0, 0.42]))
    codebook.sums.copy_(codebook.counts[:, None] * codebook.vectors)
    return codebook


def _points(number: int) -> tuple[Tensor, Tensor]:
    """A batch of 60 for all processes together, which never chooses the last code."""
    points = torch.randn(60, 2, generator=seed(number))
    return points, torch.randint(4, (60,), generator=seed(number))


def _follow(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    codebook, found = _begun(), {}
    torch.manual_seed(rank)  # each would start a dead code elsewhere
    for number, name in enumerate(("before", "after")):
        points, indices = (each.chunk(2)[rank] for each in _points(number))
        codebook.update(points, indices)
        found |= {f"{name}.{key}": each.clone() for key, each in codebook.named_buffers()}
    save_file(found, folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


class TestPrior:
    def test_masses_of_all_grids_sum_to_one(self) -> None:
        torch.manual_seed(0)
        prior = GridPrior(2, (2, 2), width=4, radii=(1, 1)).double()
        grids = torch.tensor(list(itertools.product(range(2), repeat=4)))
        masses = prior.log_prob(grids).exp()
        assert masses.sum().item() == pytest.approx(1, abs=1e-12)
        assert masses.std() > 1e-3

    def test_grids_are_drawn_with_their_masses(self) -> None:
        torch.manual_seed(0)
        prior = GridPrior(2, (2, 2), width=4, radii=(1, 1)).double()
        grids = torch.tensor(list(itertools.product(range(2), repeat=4)))
        with torch.no_grad():
            for temperature in (1.0, 0.5):
                drawn = prior.draw(20_000, temperature, seed(1))
                number = (drawn * torch.tensor([8, 4, 2, 1])).sum(-1)
                found = one_hot(number, 16).double().mean(0)
                expected = torch.stack([_mass(prior, grid, temperature) for grid in grids])
                assert expected.sum().item() == pytest.approx(1, abs=1e-9)
                error = (expected * (1 - expected) / 20_000).sqrt()
                assert ((found - expected).abs() <= 4.5 * error).all()

    def test_without_temperature_each_code_is_the_likeliest_given_those_before(self) -> None:
        torch.manual_seed(0)
        prior = GridPrior(3, (2, 2), width=4, radii=(1,)).double()
        drawn = prior.draw(2, 0.0)
        assert torch.equal(drawn[0], drawn[1])
        for place in range(4):
            others = drawn[:1].repeat(3, 1)
            others[:, place] = torch.arange(3)
            # What comes later is summed out: the masses of a place alone say which is likeliest.
            conditional = torch.stack([_conditional(prior, each, place) for each in others])
            assert conditional.argmax() == drawn[0, place]

    def test_of_codes_is_that_of_their_indices(self) -> None:
        within = space(places=6)
        p = CodePrior(GridPrior(7, (2, 3), width=4, radii=(1,)), within)
        codes = p.sample(torch.Size([3, 2]))
        assert codes.shape == (3, 2, 18)
        expected = p.grids.log_prob(within.nearest(codes).view(6, 6)).view(3, 2)
        torch.testing.assert_close(p.log_prob(codes), expected)


def _conditional(prior: GridPrior, grid: Tensor, place: int) -> Tensor:
    """p(k_i | k_<i) of a grid (T,), by summing masses of all that may follow."""
    size = prior.embedding.num_embeddings

    def mass(known: Tensor) -> Tensor:
        rest = itertools.product(range(size), repeat=grid.numel() - len(known))
        whole = [torch.cat([known, torch.tensor(each, dtype=torch.int64)]) for each in rest]
        return prior.log_prob(torch.stack(whole)).exp().sum()

    return mass(grid[: place + 1]) / mass(grid[:place])


def _mass(prior: GridPrior, grid: Tensor, temperature: float) -> Tensor:
    """prod_i p(k_i | k_<i)^(1/T) / sum_k p(k | k_<i)^(1/T)."""
    mass = torch.ones(())
    for place in range(grid.numel()):
        others = grid.repeat(prior.embedding.num_embeddings, 1)
        others[:, place] = torch.arange(len(others))
        each = torch.stack([_conditional(prior, other, place) for other in others])
        sharpened = each ** (1 / temperature)
        mass = mass * sharpened[grid[place]] / sharpened.sum()
    return mass


class TestBound:
    def test_is_what_its_parts_say(self) -> None:
        """log p(x|z) of each pixel, and log p of each code given those before it, by hand."""
        model, x = small().double(), pixels(3).double()
        draws = model.infer(x)
        points = model.encoder(x).view(3, 4, 3)
        distances = (points[:, :, None] - model.codebook.vectors).square().sum(-1)
        indices = distances.argmin(-1)  # (3, 4)
        code = model.codebook.vectors[indices]
        logits = model.decoder(code.flatten(1))
        on_pixels = -torch.log1p(torch.exp(-(2 * x - 1) * logits)).sum((1, 2, 3))
        on_codes = [
            sum(_log_conditionals(model.prior, grid)[i, k] for i, k in enumerate(grid.tolist()))
            for grid in indices
        ]
        expected = on_pixels + torch.stack(on_codes)  # type: ignore[arg-type]
        torch.testing.assert_close(draws.elbo, expected)
        torch.testing.assert_close(draws.kl[:, 0], -torch.stack(on_codes))  # type: ignore[arg-type]
        assert (draws.log_q == 0).all()
        commitment = distances.min(-1).values.sum(-1)
        torch.testing.assert_close(draws.auxiliary["commitment"], commitment)

    def test_more_draws_add_nothing(self) -> None:
        model, x = small(), pixels(5)
        bound = model.infer(x).elbo
        for samples in (1, 2, 50):
            torch.testing.assert_close(model.infer(x, samples).log_evidence, bound)
            torch.testing.assert_close(model.log_prob(x, samples), bound.detach())

    def test_codes_of_others_have_no_density(self) -> None:
        """And what is given is scored as it is."""
        model, x = small(codebook_size=32), pixels(4)
        pairs = model.log_posteriors(x)
        same = (model.encode(x)[:, None] == model.encode(x)).all(-1)
        assert torch.equal(pairs, torch.zeros(4, 4).masked_fill(~same, -math.inf))
        drawn = model.sample_codes(4, generator=seed(0))
        draws = model.infer(x, given=drawn[None])
        p = draws.latents[0].prior.log_prob(drawn)
        torch.testing.assert_close(draws.log_p[0, :, 0], p)
        torch.testing.assert_close(draws.log_likelihood[0], model.decode(drawn).log_prob(x))

    def test_the_encoder_learns_as_if_nothing_were_rounded(self) -> None:
        model, x = small(), pixels(4)
        draws = model.infer(x)
        (found,) = torch.autograd.grad(draws.log_likelihood.sum(), draws.code, retain_graph=True)
        points: list[Tensor] = []
        model.encoder.register_forward_hook(lambda _, __, out: points.append(out))
        draws = model.infer(x)
        (through,) = torch.autograd.grad(draws.log_likelihood.sum(), points[-1], retain_graph=True)
        torch.testing.assert_close(through, found)
        (nothing,) = torch.autograd.grad(draws.log_p.sum(), points[-1], allow_unused=True)
        assert nothing is None

    def test_a_point_mass_is_a_distribution(self) -> None:
        q = PointMass(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        assert q.sample((5,)).shape == (5, 2, 2)
        assert torch.equal(q.log_prob(q.rsample((5,))), torch.zeros(5, 2))
        assert q.log_prob(q.mean.flip(0)).tolist() == [-math.inf] * 2
        assert torch.equal(q.entropy(), torch.zeros(2))
        assert torch.equal(q.variance, torch.zeros(2, 2))


def _log_conditionals(prior: GridPrior, grid: Tensor) -> Tensor:
    """log p(k_i = k | k_<i), (T, K), of the head's numbers where nothing later is filled in."""
    rows = []
    for place in range(grid.numel()):
        known = grid.clone()
        known[place:] = 0
        vectors = prior.embedding(known.view(1, *prior.grid)).movedim(-1, 1)
        logits = prior.head(vectors, prior.maps[None, None])[0, 0].flatten(1)
        rows.append(logits[:, place].log_softmax(0))
    return torch.stack(rows)


class TestObjective:
    def test_is_the_bound_and_the_commitment(self) -> None:
        model, x = small(), pixels(6)
        draws = model.infer(x)
        objective = Selected.parse("objectives", {"name": "vq", "commitment": 0.5}).build()
        value, logs = objective.loss(draws, Step())
        commitment = draws.auxiliary["commitment"].mean()
        torch.testing.assert_close(value, 0.5 * commitment - draws.elbo.mean())
        assert logs["commitment"] == commitment
        assert 1 <= logs["perplexity"] <= 8

    def test_the_commitment_moves_the_encoder_towards_its_codes(self) -> None:
        model, x = small(), pixels(6)
        distance = model.infer(x).auxiliary["commitment"].sum()
        distance.backward()
        reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
        assert reached == {"encoder"}
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter -= 1e-4 * parameter.grad  # type: ignore[operator]
        assert model.infer(x).auxiliary["commitment"].sum() < distance

    def test_is_refused_where_there_is_no_codebook(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="'gaussian-vae' has none.*choose.*'vq-vae'"):
            zoo.train("gaussian-vae", objective="vq", directory=tmp_path, epochs=1, progress=False)


class TestTraining:
    def test_learns_digits_and_its_file_keeps_the_codebook(self, tmp_path: Path) -> None:
        run = zoo.train("vq-vae", directory=tmp_path, epochs=6, lr=5e-3, progress=False, **SMALL)
        bounds = [record["validation_elbo"] for record in run.history]
        assert bounds[-1] > bounds[0] + 3
        assert {"train_commitment", "train_perplexity"} <= run.history[0].keys()
        assert run.history[-1]["train_perplexity"] > 4
        loaded, x = zoo.load(tmp_path), pixels(5)
        assert isinstance(loaded, VQVAE) and isinstance(run.model, VQVAE)
        for name, buffer in run.model.codebook.named_buffers():
            assert torch.equal(buffer, loaded.codebook.get_buffer(name)), name
        assert loaded.codebook.counts.sum() > 0
        assert torch.equal(loaded.space.vectors, loaded.codebook.vectors)
        assert torch.equal(loaded.encode(x), run.model.encode(x))

    def test_goes_on_bit_for_bit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stopped in the middle of an epoch, with an average of the weights."""
        options = {**SMALL, "epochs": 2, "ema_decay": 0.9, "checkpoint_seconds": 0.0}
        whole, torn = tmp_path / "whole", tmp_path / "torn"
        zoo.train("vq-vae", directory=whole, progress=False, **options)
        update, left = MovingCodebook.update, [14]

        def stop(self: MovingCodebook, points: Tensor, indices: Tensor) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            update(self, points, indices)

        monkeypatch.setattr(MovingCodebook, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            zoo.train("vq-vae", directory=torn, progress=False, **options)
        monkeypatch.undo()
        zoo.resume(torn, progress=False)
        assert_same_run(torn, whole)


class TestSettings:
    def test_an_image_of_any_size_fits(self) -> None:
        for shape in ((1, 1, 1), (3, 5, 9), (2, 13, 6)):
            model = small(input_shape=shape)
            x = torch.rand(2, *shape, generator=seed(0)).round()
            assert model.reconstruct(x).shape == model.sample(2).shape == x.shape

    def test_a_first_layer_that_sees_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="at least 1"):
            small(prior_radii=[0, 1])

    def test_vectors_are_not_read(self) -> None:
        with pytest.raises(ConfigError, match="'vq-vae' reads images, not vectors"):
            zoo.create("vq-vae", dataset=torch.randn(20, 5).numpy())

    def test_what_is_no_code_is_refused(self) -> None:
        model: LatentVariableModel = small()
        with pytest.raises(UnsupportedError, match=r"give codes \(..., 12\)"):
            model.decode(torch.zeros(2, 4))
