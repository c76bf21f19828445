"""Errors of recorded tensors, and how large they may be.

Tolerances are several times what other float32 kernels, float64 and a second rasterizer were seen to differ by. Rasters
are the loosest: the lifted sheets hold many Gaussians of nearly equal depth, so a last bit swaps two and changes single
pixels.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from ...errors import FileFormatError

Index = tuple[slice | EllipsisType, ...]
STRICT, LIKE_GSPLAT = "strict", "like gsplat"


@dataclass(frozen=True)
class Row:
    """One comparison. ``error`` and ``worst`` are named by ``measure``; a limit of infinity is not judged."""

    name: str
    measure: str
    error: float
    limit: float
    worst: float
    worst_limit: float

    @property
    def good(self) -> bool:
        return self.error <= self.limit and self.worst <= self.worst_limit  # false for NaN


_CUTS = (
    (r"in\.", "absolute", 2e-6, 2e-6),
    (r"(plane|unit\.plane)\.|.*direnc$|unit\.dir$", "nrms", 2e-6, 1e-5),
    (r"unit\.resize", "nrms", 5e-6, 5e-5),
    (r"dino\.|f1$", "nrms", 1e-5, 1e-4),
    (r"f0$", "nrms", 2e-5, 3e-4),
    (r"unit\.(convhead|linearhead|styleunet)", "nrms", 1e-5, 1e-4),
    (r"(g|l0|l1)\.", "nrms", 5e-5, 1e-3),
    (r"unit\.raster", "nrms", 2e-5, 2e-3),
    (r"[AB]\.raster", "nrms", 1.5e-3, 0.3),
    (r"[AB]\.rgb", "nrms", 1e-3, 8e-2),
)
_POOLS = {"raster": (5e-4, 2e-2), "rgb": (5e-4, 1e-2)}
_LOOSER_CUTS = {"unit.raster": (2e-3, 0.2), "raster": (2.5e-3, 0.3), "rgb": (2.5e-3, 8e-2)}
_LOOSER_POOL = (2e-3, 2e-2)
STATS, LOOSER_STATS = 1e-3, 3e-3
PICTURE_MEAN, LOOSER_PICTURE_MEAN, PICTURE_WORST = 1e-4, 3e-4, 1e-2
PROBE = 1e-9


def _limits(name: str, kind: str, limits: str) -> tuple[str, float, float]:
    measure, error, worst = next((m, e, w) for pattern, m, e, w in _CUTS if re.match(pattern, name))
    if re.match(r"[AB]\.|unit\.raster", name):
        what = name.rpartition(".")[2]
        loose = limits == LIKE_GSPLAT
        if kind == "pool" and name != "unit.raster":
            return measure, *(_LOOSER_POOL if loose else _POOLS[what])
        if loose:
            return measure, *_LOOSER_CUTS.get(name, _LOOSER_CUTS.get(what, (error, worst)))
    return measure, error, worst


def compare(name: str, kind: str, golden: np.ndarray, value: np.ndarray, limits: str = STRICT) -> Row:
    """Compare what a file holds under ``name|kind`` with the same cut of our tensor, of the same shape."""
    golden, value = np.asarray(golden, np.float64), np.asarray(value, np.float64)
    loose = limits == LIKE_GSPLAT and re.match(r"[AB]\.", name) is not None
    if kind in ("probe", "sum_abssum"):
        error = float(np.abs(value - golden).max() / np.abs(golden).max())
        return Row(f"{name}|{kind}", "relative", error, PROBE, 0.0, math.inf)
    if kind == "stats":
        spread = golden[1] or 1.0
        error = float(np.abs(value - golden)[:3].max() / spread)
        return Row(f"{name}|{kind}", "of std", error, LOOSER_STATS if loose else STATS, 0.0, math.inf)
    off = np.abs(value - golden)
    if kind == "full16":
        mean = LOOSER_PICTURE_MEAN if loose else PICTURE_MEAN
        return Row(f"{name}|{kind}", "mean abs", float(off.mean()), mean, float(off.max()), PICTURE_WORST)
    measure, error, worst = _limits(name, kind, limits)
    if measure == "absolute":
        return Row(f"{name}|{kind}", measure, float(off.max()), error, float(off.max()), worst)
    spread = float(golden.std())
    if spread == 0:  # a constant cut has no scale to measure errors by
        return Row(f"{name}|{kind}", "absolute", float(off.max()), 1e-5, float(off.max()), 1e-5)
    rms = float(np.sqrt((off**2).mean()))
    return Row(f"{name}|{kind}", measure, rms / spread, error, float(off.max()) / spread, worst)


def parse_cut(text: str) -> Index:
    """``"[:, 3::14, 5::14]"`` to an index. Raises ``FileFormatError``; nothing is evaluated."""
    match = re.fullmatch(r"\[(.*)\]", text.strip())
    parts = match[1].split(",") if match else [""]
    out: list = []
    for part in map(str.strip, parts):
        numbers = re.fullmatch(r"(\d{0,6}):(\d{0,6})(?::(\d{0,6}))?", part)
        if part == "...":
            out.append(Ellipsis)
        elif numbers:
            out.append(slice(*(int(n) if n else None for n in numbers.groups())))
        else:
            raise FileFormatError(f"'{text}' is not a cut such as [:, 4::8, 2::8].")
    return tuple(out)


def cut_of(value: np.ndarray, kind: str, golden: np.ndarray, cut: Index) -> np.ndarray:
    """What ``kind`` stores of a whole tensor. Raises ``FileFormatError`` for an unknown kind or an impossible shape."""
    if kind == "stats":
        v = value.astype(np.float64)
        found = np.array([v.mean(), v.std(), np.abs(v).max(), v.min(), v.max()])
    elif kind == "head64":
        found = value.ravel()[:64]
    elif kind == "slice":
        found = value[cut]
    elif kind == "full16":
        found = value.astype(np.float16)
    elif kind == "pool":
        found = pooled(value, golden.shape)
    elif kind == "row150_cols0to7":
        side = math.isqrt(value.shape[0])
        found = value.reshape(side, side, -1)[150, :8]
    else:
        raise FileFormatError(f"A golden of kind '{kind}' is unknown.")
    if found.shape != golden.shape:
        raise FileFormatError(f"A golden of kind '{kind}' has shape {golden.shape}; ours has {found.shape}.")
    return found


def pooled(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Block means: (C, H, W) to (C, h, w), or (N, F) seen as a square picture to (h, w, F)."""
    v = value.astype(np.float64)
    if v.ndim == 3:
        c, h, w = shape
        return v.reshape(c, h, v.shape[1] // h, w, v.shape[2] // w).mean((2, 4))
    side, (h, w, fields) = math.isqrt(v.shape[0]), shape
    return v.reshape(h, side // h, w, side // w, fields).mean((1, 3))
