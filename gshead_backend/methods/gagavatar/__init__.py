"""``gagavatar``: the published network of GAGAvatar (Chu and Harada, NeurIPS 2024), with weights that users bring."""

from .reconstruct import reconstruct

__all__ = ["reconstruct"]
