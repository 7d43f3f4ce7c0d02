"""The verbs of the public surface that work on data: create, train, evaluate, compare, verify.

``load`` stands in :mod:`zoo.loading`, which needs far less to be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from zoo.data import load_dataset, load_for_model
from zoo.errors import ConfigError
from zoo.evaluation import (
    Comparison,
    Evaluation,
    Reader,
    Verification,
    evaluate_model,
    refuse_mixed,
    verify_figures,
)
from zoo.core.model import LatentVariableModel
from zoo.registry import BenchmarkSpec, registry
from zoo.settings import merge
from zoo.storage import checkpoint, hub
from zoo.storage.checkpoint import CheckpointMetadata
from zoo.training.config import Experiment
from zoo.training.launch import Run, train_experiment
from zoo.training.options import route
from zoo.variants import Facts, Variant

Option: TypeAlias = str | int | float | bool | None | Sequence[int] | dict[str, object]
Source: TypeAlias = LatentVariableModel | str | Path
Progress: TypeAlias = Callable[[int, int], None]

DEFAULT_DATASET = "digits"
DEFAULT_SAMPLES = 1000


def create(
    variant: str,
    *,
    dataset: str = DEFAULT_DATASET,
    data_root: str | None = None,
    **overrides: Option,
) -> LatentVariableModel:
    """An untrained model of a variant, shaped for a dataset; ``overrides`` are model settings.

    A dataset's files are read, from ``data_root`` or where else they are looked for, only where
    its registered facts do not say enough: of text the vocabulary is learned.

    The weights are drawn with torch's global generator. Raises UnknownNameError, or ConfigError
    naming the nearest setting.

    >>> create("gaussian-vae", dataset="mnist", latent_dim=10).code_dim
    10
    """
    found = Variant.find(variant)
    known = registry().datasets.get(dataset)
    settings = found.settings(overrides)
    if known is not None and known.shape is not None and settings.get("condition") is None:
        facts = Facts(known.shape, known.likelihood)
    else:
        facts = Facts.of(load_dataset(dataset, root=data_root))
    return found.build(found.complete(settings, facts)).eval()


def train(
    variant: str,
    *,
    dataset: str = DEFAULT_DATASET,
    directory: str | Path | None = None,
    data_root: str | None = None,
    image_size: int | None = None,
    start_from: str | Path | None = None,
    progress: bool = True,
    **overrides: Option,
) -> Run:
    """Train a variant by name on a known dataset or one's own, and return the best model.

    ``overrides`` are settings of the training (``epochs=20``), the objective (``beta=2.0``) or the
    model (``latent_dim=10``); each is recognised by its name. Called again with the same settings
    it goes on where a killed run stopped, bit for bit. Validation is on the unweighted ELBO; of
    the objective "iwae" it is on its own bound.

    ``start_from`` is a released checkpoint's name, a file or a run's folder: training begins with
    its weights, and the model's settings are the checkpoint's.

    Raises UnknownNameError, ConfigError, DataError, CheckpointError or TrainingError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = train("gaussian-vae", directory=folder, epochs=1, latent_dim=4, progress=False)
    >>> run.metrics["epoch"], run.model.code_dim
    (1, 4)
    """
    found = Variant.find(variant)
    routed = route(overrides, found)
    experiment = Experiment.build(
        found,
        dataset,
        model=routed["model"],
        train=routed["train"],
        objective=routed["objective"],
        data_root=data_root,
        image_size=image_size,
        start_from=start_from,
    )
    return train_experiment(experiment, directory, progress)


def evaluate(
    source: Source,
    *,
    dataset: str | None = None,
    split: str = "test",
    samples: int = DEFAULT_SAMPLES,
    examples: int | None = None,
    seed: int = 0,
    data_root: str | None = None,
    image_size: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on a split: likelihoods in nats per example with standard errors.

    ``source`` is a model, measured where it is, or a checkpoint's name or path, loaded to
    ``device``. The dataset defaults to the one the checkpoint was trained on; its images are
    resized to what the model reads where they differ, or to ``image_size``. ``examples`` takes so
    many, spread evenly over the split. ``progress`` is called with the number of decoded examples
    so far and in all.

    Raises UnknownNameError, ConfigError, DataError or CheckpointError.

    >>> score = evaluate("gaussian-vae-digits", samples=10)
    >>> score.examples, score.nll.value < -score.elbo.value
    (300, True)
    """
    model, name, metadata = _open(source, device)
    trained_on = None
    if dataset is None and metadata is not None:
        dataset, trained_on = metadata.dataset, metadata.data
    if dataset is None:
        raise ConfigError("say which dataset to evaluate on, for example dataset='mnist'")
    data = load_for_model(
        model.config, dataset, root=data_root, image_size=image_size, trained_on=trained_on
    )
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    if split not in splits:
        raise ConfigError(f"unknown split {split!r}; choose among {', '.join(splits)}")
    chosen = splits[split] if examples is None else splits[split].spread(examples)
    return evaluate_model(
        model,
        chosen,
        name=name,
        variant=None if metadata is None else metadata.variant,
        dataset=data.name,
        split_name=split,
        samples=samples,
        seed=seed,
        progress=progress,
    )


def compare(
    sources: Sequence[Source],
    *,
    benchmark: str | None = None,
    dataset: str | None = None,
    samples: int | None = None,
    examples: int | None = None,
    seed: int | None = None,
    data_root: str | None = None,
    device: str = "cpu",
) -> Comparison:
    """Measure several models under one protocol; print the result for a table.

    The protocol is a registered ``benchmark``, or a ``dataset``'s test split; arguments given
    beside a benchmark replace its own. Raises what :func:`evaluate` raises, and ConfigError when
    the figures could not be compared (different kinds of input, pixels, vocabularies or measures).

    >>> print(compare(["gaussian-vae-digits", "beta-vae-digits"], benchmark="digits", samples=10))
    digits...
    """
    if isinstance(sources, str | Path | LatentVariableModel):
        raise ConfigError(f"give a list of models, for one as [model], got {sources!r:.100}")
    if not sources:
        raise ConfigError("nothing to compare: name at least one model")
    if (benchmark is None) == (dataset is None):
        raise ConfigError("give either a benchmark or a dataset to compare on")
    if benchmark is not None:
        protocol = registry().benchmark(benchmark)
    else:
        protocol = BenchmarkSpec(summary="as asked", dataset=str(dataset))
    given = {"samples": samples, "examples": examples, "seed": seed}
    protocol = protocol.model_copy(update={k: v for k, v in given.items() if v is not None})
    refuse_mixed([_reader(source) for source in sources])  # before any long evaluation
    rows = tuple(
        evaluate(
            source,
            dataset=protocol.dataset,
            split=protocol.split,
            samples=protocol.samples,
            examples=protocol.examples,
            seed=protocol.seed,
            data_root=data_root,
            device=device,
        )
        for source in sources
    )
    return Comparison(title=benchmark or rows[0].test_set, rows=rows)


def verify(
    name: str, *, data_root: str | None = None, progress: Progress | None = None
) -> Verification:
    """Recompute every figure recorded for a released checkpoint, on the same test set.

    Raises UnknownNameError, CheckpointError or DataError; figures that do not agree are reported
    in the result, not raised.

    >>> verify("autoencoder-digits").passed
    True
    """
    spec = registry().checkpoint(name)
    samples = {metric.samples for metric in spec.metrics.values() if metric.samples is not None}
    if len(samples) > 1:
        raise ConfigError(f"{name}: its figures were recorded with several sample counts {samples}")
    evaluation = evaluate(
        name,
        dataset=spec.dataset,
        samples=samples.pop() if samples else DEFAULT_SAMPLES,
        data_root=data_root,
        progress=progress,
    )
    return verify_figures(name, spec.metrics, evaluation)


def _reader(source: Source) -> Reader:
    """How a model reads, which is not kept."""
    model, name, _ = _open(source, "cpu")
    return Reader(name, model.input_kind, getattr(model.config, "tokenizer", None))


def _open(
    source: Source, device: str
) -> tuple[LatentVariableModel, str, CheckpointMetadata | None]:
    """The model, a name to show, and of a checkpoint what it says of itself."""
    if isinstance(source, LatentVariableModel):
        return source, type(source).__name__, None
    path = hub.locate(source)
    return checkpoint.load(path, device=device), str(source), checkpoint.read_metadata(path)
