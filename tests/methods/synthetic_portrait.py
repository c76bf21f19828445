"""A portrait with known ground truth: a head painted by a formula, rendered by the project's own rasterizer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gshead_backend.avatar.binding import triangle_frames
from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.head import ARKIT_INDEX, HeadModel, HeadPose, PersonalHead, pose_from_arkit
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.types import PortraitFit
from gshead_backend.raster import rasterize

SIZE = 512
SKIN, HAIR, CLOTHES = np.array([0.80, 0.60, 0.50]), np.array([0.22, 0.15, 0.10]), np.array([0.15, 0.25, 0.55])
LIPS, TEETH, MOUTH, IRIS = (
    np.array([0.72, 0.36, 0.36]),
    np.array([0.9, 0.88, 0.84]),
    np.array([0.3, 0.1, 0.1]),
    (0.1, 0.3, 0.5),
)
GREEN = np.array([0.05, 0.9, 0.1])
HAIR_THICKNESS = 0.012
EYE_JOINTS = (4, 3)  # right eye first, as in the landmarks


@dataclass(frozen=True)
class Portrait:
    """fit: what a reconstruction gets. truth: the avatar that was photographed."""

    fit: PortraitFit
    truth: Avatar

    def photo_pose(self) -> HeadPose:
        return self.fit.pose


def arkit_pose(head: HeadModel, **channels: float) -> HeadPose:
    """A pose from channels; a name without Left/Right sets both sides."""
    values = np.zeros(52, np.float32)
    for name, value in channels.items():
        for full in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            values[ARKIT_INDEX[full]] = value
    return pose_from_arkit(head, values)


def make_portrait(head: HeadModel, pose: HeadPose, *, seed: int = 1) -> Portrait:
    """One splat a triangle, painted by region and a smooth pattern, photographed in front of bright green."""
    betas = (np.random.default_rng(seed).standard_normal(head.identity_count) * 0.4).astype(np.float32)
    truth = painted_head(head, betas)
    vertices = truth.personal.vertices(pose)
    camera = camera_at(head, vertices, yaw=4.0, zoom=1.0)
    seen = rasterize(drive(truth, pose), camera, background=GREEN.astype(np.float32))
    image = (np.clip(seen.color, 0, 1) * 255 + 0.5).astype(np.uint8)
    fit = PortraitFit(
        image=image, matte=np.clip(seen.alpha, 0, 1).astype(np.float32),
        landmarks=landmarks(truth.personal, vertices, camera), betas=betas,
        vertex_offsets=np.zeros((head.vertex_count, 3), np.float32), pose=pose, camera=camera, error_px=0.5,
    )  # fmt: skip
    return Portrait(fit, truth)


def parsed(portrait: Portrait) -> np.ndarray:
    """(12, H, W) float16: what a parser that is never wrong would say about the portrait."""
    truth, head = portrait.truth, portrait.truth.head
    names = np.array(head.region_names)[head.region[head.faces].max(1)]
    mouth = dict.fromkeys(("teeth_upper", "teeth_lower", "mouth_cavity", "gums", "tongue"), "mouth")
    of = {"scalp": "hair", "torso": "clothes", "eye_left": "eyes", "eye_right": "eyes", "ear": "ears", **mouth}
    of["lips"] = "lips"
    label = np.array([LABEL_INDEX[of.get(n, "skin")] for n in names])
    splats = replace(drive(truth, portrait.fit.pose), colors=np.eye(12, dtype=np.float32)[label])
    seen = rasterize(splats, portrait.fit.camera)
    out = np.moveaxis(np.asarray(seen.color), 2, 0).copy()
    out[LABEL_INDEX["background"]] = 1 - seen.alpha
    return out.astype(np.float16)


def camera_at(head: HeadModel, vertices: np.ndarray, yaw: float, zoom: float = 1.0, size: int = SIZE) -> Camera:
    """Around the middle of the head; zoom 1 shows head and shoulders."""
    marks = _marks(head, vertices)
    height = float(np.linalg.norm(marks[10] - marks[152]))
    middle = np.array([0.0, (marks[10, 1] + marks[152, 1]) / 2, marks[[234, 454], 2].mean() - 0.02])
    return orbit_camera(
        yaw, 0, size=(size, size), focal_mm=36 * 1.2 / (2.3 * height) * zoom, distance=1.2, target=tuple(middle)
    )


def painted_head(head: HeadModel, betas: np.ndarray) -> Avatar:
    """The ground truth."""
    person = PersonalHead.create(head, betas)
    frames = triangle_frames(person.rest, head.faces)
    names = np.array(head.region_names)[head.region[head.faces].max(1)]
    at = person.rest[head.faces].mean(1)
    pattern = 1 + 0.07 * np.sin(170 * at[:, 0]) * np.cos(140 * at[:, 1]) + 0.04 * np.sin(400 * at[:, 1])
    color = SKIN * pattern[:, None]
    color[names == "lips"] = LIPS
    hairy = names == "scalp"
    color[hairy] = HAIR * (1 + 0.35 * np.sin(500 * np.arctan2(at[hairy, 0], at[hairy, 2])))[:, None]
    color[np.isin(names, ["torso"])] = CLOTHES
    color[np.isin(names, ["teeth_upper", "teeth_lower"])] = TEETH
    color[np.isin(names, ["mouth_cavity", "gums", "tongue", "eye_socket"])] = MOUTH
    for side, name in enumerate(("eye_right", "eye_left")):
        mine = names == name
        centre = person.joints[EYE_JOINTS[side]]
        direction = at[mine] - centre
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        angle = np.degrees(np.arccos(np.clip(direction[:, 2], -1, 1)))
        color[mine] = np.where(angle[:, None] < 8, 0.03, np.where(angle[:, None] < 23, IRIS, 0.88))
    n = head.faces.shape[0]
    sigma = 0.62 * np.sqrt(2 * np.maximum(frames.area, 1e-10)) * np.where(hairy, 1.3, 1.0)
    offset = np.zeros((n, 3), np.float32)
    offset[hairy, 2] = HAIR_THICKNESS
    return Avatar(
        head=head, betas=betas, vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
        triangle=np.arange(n, dtype=np.int32), bary=np.full((n, 3), 1 / 3, np.float32), region=np.zeros(n, np.uint8),
        offset=offset, rotation=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        log_scale=np.log(np.stack([sigma, sigma, 0.3 * sigma], 1)).astype(np.float32),
        opacity_logit=np.full(n, 4.0, np.float32), color=np.clip(color, 0, 1).astype(np.float32),
    )  # fmt: skip


def landmarks(person: PersonalHead, vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """(478, 2): the embedding's points, then iris centre and rim of the right and the left eye."""
    face = camera.project(_marks(person.model, vertices))[:, :2]
    points = [face]
    right, down = camera.viewmat[0, :3], camera.viewmat[1, :3]
    for name in ("eye_right", "eye_left"):
        ball = vertices[np.array(person.model.region_names)[person.model.region] == name]
        middle = (ball.min(0) + ball.max(0)) / 2
        radius = float(ball[:, 0].max() - ball[:, 0].min()) / 2
        front, rim = middle + np.array([0, 0, radius]), radius * np.sin(np.radians(23))
        ring = [front, front + rim * right, front - rim * down, front - rim * right, front + rim * down]
        points.append(camera.project(np.array(ring))[:, :2])
    return np.concatenate(points).astype(np.float32)


def _marks(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    return np.einsum("lk,lkc->lc", head.landmark_bary, vertices[head.faces[head.landmark_triangles]])
