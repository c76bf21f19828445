"""ICT-FaceKit's public folder of OBJ files as the tables of its compact form.

The release (github.com/ICT-VGL/ICT-FaceKit, MIT licence) is one neutral mesh in centimetres and one OBJ of the same
vertices for each identity component and each expression. It has no skin weights and no joints: the jaw's are those of
the rigid motion that its jawOpen gives the lower teeth, the eyes' are their eyeballs, and the neck fades into the root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...errors import FileFormatError
from .ict import arkit_shapes
from .transfer import similarity

NEUTRAL = "generic_neutral_mesh.obj"
METRES = 0.01  # the release's unit
_KINDS = {"M_Face": 0, "M_BackHead": 0, "M_GumsTongue": 1, "M_Teeth": 2, "M_ScleraLeft": 3, "M_IrisLeft": 3,
          "M_ScleraRight": 4, "M_IrisRight": 4}  # fmt: skip
"""Material to kind of surface; tear film, lashes and the meshes that shade an eye's rim are left out."""
_ROOT, _NECK = (0.0, -0.165, -0.01), (0.0, -0.09, -0.01)
_NECK_TOP, _NECK_LENGTH = -0.10, 0.07
_MOVED = 0.002  # metres that jawOpen moves every lower tooth at least
_MAX_OBJ, _MAX_VERTICES, _MAX_IDENTITIES = 64 * 2**20, 200_000, 500
_REMEDY = "Choose the folder FaceXModel of ICT-FaceKit, as it was downloaded."


@dataclass(frozen=True)
class _Mesh:
    """vertices: (V, 3) metres. uv: (T, 2). faces, uv_faces: (F, 3). kind: (F,) of ``_KINDS``' values."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    kind: np.ndarray


def read_ict_folder(folder: Path) -> dict[str, np.ndarray]:
    """The tables that ``ict.build_ict_head`` takes, from the folder FaceXModel or the one that holds it.

    Raises:
        FileFormatError: there is no neutral mesh, or an OBJ is broken, too large, or has other vertices.
    """
    folder = folder if (folder / NEUTRAL).is_file() else folder / "FaceXModel"
    if not (folder / NEUTRAL).is_file():
        raise FileFormatError(f"'{folder.parent}' has no {NEUTRAL}: it is not ICT-FaceKit's folder.", remedy=_REMEDY)
    mesh = _read_mesh(folder / NEUTRAL)
    used, faces = np.unique(mesh.faces, return_inverse=True)
    identities = sorted(f for f in folder.glob("identity*.obj") if re.fullmatch(r"identity\d{3}", f.stem))
    others = sorted(f for f in folder.glob("*.obj") if f not in identities and f.name != NEUTRAL)
    driven = np.flatnonzero(arkit_shapes(tuple(f.stem for f in others)).sum(0))
    shapes = [others[k] for k in driven]
    if not identities or len(identities) > _MAX_IDENTITIES or not any(f.stem == "jawOpen" for f in shapes):
        raise FileFormatError(
            f"'{folder}' holds {len(identities)} identity components and {len(shapes)} expressions; at least one, at "
            f"most {_MAX_IDENTITIES}, and jawOpen are needed.", remedy=_REMEDY,
        )  # fmt: skip

    def moved(files: list[Path]) -> np.ndarray:
        out = np.empty((len(used), 3, len(files)), np.float16)  # 15 micrometres at most; half the size of avatars
        for k, file in enumerate(files):
            out[:, :, k] = (_vertices(file, len(mesh.vertices)) - mesh.vertices)[used]
        return out

    expressions = moved(shapes)
    template = mesh.vertices[used]
    region = np.zeros(len(used), np.uint8)
    region[faces.reshape(-1)] = np.repeat(mesh.kind, 3)
    opened = expressions[:, :, [f.stem for f in shapes].index("jawOpen")].astype(np.float64)
    joints, weights = _rig(template, region, opened)
    return {
        "v_template": template.astype(np.float32), "identity_dirs": moved(identities), "expression_dirs": expressions,
        "expression_names": np.array([f.stem for f in shapes]), "faces": faces.reshape(-1, 3).astype(np.int32),
        "uv": mesh.uv, "uv_faces": mesh.uv_faces, "skin_weights": weights, "joints": joints, "region": region,
    }  # fmt: skip


def _rig(template: np.ndarray, region: np.ndarray, opened: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(5, 3) joints and (V, 5) weights of root, neck, jaw, left and right eye."""
    lower = (region == 2) & (np.linalg.norm(opened, axis=1) > _MOVED)
    if lower.sum() < 4 or not all((region == eye).sum() > 4 for eye in (3, 4)):
        raise FileFormatError("The folder's jawOpen moves no teeth, or there are no eyeballs.", remedy=_REMEDY)
    M, t = similarity(template[lower], (template + opened)[lower], np.ones(lower.sum()))
    pivot = np.concatenate([[0.0], np.linalg.lstsq(np.eye(2) - M[1:, 1:], t[1:], rcond=None)[0]])
    rigid = template @ M.T + t - template
    jaw = np.clip((opened * rigid).sum(1) / np.maximum((rigid**2).sum(1), 1e-12), 0, 1)
    jaw[(jaw < 0.01) | (region > 2)] = 0
    root = np.clip((_NECK_TOP - template[:, 1]) / _NECK_LENGTH, 0, 1) * (region == 0) * (1 - jaw)
    weights = np.stack([root, 1 - root - jaw, jaw, np.zeros_like(jaw), np.zeros_like(jaw)], 1)
    for eye in (3, 4):
        weights[region == eye] = np.eye(5)[eye]
    centres = [_sphere_centre(template[region == eye]) for eye in (3, 4)]
    return np.array([_ROOT, _NECK, pivot, *centres], np.float32), weights.astype(np.float32)


def _sphere_centre(points: np.ndarray) -> np.ndarray:
    """(3,) of the sphere through the rear half of an eyeball, where there is no cornea."""
    back = points[points[:, 2] < np.median(points[:, 2])]
    return np.linalg.lstsq(np.column_stack([2 * back, np.ones(len(back))]), (back**2).sum(1), rcond=None)[0][:3]


def _read_mesh(file: Path) -> _Mesh:
    uv, corners, kinds, kind = [], [], [], -1
    for number, words in _lines(file):
        try:
            if words[0] == b"vt":
                uv.append((float(words[1]), float(words[2])))
            elif words[0] == b"usemtl":
                kind = _KINDS.get(words[1].decode("ascii", "replace"), -1)
            elif words[0] == b"f" and kind >= 0:
                ring = [(int(v) - 1, int(t) - 1) for v, t in (w.split(b"/")[:2] for w in words[1:])]
                for a, b in pairwise(ring[1:]):
                    corners.append((ring[0], a, b))
                    kinds.append(kind)
        except (ValueError, IndexError):
            raise FileFormatError(f"{file.name}, line {number} is not OBJ: {words[:4]}.", remedy=_REMEDY) from None
    vertices = _vertices(file, None)
    if not corners or not uv:
        raise FileFormatError(f"{file.name} has no faces of ICT-FaceKit's materials, or no UVs.", remedy=_REMEDY)
    index = np.array(corners)
    if index.min() < 0 or index[..., 0].max() >= len(vertices) or index[..., 1].max() >= len(uv):
        raise FileFormatError(f"{file.name}: a face points outside the {len(vertices)} vertices or {len(uv)} UVs.")
    return _Mesh(vertices, np.array(uv), index[..., 0], index[..., 1], np.array(kinds, np.uint8))


def _vertices(file: Path, wanted: int | None) -> np.ndarray:
    """(V, 3) float64 metres."""
    lines = [line[2:] for line in _text(file).splitlines() if line.startswith(b"v ")]
    try:
        out = np.array([float(word) for word in b" ".join(lines).split()]).reshape(len(lines), 3)
    except ValueError:
        raise FileFormatError(f"{file.name} has a vertex that is not three numbers.", remedy=_REMEDY) from None
    if not np.isfinite(out).all() or not 0 < len(out) <= _MAX_VERTICES:
        raise FileFormatError(f"{file.name}: its {len(out)} vertices are not finite points.", remedy=_REMEDY)
    if wanted is not None and len(out) != wanted:
        raise FileFormatError(f"{file.name} has {len(out)} vertices, the neutral mesh {wanted}.", remedy=_REMEDY)
    return out * METRES


def _lines(file: Path) -> list[tuple[int, list[bytes]]]:
    """Numbered words of the lines that say something."""
    lines = enumerate(_text(file).splitlines(), 1)
    return [(k, words) for k, line in lines if (words := line.split()) and not words[0].startswith(b"#")]


def _text(file: Path) -> bytes:
    if file.stat().st_size > _MAX_OBJ:
        raise FileFormatError(f"{file.name} is larger than {_MAX_OBJ >> 20} MiB.", remedy=_REMEDY)
    return file.read_bytes()
