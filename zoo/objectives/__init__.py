"""Objectives: what a training minimises, what it logs, and how it picks the best model."""

from zoo.objectives.base import Loss, Objective, Step

__all__ = ["Loss", "Objective", "Step"]
