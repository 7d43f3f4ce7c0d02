"""How much sentences of the prior are like each other."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field

from zoo.data.text import LOOKED_AT
from zoo.evaluation.text import SAMPLES, cut_of, sampled_sentences, self_bleus
from zoo.metrics.base import Measured, Metric, need_text
from zoo.metrics.generated import mean_of_samples
from zoo.metrics.subject import Subject
from zoo.settings import Settings


class SelfBLEU(Metric):
    """The mean BLEU of a sample with all others as its references, in 0..100 (Zhu et al. 2018).

    100 where all are the same, and the higher the more there are: figures of another number do not
    stand beside it. It says nothing of sense, so that noise has a low one. The error is over
    samples, as if each had references of its own.
    """

    version = 1
    unit = "of 100"
    better = "neither"  # the data have some

    class Config(Settings):
        """How many ``samples``."""

        samples: int = Field(SAMPLES, ge=2, le=10_000)

    config: Config

    def check(self, subject: Subject) -> None:
        need_text(subject)

    def measure(self, subject: Subject) -> Measured:
        model, tokens = subject.model, need_text(subject).tokens[:LOOKED_AT].long()
        cut = cut_of(map(str, model.modality.write(tokens)))
        samples = sampled_sentences(model, self.config.samples, subject.seed, cut)
        scores = torch.tensor(self_bleus(samples, cut), dtype=torch.float64)  # (n,)
        return replace(mean_of_samples("self-BLEU", scores), basis=subject.form)
