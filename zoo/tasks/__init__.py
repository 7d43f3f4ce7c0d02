"""What one does with a trained model."""

from zoo.tasks.base import Baseline, Task

__all__ = ["Baseline", "Task"]
