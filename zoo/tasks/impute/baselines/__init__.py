"""Ways to fill in rows with gaps that need no model of zoo."""

from zoo.tasks.impute.baselines.base import Filler

__all__ = ["Filler"]
