"""Numba kernels: depth order, and which splats each tile holds."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..constants import TILE
from .layout import PX0, PX1, PY0, PY1

_CHUNKS = 8
"""Of the splats: each keeps a count of every tile."""
_SHARES = 64
"""Of the tiles: many enough for a few on each thread, however many there are."""
_EMPTY_TILE = 8
"""Pairs that take as long as writing a tile's pixels."""


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


@njit(parallel=True, cache=True)
def fill_tiles(order, extent, first_pair, tiles_x, tiles_y, members, slots):
    """Sort (tile, splat) pairs by tile, keeping depth order: a counting sort whose chunks of ``order`` count, then
    write, beside each other.

    Args:
        first_pair: (N,) number of pairs before each splat, in splat order.
        members: (P,) int32 out, splats of every tile, nearest first.
        slots: (P,) int32 out, the pair's place in splat order; empty (0,) when not wanted.
    Returns:
        (tiles + 1,) int64: where each tile's members start.
    """
    m, tiles = order.size, tiles_x * tiles_y
    chunks = min(max(m // 2048, 1), _CHUNKS)
    box = np.empty((m, 4), np.int32)  # in tiles; read again, and in order
    at = np.zeros((chunks, tiles), np.int32)
    for c in prange(chunks):
        mine = at[c]
        for j in range(m * c // chunks, m * (c + 1) // chunks):
            i = order[j]
            box[j, PX0], box[j, PX1] = extent[i, PX0] // TILE, extent[i, PX1] // TILE
            box[j, PY0], box[j, PY1] = extent[i, PY0] // TILE, extent[i, PY1] // TILE
            for ty in range(box[j, PY0], box[j, PY1] + 1):
                for t in range(ty * tiles_x + box[j, PX0], ty * tiles_x + box[j, PX1] + 1):
                    mine[t] += 1
    start = np.empty(tiles + 1, np.int64)
    total = 0
    for t in range(tiles):
        start[t] = total
        for c in range(chunks):
            total, at[c, t] = total + at[c, t], total
    start[tiles] = total
    for c in prange(chunks):
        mine = at[c]
        for j in range(m * c // chunks, m * (c + 1) // chunks):
            i = order[j]
            slot = first_pair[i]
            for ty in range(box[j, PY0], box[j, PY1] + 1):
                for t in range(ty * tiles_x + box[j, PX0], ty * tiles_x + box[j, PX1] + 1):
                    members[mine[t]] = i
                    if slots.size:
                        slots[mine[t]] = slot
                    mine[t] += 1
                    slot += 1
    return start


@njit(cache=True)
def equal_shares(start):
    """(S + 1,) int64: tiles in S runs of about as many pairs each, for threads to take as many runs each.

    A thread that is given half of the tiles instead has next to nothing to do where the picture is empty. Tiles of a
    run are neighbours and share splats, so that they are still in the cache.
    """
    tiles = start.size - 1
    count = min(tiles, _SHARES)
    shares = np.zeros(count + 1, np.int64)
    work = start[tiles] + _EMPTY_TILE * tiles
    s = 1
    for t in range(tiles):
        while s < count and (start[t] + _EMPTY_TILE * t) * count >= work * s:
            shares[s] = t
            s += 1
    shares[s:] = tiles
    return shares
