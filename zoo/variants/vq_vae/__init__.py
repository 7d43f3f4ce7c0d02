"""A VAE whose codes are grids of vectors of a codebook (van den Oord et al. 2017)."""

from zoo.variants.vq_vae.config import VQVAEConfig
from zoo.variants.vq_vae.model import VQVAE

__all__ = ["VQVAE", "VQVAEConfig"]
