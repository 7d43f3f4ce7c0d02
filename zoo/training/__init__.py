"""Objectives, the trainer and its run directory."""
