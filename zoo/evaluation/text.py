"""Of a model of text: what becomes of sentences, and how much of them the latents hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.core.bounds import Evidence
from zoo.core.model import LatentVariableModel
from zoo.data.text import TextSplit, kind_of
from zoo.errors import ZooError
from zoo.evaluation.results import Estimate, TextFigures, mean_of
from zoo.modalities.tokenizer import SPECIAL, UNKNOWN

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

TEXT_PASSES = 2
"""Over the split, beside those that every model is measured by."""
SAMPLES = 200
"""Sentences from the prior that are held against each other."""
HIDDEN = "\ue000", "\ue001"
"""Characters of no script: for what is unknown in a sentence, and in its reconstruction."""
MIXED = 100
"""Sentences of which the aggregate posterior is a mixture, at even distances in the split."""


def text_figures(
    model: LatentVariableModel,
    split: TextSplit,
    evidence: Evidence | None,
    batch_size: int,
    seed: int,
    advance: Callable[[int], None],
) -> TextFigures:
    """All figures of :class:`TextFigures`; ``advance`` is told of every sentence that is done.

    ``evidence`` is that of each sentence, where the model defines one.
    """
    originals, rebuilt, from_prior = _pass(model, split, batch_size, advance)
    kind = "char" if kind_of(originals) == "characters" else "none"
    tokens = split.lengths.sum().item() / len(split)
    mixed = min(MIXED, len(split))
    generator = torch.Generator(split.tokens.device).manual_seed(seed)
    samples = [str(sample) for sample in model.sample(SAMPLES, generator=generator)]
    if kind == "char":  # else `<unk>` would be five characters that samples have in common
        samples = [sample.replace(SPECIAL[UNKNOWN], HIDDEN[0]) for sample in samples]
    whole = ~(split.tokens == UNKNOWN).any(1).cpu()  # (N,)
    return TextFigures(
        tokens=tokens,
        unknown=split.unknown,
        unknown_sentences=len(whole) - int(whole.sum()),
        nll_known=_nll_known(evidence, whole),
        perplexity=None if evidence is None else _perplexity(-evidence.log_p.mean().item(), tokens),
        prior_log_likelihood=mean_of("log p(x|z) under the prior", from_prior),
        mutual_information=mutual_information(model, split, mixed),
        most_mutual_information=math.log(mixed),
        group_use=group_use(model, split, batch_size, advance),
        exact_match=mean_of("exact match", _shares(map(str.__eq__, originals, rebuilt))),
        accuracy=mean_of("accuracy", _shares(at_their_places(originals, rebuilt, kind))),
        bleu=bleu(rebuilt, originals, kind),
        self_bleu=self_bleu(samples, kind),
        units="characters" if kind == "char" else "words",
    )


def _nll_known(evidence: Evidence | None, whole: Tensor) -> Estimate | None:
    """Of the sentences that are ``whole`` alone; None where all are, and of fewer than two."""
    if evidence is None or whole.all() or whole.sum() < 2:
        return None
    return mean_of("-log p(x)", -evidence.log_p[whole], evidence.variance[whole])


def _perplexity(nll: float, tokens: float) -> float:
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
    table = model.log_posteriors(split.batch(places, kind=model.input_kind))
    mixture = table.logsumexp(1) - math.log(len(table))
    return mean_of("mutual information", (table.diagonal() - mixture).cpu().double())


def group_use(
    model: LatentVariableModel,
    split: TextSplit,
    batch_size: int,
    advance: Callable[[int], None],
) -> tuple[float, ...]:
    """How much log p(x|z) at the code of x falls when one group's part is from the prior."""
    lost = torch.zeros(len(model.group_widths), dtype=torch.float64)
    for x, *_ in split.batches(batch_size, model.input_kind):
        codes, drawn = model.encode(x), model.sample_codes(len(x))
        kept = model.decode(codes).log_prob(x)
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
    scorer, scores = _bleu(kind), []
    for place, sentence in enumerate(sentences):
        others = [*sentences[:place], *sentences[place + 1 :]]
        # Of an empty sentence no words are counted.
        same = 100.0 * ("" in others)
        scores.append(scorer.sentence_score(sentence, others).score if sentence else same)
    return sum(scores) / len(scores)


def _bleu(kind: str) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    # Of a sentence shorter than four units fewer orders are counted; corpora are not that short.
    return BLEU(tokenize=kind, force=True, effective_order=True)


def _pass(
    model: LatentVariableModel,
    split: TextSplit,
    batch_size: int,
    advance: Callable[[int], None],
) -> tuple[list[str], list[str], Tensor]:
    """The sentences, their reconstructions, and log p(x|z) for a draw z ~ p(z) each, (N,)."""
    originals: list[str] = []
    rebuilt: list[str] = []
    from_prior: list[Tensor] = []
    for x, *_ in split.batches(batch_size, model.input_kind):
        lines, again = map(str, model.modality.write(x)), map(str, model.reconstruct(x))
        pairs = map(_hidden, lines, again, (x == UNKNOWN).any(1).tolist())
        for original, reconstruction in pairs:
            originals.append(original)
            rebuilt.append(reconstruction)
        from_prior.append(model.decode(model.sample_codes(len(x))).log_prob(x))
        advance(len(x))
    return originals, rebuilt, torch.cat(from_prior).cpu().double()


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
