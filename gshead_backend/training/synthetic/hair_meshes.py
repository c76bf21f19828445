"""Hair from mesh files: OBJ hair of any head, fitted to ours and covered with strand-like surfels.

A folder of ``*.obj`` is enough (MakeHuman's hair, say; Y up, face toward +Z, any unit of length). Where a file has
texture coordinates, strands run along v, as hair cards are painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from ...errors import ArgumentError, FileFormatError
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from .hairs import along, surfels
from .strands import Skull
from .style_spec import StyleSpec
from .surface import Canvas, personal_frame
from .surfels import ANCHORS, Surfels

MAX_BYTES = 64 * 1024 * 1024
REACH = 0.010  # metres, length of a surfel's strand
WIDTH, OVER_SKIN, THICKNESS = 0.0008, 0.003, 0.003
_UPPER = 0.11  # metres below the crown in which hair follows the skull


@dataclass(frozen=True)
class HairMesh:
    """Triangles of a hairstyle. vertices: (V, 3) as in the file. faces: (T, 3). along: (T, 3) unit, where strands run.
    lock: (T,) a number that neighbours across the strands do not share."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    along: np.ndarray
    lock: np.ndarray


def hair_mesh_files(folder: str | Path) -> tuple[Path, ...]:
    """The OBJ files of a folder, sorted. Raises ``ArgumentError`` when there are none."""
    files = tuple(sorted(Path(folder).glob("*.obj")))
    if not files:
        raise ArgumentError(f"There are no OBJ files in '{folder}'.", remedy="Give a folder of hair meshes (*.obj).")
    return files


@lru_cache(maxsize=32)
def read_hair(path: Path) -> HairMesh:
    """Read an OBJ file's triangles. Raises ``FileFormatError``: no OBJ, no faces, or indices outside its lists."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_BYTES >> 20} MiB.")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.") from error
    vertices: list[list[float]] = []
    texture: list[list[float]] = []
    corners: list[tuple[int, int]] = []
    for number, line in enumerate(lines, 1):
        word, *rest = line.split() or [""]
        try:
            if word == "v":
                vertices.append([float(x) for x in rest[:3]])
            elif word == "vt":
                texture.append([float(x) for x in rest[:2]])
            elif word == "f":
                ring = [_corner(item, len(vertices), len(texture)) for item in rest]
                for k in range(1, len(ring) - 1):
                    corners += [ring[0], ring[k], ring[k + 1]]
        except (ValueError, IndexError) as error:
            raise FileFormatError(f"{path}, line {number}: '{line[:60]}' is not OBJ: {error}.") from error
    if not corners or any(len(v) != 3 for v in vertices):
        raise FileFormatError(f"{path} holds no triangles.", remedy="Export the hair as a polygon mesh.")
    index = np.array(corners).reshape(-1, 3, 2)
    at = np.array(vertices)
    uv = np.array(texture)[index[..., 1]] if texture and index[..., 1].min() >= 0 else None
    return HairMesh(path.stem, at, index[..., 0], *_strand_field(at[index[..., 0]], uv))


def choose_mesh(files: Sequence[Path], style: StyleSpec, rng: np.random.Generator) -> HairMesh | None:
    """The mesh that somebody of this style wears, if any: half of those with hair and without a hat."""
    if not files or style.hat != "none" or style.hair in ("bald", "balding", "buzz") or rng.random() < 0.5:
        return None
    return read_hair(files[int(rng.integers(len(files)))])


def _corner(item: str, vertices: int, texture: int) -> tuple[int, int]:
    """Indices of a face's corner ("7", "7/3", "-1/-1/2"), texture -1 when there is none."""
    parts = item.split("/")
    out = []
    for text, count in ((parts[0], vertices), (parts[1] if len(parts) > 1 else "", texture)):
        i = int(text) if text else 0
        i = i - 1 if i > 0 else count + i if i < 0 else -1
        if i >= count or (i < 0 and text):
            raise IndexError(f"{item} points at nothing")
        out.append(i)
    return out[0], out[1]


def _strand_field(corner: np.ndarray, uv: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Directions and locks of triangles (T, 3, 3): the gradient of v, or downward where there is no texture."""
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    normal = np.cross(e1, e2)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    down = np.array([0, -1.0, 0]) + normal * normal[:, 1:2]
    lock = corner.mean(1) @ np.array([1.0, 0.3, 0.7])
    if uv is not None:
        d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
        area = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
        flow = (e2 * d1[:, :1] - e1 * d2[:, :1]) / np.where(np.abs(area) < 1e-12, 1e-12, area)[:, None]
        flow[np.abs(area) < 1e-12] = 0
        flow *= np.where((flow * down).sum(1, keepdims=True) < 0, -1, 1)
        down = np.where(np.linalg.norm(flow, axis=1, keepdims=True) > 1e-9, flow, down)
        lock = uv[..., 0].mean(1)
    return down / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-12), lock


def fitted(mesh: HairMesh, c: Canvas) -> np.ndarray:
    """(V, 3) metres: the hair on the mean head, by the scale and shift that lay its inner side upon the skull."""
    outer = c.part == 0
    rest, normal = c.rest[outer], _normals(c)[outer]
    at = _in_metres(mesh.vertices)
    crown = rest[:, 1].max()
    near = rest[:, 1] > crown - _UPPER
    skull, out, tree = rest[near], normal[near], KDTree(rest[near])
    inner = at[_innermost(at)]
    middle = inner.mean(0)

    def moved(x: np.ndarray, points: np.ndarray) -> np.ndarray:
        return (points - middle) * np.exp(x[2]) + middle + np.array([0, x[0], x[1]])

    def gap(x: np.ndarray) -> np.ndarray:
        points = moved(x, inner)
        index = tree.query(points)[1]
        return np.append((((points - skull[index]) * out[index]).sum(1) - 2 * OVER_SKIN) / 0.01, 3 * x[2])

    start = np.array([crown + 0.012 - at[:, 1].max(), skull[:, 2].mean() - middle[2], 0.0])
    found = least_squares(gap, start, loss="soft_l1", diff_step=1e-3, max_nfev=60)
    return moved(found.x, at)


def _in_metres(vertices: np.ndarray) -> np.ndarray:
    """Centred across; of the units in use the one in which hair is as wide as a head."""
    width = float(np.ptp(vertices[:, 0]))
    unit = min((1.0, 0.1, 0.01, 0.001), key=lambda u: abs(np.log(max(width * u, 1e-9) / 0.18)))
    out = vertices * unit
    out[:, 0] -= (out[:, 0].min() + out[:, 0].max()) / 2
    return out


def _innermost(at: np.ndarray) -> np.ndarray:
    """Indices of the vertices nearest to the middle of the upper part, one for each direction."""
    upper = np.flatnonzero(at[:, 1] > at[:, 1].max() - _UPPER)
    centre = np.array([0, at[:, 1].max() - 0.10, (at[upper, 2].min() + at[upper, 2].max()) / 2])
    d = at[upper] - centre
    radius = np.linalg.norm(d, axis=1)
    cell = np.round(d / np.maximum(radius[:, None], 1e-9) * 5).astype(int) @ np.array([1, 20, 400])
    order = np.lexsort((radius, cell))
    return upper[order[np.r_[True, np.diff(cell[order]) != 0]]]


def mesh_surfels(
    mesh: HairMesh, head: HeadModel, person: PersonalHead, c: Canvas, style: StyleSpec, rng: np.random.Generator,
    splats: int,
) -> Surfels:  # fmt: skip
    """``splats`` surfels on a hairstyle that follows the shape of a person's head."""
    position, normal = personal_frame(c, person)
    outer = c.part == 0
    on_mean = fitted(mesh, c)
    weight, index = KDTree(c.rest[outer]).query(on_mean, 12)
    weight = 1 / np.maximum(weight, 0.01)
    shift = (position[outer] - c.rest[outer])[index]
    at = on_mean + (shift * weight[..., None]).sum(1) / weight.sum(1)[:, None]
    skull = Skull(position[outer], normal[outer])
    corner = at[mesh.faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = np.linalg.norm(cross, axis=1)
    pick = rng.choice(len(area), splats, p=area / area.sum())
    b = rng.dirichlet([1, 1, 1], splats)
    points = np.einsum("nk,nkc->nc", b, corner[pick])
    centre = np.array([0, c.surface.crown[1], c.surface.crown[2]])
    out = cross[pick] / np.maximum(area[pick, None], 1e-12)
    out *= np.where((out * (points - centre)).sum(1, keepdims=True) < 0, -1, 1)
    points = points + out * rng.uniform(-0.3, 1, (splats, 1)) * THICKNESS * (0.6 + 0.8 * style.volume)
    points, _ = skull.push(points, OVER_SKIN)
    way = mesh.along[pick] + 0.12 * rng.normal(size=(splats, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    lock = rng.normal(size=97)[(np.abs(mesh.lock[pick]) * 1500).astype(int) % 97]
    tone = np.exp(0.16 * rng.standard_normal(splats) + 0.18 * lock)
    shade = np.asarray(style.hair_color) * tone[:, None]
    turned = out + 0.3 * rng.normal(size=out.shape)
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    made = along(points - 0.5 * REACH * way, points + 0.5 * REACH * way, turned, WIDTH)
    low = points[:, 1] < c.surface.landmarks[152, 1] - 0.02
    result = surfels(made, shade, "hair", opacity=0.85, gloss=0.3)
    result.anchor[:] = np.where(low, ANCHORS.index("torso"), ANCHORS.index("cranium"))
    return result


def _normals(c: Canvas) -> np.ndarray:
    """(N, 3) unit normals of the mean head at the canvas's points."""
    corner = c.surface.vertices[c.surface.faces[c.triangle]]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
