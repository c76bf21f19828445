"""The CPU rasterizer: multi-threaded numba, with gradients. Importing it loads numba, not torch."""

from .pipeline import rasterize_numpy, rasterize_srgb8, warm_up

__all__ = ["rasterize_numpy", "rasterize_srgb8", "warm_up"]
