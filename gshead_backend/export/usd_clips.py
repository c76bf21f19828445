"""Splats as USD value clips: one file per chunk of frames, each written by itself, in any order, on any machine.

::

    shot.usda                  what to open: stage, camera, lights, which chunk plays when
    shot.topology.usdc         /Avatar: rig with its animation, and what of the splats never changes
    shot.manifest.usda         which attributes the chunks hold
    shot.0001-0024.usdc, …     time samples of the splats

The names follow from the frame range and the size of the chunks alone, so the first three can be written before,
after or beside the chunks. A chunk that is written again replaces its file and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ExportError
from ..files import atomic_path, text_path, write_atomic
from .allowed import check_exportable
from .texture import texture_png
from .usd_look import write_lights
from .usd_scene import Scene, write_stage_metadata
from .usd_splats import SplatWriter
from .usd_stage import usd_modules, write_camera

CHUNK = 24
_PRIM = "/Avatar/Splats"
_ENDINGS = (".usd", ".usda", ".usdc")


def chunk_ranges(first: int, last: int, size: int) -> list[tuple[int, int]]:
    """The (first, last) frames of each chunk of a range. Raises ``ArgumentError`` for an empty one."""
    if last < first or size < 1:
        raise ArgumentError(f"Frames {first} to {last} cannot be cut into chunks of {size}.")
    return [(at, min(at + size - 1, last)) for at in range(first, last + 1, size)]


def chunk_path(path: str | Path, first: int, last: int) -> Path:
    """The file of the chunk that holds frames ``first`` to ``last`` of the clips opened by ``path``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{first:04d}-{last:04d}.usdc")


def export_chunk(path: str | Path, *, pxr: Any, **arguments: Any) -> Path:
    """Write one chunk of the clips that ``path`` opens, and nothing else; returns the chunk's own path.

    Args:
        path: as given to ``export_usd``. arguments: ``avatar``, ``poses``, ``start_frame`` and, if used there,
            ``vertices`` and ``precision``, of this chunk's frames alone.
    Raises: as ``export_usd``.
    """
    check_exportable(arguments["avatar"])
    text_path(Path(path).absolute())
    given = {"fps": 24.0, "start_frame": 1, "vertices": None, "precision": "float", "progress": None} | arguments
    scene = Scene.create(**given, camera=None, transform=None, lights=(), mode="clips", up_axis="Y", mesh_purpose=None)
    return write_chunk(usd_modules(pxr), Path(path), scene, 0, len(scene.poses))


def write_chunk(usd: Any, path: Path, scene: Scene, begin: int, end: int) -> Path:
    """The file with frames ``begin`` to ``end`` (indices, end exclusive) of a scene; atomic."""
    first, last = (int(scene.times[i] or 0) for i in (begin, end - 1))
    target = chunk_path(path, first, last)
    with atomic_path(target) as temporary:
        try:
            stage = usd.Usd.Stage.CreateNew(str(temporary))
            stage.OverridePrim("/Avatar")
            stage.SetDefaultPrim(stage.GetPrimAtPath("/Avatar"))
            splats = SplatWriter(usd, stage, _PRIM, scene.avatar, scene.precision, binding=False)
            for i in range(begin, end):
                splats.write(scene.splats_at(i, scene.vertices_at(i)), scene.times[i])
                scene.progress((i + 1 - begin) / (end - begin), f"Frame {scene.times[i]:g}")
            stage.SetStartTimeCode(first)
            stage.SetEndTimeCode(last)
            stage.GetRootLayer().Save()
        except usd.Tf.ErrorException as error:
            raise ExportError(f"'{target}' could not be written: {str(error).strip()}.") from error
    return target


def write_clips(
    usd: Any, path: Path, scene: Scene, size: int, write_avatar: Callable[[Any, Any, Scene, str], None], *,
    texture: bool, with_chunks: bool,
) -> Path:  # fmt: skip
    """Write the files around the chunks and, with ``with_chunks``, the chunks; returns ``path``.

    ``write_avatar(usd, stage, scene, texture)`` authors ``/Avatar`` for the topology.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise ArgumentError(f"Clips are several files; '{path.name}' must end in {', '.join(_ENDINGS)}.")
    times = [time for time in scene.times if time is not None]
    if any(time != int(time) for time in times):
        raise ArgumentError(f"Clips hold whole frames, not {times[0]}.")
    ranges = chunk_ranges(int(times[0]), int(times[-1]), size)
    picture = f"{path.stem}_head.png" if texture else ""
    try:
        _save(usd, path.with_name(f"{path.stem}.topology.usdc"), lambda s: write_avatar(usd, s, scene, picture))
        _save(usd, path.with_name(f"{path.stem}.manifest.usda"), lambda s: _write_manifest(usd, s, scene))
        if picture:
            write_atomic(path.with_name(picture), texture_png(scene.avatar))
        if with_chunks:
            for first, last in ranges:
                write_chunk(usd, path, scene, first - int(times[0]), last - int(times[0]) + 1)
        _save(usd, path, lambda s: _write_root(usd, s, path, scene, ranges))
    except usd.Tf.ErrorException as error:
        raise ExportError(f"'{path}' could not be written: {str(error).strip()}.") from error
    return path


def _save(usd: Any, path: Path, author: Callable[[Any], None]) -> None:
    with atomic_path(path) as temporary:
        stage = usd.Usd.Stage.CreateNew(str(temporary))
        author(stage)
        stage.GetRootLayer().Save()


def _write_manifest(usd: Any, stage: Any, scene: Scene) -> None:
    stage.OverridePrim("/Avatar")
    stage.SetDefaultPrim(stage.GetPrimAtPath("/Avatar"))
    SplatWriter(usd, stage, _PRIM, scene.avatar, scene.precision, binding=False)


def _write_root(usd: Any, stage: Any, path: Path, scene: Scene, ranges: list[tuple[int, int]]) -> None:
    write_stage_metadata(usd, stage, scene)
    root = stage.DefinePrim("/Avatar", "Xform")
    stage.SetDefaultPrim(root)
    # A reference and not a sublayer: clips are stronger than what is referenced, weaker than what is beside them.
    root.GetReferences().AddReference(f"./{path.stem}.topology.usdc")
    clips = usd.Usd.ClipsAPI(stage.OverridePrim(_PRIM))
    clips.SetClipPrimPath(_PRIM)
    clips.SetClipManifestAssetPath(usd.Sdf.AssetPath(f"./{path.stem}.manifest.usda"))
    assets = [usd.Sdf.AssetPath(f"./{chunk_path(path, *part).name}") for part in ranges]
    clips.SetClipAssetPaths(usd.Sdf.AssetPathArray(assets) if hasattr(usd.Sdf, "AssetPathArray") else assets)
    clips.SetClipActive([usd.Gf.Vec2d(first, i) for i, (first, _) in enumerate(ranges)])
    clips.SetClipTimes([usd.Gf.Vec2d(t, t) for t in (ranges[0][0], ranges[-1][1])])
    if scene.cameras:
        write_camera(usd, stage, scene.cameras, scene.times)
    write_lights(usd, stage, scene.lights)
