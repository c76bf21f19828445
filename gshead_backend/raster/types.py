"""What every rasterizer returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rendered:
    """One rendered view; numpy arrays or torch tensors, like the splats that went in.

    Row 0 is the top row.

    Attributes:
        color: (H, W, C) premultiplied by alpha, encoded as the splats' colors; with a background, composited over it.
        alpha: (H, W) 0..1.
        depth: (H, W) metres along the view axis, alpha-weighted mean where alpha >= 1/255, +inf elsewhere.
    """

    color: Any
    alpha: Any
    depth: Any
