"""A model and the data it is judged on."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from zoo.core.bounds import Evidence
from zoo.core.condition import needed_condition
from zoo.core.model import LatentVariableModel
from zoo.core.modes import device_of
from zoo.data import Dataset, Examples
from zoo.data.examples import content
from zoo.evaluation.disentanglement import Forests, forests, normalised_information
from zoo.evaluation.evaluate import largest_batch
from zoo.evaluation.partial import Partial
from zoo.evaluation.passes import (
    FirstPass,
    Progress,
    Steps,
    Terms,
    errors_pass,
    evidence_pass,
    first_pass,
    terms_again,
)
from zoo.evaluation.representation import encode_split
from zoo.evaluation.text import Rebuilt, reconstructions
from zoo.likelihoods import InputKind
from zoo.metrics.base import need_factors, need_labels, need_text
from zoo.metrics.features import Classifier, classifier_of
from zoo.metrics.features.compared import Compared, Images, Pixels, Role, compare
from zoo.randomness import noise_of, seeded, short_seed

MOST_POSTERIORS = 500
"""Of whose posteriors each code's density is computed: the square of it."""

GROUPS = 10
"""Of examples that a jackknife leaves out, one after another."""
MOST_CODED = 10_000
"""Of whose codes and factors a disentanglement is told."""


class Subject:
    """What several metrics need of one model on one split is computed when the first asks for it.

    All noise is of ``seed``, each part by itself, so that a figure is the same whichever others are
    measured with it: those of :func:`zoo.evaluate`, bit by bit. ``identity`` is the SHA-256 of the
    model's file, under which figures are recorded.
    """

    def __init__(
        self,
        model: LatentVariableModel | Callable[[], LatentVariableModel],
        data: Dataset,
        split: str = "test",
        *,
        identity: str | None = None,
        samples: int = 1000,
        examples: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self._model, self.data, self.split, self.identity = model, data, split, identity
        self.samples, self.limit, self.seed = samples, examples, seed
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._posteriors: dict[int, Tensor] = {}
        self._training_images: dict[InputKind, Images] = {}
        self._compared: dict[tuple[int, Pixels, Role], Compared] = {}
        self._partial: Partial | None = None

    @cached_property
    def model(self) -> LatentVariableModel:
        """Loaded when it is first asked for: what is recorded needs none."""
        given = self._model
        return given if isinstance(given, LatentVariableModel) else given()

    def digest(self, split: str) -> str:
        """SHA-256 of a split as it is read, labels too; computed once, for it reads every byte."""
        if split not in self._digests:
            examples: Examples = getattr(self.data, split)
            found = hashlib.sha256(examples.digest().encode())
            if (labels := examples.labels) is not None:
                found.update(f"{labels.dtype} {tuple(labels.shape)}".encode())
                found.update(content(labels))
            self._digests[split] = found.hexdigest()
        return self._digests[split]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return device_of(self.model)

    @property
    def basis(self) -> str:
        """In words, what p(x) is a likelihood of: only those of one basis can be compared."""
        return f"probability {self.model.measure} of {self.form}"

    @property
    def form(self) -> str:
        """In words, what the model reads, and by which tokenizer or as which table."""
        form = getattr(self.model.config, "tokenizer", None) or getattr(
            self.model.config, "table", None
        )
        words = self.reading(self.model.input_kind)
        if form is not None:
            words += f", form {hashlib.sha256(str(form).encode()).hexdigest()[:8]}"
        return words

    def reading(self, kind: InputKind) -> str:
        """In words, what the model reads, were it of that kind: numbers, and what it is told."""
        modality, told = self.model.modality, needed_condition(self.model)
        parts = modality.parts if kind == modality.parts else f"{kind} {modality.parts}"
        words = f"{parts}, {' x '.join(map(str, modality.shape))}"
        return words if told is None else f"{words}, told {told.on}"

    @cached_property
    def examples(self) -> Examples:
        """Those that are judged, binarised once where the model reads binary pixels."""
        return self.read_as(self.model.input_kind)

    def read_as(self, kind: InputKind) -> Examples:
        """Those that are judged, as models of another kind would read them."""
        split: Examples = getattr(self.data, self.split)
        some = split if self.limit is None else split.evenly(self.limit)
        return some.fixed(kind, self.seed).by_length().to(self.device)

    def kind_of(self, pixels: Pixels) -> InputKind:
        """Of which kind samples are: draws as the model reads examples, means grey."""
        return self.model.input_kind if pixels == "draws" else "real"

    @cached_property
    def train(self) -> Examples:
        """The training split, binarised likewise."""
        return self.data.train.fixed(self.model.input_kind, self.seed).to(self.device)

    @cached_property
    def draws(self) -> tuple[FirstPass, Terms]:
        """One draw for each example, and the terms of another one."""
        size = largest_batch(self.model)
        steps = Steps(self._progress, 2 * len(self.examples))
        with seeded(self.seed, self.device):
            first = first_pass(self.model, self.examples, size, steps, errors=False)
            return first, terms_again(self.model, self.examples, size, steps)

    @cached_property
    def squared_error(self) -> Tensor | None:
        """Of deterministic reconstructions, slow to make; None where p(x|z) has no mean. (N,)"""
        steps, size = Steps(self._progress, len(self.examples)), largest_batch(self.model)
        return errors_pass(self.model, self.examples, size, steps)

    @cached_property
    def evidence(self) -> Evidence:
        """log p(x) of each example, importance-weighted; a killed call is gone on with."""
        steps = Steps(self._progress, self.samples * len(self.examples))
        size = largest_batch(self.model)
        drawn = {"samples": self.samples, "seed": self.seed, "batch_size": size, "compile": False}
        self._partial = Partial.of(self.identity, self.examples, drawn, self.device)
        with seeded(self.seed, self.device):
            return evidence_pass(
                self.model, self.examples, self.samples, size, steps, partial=self._partial
            )

    def forget_partial(self) -> None:
        """All that was to be made of the evidence is recorded: nothing is left to go on with."""
        if self._partial is not None:
            self._partial.forget()

    @cached_property
    def codes(self) -> Tensor:
        """The deterministic code of each example, (N, D)."""
        return encode_split(self.model, self.examples, batch_size=largest_batch(self.model))

    @cached_property
    def train_codes(self) -> Tensor:
        """Those of the training split, (M, D)."""
        return encode_split(self.model, self.train, batch_size=largest_batch(self.model))

    @cached_property
    def clusters(self) -> Tensor:
        """k-means of the codes, as many clusters as classes are known; (N,), on the CPU.

        Codes have unit variance under the prior; of ten starts the best is taken.
        """
        from sklearn.cluster import KMeans  # slow to import
        from sklearn.exceptions import ConvergenceWarning

        labels = need_labels(self)
        count = len(torch.unique(labels[labels >= 0]))
        codes = self.model.space.standardized(self.codes).cpu().double().numpy()
        with warnings.catch_warnings():
            # Codes that are all alike make one cluster; the figures say so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(count, n_init=10, random_state=short_seed(self.seed)).fit_predict(codes)
        return torch.from_numpy(found).long()

    @cached_property
    def coded_factors(self) -> tuple[Tensor, Tensor]:
        """The codes (M, D) and factors (M, L) of at most 10,000 examples, on the CPU."""
        factors = need_factors(self)
        places = self.examples.places(MOST_CODED)
        return self.codes[places].cpu(), factors[places].cpu()

    @cached_property
    def jackknifed(self) -> list[tuple[Tensor, Tensor]]:
        """Codes and factors: of all these examples, then without each of ten groups of them."""
        codes, factors = self.coded_factors
        group = torch.arange(len(codes), device="cpu") % GROUPS
        kept = [group != each for each in range(GROUPS)]
        return [(codes, factors), *((codes[keep], factors[keep]) for keep in kept)]

    @cached_property
    def information(self) -> list[Tensor]:
        """That of each factor in each active dimension, (L, D), of all and without each group."""
        return [normalised_information(*each, self.seed) for each in self.jackknifed]

    @cached_property
    def forests(self) -> Forests:
        """What predicts the factors from the codes."""
        return forests(*self.coded_factors, self.seed)

    def posteriors(self, most: int = MOST_POSTERIORS) -> Tensor:
        """log q(z_i|x_j) of one draw of each of ``most`` examples, at even distances, (M, M); kept.

        Raises UnsupportedError for a model whose posterior has no density.
        """
        some = self.examples.evenly(most)
        if len(some) not in self._posteriors:
            (batch,) = some.batches(len(some), self.model.input_kind)
            with seeded(self.seed, self.device):
                self._posteriors[len(some)] = self.model.log_posteriors(batch)
        return self._posteriors[len(some)]

    @cached_property
    def rebuilt(self) -> Rebuilt:
        """The sentences and their greedy reconstructions."""
        steps = Steps(self._progress, len(self.examples))
        size, sentences = largest_batch(self.model), need_text(self)
        return reconstructions(self.model, sentences, size, steps.advance)

    def told(self, n: int) -> Tensor | None:
        """What ``n`` samples are told: the conditions of examples at even distances.

        None for a model that is told nothing, and for one that infers what the examples do not
        tell. Raises DataError where one must be told, and the examples have no such column.
        """
        conditioning = self.model.conditioning
        examples = self.examples
        if conditioning is None or (examples.condition is None and not conditioning.needed):
            return None
        if examples.condition is None:
            examples = examples.conditioned(conditioning.on)
        assert examples.condition is not None
        places = torch.arange(n, device=examples.rows.device) * len(examples) // max(n, 1)
        return examples.condition[places]

    def sampled(self, n: int, pixels: Pixels = "means") -> Tensor:
        """``n`` new examples of the model, their noise of the seed alone; sentences as tokens.

        For each code of the prior the mean of p(x|z), or what the model takes for it, or a draw.
        A conditional model is :meth:`told` as the examples are.
        """
        generator = torch.Generator(self.device).manual_seed(self.seed)
        told = self.told(n)
        parts = []
        for places in torch.split(torch.arange(n, device=self.device), self.model.decode_batch):
            own = None if told is None else told[places]
            codes = self.model.sample_codes(len(places), 1.0, generator, own)
            if pixels == "means":
                parts.append(self.model.estimate(codes, own))
                continue
            with noise_of(generator, self.device):
                parts.append(self.model.decode(codes, own).sample())
        return torch.cat(parts)  # (n, ...)

    @cached_property
    def classifier(self) -> Classifier:
        """Of the dataset, in whose features images are compared; see :func:`classifier_of`."""
        return classifier_of(self.data).to(self.device)

    def training_images(self, kind: InputKind) -> Images:
        """All images of the training split, as models of that kind read them; kept."""
        if kind not in self._training_images:
            examples = self.data.train.fixed(kind, self.seed).to(self.device)
            self._training_images[kind] = Images(self.classifier, examples)
        return self._training_images[kind]

    def compared(self, n: int, pixels: Pixels, role: Role = "model") -> Compared:
        """At most ``n`` samples beside as many real images, kept; see :func:`compare`."""
        if (n, pixels, role) not in self._compared:
            self._compared[n, pixels, role] = compare(self, n, pixels, role)
        return self._compared[n, pixels, role]
