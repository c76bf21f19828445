"""The dynamic residual with numba: ``drive.appearance`` in one pass over the splats that change."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit, prange

from ..head.pose import HeadPose
from ..parallel import NUMBA_LOCK
from .drive import Appearance, binding_of, changing_parts, residual_code
from .types import Avatar

_ZERO, _HALF, _ONE, _TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-12)


def appearance_fast(avatar: Avatar, code: np.ndarray, room: Appearance | None = None) -> Appearance:
    """:func:`~gshead_backend.avatar.drive.appearance` for the residual's code (K,), see ``code_of``.

    What no splat changes is the binding's own array, which must not be written to.

    Args:
        room: what this function made for the same avatar before, to be written over.
    """
    b, d = binding_of(avatar), avatar.dynamic
    rest = (b.offset, b.rotation, b.scale, b.opacity, b.color)
    if d is None:
        return rest
    parts = _planar_parts(avatar)
    if room is None:
        offset, rotation, scale, opacity, color = (
            kept.copy() if name in parts else kept for name, kept in zip(_KERNELS, rest, strict=True)
        )
        room = offset, rotation, scale, opacity, color
    with NUMBA_LOCK:
        for (name, kernel), kept, changed in zip(_KERNELS.items(), rest, room, strict=True):
            if name in parts:
                own = {"rotation": avatar.rotation, "opacity": avatar.opacity_logit}.get(name, kept)
                flat = name == "offset"  # (3, N), read as (N, 3)
                kernel(d.index, parts[name], code, own.T if flat else own, changed.T if flat else changed)
    return room


def _planar_parts(avatar: Avatar) -> dict[str, np.ndarray]:
    """``changing_parts`` as (channels, K, M), so that a core handles eight splats at a time."""
    if "planar_parts" not in avatar._cache:
        assert avatar.dynamic is not None
        parts = changing_parts(avatar.dynamic, avatar).items()
        avatar._cache["planar_parts"] = {k: np.ascontiguousarray(v.transpose(1, 2, 0)) for k, v in parts}
    return avatar._cache["planar_parts"]


def changing_splats(avatar: Avatar) -> np.ndarray:
    """(N,) bool: which splats the residual changes; empty without one."""
    if avatar.dynamic is None:
        return np.zeros(0, np.bool_)
    if "changing_splats" not in avatar._cache:
        mask = np.zeros(len(avatar), np.bool_)
        mask[avatar.dynamic.index] = True
        avatar._cache["changing_splats"] = mask
    return avatar._cache["changing_splats"]


def code_of(avatar: Avatar, pose: HeadPose | None) -> np.ndarray:
    """(K,) float32 the residual's code in a pose; empty without a residual."""
    return np.zeros(0, np.float32) if avatar.dynamic is None else residual_code(avatar.dynamic, pose)


def warm_up() -> None:
    """Compile (or load from numba's cache) what a frame needs."""
    index, code = np.zeros(1, np.int32), np.zeros(1, np.float32)
    with NUMBA_LOCK:
        for name, kernel in _KERNELS.items():
            own = np.ones({"offset": (3, 2), "rotation": (2, 4), "opacity": (2,)}.get(name, (2, 3)), np.float32)
            own, out = (own.T, own.T.copy("K")) if name == "offset" else (own, own.copy())
            kernel(index, np.ones((4, 1, 1), np.float32), code, own, out.T.copy() if name == "rotation" else out)


_BLOCK = 256


@njit(forceinline=True, error_model="numpy")
def _change(basis, code, c, start, stop, out):
    """out[j] = basis[c, :, start + j] . code."""
    for j in range(stop - start):
        out[j] = _ZERO
    for k in range(code.size):
        weight = code[k]
        for j in range(stop - start):
            out[j] += basis[c, k, start + j] * weight


@njit(parallel=True, cache=True, error_model="numpy")
def _add(index, basis, code, own, out):
    """out[index] = own + basis . code, both (N, 3)."""
    for block in prange((index.size + _BLOCK - 1) // _BLOCK):
        start, change = block * _BLOCK, np.empty(_BLOCK, np.float32)
        stop = min(start + _BLOCK, index.size)
        for c in range(3):
            _change(basis, code, c, start, stop, change)
            for m in range(start, stop):
                out[index[m], c] = own[index[m], c] + change[m - start]


@njit(parallel=True, cache=True, error_model="numpy")
def _grow(index, basis, code, own, out):
    """out[index] = own * exp(basis . code), both (N, 3)."""
    for block in prange((index.size + _BLOCK - 1) // _BLOCK):
        start, change = block * _BLOCK, np.empty(_BLOCK, np.float32)
        stop = min(start + _BLOCK, index.size)
        for c in range(3):
            _change(basis, code, c, start, stop, change)
            for m in range(start, stop):
                out[index[m], c] = own[index[m], c] * math.exp(change[m - start])


@njit(parallel=True, cache=True, error_model="numpy")
def _fade(index, basis, code, own, out):
    """out[index] = sigmoid(own + basis . code), both (N,)."""
    for block in prange((index.size + _BLOCK - 1) // _BLOCK):
        start, change = block * _BLOCK, np.empty(_BLOCK, np.float32)
        stop = min(start + _BLOCK, index.size)
        _change(basis, code, 0, start, stop, change)
        for m in range(start, stop):
            out[index[m]] = _HALF + _HALF * math.tanh(_HALF * (own[index[m]] + change[m - start]))


@njit(parallel=True, cache=True, error_model="numpy")
def _turn(index, basis, code, own, out):
    """out[:, index] (4, N) = own[index] (N, 4) + basis . code, as unit quaternions."""
    for m in prange(index.size):
        n = index[m]
        w, x, y, z = own[n, 0], own[n, 1], own[n, 2], own[n, 3]
        for k in range(code.size):
            w += basis[0, k, m] * code[k]
            x += basis[1, k, m] * code[k]
            y += basis[2, k, m] * code[k]
            z += basis[3, k, m] * code[k]
        length = math.sqrt(w * w + x * x + y * y + z * z)
        if length <= _TINY:
            w, x, y, z, length = _ONE, _ZERO, _ZERO, _ZERO, _ONE
        out[0, n], out[1, n], out[2, n], out[3, n] = w / length, x / length, y / length, z / length


_KERNELS: dict[str, Callable[..., None]] = {
    "offset": _add, "rotation": _turn, "scale": _grow, "opacity": _fade, "color": _add
}  # fmt: skip
