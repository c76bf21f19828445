"""Pairs of frames as the network takes them: the source's window, and the target's window to be painted."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import ArgumentError
from ...head.catalog import find_head
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from ...methods.gagavatar.config import Config
from ...methods.gagavatar.lifting import network_camera
from ...methods.gagavatar.person import (
    UNITS,
    cut_window,
    head_marks,
    local_points,
    on_black,
    own_vertices,
    placement,
)
from ..footage import Footage, Frame
from ..footage_shard import FIRST_SEED

BOX = 1.1
"""The face box is so much larger than what bounds the landmarks."""


@dataclass(frozen=True)
class View:
    """A frame through the network's camera.

    Attributes:
        picture: (S, S, 3) uint8, the person on black. known: (S, S) uint8, 255 where the frame was seen.
        camera: (3, 4) float32, see ``lifting``. points: (points, 3) float32 units, the driving vertices.
        box: (4,) int64 left, top, right, bottom pixel of the face box.
    """

    picture: np.ndarray
    known: np.ndarray
    camera: np.ndarray
    points: np.ndarray
    box: np.ndarray


def view_of(frame: Frame, head: HeadModel, config: Config, side: int) -> View:
    """A frame's window, ``side`` pixels square. Raises ``PortraitError``: no camera of the network sees the head so.

    The head is placed as in use (``person.make_portrait``), but by the fitted head's own landmarks. The driving
    vertices know no personal offsets: the network knows the head model's heads only.
    """
    motion, points = local_points(PersonalHead.create(head, frame.betas), frame.pose, config)
    still = np.zeros(3, np.float32)
    local = replace(frame.pose, global_orient=still, neck_pose=still, translation=still)
    camera = replace(frame.camera, viewmat=frame.camera.viewmat @ motion)
    marks = head_marks(head, PersonalHead.create(head, frame.betas, frame.vertex_offsets).vertices(local))
    place = placement(camera, marks, camera.project(marks)[:, :2], config.size)
    picture = cut_window(on_black(frame.image, frame.matte.astype(np.float32) / 255), place, side)
    known = cut_window(frame.known.astype(np.float32), place, side)
    seen = place.camera.project(marks * UNITS)[:, :2] * (side / config.size)
    return View(
        _bytes(picture), _bytes(known), network_camera(place.camera).astype(np.float32),
        (points * UNITS).astype(np.float32), face_box(seen, side),
    )  # fmt: skip


def face_box(marks: np.ndarray, side: int, grow: float = BOX) -> np.ndarray:
    """(4,) int64 left, top, right, bottom (past the last): what bounds (n, 2) pixels, grown, inside the picture."""
    low, high = marks.min(0), marks.max(0)
    middle, half = (low + high) / 2, grow * (high - low) / 2
    first = np.clip(np.floor(middle - half), 0, side - 1)
    last = np.clip(np.ceil(middle + half), first + 1, side)
    return np.concatenate([first, last]).astype(np.int64)


def pair_item(source: Frame, target: Frame, head: HeadModel, config: Config) -> dict[str, np.ndarray]:
    """What one sample of a batch holds: pictures (3, S, S) uint8, the rest as in ``View``; ``near`` are the source's
    own vertices (n, 3) that lifted points are pulled to."""
    seen, wanted = view_of(source, head, config, config.image), view_of(target, head, config, config.size)
    return {
        "image": _first(seen.picture), "source": seen.camera, "near": seen.points[pulled(head, config)],
        "target": _first(wanted.picture), "known": wanted.known, "camera": wanted.camera, "points": wanted.points,
        "box": wanted.box,
    }  # fmt: skip


def pulled(head: HeadModel, config: Config) -> np.ndarray:
    """Numbers of the vertices of the lifting loss: the head's own, without what no photo shows, the inner mouth."""
    own = own_vertices(head)
    return own[own < config.points]


class Pairs:
    """Footage as the training loop takes it: one sample a frame, which is the target; its source is drawn."""

    def __init__(self, folder: Path, split: str, limit: int | None = None) -> None:
        """Raises as ``Footage``."""
        self.footage = Footage(folder, split)
        total = len(self.footage)
        count = total if limit is None else min(limit, total)  # spread over all persons
        self._places = [(self.footage, k * total // count) for k in range(count)]

    def mixed(self, other: Pairs, share: float) -> Pairs:
        """See ``Crops.mixed``. Raises ``ArgumentError`` when the two were fitted with different heads."""
        if other.footage.head_sha256 != self.footage.head_sha256:
            raise ArgumentError(
                f"'{self.footage.folder}' was fitted with the head '{self.footage.head}', "
                f"'{other.footage.folder}' with '{other.footage.head}'.", remedy="Prepare both with one head.",
            )  # fmt: skip
        mixed = copy.copy(self)
        count = round(share / (1 - share) * len(self)) if share < 1 else len(other)
        mixed._places = (self._places if share < 1 else []) + [other._places[k % len(other)] for k in range(count)]
        return mixed

    def __len__(self) -> int:
        return len(self._places)

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k != "head"}  # other processes read it themselves

    @cached_property
    def head(self) -> HeadModel:
        """The head that was fitted to the footage. Raises ``HeadError`` when it is not installed."""
        return find_head(self.footage.head_sha256)

    def column(self, key: str) -> np.ndarray:
        """(n,) numbers of the samples as the loop wants them, whatever the ``key``: footage has no seeds."""
        del key
        return FIRST_SEED + np.arange(len(self))

    def item(self, index: int, rng: np.random.Generator, config: Config) -> dict[str, np.ndarray]:
        """See ``pair_item``."""
        footage, at = self._places[index]
        return pair_item(*footage.pair(at, rng), self.head, config)


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def _first(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(2, 0, 1))
