"""What a model that makes x token by token shows: codes decoded in one of several ways."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast, overload

import torch
from torch import Tensor

from zoo.core.batch import Batch
from zoo.core.condition import check_told
from zoo.core.model import LatentVariableModel
from zoo.errors import UnsupportedError
from zoo.modalities.tokenizer import Tokenizer
from zoo.randomness import noise_of
from zoo.variants.univae.decoding import Decoding, Draw, Greedy, Mean

GREEDY, DRAW, MEAN = Greedy(), Draw(), Mean()


class TokenByToken(LatentVariableModel):
    """A model whose p(x|z) is autoregressive. Examples are images, or sentences."""

    @abstractmethod
    def generate(self, codes: Tensor, decoding: Decoding) -> Tensor:
        """Examples (N, ...) for codes (N, D)."""

    @abstractmethod
    def encode(self, batch: Tensor | Batch | Sequence[str]) -> Tensor:
        """The deterministic code of each example, or sentence, (B, D)."""

    def estimate(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """One example for each code (B, D): that of the likeliest tokens, one after another.

        Raises UnsupportedError within torch.export, whose graph would be as long as the example.
        """
        check_told(self, condition)
        return self.generate(z, GREEDY)

    @torch.no_grad()
    def show(
        self, z: Tensor, condition: Tensor | None = None, decoding: Decoding | None = None
    ) -> Tensor | list[str]:
        """Images (B, C, H, W) or sentences of codes (B, D), made as ``decoding`` says.

        Unless told otherwise images are the mean over a few draws of p(x|z), always the same ones,
        and sentences those of the likeliest tokens.
        """
        check_told(self, condition)
        if z.ndim != 2:
            raise UnsupportedError(
                f"give codes (B, {self.code_dim}), one as code[None], got {tuple(z.shape)}"
            )
        if decoding is None:
            decoding = GREEDY if self.input_kind == "tokens" else MEAN
        if not isinstance(decoding, Decoding):
            raise UnsupportedError(
                "decoding must be Greedy(), Draw(...), Beam(...) or Mean(...) of zoo, got "
                f"{decoding!r}"
            )
        return self.modality.write(self.generate(z, decoding))

    @torch.no_grad()
    def reconstruct(
        self, batch: Tensor | Batch | Sequence[str], decoding: Decoding | None = None
    ) -> Tensor | list[str]:
        """What the codes of examples, or of sentences, look like; see :meth:`show`."""
        return self.show(self.encode(batch), decoding=decoding)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        condition: object = None,
        decoding: Decoding = DRAW,
    ) -> Tensor | list[str]:
        """Draws x ~ p(x|z) for ``n`` codes from the prior: images (n, C, H, W), or sentences.

        ``temperature`` is the prior's, that of the tokens is the ``decoding``'s.
        """
        codes = self.sample_codes(n, temperature, generator, condition)
        with noise_of(generator, codes.device):
            return self.show(codes, decoding=decoding)

    def sample_codes(
        self,
        n: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        condition: object = None,
    ) -> Tensor:
        try:
            return super().sample_codes(n, temperature, generator, condition)
        except UnsupportedError as error:
            if temperature == 1:
                raise
            raise UnsupportedError(
                f"{error}; that of the tokens is decoding=zoo.Draw(temperature={temperature!r}), "
                "or --decoding temperature=T"
            ) from error

    @torch.no_grad()
    def edit(
        self,
        batch: Tensor | Batch | Sequence[str],
        groups: Sequence[int],
        generator: torch.Generator | None = None,
        decoding: Decoding | None = None,
    ) -> Tensor | list[str]:
        """Reconstructions in which the latents of ``groups``, from 0, are drawn from the prior.

        The others keep what they say of x, so this shows what each decides. Raises
        UnsupportedError for a group there is not.
        """
        codes = self.resample_groups(self.encode(batch), groups, generator)
        with noise_of(generator, codes.device):
            return self.show(codes, decoding=decoding)

    @overload
    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor: ...
    @overload
    def interpolate(self, start: str, end: str, steps: int) -> list[str]: ...

    def interpolate(self, start: Tensor | str, end: Tensor | str, steps: int) -> Tensor | list[str]:
        """``steps`` codes from ``start`` to ``end``, each latent on its shortest way.

        Between two sentences: the sentences of the codes between theirs, their own
        reconstructions first and last.
        """
        if isinstance(start, str) and isinstance(end, str):
            with torch.no_grad():
                ends = self.encode([start, end])  # (2, D)
                return cast("list[str]", self.show(super().interpolate(ends[0], ends[1], steps)))
        return super().interpolate(cast("Tensor", start), cast("Tensor", end), steps)

    def prepared(self, batch: Tensor | Batch | Sequence[str]) -> Batch:
        """A batch of what the modality allows; of sentences that of their ids.

        Raises DataError for anything else.
        """
        given = Batch.of(cast("Tensor | Batch", batch))
        if not isinstance(given.x, Tensor):
            given = given._replace(x=self.read(given.x))
        return super().prepared(given)

    def read(self, sentences: Sequence[str]) -> Tensor:
        """The ids (B, T) of sentences, for the other methods of a model of text.

        Raises DataError for sentences it cannot read, UnsupportedError where it reads images.
        """
        return self.modality.read(sentences).to(next(self.parameters()).device)

    @property
    def tokenizer(self) -> Tokenizer:
        """What cuts and joins sentences."""
        return self.modality.tokenizer
