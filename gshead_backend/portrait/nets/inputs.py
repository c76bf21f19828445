"""What the networks are shown, made the same way in training and in use.

Parser: the head crop at ``PARSER_SIZE`` squared with six channels beside the colours. Regressor: the face turned
upright (``face_window``), its two eyes, and the landmarks in that window.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..landmarks import LEFT_EYE, RIGHT_EYE
from ..matte import FACE_OVAL

PARSER_SIZE = 256
PARSER_CHANNELS = 9
WINDOW = 256
"""Side in pixels of the upright face window from which the regressor's inputs are sampled."""
WINDOW_MARGIN = 1.5
FACE = 144
FACE_MARGIN = 1.25
EYE = 64
EYE_MARGIN = 1.9
VECTOR = 478 * 2 + 2
EYE_RINGS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
LIP_RING = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
MOUTH_RING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_SHIFT = 4  # cv2 draws with this many fractional bits


def parser_input(image: np.ndarray, person: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(9, S, S) float32: colours, person probability, face oval, eyes and brows, lips and mouth, place across and up.

    The drawn channels say where the features of *this* face are, the last two how far a pixel is from its middle in
    face heights, along and across the head's own axis: that tells the person from people behind.

    Args:
        image: (S, S, 3) uint8 sRGB. person: (S, S) uint8, 255 = a person for sure. landmarks: (478, 2) pixels.
    """
    size = image.shape[0]
    out = np.empty((PARSER_CHANNELS, size, size), np.float32)
    out[:3] = image.transpose(2, 0, 1)
    out[:3] = (out[:3] - 127.5) / 64
    out[3] = person.astype(np.float32) / 127.5 - 1
    out[4] = _drawn(size, landmarks, ((FACE_OVAL, 255),))
    out[5] = _drawn(size, landmarks, (*((ring, 128) for ring in BROWS), *((ring, 255) for ring in EYE_RINGS)))
    out[6] = _drawn(size, landmarks, ((LIP_RING, 128), (MOUTH_RING, 255)))
    out[7:] = _place(size, landmarks)
    return out


def _drawn(size: int, points: np.ndarray, polygons: tuple[tuple[tuple[int, ...], int], ...]) -> np.ndarray:
    """Polygons filled one over the other, 0..1."""
    canvas = np.zeros((size, size), np.uint8)
    scaled = np.round(np.clip(points - 0.5, -4 * size, 5 * size) * (1 << _SHIFT)).astype(np.int32)
    for ring, value in polygons:
        cv2.fillPoly(canvas, [scaled[list(ring)]], value, lineType=cv2.LINE_AA, shift=_SHIFT)
    return canvas.astype(np.float32) / 255


def _place(size: int, points: np.ndarray) -> np.ndarray:
    """(2, S, S) face heights from the middle of the face, across and up, limited to +-2."""
    top, chin = points[10], points[152]
    unit = max(float(np.linalg.norm(top - chin)), 1.1 * float(np.linalg.norm(points[234] - points[454])), 1e-3)
    up = (top - chin) / max(float(np.linalg.norm(top - chin)), 1e-3)
    at = (np.arange(size, dtype=np.float32) + 0.5)[None] - ((top + chin) / 2)[:, None]
    x, y = (at / unit).astype(np.float32)
    across = -up[1] * x[None, :] + up[0] * y[:, None]
    along = up[0] * x[None, :] + up[1] * y[:, None]
    return np.clip(np.stack([across, along]), -2, 2).astype(np.float32)


def window_frame(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, extent in pixels and roll (rad) of a face, from its (478, 2) landmarks."""
    d = landmarks[LEFT_EYE[0]] - landmarks[RIGHT_EYE[0]]
    roll = float(np.arctan2(d[1], d[0]))
    turn = _turn(-roll)
    local = landmarks[:468] @ turn.T
    low, high = local.min(0), local.max(0)
    return turn.T @ ((low + high) / 2), max(float((high - low).max()), 1.0), roll


def face_window(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The upright face: (WINDOW, WINDOW, 3) uint8, its landmarks (478, 2) in it, and the roll that was taken out."""
    center, extent, roll = window_frame(landmarks)
    scale = WINDOW / (extent * WINDOW_MARGIN)
    matrix = np.empty((2, 3))
    matrix[:, :2] = _turn(-roll) * scale
    matrix[:, 2] = WINDOW / 2 - matrix[:, :2] @ center
    local = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return sample_affine(image, matrix, WINDOW), local, roll


def sample_affine(
    image: np.ndarray, matrix: np.ndarray, size: int, *, border: int = cv2.BORDER_REPLICATE, fill: int = 0,
    nearest: bool = False,
) -> np.ndarray:  # fmt: skip
    """Warp by a (2, 3) similarity (image to result, pixel centres at +0.5); strong reductions are averaged first."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.7 and not nearest:
        target = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        ratio = np.array(target) / np.array(image.shape[1::-1])
        image = cv2.resize(image, target, interpolation=cv2.INTER_AREA)
        matrix = np.concatenate([matrix[:, :2] / ratio, matrix[:, 2:]], 1)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.full(2, 0.5) - 0.5  # OpenCV puts pixel centres on integers
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.warpAffine(image, shifted, (size, size), flags=flags, borderMode=border, borderValue=fill)


def regressor_input(
    window: np.ndarray, landmarks: np.ndarray, roll: float, jitter: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(3, FACE, FACE) face, (2, 3, EYE, EYE) right eye and mirrored left eye, (VECTOR,) landmarks and roll; float32.

    Args:
        window, landmarks, roll: from :func:`face_window`. jitter: (2, 3) similarity of window pixels, for training; the
            landmarks are those before it.
    """
    still = np.array([[1.0, 0, 0], [0, 1.0, 0]]) if jitter is None else jitter
    points = landmarks @ still[:, :2].T + still[:, 2]
    zoom = FACE / WINDOW * WINDOW_MARGIN / FACE_MARGIN
    matrix = zoom * still
    matrix[:, 2] += FACE / 2 - zoom * WINDOW / 2
    face = sample_affine(window, matrix, FACE)
    reach = EYE_MARGIN * max(float(np.linalg.norm(landmarks[a] - landmarks[b])) for a, b in (RIGHT_EYE, LEFT_EYE))
    eyes = []
    for corners in (RIGHT_EYE, LEFT_EYE):
        side = max(reach, 16.0) * float(np.sqrt(abs(np.linalg.det(still[:, :2]))))
        axes = still[:, :2] * (EYE / side)
        if corners is LEFT_EYE:
            axes = np.diag([-1.0, 1.0]) @ axes
        middle = landmarks[list(corners)].mean(0)
        eyes.append(sample_affine(window, np.concatenate([axes, (EYE / 2 - axes @ middle)[:, None]], 1), EYE))
    vector = np.concatenate([(points / WINDOW - 0.5).ravel() * 4, [np.sin(roll), np.cos(roll) - 1]])
    return _planes(face), np.stack([_planes(e) for e in eyes]), vector.astype(np.float32)


def _planes(image: np.ndarray) -> np.ndarray:
    return (image.transpose(2, 0, 1).astype(np.float32) - 127.5) / 64


def _turn(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])
