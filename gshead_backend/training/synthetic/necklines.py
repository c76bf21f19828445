"""Where cloth begins: collars at the throat, open shirts, wide necklines, straps, bare shoulders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .style_spec import StyleSpec

Neckline = Callable[[np.ndarray], np.ndarray]
"""Points (N, 3) of a person at rest to the height (N,) below which cloth begins there; inf where all is covered."""
_HEIGHT = {"t-shirt": -0.052, "shirt": -0.030, "suit": -0.034, "sweater": -0.042, "turtleneck": 0.02, "hoodie": -0.03,
           "v-neck": -0.06, "scarf": 0.005}  # fmt: skip
"""Metres above the middle of the throat at which cloth begins."""
_OPEN = {"v-neck": (0.06, 0.14), "suit": (0.09, 0.11), "shirt": (0.02, 0.14)}
"""Metres by which a V goes down from there."""
COLLARLESS = ("t-shirt", "v-neck", "scoop", "tank", "bare")


def neckline(style: StyleSpec, chin: np.ndarray, throat: float) -> Neckline:
    """Where a style's cloth begins.

    Args:
        chin: (3,) its landmark. throat: height of the throat's middle.
    """
    rng = np.random.default_rng([style.seed, 9])
    wide = rng.uniform(0.075, 0.125)
    low = throat - rng.uniform(0.07, 0.15)
    strap, breadth = rng.uniform(0.065, 0.1), rng.uniform(0.004, 0.024)
    v = rng.uniform(*_OPEN.get(style.clothes, (0.0, 0.0)))

    def scoop(at: np.ndarray) -> np.ndarray:
        x = np.abs(at[:, 0])
        return np.where(x < wide, low + 0.13 * (x / wide) ** 4, np.inf)

    def bare(at: np.ndarray) -> np.ndarray:
        x = np.abs(at[:, 0])
        line = low - 0.02 + 0.012 * np.cos(x * 40)
        return np.where(np.abs(x - strap) < breadth, np.inf, line) if style.clothes == "tank" else line

    def collar(at: np.ndarray) -> np.ndarray:
        x, behind = np.abs(at[:, 0]), at[:, 2] < chin[2] - 0.07
        line = throat + _HEIGHT[style.clothes] + 0.16 * x + 0.028 * behind - v * np.clip(1 - x / 0.055, 0, 1) * ~behind
        return np.where(x > 0.085, np.inf, line)

    return {"scoop": scoop, "tank": bare, "bare": bare}.get(style.clothes, collar)
