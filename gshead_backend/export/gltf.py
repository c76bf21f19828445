"""An avatar as binary glTF: splats by ``KHR_gaussian_splatting``, and beside them the skinned head mesh with morphs.

glTF has no way to bind splats to a mesh: the splats of one frame stand still, the mesh plays. Both are in head space,
which is glTF's own (Y up, face toward +Z, metres).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..avatar.drive import drive
from ..avatar.types import Avatar, Splats
from ..errors import ArgumentError
from ..files import write_atomic
from ..head import HeadPose
from .allowed import check_exportable
from .gltf_file import ARRAY_BUFFER, Gltf
from .gltf_head import Morphs, add_head
from .ply import checked_splats, rgb_to_sh

EXTENSION = "KHR_gaussian_splatting"
_SMALLEST_SCALE = 1e-9


def export_glb(
    path: str | Path, avatar: Avatar, poses: Sequence[HeadPose] = (), *, fps: float = 24.0,
    splats: Splats | None = None, with_splats: bool = True, with_mesh: bool = True, morphs: Morphs = "arkit",
    texture: bool = True,
) -> int:  # fmt: skip
    """Write a .glb file (atomically); returns its size in bytes.

    Args:
        poses: one a frame: they animate the mesh.
        splats: those to show, in head space; at the first pose, or at rest, when None.
        morphs: "arkit": one complete shape a channel, so that jawOpen alone opens the jaw (``morphs.complete_morphs``
            tells how near it plays to the rig). "rig": the rig's own shapes, exact together with its joints.
        texture: bake one from the splats for the mesh.

    Raises:
        ArgumentError: nothing to write, or values out of range.
        ExportError: the file cannot be written, or a network draws this head.
    """
    check_exportable(avatar)
    if not 0 < fps <= 1000:
        raise ArgumentError(f"fps must lie in 0..1000, got {fps}.")
    if morphs not in ("arkit", "rig"):
        raise ArgumentError(f"morphs must be 'arkit' or 'rig', got {morphs!r}.")
    if not with_splats and not with_mesh:
        raise ArgumentError("A glTF file needs the splats, the mesh, or both.")
    gltf = Gltf(f"gshead {__version__}")
    nodes = []
    if with_mesh:
        nodes += add_head(gltf, avatar, poses, fps, morphs, texture=texture)
    if with_splats:
        if splats is None:
            splats = drive(avatar, poses[0] if len(poses) else HeadPose.neutral(avatar.head.expression_count))
        mesh = gltf.add("meshes", {"name": f"{avatar.name} Splats", "primitives": [splat_primitive(gltf, splats)]})
        nodes.append(gltf.add("nodes", {"name": "Splats", "mesh": mesh}))
    gltf.json["scenes"][0] |= {"name": avatar.name, "nodes": nodes}
    data = gltf.to_bytes()
    write_atomic(path, data)
    return len(data)


def splat_primitive(gltf: Gltf, splats: Splats) -> dict[str, Any]:
    """A mesh primitive of points with the extension's attributes: activated values, quaternions xyzw."""
    means, quats, scales, opacities, colors = checked_splats(splats)
    gltf.use(EXTENSION)
    fallback = np.concatenate([np.clip(colors, 0, 1), opacities[:, None]], 1)
    values = {
        f"{EXTENSION}:ROTATION": quats[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": np.maximum(scales, np.float32(_SMALLEST_SCALE)),
        f"{EXTENSION}:OPACITY": opacities,
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": rgb_to_sh(colors).astype(np.float32),
    }
    attributes = {
        "POSITION": gltf.accessor(means, target=ARRAY_BUFFER, bounds=True),
        "COLOR_0": gltf.accessor(np.round(fallback * 255).astype(np.uint8), target=ARRAY_BUFFER, normalized=True),
        **{name: gltf.accessor(value, target=ARRAY_BUFFER) for name, value in values.items()},
    }
    settings = {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "sortingMethod": "cameraDistance",
        "projection": "perspective",
    }  # fmt: skip
    return {"attributes": attributes, "mode": 0, "extensions": {EXTENSION: settings}}
