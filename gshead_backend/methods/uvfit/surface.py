"""What ``uvfit`` knows about a head model before it sees a photo: parts, landmark distances, priors (cached per head).

Everything here depends on the mean face of the head alone. Parts come from the head's region names; where a head
(FLAME, say) names few regions, the landmark embedding locates lips, lids, brows, ears and the scalp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import KDTree

from ...avatar.binding import triangle_frames
from ...head.arkit import ARKIT_INDEX
from ...head.model import HeadModel
from ...head.skinning import PersonalHead, pose_from_arkit
from ...portrait.agreement import LIPS_OUTER

# mediapipe's face-mesh topology, by feature.
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
EYE_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
EYE_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
BROW_RIGHT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
BROW_LEFT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
FOREHEAD, CHIN, NOSE_TIP, TRAGUS = 10, 152, 1, (234, 454)

_RIGID = 6e-4  # metres
PARTS = ("skin", "eye_left", "eye_right", "teeth", "gums", "tongue", "cavity", "socket")


@dataclass(frozen=True)
class HeadSurface:
    """Tables over one head model's mean face.

    Attributes:
        head: the model. vertices: (V, 3) mean neutral mesh. faces: (F, 3).
        part: (F,) index into ``PARTS``. vertex_part: (V,).
        skin: (V,) bool, outer skin. ear, lips, scalp_name: (V,) bool from region names (may be all false).
        face_distance, eye_distance, lip_distance, brow_distance: (V,) metres to the nearest such landmark.
        scalp: (V,) 0..1 prior of carrying hair. neck: (V,) 0..1, 1 well below the jaw.
        lid: (F,) bool, the triangle grows more than 1.5 times when the eyes close.
        rigid: (F,) bool, outer skin that hardly moves under any expression. reach: (F,) metres, how far one moves it.
        crown: (3,) centre of the cranium. ear_z: metres, the plane through the ears.
        scale: interocular distance / 6 cm.
        laplacian: (V, V) sparse, rows sum to zero, edges of the mesh with weight 1 / length, normalised.
        landmarks: (468, 3) mean positions.
    """

    head: HeadModel
    vertices: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    vertex_part: np.ndarray
    skin: np.ndarray
    ear: np.ndarray
    lips: np.ndarray
    face_distance: np.ndarray
    eye_distance: np.ndarray
    lip_distance: np.ndarray
    brow_distance: np.ndarray
    scalp: np.ndarray
    neck: np.ndarray
    lid: np.ndarray
    rigid: np.ndarray
    reach: np.ndarray
    crown: np.ndarray
    ear_z: float
    scale: float
    laplacian: csr_matrix
    landmarks: np.ndarray


_CACHE: dict[str, HeadSurface] = {}


def head_surface(head: HeadModel) -> HeadSurface:
    """The tables of ``head``; computed once a process for each head."""
    key = head.sha256
    if key not in _CACHE:
        _CACHE.clear()
        _CACHE[key] = _build(head)
    return _CACHE[key]


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, cubic between."""
    t = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def mesh_laplacian(vertices: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """(V, V) ``I - D^-1 W`` with W = 1 / edge length: scale-free averaging over neighbours."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    weight = 1.0 / np.maximum(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1), 1e-5)
    n = vertices.shape[0]
    W = coo_matrix((weight, (edges[:, 0], edges[:, 1])), (n, n)).tocsr()
    W = W + W.T
    degree = np.maximum(np.asarray(W.sum(1)).ravel(), 1e-9)
    D = coo_matrix((1 / degree, (np.arange(n), np.arange(n))), (n, n)).tocsr()
    unit = coo_matrix((np.ones(n), (np.arange(n), np.arange(n))), (n, n)).tocsr()
    return (unit - D @ W).tocsr()


def _named(head: HeadModel, *fragments: str) -> np.ndarray:
    """(V,) bool: vertices of regions whose name contains any of the fragments."""
    hit = [i for i, name in enumerate(head.region_names) if any(f in name.lower() for f in fragments)]
    return np.isin(head.region, hit)


def _vertex_parts(head: HeadModel, x: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    part = np.zeros(head.vertex_count, np.uint8)
    eyes = _named(head, "eye") & ~_named(head, "lid", "socket", "lash", "brow", "skin")
    part[eyes & (x[:, 0] > 0)] = PARTS.index("eye_left")
    part[eyes & (x[:, 0] <= 0)] = PARTS.index("eye_right")
    part[_named(head, "teeth", "tooth")] = PARTS.index("teeth")
    part[_named(head, "gum")] = PARTS.index("gums")
    part[_named(head, "tongue")] = PARTS.index("tongue")
    part[_named(head, "cavity", "mouth_inner", "inner_mouth", "mouth_interior", "throat")] = PARTS.index("cavity")
    part[_named(head, "socket")] = PARTS.index("socket")
    return part


def nearest(points: np.ndarray, queries: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices of the ``count`` nearest ``points`` of each query: (Q,) for one, else (Q, count)."""
    distance, index = KDTree(points).query(queries, count)
    return np.asarray(distance), np.asarray(index)


def _distance(x: np.ndarray, points: np.ndarray) -> np.ndarray:
    return nearest(points, x)[0]


def _build(head: HeadModel) -> HeadSurface:
    person = PersonalHead.create(head, np.zeros(head.identity_count, np.float32))
    x, faces = person.rest.astype(np.float64), head.faces
    marks = np.einsum("lk,lkc->lc", head.landmark_bary, x[faces[head.landmark_triangles]])
    vertex_part = _vertex_parts(head, x, marks)
    part = vertex_part[faces].max(1)
    skin = vertex_part == 0
    right, left = marks[list(EYE_RIGHT)].mean(0), marks[list(EYE_LEFT)].mean(0)
    scale = float(np.linalg.norm(left - right)) / 0.06
    face_d, eye_d = _distance(x, marks), _distance(x, marks[[*EYE_LEFT, *EYE_RIGHT]])
    lip_d = _distance(x, marks[[*LIPS_OUTER, *LIPS_INNER]])
    brow_d = _distance(x, marks[[*BROW_LEFT, *BROW_RIGHT]])
    ear_z = float(marks[list(TRAGUS), 2].mean()) - 0.012 * scale
    above = skin & (x[:, 1] > (left + right)[1] / 2)
    crown = np.array([0.0, (left + right)[1] / 2 + 0.03 * scale, (x[above, 2].min() + x[above, 2].max()) / 2])
    ear = _ears(head, x, skin, marks, scale)
    if ear.any():
        ear_z = float(np.quantile(x[ear, 2], 0.6))
    scalp = _scalp_prior(x, skin, ear, marks, crown, ear_z, scale)
    jaw_y = marks[CHIN, 1]
    neck = smoothstep(jaw_y - x[:, 1] + 0.35 * np.minimum(x[:, 2] - marks[CHIN, 2] + 0.05 * scale, 0), 0.005, 0.03)
    lid, reach = _moving(head, person, part)
    return HeadSurface(
        head, x, faces, part, vertex_part, skin, ear, _named(head, "lip"), face_d, eye_d, lip_d, brow_d, scalp,
        neck * skin, lid, (reach < _RIGID) & (part == 0), reach, crown, ear_z, scale, mesh_laplacian(x, faces), marks,
    )  # fmt: skip


def _ears(head: HeadModel, x: np.ndarray, skin: np.ndarray, marks: np.ndarray, scale: float) -> np.ndarray:
    named = _named(head, "ear")
    if named.any():
        return named & skin
    ear = np.zeros(x.shape[0], bool)
    for index in TRAGUS:
        d = (x - marks[index] + [0, 0, 0.02 * scale]) / (np.array([0.022, 0.036, 0.024]) * scale)
        ear |= ((d**2).sum(1) < 1) & (np.abs(x[:, 0]) > np.abs(marks[index, 0]) - 0.004 * scale)
    return ear & skin


def _scalp_prior(
    x: np.ndarray, skin: np.ndarray, ear: np.ndarray, marks: np.ndarray, crown: np.ndarray, ear_z: float, scale: float
) -> np.ndarray:  # fmt: skip
    """Above a plane from the hairline over the forehead to the nape: soft over 2 cm, never on ears or face."""
    front = marks[FOREHEAD] + np.array([0, 0.004, -0.004]) * scale
    back_z = x[skin & (np.abs(x[:, 1] - crown[1]) < 0.02 * scale), 2].min()
    nape = np.array([0, marks[NOSE_TIP, 1] - 0.045 * scale, back_z + 0.02 * scale])
    along = nape - front
    normal = np.array([0.0, -along[2], along[1]])
    normal /= np.linalg.norm(normal)
    normal *= np.sign(normal[1])
    prior = smoothstep((x - front) @ normal, -0.004 * scale, 0.014 * scale)
    temple = smoothstep(marks[FOREHEAD, 2] - 0.035 * scale - x[:, 2], 0.0, 0.02 * scale)
    prior = prior * np.maximum(temple, x[:, 1] > marks[FOREHEAD, 1])
    # Behind the ears the hairline runs straight down to the nape.
    behind = smoothstep(ear_z - 0.012 * scale - x[:, 2], 0.0, 0.02 * scale)
    prior = np.maximum(prior, behind * smoothstep(x[:, 1] - nape[1], -0.006 * scale, 0.012 * scale))
    return prior * skin * ~ear


def _moving(head: HeadModel, person: PersonalHead, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,) bool, lids (area grows > 1.5 times under a blink), and (F,) metres that expressions move triangles by."""
    channels = np.zeros(52, np.float32)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        channels[ARKIT_INDEX[name]] = 1
    rest_area = triangle_frames(person.rest, head.faces).area
    closed = triangle_frames(person.vertices(pose_from_arkit(head, channels)), head.faces).area
    lid = (closed > 1.5 * rest_area) & (part == 0)
    reach = np.zeros(head.vertex_count)
    for i in range(52):
        channels[:] = 0
        channels[i] = 1
        moved = np.linalg.norm(person.vertices(pose_from_arkit(head, channels)) - person.rest, axis=1)
        reach = np.maximum(reach, moved)
    return lid, reach[head.faces].max(1)
