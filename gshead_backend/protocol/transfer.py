"""Colour transfer functions: sRGB encoding, alpha association and packing of frames, all numpy.

Splats are sRGB-encoded and blended as encoded (as trained), so the rasterizer gives encoded, premultiplied colour.
A compositor wants scene-linear premultiplied: un-premultiply, decode, premultiply again. Formulas: IEC 61966-2-1.
"""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError
from ..srgb import linear_to_srgb, srgb_to_linear
from .messages import Dtype

ALPHA_FLOOR = 1.0 / 65536.0
"""Below this alpha a colour cannot be told; the pixel becomes zero."""


def premultiply(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(..., 3) straight and (...) alpha to (..., 3) premultiplied."""
    return rgb * alpha[..., None]


def unpremultiply(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(..., 3) premultiplied to straight; zero where alpha is below ``ALPHA_FLOOR``."""
    safe = np.maximum(alpha, ALPHA_FLOOR)[..., None]
    return np.where(alpha[..., None] >= ALPHA_FLOOR, rgb / safe, 0.0).astype(np.float32, copy=False)


def encoded_to_linear_premultiplied(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Rasterizer output to scene-linear.

    Args:
        color: (H, W, 3) sRGB-encoded, premultiplied. alpha: (H, W) 0..1.

    Returns:
        (H, W, 4) float32, linear Rec.709, premultiplied. Only the rectangle that holds the heads is computed.
    """
    out = np.zeros((*alpha.shape, 4), np.float32)
    box = _seen_box(alpha)
    if box is not None:
        out[box] = _dense_linear(color[box], alpha[box])
    return out


def _seen_box(alpha: np.ndarray) -> tuple[slice, slice] | None:
    rows, columns = (np.flatnonzero(alpha.max(axis) >= ALPHA_FLOOR) for axis in (1, 0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if rows.size else None


def _dense_linear(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    a = np.clip(alpha, 0.0, 1.0).astype(np.float32, copy=False)
    a[a < ALPHA_FLOOR] = 0.0
    straight = color * (1.0 / np.maximum(a, np.float32(ALPHA_FLOOR)))[..., None]
    out = np.empty((*a.shape, 4), np.float32)
    np.multiply(srgb_to_linear(straight), a[..., None], out=out[..., :3])
    out[..., 3] = a
    return out


def encoded_to_srgb8(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Rasterizer output to the viewport's (H, W, 4) uint8: sRGB encoding of the premultiplied linear value.

    An sRGB texture decodes it to linear premultiplied. Where alpha is 1 the value is the splats' own colour, so only
    the soft edge goes through the transfer functions.
    """
    out = np.zeros((*alpha.shape, 4), np.uint8)
    box = _seen_box(alpha)
    if box is None:
        return out
    color, alpha, seen = color[box], alpha[box], out[box]
    seen[..., :3] = _quantise(color)
    seen[..., 3] = _quantise(alpha)
    edge = alpha < 1.0 - 1.0 / 512.0
    seen[edge, :3] = _quantise(linear_to_srgb(_dense_linear(color[edge], alpha[edge])[..., :3]))
    return out


def _quantise(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def pack_frame(color: np.ndarray, alpha: np.ndarray, dtype: Dtype) -> np.ndarray:
    """Rasterizer output to the frame of that ``dtype``: (H, W, 4), C-contiguous, as ``Frame`` describes."""
    if dtype == "uint8":
        return encoded_to_srgb8(color, alpha)
    linear = encoded_to_linear_premultiplied(color, alpha)
    return linear if dtype == "float32" else np.clip(linear, -65504, 65504).astype(np.float16)


def unpack_linear(rgba: np.ndarray) -> np.ndarray:
    """Any frame's (H, W, 4) to float32 linear premultiplied; uint8 is decoded from its sRGB encoding."""
    if rgba.dtype == np.uint8:
        out = rgba.astype(np.float32) / np.float32(255.0)
        out[..., :3] = srgb_to_linear(out[..., :3])
        return out
    if rgba.dtype.name not in ("float16", "float32"):
        raise ArgumentError(f"A frame is uint8, float16 or float32, not {rgba.dtype}.")
    return rgba.astype(np.float32, copy=False)
