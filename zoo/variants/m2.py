"""The semi-supervised VAE M2 (Kingma et al. 2014, arXiv:1406.5298)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.backbones import Backbone
from zoo.core.batch import Batch, Checked
from zoo.core.classes import ClassDraws, class_latent
from zoo.core.component import Selected
from zoo.core.condition import ConditionConfig, InferredClass, check_told, check_told_values
from zoo.core.draws import Draws
from zoo.core.latent_space import Euclidean, Product
from zoo.core.model import LatentVariableModel
from zoo.core.reading import as_codes, given_codes
from zoo.distributions.one_hot import as_one_hot
from zoo.distributions.precision import full_precision
from zoo.errors import ConfigError, UnsupportedError
from zoo.likelihoods import Likelihood
from zoo.variants.single_latent import LatentVectorConfig, encoder_of, for_codes
from zoo.variants.vae import VAE, VAEConfig
from zoo.variants.variational import VariationalConfig


class M2Config(LatentVectorConfig, VariationalConfig):
    """A latent vector beside a class of ``classes``, which the labels of the data say.

    ``classifier`` names the network of q(y|x), the backbone's encoder unless said.
    """

    classes: int | None = Field(None, ge=2, le=2**16)
    classifier: Selected[Backbone] = Field(default=None, validate_default=True)

    @field_validator("classifier", mode="before")
    @classmethod
    def _that_of_the_backbone(cls, classifier: object, info: ValidationInfo) -> object:
        return info.data.get("backbone") if classifier is None else classifier


class M2(LatentVariableModel):
    r"""p(y) p(z) p(x|y, z) with q(y|x) q(z|x, y), p(y) the same for all classes.

    The part that knows the class is a :class:`VAE` that is told it. Told a class (a ``condition``)
    the model is that VAE, and its bound one on log p(x|y). Told none, it answers with
    :class:`ClassDraws`: the bound U(x), and weights for log p(x), both summed over every class.
    A code is a class as a unit vector, and z; the objective "semi-supervised" reads the labels.

    The paper's M1+M2 is this model on the codes of a trained VAE, M1, which stays as it is: ``zoo
    encode M1 --split all --out codes.npz`` writes a dataset of vectors with their labels.

    >>> model = M2(M2Config(input_shape=(1, 28, 28), latent_dim=5, classes=10))
    >>> x = torch.zeros(3, 1, 28, 28)
    >>> model.classify(x).shape, model.encode(x).shape, model(x).kl.shape
    (torch.Size([3, 10]), torch.Size([3, 15]), torch.Size([3, 2]))
    >>> model.sample(2, condition=7).shape
    torch.Size([2, 1, 28, 28])
    """

    Config = M2Config
    config: M2Config
    has_classes = True

    def __init__(self, config: M2Config) -> None:
        super().__init__(config)
        if config.classes is None:
            raise ConfigError(
                "the model infers a class, and nothing is known of any; give data with labels, "
                "whole numbers from 0, or say classes=K"
            )
        self.classes = config.classes
        self._conditioning = InferredClass(classes=config.classes)
        shared = {name: getattr(config, name) for name in M2Config.model_fields}
        shared = {name: shared[name] for name in VAEConfig.model_fields if name in shared}
        self.vae = VAE(VAEConfig(**shared, condition=ConditionConfig(numbers=self.classes)))
        chosen = config.classifier
        network = encoder_of(chosen.build(), chosen.name, config.input_shape)
        self.classifier = nn.Sequential(network, nn.Linear(network.out_features, self.classes))
        self.space = Product((Euclidean(self.classes), self.vae.space))

    @property
    def likelihood(self) -> Likelihood:  # type: ignore[override]
        return self.vae.likelihood

    @property
    def conditioning(self) -> InferredClass:
        return self._conditioning

    @property
    def group_widths(self) -> tuple[int, ...]:
        return (self.classes, self.vae.code_dim)

    @property
    def decode_batch(self) -> int:
        return max(1, self.vae.decode_batch // self.classes)

    @torch.no_grad()
    def classify(self, batch: Tensor | Batch) -> Tensor:
        """q(y|x), the probability of each class, (B, K)."""
        return self._log_classes(self.prepared(batch)).exp()

    def infer(self, batch: Tensor | Batch, samples: int = 1, given: Tensor | None = None) -> Draws:
        batch = self.prepared(batch)
        given = given_codes(self, samples, given, batch.x.shape[0])
        if batch.condition is not None:
            return self._told(batch, samples, given)
        log_q = self._log_classes(batch)  # (B, K)
        log_p = log_q.new_full((self.classes,), -math.log(self.classes))
        if given is None:
            told = self._every_class(batch, samples)  # (S K, B, K)
            each = self.vae.answer(batch, told, (told.shape[0], batch.x.shape[0]))
            return ClassDraws(each, log_q, log_p, partial(self._code, log_q, each))
        y, z = self._apart(given)
        inner = self.vae.answer(batch, y, (y.shape[0], batch.x.shape[0]), z)
        latents = [class_latent(y, log_q, log_p), *inner.latents]
        code = partial(self._code_of, batch)
        return Draws(latents, lambda: inner.likelihood, batch, code, given)

    def _told(self, batch: Batch, samples: int, given: Tensor | None) -> Draws:
        """What the VAE that is told the class says; of the class nothing is inferred."""
        own = self.conditioning.numeric(batch.condition, next(self.parameters()))  # (B, K)
        z = None if given is None else self._apart(given)[1]
        inner = self.vae.infer(Checked(*batch._replace(condition=own)), samples, z)
        y = own.expand(inner.z.shape[0], *own.shape)  # (S, B, K)
        certain = own.log().clamp(min=torch.finfo(own.dtype).min)  # log of a point mass
        latents = [class_latent(y, certain, certain), *inner.latents]
        joined = torch.cat([y, inner.z], dim=-1)  # (S, B, K + d)
        code = lambda: torch.cat([own, inner.code], dim=-1)  # noqa: E731
        return Draws(latents, lambda: inner.likelihood, batch, code, joined)

    def _log_classes(self, batch: Batch) -> Tensor:
        """log q(y|x), (B, K)."""
        return full_precision(self.classifier(batch.x)).log_softmax(-1)

    def _every_class(self, batch: Batch, samples: int) -> Tensor:
        """All classes as unit vectors, told to each example, S times: (S K, B, K)."""
        every = torch.eye(self.classes, device=batch.x.device, dtype=next(self.parameters()).dtype)
        return every.repeat(samples, 1).unsqueeze(1).expand(-1, batch.x.shape[0], -1)

    def _code(self, log_q: Tensor, each: Draws) -> Tensor:
        """The likeliest class and the code z of it, (B, K + d)."""
        of_each = each.code.view(*each.z.shape)  # (S K, B, d)
        likeliest = log_q.argmax(-1)  # (B,)
        z = of_each.take_along_dim(likeliest[None, :, None], 0).squeeze(0)  # (B, d)
        return torch.cat([as_one_hot(likeliest, self.classes, z.dtype), z], dim=-1)

    def _code_of(self, batch: Batch) -> Tensor:
        return self.infer(Checked(*batch)).code

    def _apart(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Classes (..., K) and z (..., d) of codes."""
        return codes[..., : self.classes], codes[..., self.classes :]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Distribution:
        """p(x|y, z) for codes (..., K + d), batch shape (...).

        A ``condition``, classes (B,) of the last axis, stands for the codes' own classes.
        """
        if not (self.training or torch.compiler.is_compiling()):
            check_told(self, condition)
            check_told_values(self, condition)
        y, z = self._apart(as_codes(self, z, self.code_dim))
        if condition is not None:
            y = for_codes(self.conditioning.numeric(condition, z), z)  # (..., K)
        return self.vae.decoded_beside(z, y)

    def draw_codes(
        self,
        n: int,
        temperature: float,
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """A class of p(y), or the one that is told, and z of its prior; z alone has a deviation."""
        like = next(self.parameters())
        if condition is None:
            shape = (n,)
            condition = torch.randint(self.classes, shape, generator=generator, device=like.device)
        y = self.conditioning.numeric(condition, like)
        return torch.cat([y, self.vae.draw_codes(n, temperature, generator, y)], dim=-1)

    @property
    def quantile_dim(self) -> int:
        """Those of z: a class has none."""
        return self.vae.quantile_dim

    def quantiles(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes of the class that is told. Raises UnsupportedError where none is."""
        if condition is None:
            raise UnsupportedError("a class has no quantiles; say which one, as condition=3")
        y = self.conditioning.numeric(condition, next(self.parameters()))
        return torch.cat([y, self.vae.quantiles(u, y)], dim=-1)  # (N, K + d)

    def redraw(
        self,
        codes: Tensor,
        groups: Sequence[int],
        generator: torch.Generator | None,
        condition: Tensor | None,
    ) -> Tensor:
        """As a prior of z may be one of each class, z is drawn for the class that stays."""
        y, z = self._apart(codes)
        if 0 in groups:
            y = self._apart(self.draw_codes(codes.shape[0], 1.0, generator, condition))[0]
        if 1 in groups:
            z = self.vae.draw_codes(codes.shape[0], 1.0, generator, y)
        return torch.cat([y, z], dim=-1)  # (B, K + d)
