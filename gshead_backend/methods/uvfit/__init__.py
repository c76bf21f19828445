"""``uvfit``: one photo to an animatable Gaussian head, without learned weights."""

from .pipeline import reconstruct

__all__ = ["reconstruct"]
