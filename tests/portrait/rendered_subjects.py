"""Rendered portraits whose truth is known."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gshead_backend.camera import Camera
from gshead_backend.head import ARKIT_NAMES, HeadModel, HeadPose, PersonalHead, pose_from_arkit
from gshead_backend.head.bake.render import shade
from gshead_backend.head.rotation import euler_to_matrix


def png_bytes(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Subject:
    """A rendered portrait and everything that went into it."""

    data: bytes
    image: np.ndarray
    personal: PersonalHead
    pose: HeadPose
    camera: Camera


def render_subject(
    head: HeadModel, *, seed: int = 0, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0,
    focal_35mm: float = 70.0, size: tuple[int, int] = (640, 640), face: float = 0.5,
    gaze: tuple[float, float] = (0.0, 0.0), expression: dict[str, float] | None = None, identity: float = 0.7,
) -> Subject:  # fmt: skip
    """A shaded head.

    Args:
        yaw: degrees to the image's right. pitch: degrees up. roll: degrees clockwise.
        face: face height over image height. gaze: pitch down and yaw in radians. identity: spread of betas.
        expression: by ARKit name; the side may be left out.
    """
    rng = np.random.default_rng(seed)
    personal = PersonalHead.create(head, rng.normal(0, identity, head.identity_count))
    channels = np.zeros(52)
    for prefix, value in (expression or {}).items():
        channels[[i for i, n in enumerate(ARKIT_NAMES) if n.startswith(prefix)]] = value
    pose = pose_from_arkit(head, channels, eye_rotation=np.array([[gaze[0], gaze[1], 0]] * 2))
    width, height = size
    focal = focal_35mm / np.hypot(36, 24) * np.hypot(width, height)
    distance = focal * 0.19 / (face * height)
    a, b, c = np.radians([yaw, pitch, roll])
    turn = (
        euler_to_matrix(np.array([0, 0, -c]))
        @ euler_to_matrix(np.array([-b, 0, 0]))
        @ euler_to_matrix(np.array([0, a, 0]))
    )
    view = np.eye(4)
    view[:3, :3] = np.diag([1.0, -1.0, -1.0]) @ turn
    view[:3, 3] = -view[:3, :3] @ np.array([0, 0, 0.05]) + [0, 0, distance]
    camera = Camera(width, height, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), view)
    image = shade(personal.vertices(pose), head.faces, _colors(personal), camera, supersample=2, background=0.6)
    return Subject(png_bytes(image), image, personal, pose, camera)


def _colors(personal: PersonalHead) -> np.ndarray:
    head = personal.model
    colors = np.tile([0.55, 0.36, 0.28], (head.vertex_count, 1))
    paint = {"lips": (0.45, 0.2, 0.18), "teeth_upper": (0.8, 0.78, 0.7), "teeth_lower": (0.8, 0.78, 0.7),
             "gums": (0.5, 0.2, 0.2), "mouth_cavity": (0.2, 0.05, 0.05), "tongue": (0.5, 0.2, 0.2),
             "scalp": (0.12, 0.08, 0.05)}  # fmt: skip
    for name, color in paint.items():
        colors[head.region_mask(name)] = color
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        eye = head.region_mask(name)
        direction = personal.rest[eye] - personal.joints[joint]
        radius = np.linalg.norm(direction, axis=1)
        forward = direction[:, 2] / radius
        rim = np.sqrt(1 - (0.0059 / np.median(radius)) ** 2)
        colors[eye] = np.where(
            (forward > rim)[:, None], np.where((forward > (1 + rim) / 2)[:, None], 0.02, [0.12, 0.2, 0.3]), 0.75
        )
    return colors
