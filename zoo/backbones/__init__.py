"""Backbones: the networks between examples and features, one a file."""

from zoo.backbones.base import Backbone

__all__ = ["Backbone"]
