"""What the portrait room hands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..camera import Camera
from ..head.pose import HeadPose
from .nets.regressor import FaceReading

Progress = Callable[[float, str], None]
"""Called with a fraction 0..1 and a short text. It raises ``errors.Cancelled`` when the user asked to stop."""


def no_progress(fraction: float, text: str) -> None:
    """A ``Progress`` that ignores everything."""


@dataclass(frozen=True)
class PortraitFit:
    """A portrait, cropped around the head, and the head model fitted to it.

    Attributes:
        image: (H, W, 3) uint8 sRGB, upright, square crop of about 2.2 face heights, 512..1024 pixels.
        matte: (H, W) float32 0..1, the head and what hangs on it (hair, neck, shoulders).
        landmarks: (478, 2) float32 pixels in ``image``: mediapipe's 468 face points, then 5 per iris
            (468..472 the person's right iris, 473..477 the left; the first of each is the centre).
        betas: (B,) identity. vertex_offsets: (V, 3) metres of non-rigid warp on the dense neutral mesh.
        pose: the portrait's expression, jaw and eyes; ``global_orient``, ``neck_pose`` and ``translation`` are zero.
        camera: sees head space; its viewmat carries the head pose of the photo.
        error_px: mean landmark reprojection error in pixels of ``image``.
        focal_known: the focal length came from EXIF.
        parsing: (12, H, W) float16 probabilities of ``labels.LABELS``, or None where no parser is installed.
        reading: expression, gaze, head pose and light as the face's pixels tell them; None where that network is not
            installed.
        covers: (4,) left, top, right, bottom pixel of ``image`` that the photo itself covers; all of it when None.
            Beyond, the photo's edge pixels continue.
        warnings: sentences for the user (several faces, small face, strong turn ...).
    """

    image: np.ndarray
    matte: np.ndarray
    landmarks: np.ndarray
    betas: np.ndarray
    vertex_offsets: np.ndarray
    pose: HeadPose
    camera: Camera
    error_px: float
    focal_known: bool = False
    parsing: np.ndarray | None = None
    reading: FaceReading | None = None
    covers: np.ndarray | None = None
    warnings: tuple[str, ...] = field(default=())
