"""The whole bake, step by step, from the wheel to a ``HeadModel``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from ...errors import HeadError
from ..arkit import ARKIT_INDEX, ARKIT_NAMES
from ..model import HeadModel, SparseMatrix
from ..skinning import PersonalHead, pose_from_arkit
from .atlas import pack
from .expressions import close_gain, joint_channels, raw_expressions, rigged, settle, smooth
from .landmarks import Detector, bake_landmarks
from .lids import blink_gain, clear_eyeballs, close_blinks
from .mean import Blank, make_blank
from .paint import paint
from .regions import REGION_NAMES, regions
from .render import vertex_normals
from .rig import Rig, build_rig
from .seal import Seal, build_seal
from .source import AnnyWheel
from .subdivide import catmull_clark, limit
from .surface import Surface, build_surface, control_quads

NAME = "gshead-default"
LIP_OVERLAP = 0.0011
CLOSE_OVERLAP = 0.0012


def _half(a: np.ndarray) -> np.ndarray:
    """Rounded to float16, so that the head stores compactly and reads back as it was."""
    return np.asarray(a, np.float16).astype(np.float32)


def _seals(blank: Blank, quads: np.ndarray) -> tuple[Seal, tuple[Seal, Seal]]:
    """The seal of the lips, and those of the left and right lids."""
    part = blank.cage.part
    level, fine = catmull_clark(quads, blank.control_count)
    matrix = sp.csr_matrix(limit(fine, int(fine.max()) + 1) @ level)
    outside = fine[np.repeat(part == "face", 4)]

    def seal(loop: np.ndarray, *parts: str, **options: Any) -> Seal:
        q = quads[np.isin(part, parts)]
        edges = np.unique(np.sort(np.stack([q, np.roll(q, -1, 1)], -1).reshape(-1, 2), 1), axis=0)
        return build_seal(matrix, outside, blank.mean, edges, np.searchsorted(blank.skin, loop), **options)

    mouth = seal(blank.cage.mouth, "face", "cavity", ring_range=(0, 5), falloff=0.010)
    lids = [
        seal(blank.cage.lids[k], "face", f"socket_{name}", ring_range=(1, 6), falloff=0.004, upper_share=0.85)
        for k, name in enumerate(("left", "right"))
    ]
    return mouth, (lids[0], lids[1])


def bake_head(wheel: AnnyWheel, *, people: int, modes: int, seed: int, say: Callable[[str], None] = print) -> HeadModel:
    """Everything but the landmarks.

    Args:
        people: heads in the random population. modes: identity components kept.
    """
    blank = make_blank(wheel, people=people, modes=modes, seed=seed)
    say(f"population: {modes} components keep {100 * blank.kept:.2f} % of the variance")
    quads = control_quads(blank)
    surface = build_surface(blank)
    seal, lid_seals = _seals(blank, quads)
    say(f"lips part {1000 * np.abs(seal.gap(blank.mean)).max():.2f} mm before the seal")
    blank = replace(blank, mean=seal.close(blank.mean, LIP_OVERLAP), modes=seal.close(blank.modes))
    say(f"and {1000 * seal.gap(blank.mean).max():.2f} mm at most after it")

    raw = settle(raw_expressions(wheel, blank), blank)
    rig = build_rig(blank, quads, raw[:, :, ARKIT_INDEX["jawOpen"]])
    say(f"jawOpen turns {np.degrees(rig.jaw_angle):.1f} degrees about {np.round(rig.joints[2], 4)}")
    shapes = close_blinks(smooth(raw, quads, _firm(blank, quads)), blank, lid_seals)
    shapes = settle(clear_eyeballs(shapes, blank, surface, quads, lid_seals), blank)
    shapes = rigged(shapes, blank, rig, seal, CLOSE_OVERLAP)
    gain = blink_gain(shapes, blank, lid_seals)
    gain[ARKIT_INDEX["mouthClose"]] = close_gain(shapes, blank, rig, seal)
    return _head(blank, surface, rig, shapes, gain, wheel)


def _firm(blank: Blank, quads: np.ndarray) -> np.ndarray:
    """(C,) 1 where expression deltas are not smoothed: lips, lids, inside of mouth and eyes."""
    near = np.concatenate([blank.cage.mouth, *blank.cage.lids])
    distance = KDTree(blank.mean[np.searchsorted(blank.skin, near)]).query(blank.mean)[0]
    firm = np.clip(1.6 - distance / 0.007, 0, 1)
    inner = np.unique(quads[np.isin(blank.cage.part, ["cavity", "tongue", "socket_left", "socket_right"])])
    firm[inner] = 1
    firm[len(blank.skin) :] = 1
    return firm


def _head(
    blank: Blank, surface: Surface, rig: Rig, shapes: np.ndarray, gain: np.ndarray, wheel: AnnyWheel
) -> HeadModel:
    shapes = np.where(np.abs(shapes).max(1, keepdims=True) < 2e-5, 0, shapes)
    dense = surface.matrix @ blank.mean
    nose = dense[surface.vertices_of("face")]
    nose = nose[nose[:, 2].argmax()]
    weights = surface.matrix @ rig.weights
    weights = np.rint(np.clip(weights, 0, 1) * 2**14) / 2**14
    weights[np.arange(len(weights)), weights.argmax(1)] += 1 - weights.sum(1)
    jaw, eyes = joint_channels(rig)
    m = surface.matrix
    columns = blank.control_count
    matrix = SparseMatrix(m.data.astype(np.float32), m.indices.astype(np.int32), m.indptr.astype(np.int32), columns)
    mirror = _mirror(dense, surface.tris)
    return HeadModel(
        name=NAME, license="CC0-1.0", template=_half(blank.mean), identity_dirs=_half(blank.modes),
        expression_dirs=_half(shapes), expression_names=ARKIT_NAMES, expression_gain=_half(gain), subdivision=matrix,
        faces=surface.tris.astype(np.int32), uv=pack(surface, dense, nose).astype(np.float32),
        uv_faces=surface.uv_tris.astype(np.int32), joints=rig.joints.astype(np.float32),
        joints_identity=_half(rig.joints_identity), skin_weights=weights.astype(np.float32),
        arkit_expression=np.eye(52, dtype=np.float32), arkit_jaw=jaw, arkit_eyes=eyes,
        region=regions(blank, surface, wheel), region_names=REGION_NAMES, mirror=mirror.astype(np.int32),
        landmark_triangles=np.zeros(468, np.int32), landmark_bary=np.full((468, 3), 1 / 3, np.float32),
        landmark_sigma=np.full(468, 0.002, np.float32),
    )  # fmt: skip


def _mirror(dense: np.ndarray, tris: np.ndarray) -> np.ndarray:
    """(V,) the vertex on the other side. Normals tell apart points of neighbouring teeth that touch."""
    normals = vertex_normals(dense, tris)
    points, flip = np.c_[dense, 2e-4 * normals], np.array([-1, 1, 1, -1, 1, 1])
    gap, mirror = map(np.asarray, KDTree(points).query(points * flip))
    if gap.max() > 5e-4 or (mirror[mirror] != np.arange(len(dense))).any():
        raise HeadError(f"The dense head is not symmetric: {1000 * gap.max():.2f} mm.")
    return mirror


_LANDMARK_POSES: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.35},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
    {"jawOpen": 0.5, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4},
    {"jawOpen": 0.2, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "mouthLowerDownLeft": 0.4,
     "mouthLowerDownRight": 0.4},
    {"jawOpen": 0.3, "browInnerUp": 0.4},
)  # fmt: skip


def add_landmarks(head: HeadModel, detector: Detector, *, seed: int = 3, views: int = 72) -> HeadModel:
    """The head with its 468 landmarks, found on renders of several people with closed and open mouths."""
    rng = np.random.default_rng(seed)
    meshes, colors = [], []
    for k in range(3 * len(_LANDMARK_POSES)):
        betas = rng.normal(0, 0.7, head.identity_count) * (k >= len(_LANDMARK_POSES))
        person = PersonalHead.create(head, betas)
        channels = np.zeros(52)
        for name, value in _LANDMARK_POSES[k % len(_LANDMARK_POSES)].items():
            channels[ARKIT_INDEX[name]] = value
        meshes.append(person.vertices(pose_from_arkit(head, channels)).astype(np.float64))
        colors.append(paint(head, person.rest, person.joints)[0])
    skin = head.region_mask("skin", "lips", "lids", "scalp", "ear", "neck")
    rest = PersonalHead.create(head, np.zeros(head.identity_count)).rest
    allowed = skin[head.faces].all(1) & (rest[head.faces].mean(1)[:, 2] > head.joints[3, 2] - 0.10)
    triangles, bary, sigma = bake_landmarks(
        meshes, head.faces, colors, allowed, detector, centre=head.joints[3:].mean(0) - np.array([0, 0.035, 0]),
        face_height=0.14, views=views, seed=seed, mirror=head.mirror,
    )  # fmt: skip
    return replace(head, landmark_triangles=triangles, landmark_bary=bary, landmark_sigma=sigma)
