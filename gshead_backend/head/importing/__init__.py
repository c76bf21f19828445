"""Turning a user's FLAME file into a head file in their data folder. Not light: scipy, numba and OpenCV."""

from .install import import_head

__all__ = ["import_head"]
