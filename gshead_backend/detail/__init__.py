"""Levels of detail: the same avatar with fewer splats, chosen by what of it can be seen."""

from .importance import reduced

__all__ = ["reduced"]
