"""What the regressor is shown, made the same way in training and in use.

Faces are not read from pixels but from what MediaPipe's landmark networks make of them half way through: they were
trained on many photographs of people, ours sees renderings only. Both run on every portrait anyhow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..landmarks import FACE_CROP, IRIS_CROP, LEFT_EYE, RIGHT_EYE
from ..networks import run
from .inputs import sample_affine

WINDOW = 256
"""Side in pixels of the upright face window from which the regressor's inputs are sampled."""
WINDOW_MARGIN = 1.5
EYE_MARGIN = 2.3
UNMOVED = np.array([[1.0, 0, 0], [0, 1.0, 0]])
FACE_LAYER, FACE_FEATURES = "p_re_lu_12", (128, 12, 12)
EYE_LAYER, EYE_FEATURES = "p_re_lu_20", (128, 8, 8)
CONTOUR_LAYER, CONTOUR = "conv_eyes_contours_and_brows", 71 * 3


@dataclass(frozen=True)
class FaceInput:
    """One upright face, float32.

    Attributes:
        points: (478, 3) landmarks, x right, y up, z toward the camera, sides of the window.
        roll: (2,) sine and cosine - 1 of the roll that was taken out.
        face: (128, 12, 12) of ``FACE_LAYER``. eyes: (2, 128, 8, 8) of ``EYE_LAYER``, right eye and mirrored left eye.
        contours: (2, 213) eyelids and brow as the iris network sees them, likewise.
        outlines: (222, 4) of mouth, right eye and left eye as the Attention Mesh sees them: how far its points lie from
            the landmarks, x right and y up, sides of the face crop; and where in their region, x right and y down,
            from its middle in its sides. regions: (3, 64, 8, 8) maps of them.
    """

    points: np.ndarray
    roll: np.ndarray
    face: np.ndarray
    eyes: np.ndarray
    contours: np.ndarray
    outlines: np.ndarray
    regions: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in INPUTS}


INPUTS = tuple(FaceInput.__dataclass_fields__)


def window_frame(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, extent in pixels and roll (rad) of a face, from its (478, 2) landmarks."""
    d = landmarks[LEFT_EYE[0]] - landmarks[RIGHT_EYE[0]]
    roll = float(np.arctan2(d[1], d[0]))
    turn = _turn(-roll)
    local = landmarks[:468] @ turn.T
    low, high = local.min(0), local.max(0)
    return turn.T @ ((low + high) / 2), max(float((high - low).max()), 1.0), roll


def face_window(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The upright face: (WINDOW, WINDOW, 3) uint8, its landmarks (478, 3) in it, and the roll that was taken out.

    Args:
        landmarks: (478, 3) pixels and depth, as ``Landmarks.solid``.
    """
    center, extent, roll = window_frame(landmarks[:, :2])
    scale = WINDOW / (extent * WINDOW_MARGIN)
    matrix = np.empty((2, 3))
    matrix[:, :2] = _turn(-roll) * scale
    matrix[:, 2] = WINDOW / 2 - matrix[:, :2] @ center
    flat = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    local = np.column_stack([flat, landmarks[:, 2] * scale]).astype(np.float32)
    return sample_affine(image, matrix, WINDOW), local, roll


def regressor_input(
    window: np.ndarray, landmarks: np.ndarray, roll: float, jitter: np.ndarray | None = None
) -> FaceInput:
    """What the regressor is shown of a face.

    Args:
        window, landmarks, roll: from :func:`face_window`. jitter: (2, 3) similarity of window pixels, for training; the
            landmarks are those before it.
    Raises:
        MissingAssetError: the landmark networks are not installed.
    """
    from .attention_mesh import OF_REGIONS, SPACE, look_closer  # torch comes with it

    still = UNMOVED if jitter is None else jitter
    zoom = FACE_CROP / WINDOW
    face = sample_affine(window, zoom * still, FACE_CROP)
    seen = run("face_landmark.tflite", face, low=0.0, high=1.0, outputs=(FACE_LAYER,))[0][0]
    eyes, contours = np.empty((2, *EYE_FEATURES), np.float32), np.empty((2, CONTOUR), np.float32)
    for e, corners in enumerate((RIGHT_EYE, LEFT_EYE)):
        crop = eye_crop(window, landmarks[:, :2], corners, still)
        maps, contour = run(
            "iris_landmark.tflite", crop, low=0.0, high=1.0, outputs=(EYE_LAYER, CONTOUR_LAYER)
        )  # fmt: skip
        eyes[e], contours[e] = maps[0], contour.reshape(-1) / IRIS_CROP - 0.5
    flat = landmarks[:, :2] @ still[:, :2].T + still[:, 2]
    closer = look_closer(face, zoom * flat)
    moved = (closer.points - zoom * flat[OF_REGIONS]) * (np.array([1, -1]) / FACE_CROP)
    outlines = np.concatenate([moved, closer.local / SPACE - 0.5], 1)
    solid = np.column_stack([flat, landmarks[:, 2] * _zoom_of(still)])
    points = (solid - solid[:468].mean(0)) * (np.array([1, -1, -1]) / WINDOW)
    turned = np.array([np.sin(roll), np.cos(roll) - 1])
    return FaceInput(
        points.astype(np.float32), turned.astype(np.float32), seen, eyes, contours, outlines.astype(np.float32),
        closer.maps,
    )  # fmt: skip


def eye_crop(
    window: np.ndarray, points: np.ndarray, corners: tuple[int, int], jitter: np.ndarray | None = None
) -> np.ndarray:
    """(IRIS_CROP, IRIS_CROP, 3) an eye as the iris network wants it; the left one mirrored.

    Args:
        window, jitter: as :func:`regressor_input`; only the jitter's turn counts, an eye stays in the middle and as
            large as it is. points: (478, 2) landmarks in the window. corners: LEFT_EYE or RIGHT_EYE.
    """
    still = UNMOVED if jitter is None else jitter
    outer, inner = points[list(corners)]
    side = EYE_MARGIN * max(float(np.linalg.norm(outer - inner)), 7.0) * _zoom_of(still)
    axes = still[:, :2] * (IRIS_CROP / side)
    if corners is LEFT_EYE:
        axes = np.diag([-1.0, 1.0]) @ axes
    matrix = np.concatenate([axes, (IRIS_CROP / 2 - axes @ ((outer + inner) / 2))[:, None]], 1)
    return sample_affine(window, matrix, IRIS_CROP)


def _zoom_of(similarity: np.ndarray) -> float:
    return float(np.sqrt(abs(np.linalg.det(similarity[:, :2]))))


def _turn(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])
