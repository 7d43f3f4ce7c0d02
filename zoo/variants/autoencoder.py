"""The plain autoencoder, with a mixture of Gaussians fitted to its codes so that it can sample."""

from __future__ import annotations

import warnings
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.core.batch import Batch
from zoo.core.draws import Draws
from zoo.core.latent_space import Euclidean
from zoo.core.reading import given_codes
from zoo.distributions.precision import full_precision
from zoo.variants.single_latent import SingleLatentConfig, SingleLatentModel

FIT_EXAMPLES = 20_000
"""Enough codes to place a mixture; more would only make the fit slower."""


class AutoencoderConfig(SingleLatentConfig):
    """A deterministic code. The likelihood names the loss.

    ``bernoulli`` is cross-entropy; ``gaussian`` is squared error up to a factor and a constant.
    ``mixture_components`` Gaussians are fitted to the codes after training; 1 is one Gaussian.
    """

    mixture_components: int = Field(10, ge=1, le=1000)


class Autoencoder(SingleLatentModel):
    """x -> code -> p(x|code), trained on log p(x|code) alone (Hinton & Salakhutdinov 2006).

    It has no posterior density, so log p(x) is not defined.

    >>> model = Autoencoder(AutoencoderConfig(input_shape=(1, 8, 8), latent_dim=4))
    >>> model(torch.zeros(5, 1, 8, 8)).kl.shape
    torch.Size([5, 0])
    """

    Config = AutoencoderConfig
    config: AutoencoderConfig
    has_evidence = False
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_factors: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        components, dim = config.mixture_components, config.latent_dim
        self.register_buffer("mixture_weights", torch.full((components,), 1 / components))
        self.register_buffer("mixture_means", torch.zeros(components, dim))
        # Not torch.eye: where shapes are built without values it imports torch's compiler.
        self.register_buffer("mixture_factors", torch.zeros(components, dim, dim))
        self.mixture_factors.diagonal(dim1=-2, dim2=-1).fill_(1)

    def build_code(self, in_features: int) -> Euclidean:
        self.to_code = nn.Linear(in_features, self.config.latent_dim)
        return Euclidean(self.config.latent_dim)

    @property
    def code_variance(self) -> float:
        return 1.0

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        """The code itself, as the only draw there is of it."""
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, batch.x.shape[0])
        code = full_precision(self.to_code(self.features(batch)))
        z = code.expand(samples, *code.shape) if given is None else given  # (S, B, D)
        return Draws([], partial(self.decoded, z, batch.condition), batch, lambda: code, z)

    def fit_codes(self, codes: Tensor) -> None:
        """Fit the mixture by expectation maximisation, reproducibly.

        Each variance is at least 1e-4 of the codes' own. Fewer codes than components leave the
        surplus components with weight 0.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture  # a second to import, needed only here

        codes = codes.detach()[:FIT_EXAMPLES].double().cpu()
        centre = codes.mean(0)  # (D,)
        deviation = (codes - centre).square().mean().sqrt().clamp(min=1e-12)  # ()
        points = ((codes - centre) / deviation).repeat(2 if len(codes) == 1 else 1, 1)
        components = min(self.config.mixture_components, len(codes))
        mixture = GaussianMixture(components, reg_covar=1e-4, random_state=0)
        with warnings.catch_warnings():
            # Duplicate codes, or a fit that could go on: what there is still is a mixture.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(points.numpy())
        factors = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))  # (K, D, D)
        self.mixture_weights.zero_()
        self.mixture_weights[:components] = torch.from_numpy(mixture.weights_)
        self.mixture_means[:components] = centre + deviation * torch.from_numpy(mixture.means_)
        self.mixture_factors[:components] = deviation * factors

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """Draws from the fitted mixture; ``temperature`` scales each component's deviations."""
        at_least = max(n, 1)  # torch draws no fewer
        drawn = self.mixture_weights.multinomial(at_least, replacement=True, generator=generator)
        chosen = drawn[:n]
        means, factors = self.mixture_means[chosen], self.mixture_factors[chosen]
        shape = (n, self.code_dim, 1)
        noise = torch.randn(shape, generator=generator, device=means.device, dtype=means.dtype)
        return means + temperature * (factors @ noise).squeeze(-1)  # (n, D)
