"""What a model is judged by, one metric a file: each a number, and where it can a value an example.

Models know nothing of metrics; each finds what it needs in a :class:`Subject`.
"""

from zoo.metrics.base import Measured, Metric
from zoo.metrics.records import Records
from zoo.metrics.references import References
from zoo.metrics.run import Outcome, measure_all
from zoo.metrics.scores import Scores
from zoo.metrics.subject import Subject

__all__ = [
    "Measured",
    "Metric",
    "Outcome",
    "Records",
    "References",
    "Scores",
    "Subject",
    "measure_all",
]
