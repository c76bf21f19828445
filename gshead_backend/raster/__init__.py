"""Splats + camera -> frame, on the CPU (numba), on CUDA (gsplat), or slowly and readably (reference)."""

from __future__ import annotations

from .rasterize import BACKENDS, rasterize, rasterize_many
from .types import Rendered

__all__ = ["BACKENDS", "Rendered", "rasterize", "rasterize_many"]
