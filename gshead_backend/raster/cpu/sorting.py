"""Numba kernels: depth order, and which splats each tile holds."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..constants import TILE
from .layout import PX0, PX1, PY0, PY1


@njit(cache=True)
def depth_order(pairs, depth_bits):
    """(M,) int32: drawn splats, nearest first, equal depths by index. Radix sort of the float's bits (all positive)."""
    m = 0
    for i in range(pairs.size):
        m += pairs[i] > 0
    index, other = np.empty(m, np.int32), np.empty(m, np.int32)
    key, other_key = np.empty(m, np.uint32), np.empty(m, np.uint32)
    counts = np.zeros((3, 2048), np.int64)
    m = 0
    for i in range(pairs.size):
        if pairs[i] > 0:
            k = depth_bits[i]
            index[m], key[m] = i, k
            counts[0, k & 2047] += 1
            counts[1, (k >> 11) & 2047] += 1
            counts[2, k >> 22] += 1
            m += 1
    for digit in range(3):
        count = counts[digit]
        total = 0
        for b in range(2048):
            total, count[b] = total + count[b], total
        shift = np.uint32(11 * digit)
        for j in range(m):
            b = (key[j] >> shift) & np.uint32(2047)
            to = count[b]
            count[b] = to + 1
            other[to], other_key[to] = index[j], key[j]
        index, other = other, index
        key, other_key = other_key, key
    return index


@njit(cache=True)
def fill_tiles(order, extent, first_pair, tiles_x, tiles_y, members, slots):
    """Sort (tile, splat) pairs by tile, keeping depth order (a counting sort).

    Args:
        first_pair: (N,) number of pairs before each splat, in splat order.
        members: (P,) int32 out, splats of every tile, nearest first.
        slots: (P,) int32 out, the pair's place in splat order; empty (0,) when not wanted.
    Returns:
        (tiles + 1,) int64: where each tile's members start.
    """
    start = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for i in order:
        for ty in range(extent[i, PY0] // TILE, extent[i, PY1] // TILE + 1):
            for tx in range(extent[i, PX0] // TILE, extent[i, PX1] // TILE + 1):
                start[ty * tiles_x + tx + 1] += 1
    for t in range(tiles_x * tiles_y):
        start[t + 1] += start[t]
    at = start[:-1].copy()
    wanted = slots.size > 0
    for i in order:
        slot = first_pair[i]
        for ty in range(extent[i, PY0] // TILE, extent[i, PY1] // TILE + 1):
            for tx in range(extent[i, PX0] // TILE, extent[i, PX1] // TILE + 1):
                t = ty * tiles_x + tx
                members[at[t]] = i
                if wanted:
                    slots[at[t]] = slot
                at[t] += 1
                slot += 1
    return start
