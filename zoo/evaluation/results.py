"""What an evaluation reports, in nats per example (summed over pixels) unless a name says else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from zoo.errors import ZooError
from zoo.likelihoods import InputKind, Measure
from zoo.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor


ACTIVE_GROUP = 0.1
"""Nats of KL, averaged over examples, from which on a latent group counts as active."""


class Estimate(Settings):
    """A mean over examples and its standard error (sample deviation / sqrt(examples)).

    ``monte_carlo`` is the error that the draws of z alone make: how far the same model on the same
    examples would be off with other draws. None where it is not known, 0 where nothing is drawn.

    >>> print(Estimate(value=87.1234, stderr=0.2512))
    87.12 ± 0.25
    >>> f"{Estimate(value=0.16034, stderr=0.00046):.4f}"
    '0.1603 ± 0.0005'
    """

    value: float
    stderr: float
    monte_carlo: float | None = None

    def __str__(self) -> str:
        return format(self, ".2f")

    def __format__(self, spec: str) -> str:
        number = spec or ".2f"
        return f"{self.value:{number}} ± {self.stderr:{number}}"


def mean_of(quantity: str, values: Tensor, variance: Tensor | None = None) -> Estimate:
    """The mean of values (N,) with its standard error.

    ``variance`` (N,) is what the draws of z alone make each value vary. Raises ZooError, naming the
    quantity, where one is not finite.
    """
    wrong = (~values.isfinite()).nonzero().flatten().tolist()
    if wrong:
        raise ZooError(
            f"{quantity} of example {wrong[0]} is {values[wrong[0]].item()} ({len(wrong)} of "
            f"{len(values)} examples are not finite): the weights are damaged, the training "
            f"diverged, or the examples are not of the kind the model was trained on"
        )
    return Estimate(
        value=values.mean().item(),
        stderr=(values.std() / math.sqrt(len(values))).item(),
        monte_carlo=None if variance is None else (variance.sum().sqrt() / len(values)).item(),
    )


class TextFigures(Settings):
    """What is measured of text beside the likelihoods.

    - ``tokens`` in a sentence, its end counted; ``perplexity``: exp(nll / tokens).
    - ``unknown``: the share of the tokens, ends apart, that are not in the vocabulary;
      ``unknown_sentences``: how many have such; ``nll_known``: the nll of the others, from the same
      draws, None where there are no such tokens. A model is never taught what is unknown, so a few
      can outweigh the standard error.
    - ``prior_log_likelihood``: log p(x|z) for z from the prior, which says nothing of x. What
      the latents are used for is the difference to ``log_likelihood``. ``group_use``: the same for
      each latent group alone, the nats of log p(x|z) that are lost when it comes from the prior
      and the others from the posterior's modes. A KL that cannot vanish says nothing of that.
    - ``mutual_information`` between x and z in nats, a lower bound that cannot exceed
      ``most_mutual_information``, the logarithm of the number of sentences it is estimated from.
    - Of greedy reconstructions: ``exact_match``, the share of sentences that come back whole;
      ``accuracy``, the share of their ``units``, words or characters, that stand at their places;
      corpus ``bleu``. Of samples from the prior: ``self_bleu``, the mean BLEU of one against the
      others, lower for more varied ones. Both in 0..100. What is unknown never counts as rebuilt.
    """

    tokens: float
    unknown: float
    unknown_sentences: int = 0
    nll_known: Estimate | None = None
    perplexity: float | None
    prior_log_likelihood: Estimate
    group_use: tuple[float, ...]
    mutual_information: Estimate | None
    most_mutual_information: float
    exact_match: Estimate
    accuracy: Estimate
    bleu: float
    self_bleu: float
    units: Literal["words", "characters"]

    @property
    def groups_in_use(self) -> int:
        """How many latent groups are worth at least 0.1 nats to the decoder."""
        return sum(use >= ACTIVE_GROUP for use in self.group_use)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Each figure in words."""
        unit, most = "nats per example", f"at most {self.most_mutual_information:.2f} can be seen"
        whole, placed = (100 * each.value for each in (self.exact_match, self.accuracy))
        return [
            ("log p(x|z), z from p(z)", f"{self.prior_log_likelihood} {unit}"),
            ("use of the groups", self._uses()),
            ("mutual information", f"{shown(self.mutual_information, '.2f')} nats ({most})"),
            ("reconstructed whole", f"{whole:.1f} % of sentences"),
            ("at their places", f"{placed:.1f} % of {self.units}"),
            (
                "BLEU, self-BLEU",
                f"{self.bleu:.1f} of reconstructions, {self.self_bleu:.1f} of samples",
            ),
        ]

    @property
    def unknown_tokens(self) -> str:
        """Their share, and what the NLL is without them, in words."""
        share = f"{100 * self.unknown:.2f} %"
        if not self.unknown_sentences:
            return share
        known = "" if self.nll_known is None else f"; NLL of the others {self.nll_known}"
        return f"{share}, in {self.unknown_sentences:,} of the sentences{known}"

    def _uses(self) -> str:
        shares = " ".join(f"{use:.2f}" for use in self.group_use)
        used = f"{self.groups_in_use} of {len(self.group_use)}"
        return f"{shares} nats ({used} are worth at least {ACTIVE_GROUP:g})"


class Evaluation(Settings):
    """A model measured on a fixed set of examples. Likelihoods are normalised; logs are natural.

    What was measured, and on what:

    - ``test_set``: the examples in words; ``test_set_sha256``: the first 16 hexadecimal digits of
      the digest of the very pixels the figures were computed on (after binarisation).
    - ``input_kind``, ``measure``: figures are comparable only between models that agree on both.
    - ``parts``: what log-likelihoods are summed over, and whether they have bits, ``in_bits``;
      ``protocol``: how the split was read.
    - ``dims``: numbers of an example, of an image pixels times channels; ``samples``: the
      importance samples K behind ``nll``.

    The figures, each a mean over examples (nats per example where no other unit is given):

    - ``nll``: minus the importance-weighted estimate of log p(x), an upper bound in expectation;
      ``bits_per_dim``: nll / (dims * ln 2), in bits per dimension, of images.
    - ``elbo`` = ``log_likelihood`` - ``kl``, from one draw of z for each example.
    - ``kl_per_group``: one for each latent group, summing to ``kl``; ``kl_per_dimension``: one for
      each latent dimension, None where the posterior does not factorise.
    - ``mse_per_pixel``: squared error of the deterministic reconstruction, averaged over pixels, or
      over the numbers of a vector; None for text, and where p(x|z) has no mean. ``text``: what is
      measured of text beside these; None for all else.
    - ``active_units``: how many of the ``code_dim`` dimensions of the code vary over the examples
      with a variance above ``active_threshold`` (Burda et al. 2016, arXiv:1509.00519); None for a
      hierarchy, whose priors vary with the groups above.

    ``nll``, ``bits_per_dim``, ``elbo`` and ``kl`` are None for a model that defines no log p(x).
    """

    model: str
    variant: str | None
    parameters: int
    dataset: str
    split: str
    test_set: str
    test_set_sha256: str
    input_kind: InputKind
    parts: str
    in_bits: bool = True
    protocol: str
    measure: Measure
    dims: int
    examples: int
    samples: int
    seed: int
    nll: Estimate | None
    bits_per_dim: Estimate | None
    elbo: Estimate | None
    log_likelihood: Estimate
    kl: Estimate | None
    kl_per_group: tuple[float, ...]
    kl_per_dimension: tuple[float, ...] | None
    mse_per_pixel: Estimate | None
    text: TextFigures | None = None
    active_units: int | None
    active_threshold: float
    code_dim: int

    def figure(self, name: str) -> Estimate | float | None:
        """A figure by its name, those of ``text`` among them; None where there is no such one."""
        value = getattr(self, name, None)
        value = getattr(self.text, name, None) if value is None else value
        return value if isinstance(value, Estimate | float | int) else None

    @property
    def active_groups(self) -> int:
        """How many latent groups carry at least 0.1 nats."""
        return sum(kl >= ACTIVE_GROUP for kl in self.kl_per_group)

    @property
    def part(self) -> str:
        """What one of the ``parts`` is called."""
        return self.parts.removesuffix("s")

    @property
    def convention(self) -> str:
        """The units and the protocol in one line, to be printed wherever the figures are."""
        unknown = self.text.unknown if self.text else 0
        share = f"{100 * unknown:.2f} % of the tokens are unknown; " if unknown else ""
        return (
            f"nats per example, summed over {self.parts}, averaged over {self.examples} examples; "
            f"± one standard error; K = {self.samples} importance samples; {self.protocol}; {share}"
            f"likelihoods are probability {'masses' if self.measure == 'mass' else 'densities'}"
        )

    def __str__(self) -> str:
        title = f"{self.model} on {self.test_set}"
        lines = [f"  {label:<24}{text}" for label, text in self._lines()]
        return "\n".join([title, *lines, self.convention])

    def _lines(self) -> list[tuple[str, str]]:
        unit = "nats per example"
        groups = [] if len(self.kl_per_group) < 2 else [("KL of the groups", self.groups)]
        active = f"{self.active_units} of {self.code_dim} ({self._active_rule()})"
        squared = f"{shown(self.mse_per_pixel, '.5f')} squared, mean per {self.part}"
        if self.mse_per_pixel is None:
            mixed = self.input_kind == "columns"
            squared = f"- ({'columns have no one scale' if mixed else 'p(x|z) has no mean'})"
        error = [("reconstruction error", squared)] if self.text is None else []
        units = [] if self.active_units is None else [("active units", active)]
        return [
            (f"NLL (K = {self.samples})", f"{shown(self.nll, '.2f')} {unit}"),
            *self._relative(),
            ("ELBO", f"{shown(self.elbo, '.2f')} {unit}"),
            ("log p(x|z)", f"{shown(self.log_likelihood, '.2f')} {unit}"),
            ("KL(q(z|x) || p(z))", f"{shown(self.kl, '.2f')} {unit}"),
            *groups,
            *error,
            *units,
            *([] if self.text is None else self.text.lines),
            ("parameters", f"{self.parameters:,}"),
        ]

    def _relative(self) -> list[tuple[str, str]]:
        """The NLL for each pixel, or each token, and what of it is not the model's."""
        if self.text is not None:
            perplexity = "-" if self.text.perplexity is None else f"{self.text.perplexity:.2f}"
            return [
                ("perplexity", f"{perplexity} ({self.text.tokens:.2f} tokens a sentence)"),
                ("unknown tokens", self.text.unknown_tokens),
            ]
        return [("", f"{shown(self.bits_per_dim, '.4f')} bits per dimension")] * self.in_bits

    @property
    def groups(self) -> str:
        """The KL of every group, and how many are active."""
        shares = " ".join(f"{kl:.2f}" for kl in self.kl_per_group)
        active = f"{self.active_groups} of {len(self.kl_per_group)}"
        return f"{shares} ({active} carry at least {ACTIVE_GROUP:g})"

    def _active_rule(self) -> str:
        return f"variance of the code over examples > {self.active_threshold:g}"


def shown(estimate: Estimate | None, spec: str) -> str:
    """The estimate in the format ``spec``, "-" when the model does not define it."""
    return "-" if estimate is None else format(estimate, spec)
