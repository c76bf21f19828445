"""What a frame pipeline is asked for, and which of it can be drawn at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..avatar.drive_torch import TorchAvatar
from ..camera import Camera
from ..head.pose import HeadPose
from ..raster import Rendered

BATCHES = (1, 8, 16)
"""Frames that are driven at once: a CUDA graph has a fixed size, so that the next larger one takes fewer."""


@dataclass(frozen=True)
class HeadWish:
    """One head of a frame: (4, 4) head space to world, and a pose, (V, 3) vertices, or both.

    With both, the vertices shape the head and the pose only drives pose-dependent appearance. ``light`` is (9, 3) in
    head space, None for the photo's; ``light_strength`` goes from that to it. ``shadow`` is (V, 3), what is left of it.
    """

    avatar: TorchAvatar
    matrix: np.ndarray
    pose: HeadPose | None
    vertices: np.ndarray | None = None
    light: np.ndarray | None = None
    light_strength: float = 1.0
    shadow: np.ndarray | None = None


@dataclass(frozen=True)
class FrameWish:
    """One frame: a camera, and no, one or several heads. ``others``: what else draws into it, on the device."""

    camera: Camera
    heads: tuple[HeadWish, ...]
    others: tuple[Callable[[], Rendered], ...] = ()


def drawn_together(wishes: Sequence[FrameWish]) -> list[list[FrameWish]]:
    """The wishes in order, those that can be drawn at once together."""
    groups: list[list[FrameWish]] = []
    before: object = None
    for wish in wishes:
        kind = kind_of(wish)
        if kind is None or kind != before or len(groups[-1]) == BATCHES[-1]:
            groups.append([wish])
        else:
            groups[-1].append(wish)
        before = kind
    return groups


def kind_of(wish: FrameWish) -> tuple[object, ...] | None:
    """Equal for frames that can be drawn at once; None for one that is drawn alone."""
    if len(wish.heads) != 1 or wish.others:
        return None
    c, head = wish.camera, wish.heads[0]
    how = id(head.avatar), head.vertices is None, head.light is None, head.shadow is None
    return *how, c.width, c.height, c.near, c.far, c.orthographic
