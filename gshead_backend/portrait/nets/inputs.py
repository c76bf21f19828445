"""What the parser is shown, made the same way in training and in use: the head crop at ``PARSER_SIZE`` squared with six
channels beside the colours, and what MediaPipe's person network, which was trained on photographs, makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..matte import FACE_OVAL
from ..networks import run

PARSER_SIZE = 256
PARSER_CHANNELS = 9
EYE_RINGS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
LIP_RING = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
MOUTH_RING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_SHIFT = 4  # cv2 draws with this many fractional bits


@dataclass(frozen=True)
class ParserInput:
    """A head crop, float32. crop: (9, 256, 256) of :func:`drawn_input`. The others are feature maps of the person
    network: fine (16, 128, 128), middle (72, 64, 64), coarse (88, 32, 32), deep (128, 16, 16)."""

    crop: np.ndarray
    fine: np.ndarray
    middle: np.ndarray
    coarse: np.ndarray
    deep: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in PARSER_INPUTS}


PARSER_INPUTS = tuple(ParserInput.__dataclass_fields__)
PERSON_LAYERS = ("re_lu", "re_lu_3", "re_lu_5", "multiply_6")
PERSON_CHANNELS = (16, 72, 88, 128)


def parser_input(image: np.ndarray, person: np.ndarray, landmarks: np.ndarray) -> ParserInput:
    """What the parser is shown.

    Args:
        image: (256, 256, 3) uint8 sRGB. person: (256, 256) uint8, 255 = a person for sure. landmarks: (478, 2) pixels.
    Raises:
        MissingAssetError: the person network is not installed.
    """
    maps = run("selfie_segmentation.tflite", image, low=0.0, high=1.0, outputs=PERSON_LAYERS)
    return ParserInput(drawn_input(image, person, landmarks), *(m[0] for m in maps))


def drawn_input(image: np.ndarray, person: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
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
