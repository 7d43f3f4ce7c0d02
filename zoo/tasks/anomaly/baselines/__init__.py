"""What anomaly detection is measured against, a detector of another library a file."""

from zoo.tasks.anomaly.baselines.base import AnomalyBaseline

__all__ = ["AnomalyBaseline"]
