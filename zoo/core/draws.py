"""What a model answers with: draws of its latents, and all that follows from them.

Bounds, objectives and metrics are written once, on these; every part is computed when first asked
for, so that a training step costs what its objective reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from zoo.core.batch import Batch
from zoo.core.lazy import lazy
from zoo.distributions.observed import observed_log_prob
from zoo.distributions.product import ProductDistribution
from zoo.errors import UnsupportedError

_without_closed_form: set[tuple[type, ...]] = set()


class LatentDraw:
    """S draws of one latent group for each of B examples, their posterior and their prior.

    ``z`` is as the distributions have it: (S, B, d) where their batch is (B,), one posterior for
    all draws of an example, or (S B, d) where it is (S B,), perhaps with the places of a map before
    d. ``shape`` is (S, B). ``log_q`` may be given where drawing finds it, as in flows whose density
    elsewhere is expensive.
    """

    def __init__(
        self,
        z: Tensor,
        posterior: Distribution,
        prior: Distribution,
        shape: tuple[int, int],
        log_q: Tensor | None = None,
    ) -> None:
        self.z, self.posterior, self.prior, self.shape = z, posterior, prior, shape
        if log_q is not None:
            self.log_q = self._by_draw(log_q)

    @lazy
    def log_q(self) -> Tensor:
        """log q(z|x), (S, B)."""
        return self._density(self.posterior)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z), (S, B)."""
        return self._density(self.prior)

    @lazy
    def log_weight(self) -> Tensor:
        """log p(z) - log q(z|x), (S, B)."""
        return self.log_p - self.log_q

    @lazy
    def kl(self) -> Tensor:
        """KL(q(z|x) || p(z)), (B,): in closed form, or the mean of log q - log p over the draws."""
        exact = self._exact_kl  # (B, ...) or (S B, ...), or None
        if exact is None:
            return -self.log_weight.mean(0)
        if exact.shape[0] == self.shape[1]:  # one posterior for all draws of an example
            return exact if exact.ndim == 1 else exact.flatten(1).sum(1)
        return self._by_draw(exact).mean(0)

    @lazy
    def kl_by_draw(self) -> Tensor:
        """The same of the posterior of each draw, (S, B), where each draw has its own."""
        exact = self._exact_kl
        return -self.log_weight if exact is None else self._by_draw(exact)

    @lazy
    def _exact_kl(self) -> Tensor | None:
        return closed_form_kl(self.posterior, self.prior) if self.z.numel() else None

    @lazy
    def kl_by_dimension(self) -> Tensor | None:
        """The KL of each dimension, (B, d), where posterior and prior factorise; else None."""
        q, p = self.posterior, self.prior
        if not (isinstance(q, Independent) and isinstance(p, Independent)):
            return None
        return closed_form_kl(q.base_dist, p.base_dist)

    def apart(self, value: Tensor) -> Tensor:
        """Values (S B, ...) or (S, B, ...) as (S, B, ...)."""
        return value if value.shape[:2] == self.shape else torch.unflatten(value, 0, self.shape)

    def _density(self, distribution: Distribution) -> Tensor:
        """log p(z), (S, B)."""
        if not self.z.numel():  # torch's Independent cannot sum over the dimensions of no draw
            return self.z.new_zeros(self.shape)
        return self._by_draw(distribution.log_prob(self.z))

    def _by_draw(self, value: Tensor) -> Tensor:
        """Of values (S B, ...) or (S, B, ...) the sum over places, (S, B)."""
        value = self.apart(value)
        return value if value.ndim == 2 else value.flatten(2).sum(2)


def drawn(q: Distribution, shape: tuple[int, int]) -> Tensor:
    """S reparameterised draws for each of B examples, where ``shape`` is (S, B).

    One of each of S B distributions, (S B, ...), or S of each of B, (S, B, ...).
    """
    return reparameterised(q, draws_of_each(q, shape))


def draws_of_each(q: Distribution, shape: tuple[int, int]) -> torch.Size:
    """What to ask of q for S draws of B examples: nothing more where it is one for each draw."""
    samples, examples = shape
    # Expanded parameters, if only by an axis of 1, have their gradients summed.
    one = samples == 1 or q.batch_shape[:1] != (examples,)
    return torch.Size([] if one else [samples])


def reparameterised(q: Distribution, shape: Sequence[int] = ()) -> Tensor:
    """Draws (*shape, ...) through which gradients reach the parameters of q.

    Raises UnsupportedError for a distribution that says it has none.
    """
    if not q.has_rsample:
        raise UnsupportedError(
            f"{type(q).__name__} has no reparameterised draws (has_rsample is False), so nothing "
            "could be learned of q(z|x); let the posterior say another distribution, as torch's "
            "Normal, or define rsample and set has_rsample = True"
        )
    return q.rsample(torch.Size(shape))


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) where torch knows how to compute it, else None."""
    kinds = (*_kinds(q), *_kinds(p))
    if kinds in _without_closed_form:
        return None
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        _without_closed_form.add(kinds)
        return None


def _kinds(distribution: Distribution) -> tuple[type, ...]:
    if isinstance(distribution, Independent):
        return (type(distribution), *_kinds(distribution.base_dist))
    if isinstance(distribution, ProductDistribution):
        inner = [kind for part in distribution.parts for kind in _kinds(part)]
        return (type(distribution), *inner)
    return (type(distribution),)


class Draws:
    r"""S draws z ~ q(z|x) for each of B examples, in G latent groups of D numbers together.

    ``latents`` are the groups' draws, of a deterministic code none. ``likelihood`` makes p(x|z) of
    the draws, batch shape (S, B), when it is first needed, and ``code`` the deterministic code.
    ``auxiliary`` holds what only some objectives read, as a codebook's commitment.

    >>> from torch.distributions import Normal
    >>> q, p = (Independent(Normal(torch.full((5, 2), m), 1.0), 1) for m in (0.5, 0.0))
    >>> latent = LatentDraw(q.rsample((3,)), q, p, (3, 5))
    >>> x = torch.zeros(5, 2)
    >>> likelihood = lambda: Independent(Normal(latent.z, 1.0), 1)
    >>> draws = Draws([latent], likelihood, Batch(x), lambda: q.mean)
    >>> draws.z.shape, draws.kl[:, 0], draws.log_weights.shape
    (torch.Size([3, 5, 2]), tensor([0.2500, 0.2500, 0.2500, 0.2500, 0.2500]), torch.Size([3, 5]))
    """

    def __init__(
        self,
        latents: Sequence[LatentDraw],
        likelihood: Callable[[], Distribution],
        batch: Batch,
        code: Callable[[], Tensor],
        z: Tensor | None = None,
        auxiliary: dict[str, Tensor] | None = None,
    ) -> None:
        self.latents, self.batch, self.auxiliary = latents, batch, auxiliary or {}
        self._make_likelihood, self._make_code = likelihood, code
        if z is not None:
            self.z = z

    @lazy
    def z(self) -> Tensor:
        """The draws of all groups side by side, (S, B, D)."""
        parts = [latent.apart(latent.z).flatten(2) for latent in self.latents]  # (S, B, D_g) each
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    @lazy
    def likelihood(self) -> Distribution:
        """p(x|z), batch shape (S, B)."""
        return self._make_likelihood()

    @lazy
    def code(self) -> Tensor:
        """The deterministic code of each example, (B, D): the posteriors' modes."""
        return self._make_code()

    @lazy
    def log_likelihood(self) -> Tensor:
        """log p(x|z) of what is observed of x, (S, B)."""
        x, observed = self.batch.x, self.batch.observed
        if not x.numel():  # torch's Independent cannot sum over the dimensions of no example
            return self.z.new_zeros(self.z.shape[:2])
        p = self.likelihood
        found = p.log_prob(x) if observed is None else observed_log_prob(p, x, observed)
        if found.shape != self.z.shape[:2]:
            raise UnsupportedError(
                f"log p(x|z) is one number for each draw and example, {tuple(self.z.shape[:2])}, "
                f"and {type(p).__name__} gives {tuple(found.shape)}: its events are to be whole "
                f"examples; wrap it in Independent(..., {x.ndim - 1})"
            )
        return found

    @lazy
    def expected_log_likelihood(self) -> Tensor:
        """E_q[log p(x|z)], (B,): the mean over the draws, or nearer to it where a model knows."""
        found = self.log_likelihood
        return found.squeeze(0) if len(found) == 1 else found.mean(0)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z_g) of each group, given those before it, (S, B, G)."""
        return self._stacked([latent.log_p for latent in self.latents])

    @lazy
    def log_q(self) -> Tensor:
        """log q(z_g|x) of each group, given those before it, (S, B, G)."""
        return self._stacked([latent.log_q for latent in self.latents])

    @lazy
    def kl(self) -> Tensor:
        """KL of each group, (B, G); G is 0 for a model without a posterior density."""
        if not self.latents:
            return self.z.new_zeros(self.z.shape[1], 0)
        if len(self.latents) == 1:
            return self.latents[0].kl.unsqueeze(-1)
        return torch.stack([latent.kl for latent in self.latents], dim=1)  # (B, G)

    @lazy
    def kl_by_dimension(self) -> Tensor | None:
        """KL of each latent dimension, (B, D), where all posteriors factorise; otherwise None."""
        if len(self.latents) != 1:
            return None
        return self.latents[0].kl_by_dimension

    @property
    def posteriors(self) -> list[Distribution]:
        """q(z_g|x, z_<g) of each group."""
        return [latent.posterior for latent in self.latents]

    def posteriors_of(self, other: Draws) -> list[Distribution] | None:
        """q(z_g|x, z_<g) at these draws for the examples x of ``other``, of the same model.

        None where only a pass of its own would tell, ``model.infer(other.batch, given=draws.z)``.
        """
        return other.posteriors if len(self.latents) == 1 else None

    @lazy
    def elbo(self) -> Tensor:
        """E_q[log p(x|z)] - sum_g KL_g, (B,), the expectation over the draws."""
        return self.expected_log_likelihood - self.kl.sum(-1)

    @lazy
    def log_weights(self) -> Tensor:
        """log p(x, z) - log q(z|x), (S, B). UnsupportedError where codes have no density."""
        if not self.latents:
            raise UnsupportedError("this model's codes have no density, so they have no weights")
        latents = [latent.log_weight for latent in self.latents]
        together = latents[0] if len(latents) == 1 else torch.stack(latents).sum(0)  # (S, B)
        return self.log_likelihood + together

    @lazy
    def log_evidence(self) -> Tensor:
        """The importance-weighted bound log 1/S sum_s w_s on log p(x), (B,)."""
        return self.log_weights.logsumexp(0) - math.log(self.log_weights.shape[0])

    def tensors(self) -> dict[str, Tensor]:
        """The parts that all others are made of, by their names."""
        names = ("z", "code", "log_likelihood", "log_p", "log_q", "kl")
        return {name: getattr(self, name) for name in names}

    def _stacked(self, parts: Sequence[Tensor]) -> Tensor:
        """(S, B) of each group -> (S, B, G)."""
        return (
            torch.stack(tuple(parts), dim=-1) if parts else self.z.new_zeros(*self.z.shape[:2], 0)
        )
