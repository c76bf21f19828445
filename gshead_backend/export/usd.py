"""An avatar and its animation as OpenUSD: rigged head mesh, Gaussian splats and camera.

::

    /Avatar               Xform, the default prim; carries the head's place in the world
    /Avatar/Rig           SkelRoot: Skeleton (5 joints) with Animation, Head (Mesh) with its blend shapes
    /Avatar/Splats        ParticleField3DGaussianSplat
    /Camera               when cameras are given

UsdSkel does not move splats, so there are two products: ``mode="baked"`` writes time samples of the splats (plays in
every reader that draws them), ``mode="rig"`` writes them once, at the neutral pose, together with the binding that a
tool needs to carry them itself: some hundred bytes a frame instead of megabytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import __version__
from ..avatar.drive import drive, drive_vertices
from ..avatar.types import Avatar
from ..camera import Camera
from ..errors import ArgumentError, ExportError
from ..files import atomic_path
from ..head import HeadPose
from .allowed import check_exportable
from .usd_rig import RigWriter, sculpt_offsets
from .usd_splats import Precision, SplatWriter
from .usd_stage import set_values, to_matrix, usd_modules, write_camera

Mode = Literal["baked", "rig"]
ENDINGS = (".usd", ".usda", ".usdc", ".usdz")
_FRAMES_BETWEEN_SAVES = 24  # a binary layer keeps unsaved samples in memory


def export_usd(
    path: str | Path, avatar: Avatar, poses: Sequence[HeadPose], *, pxr: Any, fps: float = 24.0,
    start_frame: float = 1, camera: Camera | Mapping[str, Any] | Sequence[Camera | Mapping[str, Any]] | None = None,
    transform: np.ndarray | Sequence[np.ndarray] | None = None, mode: Mode = "baked", precision: Precision = "float",
    vertices: Sequence[np.ndarray | None] | None = None,
    up_axis: Literal["Y", "Z"] = "Y", mesh_purpose: Literal["default", "guide", "proxy", "render"] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Path:  # fmt: skip
    """Write a .usd, .usda, .usdc or .usdz file (atomically) and return its path.

    Args:
        poses: one per frame, at ``start_frame``, ``start_frame + 1``, …; a single one makes a still.
        pxr: the ``pxr`` package to write with: usd-core's, or inside Blender its own.
        camera: one OpenCV camera (or a mapping of its fields) or one per frame, in the stage's world.
        transform: (4, 4) head space to the stage's world, column vectors, or one per frame; identity when None.
        mode: "baked" or "rig", see above.
        vertices: per frame, (V, 3) in head space when the mesh is deformed by more than the pose (a lattice, a sculpted
            shape), else None. Mesh and baked splats then play as deformed.
        precision: of the splat arrays; half is half the size and places splats to about 0.1 mm.
        up_axis: the world's up axis; head space itself is Y up, ``transform`` turns it when the world is Z up.
        mesh_purpose: "guide" when baked (renderers show the splats, not the mesh inside them), else "default".
        progress: called with a fraction and a text after each frame; may raise to stop, and then no file is left.

    Raises:
        ArgumentError: no pose, a wrong ending or number of cameras or transforms.
        ExportError: the file cannot be written, or a network draws this head.
    """
    check_exportable(avatar)
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ArgumentError(f"'{path.name}' does not end in {', '.join(ENDINGS)}.")
    if not len(poses):
        raise ArgumentError("A USD export needs at least one pose.")
    if not 0 < fps <= 1000:
        raise ArgumentError(f"fps must lie in 0..1000, got {fps}.")
    if mode not in ("baked", "rig") or precision not in ("float", "half") or up_axis not in ("Y", "Z"):
        raise ArgumentError(f"There is no export with mode={mode!r}, precision={precision!r}, up_axis={up_axis!r}.")
    usd = usd_modules(pxr)
    scene = _Scene(
        avatar=avatar, poses=poses, fps=float(fps), mode=mode, precision=precision, up_axis=up_axis,
        times=[start_frame + i for i in range(len(poses))] if len(poses) > 1 else [None],
        cameras=_per_frame(camera, len(poses), _as_camera, "camera"),
        transforms=_per_frame(transform, len(poses), _as_matrix, "transform"),
        vertices=_per_frame(vertices, len(poses), lambda v: _as_vertices(v, avatar), "vertices"),
        purpose=mesh_purpose or ("guide" if mode == "baked" else "default"),
        progress=progress or (lambda fraction, text: None),
    )  # fmt: skip
    with atomic_path(path) as temporary:
        try:
            if path.suffix.lower() != ".usdz":
                _write(usd, temporary, scene)
                return path
            with tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".gshead-") as folder:
                layer = Path(folder) / "avatar.usdc"
                _write(usd, layer, scene)
                if not usd.UsdUtils.CreateNewUsdzPackage(usd.Sdf.AssetPath(str(layer)), str(temporary)):
                    raise ExportError(f"'{path}' could not be packed as usdz.")
        except usd.Tf.ErrorException as error:
            raise ExportError(f"'{path}' could not be written: {str(error).strip()}.") from error
    return path


@dataclass(frozen=True)
class _Scene:
    """What one export writes; cameras and transforms one per frame or empty."""

    avatar: Avatar
    poses: Sequence[HeadPose]
    times: Sequence[float | None]
    cameras: list[Camera]
    transforms: list[np.ndarray]
    vertices: list[np.ndarray | None]
    fps: float
    mode: Mode
    precision: Precision
    up_axis: str
    purpose: str
    progress: Callable[[float, str], None]


def _write(usd: Any, path: Path, scene: _Scene) -> None:
    stage = usd.Usd.Stage.CreateNew(str(path))
    avatar, layer = scene.avatar, stage.GetRootLayer()
    _write_stage_metadata(usd, stage, scene)
    root = usd.UsdGeom.Xform.Define(stage, "/Avatar")
    stage.SetDefaultPrim(root.GetPrim())
    usd.Usd.ModelAPI(root).SetKind(usd.Kind.Tokens.component)
    usd.Usd.ModelAPI(root).SetAssetName(avatar.name)
    if scene.transforms:
        matrices = [to_matrix(usd, m) for m in scene.transforms]
        set_values(root.AddTransformOp().GetAttr(), matrices, scene.times)
    if scene.cameras:
        write_camera(usd, stage, scene.cameras, scene.times)
    deformed = {i: v for i, v in enumerate(scene.vertices) if v is not None}
    sculpts = [sculpt_offsets(avatar.personal, scene.poses[i], v) for i, v in deformed.items()]
    sculpt_of = {frame: index for index, frame in enumerate(deformed)}
    rig = RigWriter(usd, stage, "/Avatar/Rig", avatar.personal, purpose=scene.purpose, sculpts=sculpts)
    splats = SplatWriter(usd, stage, "/Avatar/Splats", avatar, scene.precision)
    if scene.mode == "rig":
        splats.write(drive(avatar, HeadPose.neutral(avatar.head.expression_count)), None)
    for i, (pose, time) in enumerate(zip(scene.poses, scene.times, strict=True)):
        vertices = deformed[i] if i in deformed else avatar.personal.vertices(pose)
        rig.write(pose, vertices, time, sculpt_of.get(i))
        if scene.mode == "baked":
            splats.write(drive_vertices(avatar, vertices, pose), time)
            if path.suffix == ".usdc" and (i + 1) % _FRAMES_BETWEEN_SAVES == 0:
                layer.Save()
        scene.progress((i + 1) / len(scene.poses), f"Frame {i + 1} of {len(scene.poses)}")
    layer.Save()


def _write_stage_metadata(usd: Any, stage: Any, scene: _Scene) -> None:
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
