"""Meshes, painted vertices and hair curves of a test person in one frame: what the scene script builds from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree

from ...head.catalog import default_head
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...head.rotation import euler_to_matrix, matrix_to_axis_angle
from ...head.skinning import PersonalHead, pose_from_arkit
from ...portrait.gaze import look_channels
from ...portrait.labels import LABEL_INDEX
from .cast import Role
from .frames import Moment
from .growth import Strands, grow_all
from .worn import Mesh, worn_meshes

EYES, INNER = ("eye_left", "eye_right"), ("mouth_cavity", "gums", "tongue", "eye_socket")
TEETH = ("teeth_upper", "teeth_lower")


@dataclass(frozen=True)
class Body:
    """One person in one frame, head space in metres.

    Attributes:
        meshes: what is drawn, with a material and a label each. strands: hair, brows, lashes, beard.
        landmarks: (478, 3). eyes: (2, 2, 3) centre and unit gaze of the left and right eyeball, iris radius apart.
    """

    meshes: list[Mesh]
    strands: list[Strands]
    landmarks: np.ndarray
    eyes: np.ndarray


def identity(role: Role, head: HeadModel) -> np.ndarray:
    """(B,) float32, not too far from the mean for the first components of a head of many."""
    rng = np.random.default_rng([role.seed, 1])
    return (rng.standard_normal(head.identity_count) * (0.85 if role.geometry == "default" else 0.7)).astype(np.float32)


@lru_cache(maxsize=2)
def default_geometry() -> HeadModel:
    return default_head()


def pose(head: HeadModel, moment: Moment) -> HeadPose:
    """ARKit weights with lids that follow the gaze, and eyeballs turned exactly by it."""
    turn = np.zeros((2, 3))
    turn[:, 0], turn[:, 1] = -np.radians(moment.gaze[:, 1]), np.radians(moment.gaze[:, 0])
    posed = pose_from_arkit(head, looking(head, moment))
    return replace(posed, eye_pose=matrix_to_axis_angle(euler_to_matrix(turn)).reshape(6).astype(np.float32))


def looking(head: HeadModel, moment: Moment) -> np.ndarray:
    """(52,) the weights with those of eyeLook* that belong to the gaze."""
    turn = np.zeros((2, 3))
    turn[:, 0], turn[:, 1] = -np.radians(moment.gaze[:, 1]), np.radians(moment.gaze[:, 0])
    return np.maximum(moment.arkit, look_channels(head, turn)).astype(np.float32)


def make_body(role: Role, moment: Moment, head: HeadModel | None = None) -> Body:
    """The person of ``role`` in a frame; ``head`` is the geometry, the default head when None."""
    head = default_geometry() if head is None else head
    person = PersonalHead.create(head, identity(role, head))
    vertices = person.vertices(pose(head, moment)).astype(np.float64)
    rest = person.rest.astype(np.float64)
    names = np.array(head.region_names)[head.region]
    face_names = names[head.faces]
    marks_rest, marks = (_marks(head, v) for v in (rest, vertices))
    meshes = []
    skin = np.isin(face_names, [*EYES, *INNER, *TEETH]).sum(1) == 0
    paint = _paint(role, head, rest, names, marks_rest)
    label = np.full(len(head.faces), LABEL_INDEX["skin"], np.uint8)
    label[(face_names == "ear").sum(1) > 1] = LABEL_INDEX["ears"]
    label[(face_names == "lips").sum(1) > 1] = LABEL_INDEX["lips"]
    meshes.append(Mesh("skin", vertices, head.faces[skin], label[skin], paint))
    for material, wanted, value in (
        ("eye_left", ("eye_left",), "eyes"), ("eye_right", ("eye_right",), "eyes"), ("teeth", TEETH, "mouth"),
        ("flesh", INNER, "mouth"),
    ):  # fmt: skip
        chosen = np.isin(face_names, wanted).all(1)
        if chosen.any():
            meshes.append(
                Mesh(material, vertices, head.faces[chosen], np.full(chosen.sum(), LABEL_INDEX[value], np.uint8), None)
            )
    meshes += worn_meshes(role, head, vertices, names, marks)
    strands = grow_all(role, head, rest, vertices, names, marks_rest)
    joints = person.joints.astype(np.float64)
    eyes = _eyes(moment, joints)
    return Body(meshes, strands, _with_irises(head, vertices, names, marks, eyes), eyes)


def _marks(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    return np.einsum("lk,lkc->lc", head.landmark_bary, vertices[head.faces[head.landmark_triangles]])


def _eyes(moment: Moment, joints: np.ndarray) -> np.ndarray:
    out = np.zeros((2, 2, 3))
    for e in range(2):
        yaw, pitch = np.radians(moment.gaze[e])
        R = euler_to_matrix(np.array([-pitch, yaw, 0.0]))
        out[e] = joints[3 + e], R[:, 2]
    return out


def _with_irises(
    head: HeadModel, vertices: np.ndarray, names: np.ndarray, marks: np.ndarray, eyes: np.ndarray
) -> np.ndarray:
    """(478, 3): iris centre and four rim points of the right, then of the left eye."""
    out = [marks]
    for e, name in ((1, "eye_right"), (0, "eye_left")):
        ball = vertices[names == name]
        radius = float(np.median(np.linalg.norm(ball - eyes[e, 0], axis=1)))
        forward = eyes[e, 1]
        side = np.cross([0.0, 1.0, 0.0], forward)
        side /= np.linalg.norm(side)
        up = np.cross(forward, side)
        plane = eyes[e, 0] + forward * np.sqrt(max(radius**2 - 0.0059**2, 0))
        rim = 0.0059 * np.stack([0 * side, -side, up, side, -up])
        out.append(plane + rim)
    return np.concatenate(out)


def _paint(role: Role, head: HeadModel, rest: np.ndarray, names: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(V, 4) red, lips, shade, stubble: 0..1 masks that the skin shader mixes with its noise."""

    def near(ids: tuple[int, ...], sigma: float) -> np.ndarray:
        gap = KDTree(marks[list(ids)]).query(rest)[0]
        return np.exp(-0.5 * (gap / sigma) ** 2)

    out = np.zeros((len(rest), 4), np.float32)
    cheeks, nose = near((50, 280, 205, 425), 0.016), near((4, 45, 275), 0.010)
    out[:, 0] = np.clip(0.7 * cheeks + 0.8 * nose + 0.6 * (names == "ear"), 0, 1)
    out[:, 1] = (names == "lips") * 1.0
    folds = near((129, 203, 206, 216, 358, 423, 426, 436), 0.004)
    out[:, 2] = np.clip(0.5 * near((230, 450, 229, 449, 231, 451), 0.006) + role.wrinkled * folds, 0, 1)
    if role.beard in ("stubble", "full", "moustache"):
        y, z = rest[:, 1], rest[:, 2]
        jaw = (y < marks[2, 1]) & (y > marks[152, 1] - 0.03) & (z > marks[234, 2]) & (names == "skin")
        line = marks[205, 1] - 0.01 + 0.3 * np.maximum(np.abs(rest[:, 0]) - 0.025, 0)
        out[:, 3] = jaw * np.clip((line - y) / 0.012, 0, 1)
    return out
