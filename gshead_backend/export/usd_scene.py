"""What one USD export writes, checked once: the arguments of ``usd.export_usd`` as lists with one entry a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from .. import __version__
from ..avatar.drive import drive_vertices
from ..avatar.types import Avatar, Splats
from ..camera import Camera
from ..errors import ArgumentError
from ..head import HeadPose
from .usd_look import Light
from .usd_rig import sculpt_offsets
from .usd_splats import Precision

Mode = Literal["baked", "rig", "clips"]
MODES = ("baked", "rig", "clips")


@dataclass(frozen=True)
class Scene:
    """Cameras, transforms and vertices one per frame or empty; ``times`` is [None] for a still."""

    avatar: Avatar
    poses: Sequence[HeadPose]
    times: Sequence[float | None]
    cameras: list[Camera]
    transforms: list[np.ndarray]
    vertices: list[np.ndarray | None]
    lights: Sequence[Light]
    fps: float
    mode: Mode
    precision: Precision
    up_axis: str
    purpose: str
    progress: Callable[[float, str], None]
    sculpts: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def create(
        cls, avatar: Avatar, poses: Sequence[HeadPose], *, fps: float, start_frame: float, camera: Any, transform: Any,
        vertices: Any, lights: Sequence[Light], mode: Mode, precision: Precision, up_axis: str,
        mesh_purpose: str | None, progress: Callable[[float, str], None] | None,
    ) -> Scene:  # fmt: skip
        """Check and convert; raises ``ArgumentError``."""
        if not len(poses):
            raise ArgumentError("A USD export needs at least one pose.")
        if not 0 < fps <= 1000:
            raise ArgumentError(f"fps must lie in 0..1000, got {fps}.")
        if mode not in MODES or precision not in ("float", "half") or up_axis not in ("Y", "Z"):
            raise ArgumentError(f"There is no export with mode={mode!r}, precision={precision!r}, up_axis={up_axis!r}.")
        count = len(poses)
        still = count == 1 and mode != "clips"
        given = _per_frame(vertices, count, lambda v: _as_vertices(v, avatar), "vertices")
        return cls(
            avatar=avatar, poses=poses, fps=float(fps), mode=mode, precision=precision, up_axis=up_axis,
            times=[None] if still else [start_frame + i for i in range(count)],
            cameras=_per_frame(camera, count, _as_camera, "camera"),
            transforms=_per_frame(transform, count, _as_matrix, "transform"),
            vertices=given, lights=lights, purpose=mesh_purpose or ("default" if mode == "rig" else "guide"),
            progress=progress or (lambda fraction, text: None),
            sculpts={i: sculpt_offsets(avatar.personal, poses[i], v) for i, v in enumerate(given) if v is not None},
        )  # fmt: skip

    def vertices_at(self, frame: int) -> np.ndarray:
        """(V, 3) what the mesh shows on a frame."""
        given = self.vertices[frame] if self.vertices else None
        return self.avatar.personal.vertices(self.poses[frame]) if given is None else given

    def splats_at(self, frame: int, vertices: np.ndarray) -> Splats:
        """The splats on a frame whose mesh has these ``vertices``."""
        return drive_vertices(self.avatar, vertices, self.poses[frame])


def write_stage_metadata(usd: Any, stage: Any, scene: Scene) -> None:
    """Axes, units, frame range and who wrote it."""
    avatar, layer = scene.avatar, stage.GetRootLayer()
    usd.UsdGeom.SetStageUpAxis(stage, getattr(usd.UsdGeom.Tokens, scene.up_axis.lower()))
    usd.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetFramesPerSecond(scene.fps)
    stage.SetTimeCodesPerSecond(scene.fps)
    first, last = scene.times[0], scene.times[-1]
    if first is not None and last is not None:
        stage.SetStartTimeCode(first)
        stage.SetEndTimeCode(last)
    layer.documentation = f"Gaussian head '{avatar.name}' by gshead {__version__}"
    layer.customLayerData = {
        "creator": f"gshead {__version__}",
        "gshead": {
            "avatar": avatar.name, "method": avatar.method, "mode": scene.mode, "head": avatar.head.name,
            "headSha256": avatar.head.sha256,
        },
    }  # fmt: skip


def _per_frame(value: Any, count: int, convert: Callable[[Any], Any], what: str) -> list[Any]:
    """One or ``count`` values as a list of ``count``, or an empty list for None."""
    if value is None:
        return []
    single = isinstance(value, (Camera, Mapping)) or (isinstance(value, np.ndarray) and value.ndim == 2)
    values: list[Any] = [value] * count if single else list(value)  # pyright: ignore[reportArgumentType]
    if len(values) != count:
        raise ArgumentError(f"There are {len(values)} values of {what} for {count} poses.")
    return [convert(v) for v in values]


def _as_camera(value: Camera | Mapping[str, Any]) -> Camera:
    if isinstance(value, Camera):
        return value
    known = {f.name for f in fields(Camera)}
    if unknown := sorted(set(value) - known):
        raise ArgumentError(f"A camera has no '{unknown[0]}'.", remedy=f"It has {', '.join(sorted(known))}.")
    values: dict[str, Any] = dict(value)
    for name, shape in (("K", (3, 3)), ("viewmat", (4, 4))):
        if name in values and np.size(values[name]) == shape[0] * shape[1]:
            values[name] = np.reshape(values[name], shape)
    try:
        return Camera(**values)
    except TypeError as error:
        raise ArgumentError(f"A camera is incomplete: {error}.") from error


def _as_vertices(value: Any, avatar: Avatar) -> np.ndarray | None:
    if value is None:
        return None
    vertices = np.asarray(value, np.float32)
    if vertices.shape != (avatar.head.vertex_count, 3) or not np.isfinite(vertices).all():
        raise ArgumentError(
            f"vertices must be finite and have shape ({avatar.head.vertex_count}, 3), got shape {vertices.shape}."
        )
    return vertices


def _as_matrix(value: Any) -> np.ndarray:
    matrix = np.asarray(value, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ArgumentError(f"transform must be a finite (4, 4) matrix, got shape {matrix.shape}.")
    return matrix
