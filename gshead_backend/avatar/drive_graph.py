"""``GraphDriver``: B poses, or B meshes, of one avatar to splats on its device, as fast as the machine can do it.

Three ways, each tried only where the one before it fails or gives other splats than ``TorchAvatar.drive``:

1. ``triton``: the kernels of ``drive_triton``, replayed as one CUDA graph;
2. ``graph``: plain torch (``drive_batch_torch``), replayed as one CUDA graph;
3. ``torch``: ``TorchAvatar.drive``, pose after pose.

What crosses over to the device is B pose vectors (about 70 floats each) from pinned memory; with the first two ways
nothing waits for the device and nothing is allocated.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError
from ..head.pose import HeadPose
from .device_torch import Device, Upload, device_of
from .drive import checked_vertices
from .drive_torch import TorchAvatar
from .types import Splats

WAYS = ("triton", "graph", "torch")
NAMES = tuple(f.name for f in fields(Splats))
TOLERANCES = {"means": (0, 5e-5), "scales": (3e-3, 1e-9), "opacities": (1e-3, 1e-5), "colors": (1e-3, 1e-5)}
"""What the ways may differ by: relative, and absolute (metres, or shares of 1)."""
log = logging.getLogger("gshead.worker")


class GraphDriver:
    """Drives an avatar ``batch`` frames at a time.

    Args:
        twin: the avatar on its device.
        batch: the most poses of one call; fewer cost as much as all.
        ways: which of ``WAYS`` to try, in this order, before ``torch``. None: those the machine has, from
            ``$GSHEAD_DRIVE`` (the name of a way) on.
        device: stands in for the device's own streams, graphs and memory in tests.

    Attributes:
        way: the way that is used.
    """

    def __init__(
        self, twin: TorchAvatar, batch: int = 1, ways: Sequence[str] | None = None, device: Device | None = None
    ) -> None:
        if batch < 1:
            raise ArgumentError(f"A batch holds at least one pose, got {batch}.")
        self.twin, self.batch = twin, batch
        self._device = device or device_of(twin.device)
        self._poses: Upload | None = None
        self._mesh: Upload | None = None
        self._from_poses: Callable[[], Splats] | None = None
        self._from_mesh: Callable[[], Splats] | None = None
        self.way = "torch"
        for way in _ways(twin.device) if ways is None else ways:
            if way == "torch":
                break
            try:
                with self._device.active():
                    self._prepare(way)
                    self._check()
            except Exception as error:  # a way that does not work must never cost a picture
                log.warning("Driving by '%s' is left out on %s: %s: %s", way, twin.device, type(error).__name__, error)
                self._from_poses = self._from_mesh = None
            else:
                self.way = way
                break
        if self.way == "torch":
            self._ops = self._poses = self._mesh = None

    def drive(self, poses: Sequence[HeadPose]) -> Splats:
        """Splats of 1 to ``batch`` poses; every array has a leading dimension: ``means`` is (len(poses), N, 3).

        They are overwritten by the next call: use them in work queued on the same stream, or copy them.

        Raises:
            ArgumentError: too many poses, or a pose of another head.
        """
        self._check_count(len(poses))
        for pose in poses:
            self.twin.avatar.personal.check(pose)
        with self._device.active():
            if self._from_poses is None or self._poses is None:
                return _stacked([self.twin.drive(pose) for pose in poses])
            self._send(poses)
            return _first(self._from_poses(), len(poses))

    def drive_vertices(self, meshes: Sequence[np.ndarray], poses: Sequence[HeadPose | None] | None = None) -> Splats:
        """Splats on 1 to ``batch`` deformed meshes (V, 3); the poses drive the dynamic residual only.

        Overwritten like those of :meth:`drive`. Raises ``ArgumentError``.
        """
        self._check_count(len(meshes))
        given: Sequence[HeadPose | None] = [None] * len(meshes) if poses is None else poses
        checked = [checked_vertices(self.twin.avatar, v) for v in meshes]
        for pose in given:
            if pose is not None:
                self.twin.avatar.personal.check(pose)
        with self._device.active():
            if self._from_mesh is None or self._poses is None or self._mesh is None:
                return _stacked([self.twin.drive_vertices(v, p) for v, p in zip(checked, given, strict=True)])
            room = self._mesh.array()
            for i, vertices in enumerate(checked):
                room[i] = vertices
            self._mesh.send()
            if self.twin.avatar.dynamic is not None:
                neutral = HeadPose.neutral(self.twin.avatar.head.expression_count)
                self._send([p or neutral for p in given])
            return _first(self._from_mesh(), len(checked))

    def _check_count(self, count: int) -> None:
        if not 1 <= count <= self.batch:
            raise ArgumentError(f"This driver takes 1 to {self.batch} frames at once, got {count}.")

    def _send(self, poses: Sequence[HeadPose]) -> None:
        assert self._poses is not None
        room = self._poses.array()
        for i, pose in enumerate(poses):
            room[i] = pose.to_vector()
        self._poses.send()

    def _prepare(self, way: str) -> None:
        avatar, device = self.twin.avatar, self._device.device
        if way == "triton":
            from .drive_triton import TritonBatch

            ops = TritonBatch(avatar, self.batch, device)
        elif way == "graph":
            from .drive_batch_torch import TorchBatch

            ops = TorchBatch(avatar, device)
        else:
            raise ArgumentError(f"There is no way '{way}' to drive.", remedy=f"Use one of: {', '.join(WAYS)}.")
        self._poses = Upload(self._device, (self.batch, avatar.head.expression_count + 18))
        self._mesh = Upload(self._device, (self.batch, avatar.head.vertex_count, 3))
        poses, mesh = self._poses.target, self._mesh.target
        self._from_poses = self._device.captured(lambda: ops.from_poses(poses))
        self._from_mesh = self._device.captured(lambda: ops.from_vertices(mesh, poses))

    def _check(self) -> None:
        """Compare with ``TorchAvatar`` once; raises ``RuntimeError`` where the splats are others."""
        poses = [_lively_pose(self.twin.avatar.head.expression_count, i) for i in range(self.batch)]
        meshes = [self.twin.vertices(pose) for pose in poses]
        wanted = [self.twin.drive_vertices(mesh, pose) for mesh, pose in zip(meshes, poses, strict=True)]
        _compare(self.drive(poses), wanted)
        _compare(self.drive_vertices([m.cpu().numpy() for m in meshes], poses), wanted)


def _ways(device: torch.device) -> tuple[str, ...]:
    first = os.environ.get("GSHEAD_DRIVE", WAYS[0])
    if first not in WAYS:
        log.warning("GSHEAD_DRIVE is '%s'; it may be one of: %s.", first, ", ".join(WAYS))
        first = WAYS[0]
    wanted = WAYS[WAYS.index(first) :]
    if device.type == "cuda" and _has_triton():
        return wanted
    return tuple(way for way in wanted if way != "triton")


def _has_triton() -> bool:
    import importlib.util

    return importlib.util.find_spec("triton") is not None


def _lively_pose(expressions: int, seed: int) -> HeadPose:
    """A pose in which everything moves; others with another seed."""
    rng = np.random.default_rng(seed)
    normal = lambda size, n: (size * rng.standard_normal(n)).astype(np.float32)  # noqa: E731
    expression = rng.uniform(0, 0.5, expressions).astype(np.float32) * (rng.random(expressions) < 0.3)
    return HeadPose(
        expression, normal(0.3, 3), normal(0.2, 3), normal(0.2, 3), normal(0.2, 6), normal(0.05, 3)
    )  # fmt: skip


def _compare(got: Splats, wanted: Sequence[Splats]) -> None:
    """Means within 50 µm, scales within 0.3 %, colours and opacities within 0.1 %, turns within 0.5°, of all but 0.5 %.

    The few are splats of slivers, where rounding decides how large the triangle is and which way its frame turns.
    """
    for i, want in enumerate(wanted):
        off = torch.zeros(len(want), dtype=torch.bool, device=want.means.device)
        for name in NAMES:
            a, b = getattr(got, name)[i], getattr(want, name)
            if not bool(torch.isfinite(a).all()):
                raise RuntimeError(f"{name} of frame {i} are not finite")
            if name == "quats":
                wrong = (a * b).sum(-1).abs() < 1 - 1e-5
            else:
                relative, least = TOLERANCES[name]
                room = relative * b.abs() + least
                wrong = (a - b).abs() > room
                wrong = wrong.any(-1) if wrong.dim() > 1 else wrong
            off |= wrong
        share = float(off.float().mean()) if len(want) else 0.0
        if share > 0.005:
            raise RuntimeError(f"{100 * share:.1f} % of the splats of frame {i} differ from TorchAvatar's")


def _first(splats: Splats, count: int) -> Splats:
    return Splats(*(getattr(splats, name)[:count] for name in NAMES))


def _stacked(frames: list[Splats]) -> Splats:
    def joined(name: str) -> Tensor:
        return torch.stack([getattr(f, name) for f in frames])

    return Splats(*(joined(name) for name in NAMES))


def driver_of(twin: TorchAvatar, batch: int, device: Device | None = None) -> GraphDriver:
    """The avatar's driver for ``batch`` frames at once; made on first use, kept with it."""
    drivers = twin.drivers
    if batch not in drivers:
        drivers[batch] = GraphDriver(twin, batch, device=device)
    return drivers[batch]
