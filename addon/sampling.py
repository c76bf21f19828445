"""Motion blur and depth of field as the average of several exact frames. No bpy here.

A sample is a moment of the shutter and a point of the lens. Colour, coverage and masks are averaged in linear light,
premultiplied. Averaged depth would lie between things, so depth is that of the sharp frame at the shutter's centre,
and, where only the blur reaches, the coverage-weighted mean of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gshead_backend.camera import Camera

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_SEEN = 1 / 255
# Where the shutter lies, in shutter lengths from the frame: Blender's ``motion_blur_position``.
_OPENS = {"START": 0.0, "CENTER": -0.5, "END": -1.0}


@dataclass(frozen=True)
class Sample:
    """``time`` in frames from the one rendered, ``lens`` (2,) on the unit disk, ``weight`` in the average."""

    time: float = 0.0
    lens: tuple[float, float] = (0.0, 0.0)
    weight: float = 1.0


def samples(count: int, *, shutter: float | None, position: str = "CENTER", lens: bool = False) -> list[Sample]:
    """The samples of one frame; the first is sharp, at the shutter's centre, and gives the depth.

    Args:
        count: how many are averaged. shutter: its length in frames, None without motion blur.
        position: START, CENTER or END. lens: whether the lens has a size.
    """
    if (shutter is None and not lens) or count < 2:
        return [Sample()]
    opens = _OPENS[position] * (shutter or 0.0)
    middle = opens + (shutter or 0.0) / 2
    order = np.random.default_rng(0).permutation(count)  # else time and place on the lens would go together
    taken = [Sample(middle, weight=0.0)]
    for i in range(count):
        time = opens + (i + 0.5) / count * (shutter or 0.0)
        radius, angle = np.sqrt((order[i] + 0.5) / count), order[i] * _GOLDEN_ANGLE
        place = (float(radius * np.cos(angle)), float(radius * np.sin(angle))) if lens else (0.0, 0.0)
        taken.append(Sample(time, place))
    return taken


@dataclass(frozen=True)
class Lens:
    """A thin lens: ``radius`` (2,) metres in x and y, and the ``distance`` in metres that is sharp."""

    radius: tuple[float, float]
    distance: float

    def camera(self, sharp: Camera, place: tuple[float, float]) -> Camera:
        """The pinhole camera of one point of the lens; what lies at ``distance`` stays where it is."""
        dx, dy = place[0] * self.radius[0], place[1] * self.radius[1]
        K, viewmat = np.array(sharp.K, np.float64), np.array(sharp.viewmat, np.float64)
        viewmat[:2, 3] -= dx, dy
        K[0, 2] += (K[0, 0] * dx + K[0, 1] * dy) / self.distance
        K[1, 2] += K[1, 1] * dy / self.distance
        return replace(sharp, K=K, viewmat=viewmat)


def thin_lens(camera: Any, distance: float) -> Lens | None:
    """The lens of a Blender camera's data, or None when it has no depth of field.

    Args:
        distance: metres from the camera, along its axis, that is sharp.
    """
    dof = camera.dof
    if not dof.use_dof or distance <= 0:
        return None
    radius = camera.lens * 1e-3 / (2 * dof.aperture_fstop)
    return Lens((radius / dof.aperture_ratio, radius), distance)


_Taken = tuple[dict[str, np.ndarray], np.ndarray, float]


class Average:
    """The weighted mean of frames that come one by one; of a single one, or the same again, that frame itself."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._alone: _Taken | None = None
        self._sum: dict[str, np.ndarray] = {}
        self._depth: np.ndarray | None = None
        self._depth_sum: np.ndarray = np.zeros(())
        self._depth_weight: np.ndarray = np.zeros(())

    def add(self, layers: dict[str, np.ndarray], depth: np.ndarray, weight: float) -> None:
        """Take in one sample: premultiplied linear ``layers`` ("rgba" among them) and (H, W) ``depth``."""
        if self._depth is None:
            self._depth = depth
        if not weight:
            return
        if self._alone is None and not self._sum:
            self._alone = layers, depth, weight
        elif self._alone is not None and self._alone[0] is layers:
            self._alone = layers, depth, self._alone[2] + weight
        else:
            if self._alone is not None:
                self._accumulate(*self._alone)
                self._alone = None
            self._accumulate(layers, depth, weight)

    def _accumulate(self, layers: dict[str, np.ndarray], depth: np.ndarray, weight: float) -> None:
        if not self._sum:
            self._sum = {name: np.zeros(layer.shape, np.float64) for name, layer in layers.items()}
            self._depth_sum, self._depth_weight = np.zeros(depth.shape), np.zeros(depth.shape)
        self._weight += weight
        for name, layer in layers.items():
            self._sum[name] += weight * layer
        seen = np.isfinite(depth)
        alpha = np.where(seen, layers["rgba"][..., 3], 0.0) * weight
        self._depth_sum += alpha * np.where(seen, depth, 0.0)
        self._depth_weight += alpha

    def result(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Averaged float32 layers, and depth: finite wherever the averaged coverage is at least 1/255."""
        assert self._depth is not None, "no sample was added"
        if self._alone is not None:
            layers, own, _ = self._alone
            depth = own if own is self._depth else np.where(np.isfinite(self._depth), self._depth, own)
            return dict(layers), np.where(layers["rgba"][..., 3] >= _SEEN, depth, np.float32(np.inf))
        layers = {name: (total / self._weight).astype(np.float32) for name, total in self._sum.items()}
        mean = self._depth_sum / np.maximum(self._depth_weight, 1e-12)
        depth = np.where(np.isfinite(self._depth), self._depth, np.where(self._depth_weight > 0, mean, np.inf))
        return layers, np.where(layers["rgba"][..., 3] >= _SEEN, depth, np.inf).astype(np.float32)


def masks(alone: list[np.ndarray], depths: list[np.ndarray]) -> list[np.ndarray]:
    """Coverage of each head as seen past the others.

    Args:
        alone: (H, W) coverage of each head drawn by itself. depths: (H, W) its depth, +inf where it is not.

    Returns:
        One (H, W) mask a head; their sum is the coverage of all. In a pixel the nearer head lies before the others
        as a whole: heads whose hair interlocks are told apart by their mean depth there.
    """
    order = np.argsort(np.stack(depths), axis=0, kind="stable")
    sorted_alpha = np.take_along_axis(np.stack(alone), order, 0)
    light = np.concatenate([np.ones_like(sorted_alpha[:1]), np.cumprod(1 - sorted_alpha, 0)[:-1]])
    out = np.empty_like(sorted_alpha)
    np.put_along_axis(out, order, sorted_alpha * light, 0)
    return list(out)


def fill_depth(depth: np.ndarray) -> np.ndarray:
    """(H, W) depth with +inf replaced by a smooth continuation of what lies around it; all +inf stays so.

    By halving until everything is known, and enlarging again.
    """
    known = np.isfinite(depth)
    if known.all() or not known.any():
        return depth
    height, width = depth.shape
    padded = np.pad(np.where(known, depth, 0.0), ((0, height % 2), (0, width % 2)))
    weights = np.pad(known.astype(np.float64), ((0, height % 2), (0, width % 2)))
    blocks = [a.reshape(a.shape[0] // 2, 2, a.shape[1] // 2, 2).sum((1, 3)) for a in (padded, weights)]
    coarse = np.where(blocks[1] > 0, blocks[0] / np.maximum(blocks[1], 1e-12), np.inf)
    around = fill_depth(coarse).repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.where(known, depth, around)
