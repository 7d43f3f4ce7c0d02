"""Of a model of text: what becomes of sentences, and how much of them the latents hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from zoo.core.bounds import Evidence
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of
from zoo.data.text import TextSplit, kind_of
from zoo.errors import ZooError
from zoo.evaluation.passes import prior_pass
from zoo.evaluation.representation import informative
from zoo.evaluation.results import Estimate, TextFigures, mean_of
from zoo.modalities.tokenizer import SPECIAL, UNKNOWN

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Advance: TypeAlias = Callable[[int], None]
"""Told how many sentences more are done."""
Cut: TypeAlias = Literal["char", "none"]
"""How sacrebleu counts: by characters, or by words."""

TEXT_PASSES = 3
"""Over the split, beside those that every model is measured by."""
SAMPLES = 200
"""Sentences from the prior that are held against each other."""
HIDDEN = "\ue000", "\ue001"
"""Characters of no script: for what is unknown in a sentence, and in its reconstruction."""
MIXED = 100
"""Sentences of which the aggregate posterior is a mixture, at even distances in the split."""


class Rebuilt:
    """Sentences and what their codes make of them, in which what is unknown never is the same.

    >>> pair = Rebuilt(["a cat sat", "a dog"], ["a cat ran", "a dog"])
    >>> pair.whole.tolist(), pair.placed.tolist(), pair.units
    ([0.0, 1.0], [0.6666666666666666, 1.0], 'words')
    """

    def __init__(self, originals: Sequence[str], again: Sequence[str]) -> None:
        self.originals, self.again = originals, again

    @cached_property
    def cut(self) -> Cut:
        """How they are counted; see :func:`cut_of`."""
        return cut_of(self.originals)

    @property
    def units(self) -> Literal["words", "characters"]:
        """What sentences are counted in."""
        return "characters" if self.cut == "char" else "words"

    @property
    def whole(self) -> Tensor:
        """Whether each came back whole, (N,)."""
        return _shares(map(str.__eq__, self.originals, self.again))

    @property
    def placed(self) -> Tensor:
        """The share of the units of each that stand where they stood, (N,)."""
        return _shares(at_their_places(self.originals, self.again, self.cut))

    @property
    def bleu(self) -> float:
        """Of the corpus; see :func:`bleu`."""
        return bleu(self.again, self.originals, self.cut)

    def without(self, group: int, groups: int) -> Rebuilt:
        """All but every one of ``groups``, from that of the number ``group`` on."""
        kept = [n for n in range(len(self.originals)) if n % groups != group]
        return Rebuilt([self.originals[n] for n in kept], [self.again[n] for n in kept])


def cut_of(sentences: Iterable[str]) -> Cut:
    """By characters where words are not separated by spaces, else by words."""
    letters = [sentence.replace(SPECIAL[UNKNOWN], "") for sentence in sentences]
    return "char" if kind_of(letters) == "characters" else "none"


def text_figures(
    model: LatentVariableModel,
    split: TextSplit,
    evidence: Evidence | None,
    batch_size: int,
    seed: int,
    advance: Advance,
) -> TextFigures:
    """All figures of :class:`TextFigures`; ``advance`` is told of every sentence that is done.

    ``evidence`` is that of each sentence, where the model defines one.
    """
    rebuilt = reconstructions(model, split, batch_size, advance)
    from_prior = prior_pass(model, split, batch_size, advance)
    tokens = split.lengths.sum().item() / len(split)
    mixed = min(MIXED, len(split))
    known = known_sentences(split)
    return TextFigures(
        tokens=tokens,
        unknown=split.unknown,
        unknown_sentences=len(known) - int(known.sum()),
        nll_known=_nll_known(evidence, known),
        perplexity=None if evidence is None else perplexity(-evidence.log_p.mean().item(), tokens),
        prior_log_likelihood=mean_of("log p(x|z) under the prior", from_prior),
        mutual_information=mutual_information(model, split, mixed),
        most_mutual_information=math.log(mixed),
        group_use=group_use(model, split, batch_size, advance),
        exact_match=mean_of("exact match", rebuilt.whole),
        accuracy=mean_of("accuracy", rebuilt.placed),
        bleu=rebuilt.bleu,
        self_bleu=self_bleu(sampled_sentences(model, SAMPLES, seed, rebuilt.cut), rebuilt.cut),
        units=rebuilt.units,
    )


def known_sentences(split: TextSplit) -> Tensor:
    """Which have no token that the vocabulary lacks, (N,), on the CPU."""
    return ~(split.tokens == UNKNOWN).any(1).cpu()


def _nll_known(evidence: Evidence | None, known: Tensor) -> Estimate | None:
    """Of the sentences that are ``known`` alone; None where all are, and of fewer than two."""
    if evidence is None or known.all() or known.sum() < 2:
        return None
    return mean_of("-log p(x)", -evidence.log_p[known], evidence.variance[known])


def perplexity(nll: float, tokens: float) -> float:
    """exp(nll / tokens), of means over sentences. Raises ZooError where it overflows.

    >>> round(perplexity(98.0, 20.0), 2)
    134.29
    """
    try:
        return math.exp(nll / tokens)
    except OverflowError:
        raise ZooError(
            f"the sentences have {nll / tokens:.0f} nats a token, too many for a perplexity: the "
            "weights are damaged, the training diverged, or the text is not of the model's kind"
        ) from None


def mutual_information(model: LatentVariableModel, split: TextSplit, mixed: int) -> Estimate | None:
    """I(x; z) under q, by Hoffman & Johnson (2016)'s aggregate posterior, in nats.

    Over draws z_i ~ q(z|x_i) of the ``mixed`` examples, the mean of log q(z_i|x_i) minus
    log 1/N sum_j q(z_i|x_j): a lower bound in expectation, and at most log N. None where the model
    has no density of its posterior.
    """
    places = torch.linspace(0, len(split) - 1, mixed, device=split.tokens.device).round().long()
    if not model.has_evidence:
        return None
    table = model.log_posteriors(split.batch(places, kind=model.input_kind))  # (mixed, mixed)
    return mean_of("mutual information", informative(table).cpu().double())


def group_use(
    model: LatentVariableModel,
    split: TextSplit,
    batch_size: int,
    advance: Advance,
) -> tuple[float, ...]:
    """How much log p(x|z) at the code of x falls when one group's part is from the prior."""
    lost = torch.zeros(len(model.group_widths), dtype=torch.float64)
    for x, *_ in split.batches(batch_size, model.input_kind):
        codes, drawn = model.encode(x), model.sample_codes(len(x))  # (B, D) each
        kept = model.decode(codes).log_prob(x)  # (B,)
        start = 0
        for group, width in enumerate(model.group_widths):
            mixed = codes.clone()
            mixed[:, start : start + width] = drawn[:, start : start + width]
            start += width
            lost[group] += (kept - model.decode(mixed).log_prob(x)).double().sum().cpu()
        advance(len(x))
    return tuple((lost / len(split)).tolist())


def bleu(sentences: Sequence[str], references: Sequence[str], kind: str) -> float:
    """Corpus BLEU of sentences, each against its reference, in 0..100 (sacrebleu's)."""
    score: float = _bleu(kind).corpus_score(list(sentences), [list(references)]).score
    return score


def self_bleu(sentences: Sequence[str], kind: str) -> float:
    """The mean BLEU of each sentence against all others: 100 where all are the same."""
    scores = self_bleus(sentences, kind)
    return sum(scores) / len(scores)


def self_bleus(sentences: Sequence[str], kind: str) -> list[float]:
    """The BLEU of each sentence against all others."""
    scorer, scores = _bleu(kind), []
    for place, sentence in enumerate(sentences):
        others = [*sentences[:place], *sentences[place + 1 :]]
        # Of an empty sentence no words are counted.
        same = 100.0 * ("" in others)
        scores.append(scorer.sentence_score(sentence, others).score if sentence else same)
    return scores


def sampled_sentences(model: LatentVariableModel, count: int, seed: int, cut: Cut) -> list[str]:
    """Draws of codes from the prior, by the noise of ``seed``."""
    generator = torch.Generator(device_of(model)).manual_seed(seed)
    samples = [str(sample) for sample in model.sample(count, generator=generator)]
    if cut == "none":
        return samples
    # Else `<unk>` would be five characters that samples have in common.
    return [sample.replace(SPECIAL[UNKNOWN], HIDDEN[0]) for sample in samples]


def _bleu(kind: str) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    # Of a sentence shorter than four units fewer orders are counted; corpora are not that short.
    return BLEU(tokenize=kind, force=True, effective_order=True)


def reconstructions(
    model: LatentVariableModel, split: TextSplit, batch_size: int, advance: Advance
) -> Rebuilt:
    """The sentences of a split and their greedy reconstructions."""
    originals: list[str] = []
    again: list[str] = []
    for batch in split.batches(batch_size, model.input_kind):
        lines, found = map(str, model.modality.write(batch.x)), map(str, model.reconstruct(batch.x))
        pairs = map(_hidden, lines, found, (batch.x == UNKNOWN).any(1).tolist())
        for original, reconstruction in pairs:
            originals.append(original)
            again.append(reconstruction)
        advance(len(batch.x))
    return Rebuilt(originals, again)


def _hidden(original: str, rebuilt: str, unknown: bool) -> tuple[str, str]:
    """What is unknown is never rebuilt, nor one character longer than others.

    To pieces of bytes nothing is unknown, and ``<unk>`` a word like any other.
    """
    token = SPECIAL[UNKNOWN]
    if token in original and not unknown:
        return original, rebuilt
    return original.replace(token, HIDDEN[0]), rebuilt.replace(token, HIDDEN[1])


def at_their_places(originals: Sequence[str], rebuilt: Sequence[str], kind: str) -> list[float]:
    """Of each original the share of its characters or words that stand where they stood."""
    shares = []
    for original, again in zip(originals, rebuilt, strict=True):
        wanted, found = (list(s) if kind == "char" else s.split() for s in (original, again))
        same = sum(map(str.__eq__, wanted, found))
        shares.append(same / max(1, len(wanted)))
    return shares


def _shares(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)
