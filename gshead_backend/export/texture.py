"""The head's texture, baked from its splats: what shows the person where a program cannot draw splats. numpy only."""

from __future__ import annotations

import numpy as np

from ..avatar.types import Avatar
from .png import encode_png

SIZE = 1024
_NEAR = 0.004  # metres: splats farther off the skin than a few of these (long hair) hardly colour it
_EMPTY = np.array([0.6, 0.5, 0.45])


def bake_texture(avatar: Avatar, size: int = SIZE) -> np.ndarray:
    """(size, size, 3) uint8, sRGB-encoded, row 0 on top (v = 1).

    Every splat colours the texel that it is bound to, by its opacity and its nearness to the skin; texels without a
    splat take a smooth continuation of those around them.
    """
    head = avatar.head
    uv = (head.uv[head.uv_faces[avatar.triangle]] * avatar.bary[:, :, None]).sum(1)
    column = np.clip((uv[:, 0] * size).astype(np.int64), 0, size - 1)
    row = np.clip(((1 - uv[:, 1]) * size).astype(np.int64), 0, size - 1)
    opacity = 1 / (1 + np.exp(-np.asarray(avatar.opacity_logit, np.float64)))
    weight = opacity * np.exp(-np.square(avatar.offset[:, 2] / _NEAR) / 2) + 1e-6
    amount = np.bincount(row * size + column, weight, size * size)
    color = np.clip(np.asarray(avatar.color, np.float64), 0, 1)
    total = np.stack([np.bincount(row * size + column, weight * color[:, c], size * size) for c in range(3)], -1)
    filled = _fill(total.reshape(size, size, 3), amount.reshape(size, size))
    return np.round(np.clip(filled, 0, 1) * 255).astype(np.uint8)


def texture_png(avatar: Avatar, size: int = SIZE) -> bytes:
    """:func:`bake_texture` as a PNG file."""
    return encode_png(bake_texture(avatar, size))


def _fill(total: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """(h, w, 3) means of weighted sums, holes continued from their surroundings, by halving and enlarging again."""
    height, width = amount.shape
    if height * width == 1 or min(height, width) < 2:
        seen = amount[..., None] > 0
        return np.where(seen, total / np.maximum(amount[..., None], 1e-30), _EMPTY)
    # A texel counts for at most one: a crowd of splats must not outweigh its neighbours on the coarser levels.
    limited = np.minimum(amount, 1.0)
    mean = total / np.maximum(amount, 1e-30)[..., None]
    even = (height // 2 * 2, width // 2 * 2)
    blocks = (even[0] // 2, 2, even[1] // 2, 2)
    coarse_amount = limited[: even[0], : even[1]].reshape(blocks).sum((1, 3))
    coarse = (mean * limited[..., None])[: even[0], : even[1]].reshape(*blocks, 3).sum((1, 3))
    around = _enlarge(_fill(coarse, coarse_amount), (height, width))
    share = limited[..., None]
    return share * mean + (1 - share) * around


def _enlarge(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Twice the size by bilinear interpolation, cut or repeated to ``shape``."""
    for axis in (0, 1):
        before = np.concatenate([small.take([0], axis), small.take(range(small.shape[axis] - 1), axis)], axis)
        after = np.concatenate([small.take(range(1, small.shape[axis]), axis), small.take([-1], axis)], axis)
        pair = np.stack([0.75 * small + 0.25 * before, 0.75 * small + 0.25 * after], axis + 1)
        small = pair.reshape(*small.shape[:axis], 2 * small.shape[axis], *small.shape[axis + 1 :])
        missing = shape[axis] - small.shape[axis]
        if missing > 0:
            small = np.concatenate([small, small.take([-1] * missing, axis)], axis)
    return small
