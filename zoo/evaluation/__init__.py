"""One harness for every variant: the same quantities, units, protocol and errors."""

from zoo.evaluation.comparison import Comparison, refuse_mixed_kinds
from zoo.evaluation.evaluate import evaluate_model
from zoo.evaluation.representation import Moments, active_units
from zoo.evaluation.results import Estimate, Evaluation
from zoo.evaluation.verification import Check, Verification, verify_figures

__all__ = [
    "Check",
    "Comparison",
    "Estimate",
    "Evaluation",
    "Moments",
    "Verification",
    "active_units",
    "evaluate_model",
    "refuse_mixed_kinds",
    "verify_figures",
]
