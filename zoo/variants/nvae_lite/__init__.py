"""A hierarchical VAE with residual normal posteriors, after NVAE (arXiv:2007.03898), made small.

``model`` holds the idea; the networks it is made of stand beside it.
"""

from zoo.variants.nvae_lite.config import LevelConfig, NVAELiteConfig, ScaleConfig
from zoo.variants.nvae_lite.model import NVAELite

__all__ = ["LevelConfig", "NVAELite", "NVAELiteConfig", "ScaleConfig"]
