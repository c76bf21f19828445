"""From our portrait fit to what the network takes, and from our poses to its points and cameras.

The network knows heads five times as large as in metres, without neck, root and translation: a moved head is a moved
camera. Its lens is long (focal length 12 in half picture sides), a photo's is not: the fitted head is placed anew, so
that its landmarks lie in the same window of the photo under the network's lens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def own_vertices(head: HeadModel) -> np.ndarray:
    """Numbers of the head's own vertices, without what an import adds."""
    names = [name for name in PARTS if name in head.region_names]
    return np.flatnonzero(~head.region_mask(*names)) if names else np.arange(head.vertex_count)


def point_count(head: HeadModel) -> int:
    """Vertices that drive a network made for this head: the first so many, up to the last of its own."""
    own = own_vertices(head)
    return int(own[-1]) + 1 if own.size else 0


def check_head(head: HeadModel, count: int = RELEASED.points) -> None:
    """Raise ``HeadError`` unless the head's own vertices, apart from what an import adds, are ``count``."""
    found = point_count(head)
    if found != count:
        whose = "FLAME's" if count == RELEASED.points else "another head's"
        raise HeadError(
            f"The head '{head.name}' has {found} vertices of its own; GAGAvatar is driven by {whose} {count}.",
            remedy="Import a FLAME model with 'gshead head import PATH' and name it with --head."
            if count == RELEASED.points else "Use the head that the network was trained on.",
        )  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """Where the network's window lies in a photo, and the camera that sees the head in it.

    Attributes:
        corner: (2,) its left upper corner, photo pixels. side: photo pixels of its side.
        camera: of the network, OpenCV, ``size`` pixels, the head's own space in units. error: mean distance of the
            landmarks in it, pixels at 512.
    """

    corner: np.ndarray
    side: float
    camera: Camera
    error: float


def make_portrait(fit: PortraitFit, head: HeadModel, config: Config = RELEASED) -> tuple[NetworkPortrait, float]:
    """Cut the network's window out of a fitted portrait.

    Returns:
        What the network reads, and the mean error of the landmarks in the window, in pixels at 512.

    Raises:
        HeadError: the head is not the network's. PortraitError: no camera of the network sees the head so.
    """
    check_head(head, config.points)
    marks = head_marks(head, PersonalHead.create(head, fit.betas, fit.vertex_offsets).vertices(fit.pose))
    place = placement(fit.camera, marks, np.asarray(fit.landmarks[: len(marks)], np.float64), config.size)
    window = cut_window(on_black(fit.image, fit.matte), place, config.image)
    window = np.ascontiguousarray(np.clip(window * 255 + 0.5, 0, 255), np.uint8)
    return NetworkPortrait(window, network_camera(place.camera).astype(np.float32)), place.error


def head_marks(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """(468, 3) float64 places of the landmarks on posed vertices (V, 3)."""
    return (vertices[head.faces[head.landmark_triangles]] * head.landmark_bary[..., None]).sum(1).astype(np.float64)


def placement(camera: Camera, marks: np.ndarray, landmarks: np.ndarray, size: int) -> Placement:
    """The window of a head that a photo's camera sees.

    Args:
        camera: of the photo. marks: (n, 3) the head's landmarks in metres. landmarks: (n, 2) where they are seen,
            pixels of the photo. size: pixels of the network's picture.
    Raises:
        PortraitError: no camera of the network sees the head so.
    """
    seen = camera.project(np.concatenate([np.zeros((1, 3)), marks]))
    pixels_per_metre = camera.K[0, 0] / float(seen[1:, 2].mean())
    side = 2 / FOCAL * DISTANCE / UNITS * pixels_per_metre
    corner = seen[0, :2] - side / 2  # the head's origin in the middle
    target = (landmarks - corner) * (size / side)
    found, error = _placed(marks * UNITS, target, camera.viewmat, size)
    return Placement(corner, side, found, error * 512 / size)


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


def on_black(image: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 0..1: uint8 sRGB where the matte (H, W) 0..1 is one, black where it is zero."""
    return image.astype(np.float32) / 255 * matte[..., None]


def cut_window(picture: np.ndarray, place: Placement, side: int) -> np.ndarray:
    """The window of a picture (H, W) or (H, W, C) float32, ``side`` pixels square; black where the picture ends."""
    scale = side / place.side
    if scale < 1:  # no finer than the window's pixels
        picture = cv2.GaussianBlur(picture, (0, 0), 0.5 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    # pixel centres are at .5 in our cameras and at integers in OpenCV's warps
    shift = -scale * place.corner + 0.5 * scale - 0.5
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(picture, warp, (side, side), flags=cv2.INTER_LINEAR)


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
