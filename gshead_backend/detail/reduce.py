"""Fewer splats that look alike: levels of detail of one avatar.

Ward's clustering (Ward 1963) bottom-up, over where splats are in several poses, which way they lie and their colour,
weighted by how much of each is seen: pairs that cost least become one Gaussian with their common mean and covariance.
What moves apart (lips, lids) lies apart in some pose and is not joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from ..avatar.binding import multiply_planar, triangle_frames
from ..avatar.drive import binding_of, drive
from ..avatar.types import Avatar, DynamicResidual, Splats
from ..errors import ArgumentError
from ..head.pose import HeadPose
from ..head.rotation import matrix_to_quat, quat_to_matrix

COLOR_REACH = 0.015
"""Metres that count like the whole range of a colour channel."""
NORMAL_REACH = 0.002
"""Metres that count like two directions at right angles."""
APART = 1.0  # metres between regions: they are never joined
PLACE = 4
"""Columns of the features that say where a splat is, and in which region."""
NEIGHBOURS = 7
OVERLAP = 3.2
"""How much farther than its parts a joined splat reaches: common covariance alone leaves gaps in a closed surface.

Splats that cover a surface stand 1.6 standard deviations apart; a cell of evenly spread ones has .29 of its length as
its own deviation, which this brings back to the same overlap. 3 to 4 give the highest PSNR.
"""
FAINT = 0.02  # of the mean weight, which a splat that nobody sees keeps
MOST_OPAQUE = 0.995
SMALLEST = 1e-6  # metres


def reduce_avatar(avatar: Avatar, count: int, seen: np.ndarray, poses: Sequence[HeadPose]) -> Avatar:
    """The avatar with ``count`` splats; itself when it has no more. The same input gives the same result.

    Args:
        seen: (N,) how much of each splat is seen, e.g. its summed blending weight over views; only ratios count.
        poses: what must not be torn: splats are joined when they stay together in all of these.

    Raises:
        ArgumentError: ``count`` below 1, or ``seen`` of another size or not finite and positive.
    """
    n = len(avatar)
    if count < 1 or seen.shape != (n,) or not np.isfinite(seen).all() or (seen < 0).any():
        raise ArgumentError(f"{n} splats cannot be reduced to {count} by weights of shape {seen.shape}.")
    if n <= count:
        return avatar
    rest = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
    footprint = _area(rest.scales) * rest.opacities
    weight = 1e-9 + seen / max(float(seen.mean()), 1e-12) + FAINT * footprint / max(float(footprint.mean()), 1e-12)
    moved = [drive(avatar, pose).means for pose in poses]
    label = _clusters(_features(avatar, rest, moved), weight, count)
    return _joined(avatar, rest, weight, label)


def _area(scales: np.ndarray) -> np.ndarray:
    """(N,) the product of the two longer axes."""
    ordered = np.sort(scales, 1)
    return ordered[:, 1] * ordered[:, 2]


def _features(avatar: Avatar, rest: Splats, moved: Sequence[np.ndarray]) -> np.ndarray:
    """(N, F) in metres: nearby rows are splats that may become one."""
    places = [rest.means, *moved]
    shares = [p.astype(np.float64) / np.sqrt(len(places)) for p in places]
    # First what neighbours are looked for by: a tree over all columns would be ten times slower.
    columns: list[Any] = [shares[0], APART * avatar.region.astype(np.float64)[:, None]]
    columns += [*shares[1:], COLOR_REACH * rest.colors]
    axes = quat_to_matrix(rest.quats.astype(np.float64))
    order = np.argsort(rest.scales, 1)
    for which in (0, 2):  # the normal of a flat one, the direction of a strand; without a sign, as products
        d = np.take_along_axis(axes, order[:, which, None, None], 2)[:, :, 0]
        twice = np.sqrt(2) * np.stack([d[:, 0] * d[:, 1], d[:, 0] * d[:, 2], d[:, 1] * d[:, 2]], 1)
        columns += [NORMAL_REACH * d * d, NORMAL_REACH * twice]
    return np.concatenate(columns, 1)


def _clusters(features: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """(N,) cluster of every row, ``count`` of them: in rounds mutually nearest pairs are joined, cheapest first."""
    label = np.arange(len(features))
    center, mass = features.astype(np.float32), weight.astype(np.float32)
    while len(center) > count:
        place = center[:, :PLACE]
        near = np.asarray(KDTree(place).query(place, min(NEIGHBOURS, len(center)))[1])
        rows = np.arange(len(center))
        best, price = rows.copy(), np.full(len(center), np.inf, np.float32)
        for other in near.T:  # one at a time: temporaries of all at once would not fit the caches
            apart = center[other] - center
            cost = np.einsum("nf,nf->n", apart, apart) * (mass * mass[other] / (mass + mass[other]))
            better = (cost < price) & (other != rows)
            best[better], price[better] = other[better], cost[better]
        first = np.flatnonzero((best[best] == rows) & (rows < best))
        first = first[np.lexsort((first, price[first]))][: len(center) - count]
        # Half of the pairs of a round: the dearer ones may find a cheaper partner in the next.
        first = first[: max(len(first) // 2, min(len(first), 256))]
        second = best[first]
        total = mass[first] + mass[second]
        share = (mass[first] / total)[:, None]
        center[first] = share * center[first] + (1 - share) * center[second]
        mass[first] = total
        stays = np.ones(len(center), bool)
        stays[second] = False
        new = np.cumsum(stays) - 1
        new[second] = new[first]
        label, center, mass = new[label], center[stays], mass[stays]
    return label


def _joined(avatar: Avatar, rest: Splats, weight: np.ndarray, label: np.ndarray) -> Avatar:
    """One splat a cluster, with the cluster's mean, widened covariance, colour and opacity."""
    k = int(label.max()) + 1
    total = np.bincount(label, weight, k)

    def mean(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(label), -1).astype(np.float64)
        sums = np.stack([np.bincount(label, weight * column, k) for column in flat.T], 1)
        return (sums / total[:, None]).reshape(k, *values.shape[1:])

    center = mean(rest.means)
    away = rest.means - center[label]
    M = quat_to_matrix(rest.quats.astype(np.float64)) * rest.scales[:, None, :]
    spread = mean(M @ M.transpose(0, 2, 1) + OVERLAP * away[:, :, None] * away[:, None, :])
    values, axes = np.linalg.eigh(spread)
    axes = axes * np.sign(np.linalg.det(axes))[:, None, None]
    scales = np.sqrt(np.maximum(values, SMALLEST**2))
    opacity = np.clip(mean(rest.opacities), 1e-4, MOST_OPAQUE)
    # It hangs where the member nearest to the mean hangs.
    order = np.lexsort(((away**2).sum(1), label))
    keep = order[np.searchsorted(label[order], np.arange(k))]
    alone = np.bincount(label, minlength=k) == 1
    b = binding_of(avatar)
    frames = triangle_frames(b.neutral, b.faces)
    slot = b.slot[keep]
    corners = b.neutral[b.faces[slot]]
    R = frames.axes[:, :, slot].transpose(2, 1, 0).astype(np.float64)  # columns are the triangle's axes
    hang = np.einsum("nk,nkc->nc", avatar.bary[keep], corners)
    offset = np.einsum("nij,ni->nj", R, center - hang)
    back = frames.quat[:, slot] * np.array([[1], [-1], [-1], [-1]], np.float32)
    rotation = multiply_planar(back, matrix_to_quat(axes).T).T
    f32 = lambda a, own: np.where(alone.reshape(-1, *[1] * (own.ndim - 1)), own[keep], a).astype(np.float32)  # noqa: E731
    return replace(
        avatar, triangle=avatar.triangle[keep], bary=avatar.bary[keep], region=avatar.region[keep],
        offset=f32(offset, avatar.offset), rotation=f32(rotation, avatar.rotation),
        log_scale=f32(np.log(scales), avatar.log_scale),
        opacity_logit=f32(np.log(opacity / (1 - opacity)), avatar.opacity_logit),
        color=f32(mean(rest.colors), avatar.color), dynamic=_kept(avatar.dynamic, keep),
    )  # fmt: skip


def _kept(dynamic: DynamicResidual | None, keep: np.ndarray) -> DynamicResidual | None:
    """The residual of the splats that stay."""
    if dynamic is None:
        return None
    order = np.argsort(keep)
    at = np.searchsorted(keep[order], dynamic.index)
    found = (at < keep.size) & (keep[order][np.minimum(at, keep.size - 1)] == dynamic.index)
    index = order[at[found]]
    by = np.argsort(index)
    return replace(dynamic, index=index[by].astype(np.int32), basis=dynamic.basis[found][by])
