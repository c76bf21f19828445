"""``sega``: an identity network, an expression network and two decoders correct the splats that ``uvfit`` places."""

from .pipeline import reconstruct

__all__ = ["reconstruct"]
