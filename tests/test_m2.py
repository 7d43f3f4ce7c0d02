"""The semi-supervised VAE: sums over classes against loops, integrals and closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

import zoo
from zoo.core.batch import Batch
from zoo.core.classes import ClassDraws
from zoo.core.latent_space import Product, Sphere
from zoo.data import VectorSplit
from zoo.errors import ConfigError
from zoo.objectives import Step
from zoo.objectives.semi_supervised import SemiSupervised
from zoo.testing.known import integrated_evidence
from zoo.variants.m2 import M2, M2Config
from zoo.variants.variational import VariationalConfig

K, D = 3, 2


def small(latent_dim: int = 1, seed: int = 0, **settings: Any) -> M2:
    """Of vectors (2,), in double precision; what its classes say differs much."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {"likelihood": "gaussian", "backbone": {"name": "mlp", "hidden": [8]}}
    shape = {"input_shape": (D,), "latent_dim": latent_dim, "classes": K}
    model = M2(M2Config(**{**shape, **parts, **settings})).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.3)
    return model.eval()


def examples(count: int) -> Tensor:
    return torch.randn(count, D, generator=torch.Generator().manual_seed(1)).double()


def summed(model: M2, x: Tensor, samples: int = 1) -> ClassDraws:
    draws = model.infer(x, samples)
    assert isinstance(draws, ClassDraws)
    return draws


def evidence(model: M2, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x), (B,), and log p(x|y), (K, B), by quadrature."""
    rows = torch.eye(K).double()
    each = torch.stack([integrated_evidence(model.vae, x, row[None]) for row in rows])
    return each.logsumexp(0) - math.log(K), each


class TestEnumeration:
    def test_it_is_what_a_loop_over_classes_finds(self) -> None:
        model, x, samples = small(2), examples(4), 3
        draws = summed(model, x, samples)
        z = draws.each.z.view(samples, K, 4, 2)
        log_q = model.classify(x).log()
        for b in range(4):
            bounds, weights = [], torch.zeros(samples, K).double()
            for y in range(K):
                told = Batch(x[b : b + 1], torch.tensor([y]))
                latent = model.infer(told).latents[1]
                kl = kl_divergence(latent.posterior, latent.prior).item()
                scores = []
                for s in range(samples):
                    code = torch.cat([one_hot(torch.tensor(y), K).double(), z[s, y, b]])
                    score = model.decode(code).log_prob(x[b])
                    ratio = latent.prior.log_prob(z[s, y, b]) - latent.posterior.log_prob(
                        z[s, y, b]
                    )
                    scores.append(score.item())
                    weights[s, y] = score - math.log(K) + ratio
                bounds.append(sum(scores) / samples - math.log(K) - kl)
            q = log_q[b].exp()
            expected = sum(q[y] * (bounds[y] - log_q[b, y]) for y in range(K))
            torch.testing.assert_close(draws.bounds[b], torch.tensor(bounds).double())
            torch.testing.assert_close(draws.elbo[b], expected)
            torch.testing.assert_close(draws.log_weights[:, b], weights.logsumexp(1))
        torch.testing.assert_close(draws.elbo, draws.expected_log_likelihood - draws.kl.sum(-1))

    def test_codes_hold_the_drawn_class_and_its_z(self) -> None:
        model, x = small(2), examples(5)
        draws = summed(model, x, 4)
        table = draws.each.z.view(4, K, 5, 2)
        for s in range(4):
            for b in range(5):
                y = int(draws.drawn[s, b])
                assert torch.equal(draws.z[s, b, :K], one_hot(torch.tensor(y), K).double())
                assert torch.equal(draws.z[s, b, K:], table[s, y, b])
        torch.testing.assert_close(
            draws.log_likelihood, model.decode(draws.z).log_prob(x), rtol=1e-9, atol=1e-9
        )

    def test_the_code_of_an_example_is_that_of_its_likeliest_class(self) -> None:
        model, x = small(2), 8 * examples(20)
        code, likeliest = model.encode(x), model.classify(x).argmax(-1)
        assert len(likeliest.unique()) > 1
        assert torch.equal(code[:, :K].argmax(-1), likeliest)
        torch.testing.assert_close(code, model.encode(Batch(x, likeliest)))


class TestKnownEvidence:
    def test_the_bound_lies_below_and_the_weights_are_unbiased(self) -> None:
        model, x = small(), examples(6)
        exact, of_class = evidence(model, x)
        assert (of_class.std(0) > 0.1).any()
        with torch.no_grad():
            draws = summed(model, x, 20_000)
            assert (draws.elbo < exact).all()
            assert (draws.bounds < of_class.T - math.log(K)).all()
            weights = (draws.log_weights - exact).exp()  # (S, B), of mean 1
        error = weights.std(0) / math.sqrt(len(weights))
        assert (error < 0.1).all()
        assert ((weights.mean(0) - 1).abs() <= 4 * error).all()

    def test_told_a_class_it_is_p_of_x_given_it(self) -> None:
        model, x = small(), examples(4)
        _, of_class = evidence(model, x)
        for y in range(K):
            told = Batch(x, torch.full((4,), y))
            with torch.no_grad():
                draws = model.infer(told, 20_000)
            assert (draws.elbo < of_class[y]).all()
            weights = (draws.log_weights - of_class[y]).exp()  # (S, B), of mean 1
            error = weights.std(0) / math.sqrt(len(weights))
            assert ((weights.mean(0) - 1).abs() <= 4 * error).all()
            assert (error < 0.1).all()

    def test_the_weight_of_a_drawn_code_is_unbiased_too(self) -> None:
        """p(x, y, z) / q(y, z|x) of the codes alone, as those who are given codes find it."""
        model, x = small(), examples(3)
        exact, _ = evidence(model, x)
        with torch.no_grad():
            draws = model.infer(x, 50_000)
            given = model.infer(x, given=draws.z)
            weights = (given.log_weights - exact).exp()
        error = weights.std(0) / math.sqrt(len(weights))
        assert ((weights.mean(0) - 1).abs() <= 4 * error).all()
        assert (error < 0.1).all()


class TestObjective:
    def loss(self, model: M2, labels: list[int], step: Step, alpha: float = 0.5) -> Tensor:
        batch = Batch(examples(len(labels)), labels=torch.tensor(labels))
        objective = SemiSupervised(SemiSupervised.Config(alpha=alpha))
        torch.manual_seed(3)
        return objective.loss(objective.draws(model, batch), step).value

    def test_it_is_the_papers_sum_for_each_example(self) -> None:
        model, labels, step = small(2), [2, -1, 0, -1, -1], Step(1.0, 100, 10)
        torch.manual_seed(3)
        draws = summed(model, examples(5))
        log_q = model.classify(examples(5)).log()
        told = (draws.bounds[0, 2] + draws.bounds[2, 0]) / 2
        others = draws.elbo[[1, 3, 4]].mean()
        entropy = -(log_q[0, 2] + log_q[2, 0]) / 2
        expected = -(10 * told + 90 * others) / 100 + 0.5 * entropy
        torch.testing.assert_close(self.loss(model, labels, step), expected)

    def test_examples_without_a_label_teach_the_classifier(self) -> None:
        """By dU/d(logit_y) = q_y (A_y - sum_j q_j A_j), A = L(x, y) - log q(y|x)."""
        model, x = small(2), examples(1)
        torch.manual_seed(3)
        draws = summed(model, x)
        q, gain = draws.log_class.exp()[0], (draws.bounds - draws.log_class)[0]
        expected = (q * (gain - (q * gain).sum())).detach()
        self.loss(model, [-1], Step(1.0, 10, 1), alpha=0.0).backward()
        last = model.classifier[-1]
        assert isinstance(last, torch.nn.Linear) and last.bias.grad is not None
        torch.testing.assert_close(last.bias.grad, -0.9 * expected)
        assert expected.abs().max() > 1e-3

    def test_a_label_is_never_told(self) -> None:
        model, x = small(2), examples(3)
        torch.manual_seed(3)
        plain = summed(model, x).elbo
        torch.manual_seed(3)
        labelled = model.infer(Batch(x, labels=torch.tensor([0, 1, -1]))).elbo
        assert torch.equal(plain, labelled)

    def test_batches_hold_their_share_of_labelled_examples(self) -> None:
        labels = torch.full((103,), -1)
        labels[[5, 50, 70, 90]] = torch.tensor([0, 1, 0, 1])
        split = VectorSplit(torch.randn(103, D), labels)
        objective = SemiSupervised(SemiSupervised.Config(share=0.3))

        def arranged(seed: int) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(103, generator=generator)
            return objective.arranged(order, split, 10, generator)

        batches = arranged(0).view(10, 10)
        known = labels[batches] >= 0
        assert (known.sum(1) == 3).all()
        counts = batches[known].bincount(minlength=103)[[5, 50, 70, 90]]
        assert sorted(counts.tolist()) == [7, 7, 8, 8]
        assert (batches[~known].bincount() <= 1).all()
        assert torch.equal(arranged(0), arranged(0)) and not torch.equal(arranged(0), arranged(1))

    def test_where_labels_are_many_the_order_stays(self) -> None:
        split = VectorSplit(torch.randn(40, D), torch.arange(40) % 2)
        order = torch.randperm(40)
        objective = SemiSupervised(SemiSupervised.Config())
        found = objective.arranged(order, split, 10, torch.Generator())
        assert torch.equal(found, order)


class TestModel:
    def test_samples_of_a_class_are_decoded_from_it(self) -> None:
        model = zoo.create("m2", latent_dim=3, hidden=[16])
        codes = model.sample_codes(5, generator=torch.Generator().manual_seed(0), condition=7)
        assert codes[:, :10].argmax(-1).tolist() == [7] * 5
        means = model.decode(codes, torch.full((5,), 2)).mean
        codes[:, :10] = one_hot(torch.tensor(2), 10)
        assert torch.equal(means, model.decode(codes).mean)
        free = model.sample_codes(2000, generator=torch.Generator().manual_seed(0))
        counts = free[:, :10].sum(0)
        assert ((counts - 200).abs() < 5 * math.sqrt(180)).all()

    def test_z_may_live_on_a_sphere(self) -> None:
        model = zoo.create("m2", posterior="vmf", latent_dim=5, hidden=[16])
        assert isinstance(model.space, Product)
        assert isinstance(model.space.parts[1], Sphere)
        codes = model.sample_codes(3)
        torch.testing.assert_close(codes[:, 10:].norm(dim=-1), torch.ones(3))

    def test_the_class_drawn_anew_keeps_the_style(self) -> None:
        model = small(2)
        codes = model.encode(examples(30))
        drawn = model.resample_groups(codes, [0])
        assert torch.equal(codes[:, K:], drawn[:, K:])
        assert not torch.equal(codes[:, :K], drawn[:, :K])

    def test_without_classes_there_is_no_model(self) -> None:
        with pytest.raises(ConfigError, match="nothing is known of any; give data with labels"):
            zoo.create("m2", dataset=torch.rand(30, 4).numpy())
        with pytest.raises(ConfigError, match="classes is 3, and the data have 10 classes"):
            zoo.create("m2", classes=3)

    def test_settings_are_shared_with_the_vae(self) -> None:
        assert issubclass(M2Config, VariationalConfig)
        model = zoo.create("m2", classifier={"name": "mlp", "hidden": [7]}, hidden=[16])
        assert isinstance(model, M2)
        assert model.classifier[-1].in_features == 7  # type: ignore[union-attr]
        assert model.vae.config.backbone == model.config.backbone
