"""One harness for every variant: the same quantities, units, protocol and errors."""

from zoo.evaluation.evaluate import evaluate_model
from zoo.evaluation.representation import (
    active_units,
    encode_split,
    few_label_accuracies,
    few_label_hits,
    knn_accuracy,
    linear_probe,
    nearest_neighbours,
)
from zoo.evaluation.results import Estimate, Evaluation
from zoo.evaluation.verification import Check, Verification, verify_figures

__all__ = [
    "Check",
    "Estimate",
    "Evaluation",
    "Verification",
    "active_units",
    "encode_split",
    "evaluate_model",
    "few_label_accuracies",
    "few_label_hits",
    "knn_accuracy",
    "linear_probe",
    "nearest_neighbours",
    "verify_figures",
]
