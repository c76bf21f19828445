"""An avatar and its animation as OpenUSD: rigged head mesh, Gaussian splats, camera and lights.

::

    /Avatar               Xform, the default prim; carries the head's place in the world
    /Avatar/Rig           SkelRoot: Skeleton (5 joints) with Animation, Head (Mesh) with its blend shapes
    /Avatar/Material      the mesh's texture, baked from the splats into a PNG beside the file (inside a .usdz)
    /Avatar/Splats        ParticleField3DGaussianSplat
    /Camera, /Lights      when given

UsdSkel does not move splats, so there are three products: ``mode="baked"`` writes time samples of the splats (plays in
every reader that draws them), ``mode="clips"`` the same as one file per chunk of frames, which tasks may write on
their own (``usd_clips``), ``mode="rig"`` writes the splats once, at the neutral pose, together with the binding that a
tool needs to carry them itself: some hundred bytes a frame instead of megabytes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..avatar.drive import drive
from ..avatar.types import Avatar
from ..camera import Camera
from ..errors import ArgumentError, ExportError
from ..files import atomic_path, text_path, write_atomic
from ..head import HeadPose
from .allowed import check_exportable
from .texture import texture_png
from .usd_clips import CHUNK, chunk_path, write_clips
from .usd_look import Light, write_lights, write_material
from .usd_rig import RigWriter
from .usd_scene import Mode, Scene, write_stage_metadata
from .usd_splats import Precision, SplatWriter
from .usd_stage import set_values, to_matrix, usd_modules, write_camera

ENDINGS = (".usd", ".usda", ".usdc", ".usdz")
_FRAMES_BETWEEN_SAVES = 24  # a binary layer keeps unsaved samples in memory


def export_usd(
    path: str | Path, avatar: Avatar, poses: Sequence[HeadPose], *, pxr: Any, fps: float = 24.0,
    start_frame: float = 1, camera: Camera | Mapping[str, Any] | Sequence[Camera | Mapping[str, Any]] | None = None,
    transform: np.ndarray | Sequence[np.ndarray] | None = None, mode: Mode = "baked", precision: Precision = "float",
    vertices: Sequence[np.ndarray | None] | None = None, lights: Sequence[Light] = (), texture: bool = True,
    up_axis: Literal["Y", "Z"] = "Y", mesh_purpose: Literal["default", "guide", "proxy", "render"] | None = None,
    chunk: int = CHUNK, write_chunks: bool = True, progress: Callable[[float, str], None] | None = None,
) -> Path:  # fmt: skip
    """Write a .usd, .usda, .usdc or .usdz file (atomically) and return its path.

    Args:
        poses: one per frame, at ``start_frame``, ``start_frame + 1``, …; a single one makes a still.
        pxr: the ``pxr`` package to write with: usd-core's, or inside Blender its own.
        camera: one OpenCV camera (or a mapping of its fields) or one per frame, in the stage's world.
        transform: (4, 4) head space to the stage's world, column vectors, or one per frame; identity when None.
        mode: "baked", "rig" or "clips", see above. Clips need a path that is not .usdz.
        vertices: per frame, (V, 3) in head space when the mesh is deformed by more than the pose (a lattice, a sculpted
            shape), else None. Mesh and baked splats then play as deformed.
        precision: of the splat arrays; half is half the size and places splats to about 0.1 mm.
        lights: what lights the mesh; splats carry the light of their photograph.
        texture: bake the mesh's texture: ``NAME_head.png`` beside the file, or inside a .usdz.
        up_axis: the world's up axis; head space itself is Y up, ``transform`` turns it when the world is Z up.
        mesh_purpose: "default" in mode "rig", else "guide": renderers show the splats, not the mesh inside them.
        chunk: clips: frames in each file. write_chunks: clips: False leaves the chunks to ``usd_clips.export_chunk``.
        progress: called with a fraction and a text after each frame; may raise to stop, and then no file is left.

    Raises:
        ArgumentError: no pose, a wrong ending or number of cameras or transforms.
        ExportError: the file cannot be written, or a network draws this head.
    """
    check_exportable(avatar)
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ArgumentError(f"'{path.name}' does not end in {', '.join(ENDINGS)}.")
    scene = Scene.create(
        avatar, poses, fps=fps, start_frame=start_frame, camera=camera, transform=transform, vertices=vertices,
        lights=lights, mode=mode, precision=precision, up_axis=up_axis, mesh_purpose=mesh_purpose, progress=progress,
    )  # fmt: skip
    text_path(path.absolute())
    usd = usd_modules(pxr)
    if scene.mode == "clips":
        return write_clips(usd, path, scene, chunk, write_avatar, texture=texture, with_chunks=write_chunks)
    with atomic_path(path) as temporary:
        try:
            if path.suffix.lower() == ".usdz":
                _write_package(usd, temporary, scene, texture)
            else:
                _write(usd, temporary, scene, texture_name(path) if texture else "")
                if texture:  # before the file that names it is there
                    write_atomic(path.with_name(texture_name(path)), texture_png(avatar))
        except usd.Tf.ErrorException as error:
            raise ExportError(f"'{path}' could not be written: {str(error).strip()}.") from error
    return path


def texture_name(path: Path) -> str:
    """File name of the texture that belongs to a USD file."""
    return f"{path.stem}_head.png"


def files_of(path: Path, mode: Mode, texture: bool, chunks: Sequence[tuple[int, int]] = ()) -> list[Path]:
    """Every file of an export, the one to open first; ``chunks`` are those of clips that were written."""
    found = [path]
    if mode == "clips":
        found += [path.with_name(f"{path.stem}.{name}") for name in ("topology.usdc", "manifest.usda")]
        found += [chunk_path(path, *frames) for frames in chunks]
    if texture and path.suffix.lower() != ".usdz":
        found.append(path.with_name(texture_name(path)))
    return found


def _write_package(usd: Any, path: Path, scene: Scene, texture: bool) -> None:
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".gshead-"))
    try:
        layer = folder / "avatar.usdc"
        if texture:
            (folder / texture_name(layer)).write_bytes(texture_png(scene.avatar))
        _write(usd, layer, scene, texture_name(layer) if texture else "")
        if not usd.UsdUtils.CreateNewUsdzPackage(usd.Sdf.AssetPath(str(layer)), str(path)):
            raise ExportError(f"'{path}' could not be packed as usdz.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(usd: Any, path: Path, scene: Scene, texture: str) -> None:
    stage = usd.Usd.Stage.CreateNew(str(path))
    write_stage_metadata(usd, stage, scene)
    if scene.cameras:
        write_camera(usd, stage, scene.cameras, scene.times)
    write_lights(usd, stage, scene.lights)
    write_avatar(usd, stage, scene, texture)
    stage.GetRootLayer().Save()


def write_avatar(usd: Any, stage: Any, scene: Scene, texture: str) -> None:
    """Author ``/Avatar`` with everything below it; ``texture`` is the asset path of its picture, or empty."""
    avatar, layer = scene.avatar, stage.GetRootLayer()
    root = usd.UsdGeom.Xform.Define(stage, "/Avatar")
    stage.SetDefaultPrim(root.GetPrim())
    usd.Usd.ModelAPI(root).SetKind(usd.Kind.Tokens.component)
    usd.Usd.ModelAPI(root).SetAssetName(avatar.name)
    if scene.transforms:
        matrices = [to_matrix(usd, m) for m in scene.transforms]
        set_values(root.AddTransformOp().GetAttr(), matrices, scene.times)
    rig = RigWriter(
        usd, stage, "/Avatar/Rig", avatar.personal, purpose=scene.purpose, sculpts=list(scene.sculpts.values())
    )
    if texture:
        write_material(usd, stage, "/Avatar/Material", rig.mesh, f"./{texture}")
    splats = SplatWriter(usd, stage, "/Avatar/Splats", avatar, scene.precision)
    if scene.mode == "rig":
        splats.write(drive(avatar, HeadPose.neutral(avatar.head.expression_count)), None)
    sculpt_of = {frame: index for index, frame in enumerate(scene.sculpts)}
    for i, (pose, time) in enumerate(zip(scene.poses, scene.times, strict=True)):
        vertices = scene.vertices_at(i)
        rig.write(pose, vertices, time, sculpt_of.get(i))
        if scene.mode == "rig":
            splats.write_code(pose, time)
        if scene.mode == "baked" or (scene.mode == "clips" and i == 0):
            splats.write(scene.splats_at(i, vertices), time if scene.mode == "baked" else None)
            if layer.GetFileFormat().formatId == "usdc" and (i + 1) % _FRAMES_BETWEEN_SAVES == 0:
                layer.Save()
        if scene.mode != "clips":
            scene.progress((i + 1) / len(scene.poses), f"Frame {i + 1} of {len(scene.poses)}")
