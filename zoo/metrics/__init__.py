"""What a model is judged by, one metric a file: each a number, and where it can a value an example.

Models know nothing of metrics; each finds what it needs in a :class:`Subject`.
"""

from zoo.metrics.base import Measured, Metric
from zoo.metrics.subject import Subject

__all__ = ["Measured", "Metric", "Subject"]
