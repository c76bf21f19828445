"""From our portrait fit to what the network takes, and from our poses to its points and cameras.

The network knows heads five times as large as in metres, without neck, root and translation: a moved head is a moved
camera. Its lens is long (focal length 12 in half picture sides), a photo's is not: the fitted head is placed anew, so
that its landmarks lie in the same window of the photo under the network's lens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...camera import Camera
from ...errors import HeadError, PortraitError
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...head.rotation import axis_angle_to_matrix
from ...head.skinning import PersonalHead, joint_transforms
from ...portrait.types import PortraitFit
from .config import RELEASED, Config
from .lifting import FOCAL, network_camera, opencv_camera

UNITS = 5.0
"""Network units per metre."""

DISTANCE = 10.5
"""Units between camera and head in the window that is cut out: about that of the network's training pictures."""

PARTS = ("mouth_cavity", "gums", "teeth_upper", "teeth_lower", "tongue")
"""Regions that an import adds behind a FLAME head's own vertices."""


@dataclass(frozen=True)
class Person:
    """A photographed person as the network takes them.

    Attributes:
        head: with the person's identity. image: (3, image, image) float32 0..1, sRGB-encoded, on black.
        camera: (3, 4) of the photo, see ``lifting``.
        error_px: mean error of the landmarks in the window, at 512 pixels.
    """

    head: PersonalHead
    image: np.ndarray
    camera: np.ndarray
    error_px: float


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


def make_person(fit: PortraitFit, head: HeadModel, config: Config = RELEASED) -> Person:
    """Cut the network's window out of a fitted portrait.

    Raises:
        HeadError: the head is not the network's. PortraitError: no camera of the network sees the head so.
    """
    check_head(head, config.points)
    personal = PersonalHead.create(head, fit.betas)
    warped = PersonalHead.create(head, fit.betas, fit.vertex_offsets).vertices(fit.pose)
    marks = (warped[head.faces[head.landmark_triangles]] * head.landmark_bary[..., None]).sum(1).astype(np.float64)
    seen = fit.camera.project(np.concatenate([np.zeros((1, 3)), marks]))
    count = len(marks)
    pixels_per_metre = fit.camera.K[0, 0] / float(seen[1:, 2].mean())
    side = 2 / FOCAL * DISTANCE / UNITS * pixels_per_metre
    corner = seen[0, :2] - side / 2  # the head's origin in the middle
    zoom = config.size / side
    target = (np.asarray(fit.landmarks[:count], np.float64) - corner) * zoom
    viewmat, error = _placed(marks * UNITS, target, fit.camera.viewmat, config.size)
    return Person(personal, _window(fit, corner, zoom, config), network_camera(viewmat), error * 512 / config.size)


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
    """The person on black in the window: (3, image, image) float32 0..1."""
    cut = fit.image.astype(np.float32) / 255 * fit.matte[..., None]
    scale = zoom * config.image / config.size
    if scale < 1:  # no finer than the window's pixels
        cut = cv2.GaussianBlur(cut, (0, 0), 0.5 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    # pixel centres are at .5 in our cameras and at integers in OpenCV's warps
    shift = -scale * corner + 0.5 * scale - 0.5
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    out = cv2.warpAffine(cut, warp, (config.image, config.image), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.clip(out, 0, 1).transpose(2, 0, 1), np.float32)


def driven_points(person: Person, pose: HeadPose, config: Config = RELEASED) -> np.ndarray:
    """(points, 3) float32 vertices in the network's units; root, neck and translation are left to the camera."""
    still = np.zeros(3, np.float32)
    local = replace(pose, global_orient=still, neck_pose=still, translation=still)
    return (person.head.vertices(local)[: config.points] * UNITS).astype(np.float32)


def driven_camera(person: Person, pose: HeadPose, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """(3, 4) of a frame: the photo's camera, after the head moved as ``pose`` says.

    Args:
        yaw, pitch: degrees that the head turns before all, to look at it from elsewhere; positive yaw shows more of the
            person's left, positive pitch more of the crown.
    """
    motion = np.eye(4)
    motion[:3] = joint_transforms(axis_angle_to_matrix(pose.rotations), person.head.joints)[1]
    motion[:3, 3] = (motion[:3, 3] + pose.translation) * UNITS
    turn = np.eye(4)
    around, over = np.radians([[0.0, -yaw, 0.0], [pitch, 0.0, 0.0]])
    turn[:3, :3] = axis_angle_to_matrix(over) @ axis_angle_to_matrix(around)
    camera = opencv_camera(person.camera, 512)
    return network_camera(replace(camera, viewmat=camera.viewmat @ turn @ motion))
