"""Rendered frames as files: PNG for looking at, OpenEXR for compositing. Both atomic.

Both take what a rasterizer gives: colour premultiplied by alpha and encoded as the splats' colours (sRGB).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from ..camera import Camera
from ..errors import ArgumentError, ExportError
from ..files import atomic_path, text_path, write_atomic
from ..protocol.transfer import encoded_to_linear_premultiplied, unpremultiply
from .png import encode_png

_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def write_png(
    path: str | Path, color: np.ndarray, alpha: np.ndarray | None = None, *, bits: Literal[8, 16] = 8,
    text: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write an sRGB PNG with straight alpha.

    Args:
        color: (H, W, 3) sRGB-encoded, premultiplied by ``alpha``.
        alpha: (H, W) 0..1; without it the file has no alpha channel.
        bits: per channel. text: facts by keyword, kept in the file.

    Raises:
        ArgumentError: shapes do not fit. ExportError: the file cannot be written.
    """
    color, alpha = _checked(color, alpha)
    if bits not in (8, 16):
        raise ArgumentError(f"A PNG has 8 or 16 bits per channel, not {bits}.")
    pixels = color if alpha is None else np.concatenate([unpremultiply(color, alpha), alpha[..., None]], 2)
    top = 2**bits - 1
    whole = np.round(np.clip(pixels, 0, 1) * top).astype(">u2" if bits == 16 else np.uint8)
    write_atomic(path, encode_png(whole, text))


def write_exr(
    path: str | Path, color: np.ndarray, alpha: np.ndarray, depth: np.ndarray | None = None, *,
    dtype: Literal["float16", "float32"] = "float16", metadata: Mapping[str, str | float | np.ndarray] | None = None,
) -> None:  # fmt: skip
    """Write a scene-linear OpenEXR: R, G, B premultiplied Rec.709, A, and Z as float32.

    Args:
        color: (H, W, 3) sRGB-encoded, premultiplied. alpha: (H, W).
        depth: (H, W) metres along the view axis, +inf where nothing is; becomes channel Z.
        dtype: of R, G, B and A.
        metadata: header attributes by name, written as ``gshead:NAME``: text, numbers, (3, 3) or (4, 4) matrices.

    Raises:
        ArgumentError: shapes do not fit. ExportError: the file cannot be written.
    """
    import OpenEXR

    color, checked = _checked(color, alpha)
    assert checked is not None
    if dtype not in ("float16", "float32"):
        raise ArgumentError(f"EXR colours are float16 or float32, not {dtype!r}.")
    linear = encoded_to_linear_premultiplied(color, checked).astype(dtype)
    channels = {name: np.ascontiguousarray(linear[..., i]) for i, name in enumerate("RGBA")}
    if depth is not None:
        if depth.shape != checked.shape:
            raise ArgumentError(f"depth has shape {depth.shape}; the frame is {checked.shape}.")
        channels["Z"] = np.ascontiguousarray(depth, np.float32)
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": _REC709,
        "software": "gshead",
        **{f"gshead:{name}": _attribute(name, value) for name, value in (metadata or {}).items()},
    }
    with atomic_path(path) as temporary:
        try:
            OpenEXR.File(header, channels).write(text_path(temporary))
        except RuntimeError as error:
            raise ExportError(f"'{path}' cannot be written: {error}.") from error


def camera_metadata(camera: Camera) -> dict[str, np.ndarray]:
    """``K`` (pixels) and ``worldToCamera`` of an OpenCV camera, both for column vectors."""
    return {"K": np.asarray(camera.K), "worldToCamera": np.asarray(camera.viewmat)}


def _attribute(name: str, value: str | float | np.ndarray) -> str | float | np.ndarray:
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.shape in ((3, 3), (4, 4)):
        return np.ascontiguousarray(value, np.float32)
    if isinstance(value, (int, float)) and np.isfinite(value):
        return float(value)
    raise ArgumentError(f"'{name}' cannot be written into an EXR header: {value!r}.")


def _checked(color: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    color = np.asarray(color, np.float32)
    if color.ndim != 3 or color.shape[2] != 3 or 0 in color.shape:
        raise ArgumentError(f"A frame's colour must have shape (H, W, 3), got {color.shape}.")
    if alpha is None:
        return color, None
    alpha = np.asarray(alpha, np.float32)
    if alpha.shape != color.shape[:2]:
        raise ArgumentError(f"alpha has shape {alpha.shape}; the frame is {color.shape[:2]}.")
    return color, alpha
