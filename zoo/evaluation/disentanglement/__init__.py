"""How far the numbers of a code and the factors that made the data stand for one another."""

from zoo.evaluation.disentanglement.information import (
    compactness,
    modularity,
    mutual_information_gap,
    normalised_information,
)
from zoo.evaluation.disentanglement.pairs import beta_vae_score, factor_vae_score
from zoo.evaluation.disentanglement.prediction import (
    Forests,
    completeness,
    disentanglement,
    forests,
    separated_predictability,
)

__all__ = [
    "Forests",
    "beta_vae_score",
    "compactness",
    "completeness",
    "disentanglement",
    "factor_vae_score",
    "forests",
    "modularity",
    "mutual_information_gap",
    "normalised_information",
    "separated_predictability",
]
