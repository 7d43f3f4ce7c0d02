"""Trained weights as files: their format, what a checkpoint says of itself, where files are."""
