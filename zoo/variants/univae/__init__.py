"""UniVAE: one Transformer is encoder and decoder (Su 2021, kexue.fm/archives/8475)."""

from zoo.variants.univae.config import UniVAEConfig
from zoo.variants.univae.model import UniVAE

__all__ = ["UniVAE", "UniVAEConfig"]
