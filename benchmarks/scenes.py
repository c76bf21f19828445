"""What is measured: the default head covered evenly with splats, a take that moves everything, one camera."""

from __future__ import annotations

import measure  # noqa: F401  puts the repository on the path
import numpy as np

from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.head import ARKIT_INDEX, HeadPose, default_head, pose_from_arkit

SIZES = (20_000, 65_000, 150_000)


def covered_head(splats: int, *, dynamic: int = 0) -> Avatar:
    """The default head with ``splats`` flat splats spread by area, of the size and opacity that uvfit uses.

    ``dynamic`` of them get a rank-32 residual.
    """
    from gshead_backend.avatar.types import DynamicResidual

    head, rng = default_head(), np.random.default_rng(0)
    rest = head.template if head.subdivision is None else head.subdivision @ head.template
    corners = rest[head.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    triangle = np.sort(rng.choice(len(area), splats, p=area / area.sum()))
    sigma = 0.62 * np.sqrt(area.sum() / splats)
    bary = rng.dirichlet((1, 1, 1), splats).astype(np.float32)
    points = np.einsum("nk,nkc->nc", bary, corners[triangle])
    residual = None
    if dynamic:
        f32 = lambda *shape: (1e-4 * rng.standard_normal(shape)).astype(np.float32)  # noqa: E731
        index = np.sort(rng.choice(splats, dynamic, replace=False)).astype(np.int32)
        residual = DynamicResidual(index, f32(dynamic, 14, 32), f32(32, head.expression_count + 3), f32(32))
    return Avatar(
        head=head,
        betas=np.zeros(head.identity_count, np.float32),
        vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
        triangle=triangle.astype(np.int32),
        bary=bary,
        region=np.zeros(splats, np.uint8),
        offset=np.zeros((splats, 3), np.float32),
        rotation=np.tile(np.array([1, 0, 0, 0], np.float32), (splats, 1)),
        log_scale=np.log(sigma * np.array([1, 1, 0.25])).astype(np.float32).repeat(splats).reshape(3, -1).T.copy(),
        opacity_logit=np.full(splats, 3, np.float32),
        color=np.clip(0.5 + 0.45 * np.sin(60 * points), 0, 1).astype(np.float32),
        dynamic=residual,
        name="benchmark",
        method="benchmark",
    )


def pose_at(avatar: Avatar, frame: int) -> HeadPose:
    """Frame of a 48-frame loop: head turn, jaw, smile, blink, gaze."""
    phase = 2 * np.pi * frame / 48
    channels = np.zeros(52, np.float32)
    for name, value in {
        "jawOpen": 0.5 + 0.5 * np.sin(phase), "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4,
        "eyeBlinkLeft": max(0.0, np.sin(3 * phase)), "eyeBlinkRight": max(0.0, np.sin(3 * phase)),
        "eyeLookInLeft": 0.3, "eyeLookOutRight": 0.3, "browInnerUp": 0.5,
    }.items():  # fmt: skip
        channels[ARKIT_INDEX[name]] = value
    return pose_from_arkit(avatar.head, channels, head_rotation=np.array([0, 0.6 * np.sin(phase), 0]))


def camera(size: int = 512) -> Camera:
    """The head from the front, filling most of the frame."""
    return orbit_camera(15, size=(size, size), focal_mm=85, distance=1.0)
