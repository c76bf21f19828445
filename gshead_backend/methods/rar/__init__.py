"""``rar``: a large reconstructor, a light avatar. See docs/methods.md."""

from .pipeline import reconstruct

__all__ = ["reconstruct"]
