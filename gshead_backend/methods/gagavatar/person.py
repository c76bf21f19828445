"""From our portrait fit to what the network takes, and from our poses to its points and cameras.

The network knows heads five times as large as in metres, without neck, root and translation: a moved head is a moved
camera. Its lens is long (focal length 12 in half picture sides), a photo's is not: the fitted head is placed anew, so
that its landmarks lie in the same window of the photo under the network's lens.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ...avatar.types import NetworkPortrait
from ...camera import Camera
from ...errors import HeadError, PortraitError
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...head.rotation import axis_angle_to_matrix
from ...head.skinning import PersonalHead, dense_expressions, joint_transforms
from ...portrait.types import PortraitFit
from .config import RELEASED, Config
from .lifting import FOCAL, network_camera, opencv_camera

UNITS = 5.0
"""Network units per metre."""

DISTANCE = 10.5
"""Units between camera and head in the window that is cut out: about that of the network's training pictures."""

PARTS = ("mouth_cavity", "gums", "teeth_upper", "teeth_lower", "tongue")
"""Regions that an import adds behind a FLAME head's own vertices."""


def check_head(head: HeadModel, count: int = RELEASED.points) -> None:
    """Raise ``HeadError`` unless the head's own vertices, apart from what an import adds, are ``count``."""
    names = [name for name in PARTS if name in head.region_names]
    own = np.flatnonzero(~head.region_mask(*names)) if names else np.arange(head.vertex_count)
    found = int(own[-1]) + 1 if own.size else 0
    if found != count:
        raise HeadError(
            f"The head '{head.name}' has {found} vertices of its own; GAGAvatar is driven by FLAME's {count}.",
            remedy="Import a FLAME model with 'gshead head import PATH' and name it with --head.",
        )


def make_portrait(fit: PortraitFit, head: HeadModel, config: Config = RELEASED) -> tuple[NetworkPortrait, float]:
    """Cut the network's window out of a fitted portrait.

    Returns:
        What the network reads, and the mean error of the landmarks in the window, in pixels at 512.

    Raises:
        HeadError: the head is not the network's. PortraitError: no camera of the network sees the head so.
    """
    check_head(head, config.points)
    warped = PersonalHead.create(head, fit.betas, fit.vertex_offsets).vertices(fit.pose)
    marks = (warped[head.faces[head.landmark_triangles]] * head.landmark_bary[..., None]).sum(1).astype(np.float64)
    seen = fit.camera.project(np.concatenate([np.zeros((1, 3)), marks]))
    count = len(marks)
    pixels_per_metre = fit.camera.K[0, 0] / float(seen[1:, 2].mean())
    side = 2 / FOCAL * DISTANCE / UNITS * pixels_per_metre
    corner = seen[0, :2] - side / 2  # the head's origin in the middle
    zoom = config.size / side
    target = (np.asarray(fit.landmarks[:count], np.float64) - corner) * zoom
    camera, error = _placed(marks * UNITS, target, fit.camera.viewmat, config.size)
    window = _window(fit, corner, zoom, config)
    return NetworkPortrait(window, network_camera(camera).astype(np.float32)), error * 512 / config.size


def _placed(marks: np.ndarray, target: np.ndarray, start: np.ndarray, size: int) -> tuple[Camera, float]:
    """The network's camera that sees ``marks`` (units) at ``target`` (pixels of the window), and the mean error."""
    lens = opencv_camera(np.column_stack([np.diag([-1.0, 1, -1]), [0, 0, DISTANCE]]), size)
    rotation, translation = cv2.Rodrigues(start[:3, :3])[0], np.array([[0.0], [0.0], [DISTANCE]])
    found, rotation, translation = cv2.solvePnP(
        marks, target, lens.K, None, rotation, translation, useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE
    )
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = cv2.Rodrigues(rotation)[0], translation[:, 0]
    if not found or not np.isfinite(viewmat).all() or not DISTANCE / 3 < viewmat[2, 3] < DISTANCE * 3:
        raise PortraitError(
            "The head in the photo cannot be seen by the network's camera.",
            remedy="Use a photo in which the face looks toward the camera.",
        )
    camera = replace(lens, viewmat=viewmat)
    return camera, float(np.linalg.norm(camera.project(marks)[:, :2] - target, axis=1).mean())


def _window(fit: PortraitFit, corner: np.ndarray, zoom: float, config: Config) -> np.ndarray:
    """The person on black in the window: (image, image, 3) uint8."""
    cut = fit.image.astype(np.float32) / 255 * fit.matte[..., None]
    scale = zoom * config.image / config.size
    if scale < 1:  # no finer than the window's pixels
        cut = cv2.GaussianBlur(cut, (0, 0), 0.5 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    # pixel centres are at .5 in our cameras and at integers in OpenCV's warps
    shift = -scale * corner + 0.5 * scale - 0.5
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    out = cv2.warpAffine(cut, warp, (config.image, config.image), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.clip(out * 255 + 0.5, 0, 255), np.uint8)


def local_points(head: PersonalHead, pose: HeadPose, config: Config = RELEASED) -> tuple[np.ndarray, np.ndarray]:
    """(4, 4) where a pose puts the head, and (points, 3) its vertices in metres without that: the network's input."""
    still = np.zeros(3, np.float32)
    local = replace(pose, global_orient=still, neck_pose=still, translation=still)
    return _motion(head, pose), head.vertices(local)[: config.points]


def _motion(head: PersonalHead, pose: HeadPose) -> np.ndarray:
    motion = np.eye(4)
    motion[:3] = joint_transforms(axis_angle_to_matrix(pose.rotations), head.joints)[1]
    motion[:3, 3] += pose.translation
    return motion


def own_space(motion: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """(V, 3) vertices without the head's motion (4, 4)."""
    return (vertices.astype(np.float64) - motion[:3, 3]) @ motion[:3, :3]


def rigid_motion(head: PersonalHead, vertices: np.ndarray) -> np.ndarray:
    """(4, 4) that takes the head at rest to (V, 3) posed vertices, found from those that expressions move least.

    The best rotation of paired points (Kabsch 1976).
    """
    steady = _steady(head.model)
    source, target = head.rest[steady].astype(np.float64), vertices[steady].astype(np.float64)
    u, _, vt = np.linalg.svd((source - source.mean(0)).T @ (target - target.mean(0)))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    motion = np.eye(4)
    motion[:3, :3] = (u @ flip @ vt).T
    motion[:3, 3] = target.mean(0) - motion[:3, :3] @ source.mean(0)
    return motion


def _steady(model: HeadModel) -> np.ndarray:
    """Vertices that follow the neck joint alone, and of those the calmest fifth."""
    if "gagavatar_steady" not in model._cache:
        moved = np.abs(dense_expressions(model)).reshape(model.expression_count, model.vertex_count, 3).max((0, 2))
        rigid = np.flatnonzero(model.skin_weights[:, 1] > 0.99)
        calm = moved[rigid] <= np.quantile(moved[rigid], 0.2)
        model._cache["gagavatar_steady"] = rigid[calm]
    return model._cache["gagavatar_steady"]
