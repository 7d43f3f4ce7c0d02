"""Whether a model that infers a class infers the right one."""

from __future__ import annotations

from zoo.data.labels import labelled_of
from zoo.errors import UnsupportedError
from zoo.evaluation.evaluate import largest_batch
from zoo.evaluation.representation import rightly_inferred
from zoo.metrics.base import Measured, Metric, need_labels
from zoo.metrics.subject import Subject


class ClassAccuracy(Metric):
    """The share of the examples whose likeliest class by q(y|x) is the one that they are of.

    Of models that infer a class, as "m2" does. Examples whose class is not known do not count.
    """

    version = 1
    unit = "share of the examples"
    better = "higher"

    def check(self, subject: Subject) -> None:
        if not subject.model.has_classes:
            raise UnsupportedError(
                "this model infers no class; it is of models that do, as 'm2', and what codes of "
                "others tell of classes say 'knn' and 'linear-probe'"
            )
        need_labels(subject)

    def measure(self, subject: Subject) -> Measured:
        model, known = subject.model, labelled_of(subject.examples)
        assert known is not None  # as is checked
        right = rightly_inferred(model, subject.examples, batch_size=largest_batch(model))
        return Measured.of_each("accuracy", right[known.to(right.device)].double())
