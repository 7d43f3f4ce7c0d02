"""Anomaly detection: scores of examples, calibrated on normal ones, and baselines of it."""

from zoo.tasks.anomaly.result import Anomalies
from zoo.tasks.anomaly.score import Score
from zoo.tasks.anomaly.task import AnomalyDetection

__all__ = ["Anomalies", "AnomalyDetection", "Score"]
