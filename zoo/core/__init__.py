"""The contract: what a model is given, what it answers with, and what is written once above all."""
