"""What every pixel of a head crop shows, and how much of it is this person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from ...errors import ArgumentError, FileFormatError
from ..crop import face_height
from ..guided import GuidedFilter
from ..labels import LABEL_INDEX, LABELS
from ..matte import people
from .inputs import PARSER_SIZE, parser_input
from .weights import load_weights, weights_folder

if TYPE_CHECKING:
    from .inputs import ParserInput
    from .parser_net import ParserNet

NAME = "parser"
_ENCLOSING = 0.35  # of the matte: what counts as this person around a hole
_OUTLINE_REACH, _NEAR_REACH, _WIDE_REACH = 0.012, 0.03, 0.045  # face heights around a pixel that say where edges lie
_OUTLINE_CONTRAST, _CLASS_CONTRAST = 2e-4, 2e-5  # variance of the colours below which there is no edge
_FINE = tuple(LABEL_INDEX[name] for name in ("brows", "eyes", "ears"))
"""Small things beside others of their colour: a wide reach loses them, a second look adds nothing."""
_NOTHING = 1e-4
OF_THE_FACE = tuple(LABEL_INDEX[name] for name in ("brows", "eyes", "lips", "mouth"))


@dataclass(frozen=True)
class Parsing:
    """probabilities: (12, S, S) float16 of ``labels.LABELS``, sum 1. matte: (S, S) float32 0..1, this person."""

    probabilities: np.ndarray
    matte: np.ndarray


def parse(image: np.ndarray, landmarks: np.ndarray, person: np.ndarray | None = None) -> Parsing:
    """Parse a head crop.

    Args:
        image: (S, S, 3) uint8 sRGB as ``matte.head_window`` and ``Crop.cut`` make it. landmarks: (478, 2) pixels in it.
        person: (S, S) 0..1 person probability from ``head_window``; found anew when None.
    Raises:
        MissingWeightsError: the parser's weights are not installed. MissingAssetError: the person network is not.
        ArgumentError: wrong shapes.
    """
    if image.ndim != 3 or image.shape[0] != image.shape[1] or image.dtype != np.uint8 or landmarks.shape != (478, 2):
        raise ArgumentError(
            f"The parser takes a square uint8 picture and 478 landmarks, not {image.dtype} {image.shape} and "
            f"{landmarks.shape}."
        )
    net = load_parser()
    person = people(image) if person is None else person
    size = image.shape[0]
    small = cv2.resize(image, (PARSER_SIZE, PARSER_SIZE), interpolation=cv2.INTER_AREA)
    seen = cv2.resize(person.astype(np.float32), (PARSER_SIZE, PARSER_SIZE), interpolation=cv2.INTER_AREA)
    shown = parser_input(small, (seen * 255 + 0.5).astype(np.uint8), landmarks * (PARSER_SIZE / size))
    classes, matte = run_parser(net, shown)
    classes = _parts_in_the_face(classes, landmarks * (PARSER_SIZE / size))
    classes, matte = _holes_filled(classes, matte, seen, landmarks * (PARSER_SIZE / size))
    return _at_full_size(image, classes, matte, face_height(landmarks))


def run_parser(net: ParserNet, shown: ParserInput) -> tuple[np.ndarray, np.ndarray]:
    """One forward pass to class probabilities (12, S, S) and matte (S, S), float32."""
    import torch

    with torch.inference_mode():
        logits = net(*(torch.from_numpy(a)[None] for a in shown.arrays().values()))[0].float()
        return logits[: len(LABELS)].softmax(0).numpy(), logits[len(LABELS)].sigmoid().numpy()


def _parts_in_the_face(classes: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Brows, eyes, lips and mouth are where the landmarks' outline is: elsewhere, the next best class."""
    inside = np.zeros(classes.shape[1:], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(landmarks.astype(np.int32)), 1)
    reach = max(1, round(0.08 * face_height(landmarks)))
    inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    kept = classes.copy()
    kept[list(OF_THE_FACE)] *= inside
    return kept / np.maximum(kept.sum(0), 1e-6)


def _holes_filled(
    classes: np.ndarray, matte: np.ndarray, person: np.ndarray, landmarks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nobody has holes: background that this person encloses, and that the person network takes for a person, is
    the next best class. Plain clothes that resemble the background get such holes; so may the picture's lower border.
    """
    solid = np.pad((matte > _ENCLOSING).astype(np.uint8), ((1, 1), (1, 1)))
    solid[-1] = 1
    _, labels = cv2.connectedComponents(1 - solid, connectivity=4)
    hole = ((labels != labels[0, 0]) & (solid == 0))[1:-1, 1:-1] & (person > 0.5)
    if not hole.any():
        return classes, matte
    around = np.clip(3 * cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 5.0), 0, 1)  # its doubtful rim as well
    share = np.where(hole, 1.0, around * (matte > _ENCLOSING) * (person > 0.9))
    filled = classes.copy()
    filled[0] *= 1 - share
    low = np.arange(matte.shape[0])[:, None] > landmarks[152, 1]
    filled[LABEL_INDEX["clothes"]] += 0.02 * share * low  # where nothing else was thought of
    filled /= np.maximum(filled.sum(0), 1e-6)
    return filled, np.maximum(matte, share * person)


def _at_full_size(image: np.ndarray, classes: np.ndarray, matte: np.ndarray, unit: float) -> Parsing:
    """Enlarge, let the outline and the classes follow the picture's edges, and the classes agree with the matte."""
    size = image.shape[0]
    color = image.astype(np.float32) / 255
    large = cv2.resize(matte, (size, size), interpolation=cv2.INTER_LINEAR)
    alpha = np.clip(GuidedFilter(color, max(2, round(_OUTLINE_REACH * unit)), _OUTLINE_CONTRAST)(large), 0, 1)
    alpha = np.where((large < 0.01) | (large > 0.99), large, alpha)
    near, wide = (GuidedFilter(color, max(2, round(r * unit)), _CLASS_CONTRAST) for r in (_NEAR_REACH, _WIDE_REACH))
    probabilities = np.zeros((len(classes), size, size), np.float32)
    there = [int(i) for i in 1 + np.flatnonzero(classes[1:].max((1, 2)) > 0.01)]
    for i in there:
        enlarged = cv2.resize(classes[i], (size, size), interpolation=cv2.INTER_LINEAR)
        probabilities[i] = (near if i in _FINE else wide)(enlarged)
    _agree(probabilities, alpha)
    decided = probabilities * probabilities * probabilities  # edges of what is likely, not of every doubt
    decided /= np.maximum(decided.sum(0), 1e-6)
    for i in there:
        if i not in _FINE and decided[i].max() > 0.1:
            probabilities[i] = near(decided[i])
    _agree(probabilities, alpha)
    probabilities[probabilities < _NOTHING] = 0  # half precision has no normal numbers there, and converts slowly
    return Parsing(probabilities.astype(np.float16), alpha.astype(np.float32))


def _agree(probabilities: np.ndarray, alpha: np.ndarray) -> None:
    """In place: classes (12, S, S) that add up to the matte (S, S), and background for the rest."""
    inside = np.clip(probabilities, 0, 1, out=probabilities)[1:]
    inside *= alpha / np.maximum(inside.sum(0), 1e-4)
    probabilities[0] = np.maximum(1 - inside.sum(0), 0)


def load_parser(path: Path | None = None) -> ParserNet:
    """The network with its weights, read once. Raises ``MissingWeightsError``, ``FileFormatError``."""
    path = weights_folder() / f"{NAME}.safetensors" if path is None else path
    return _load(str(path), path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int) -> ParserNet:
    from .build import build
    from .parser_net import VERSION, ParserNet

    weights = load_weights(NAME, VERSION, Path(path))
    if weights.header.labels != list(LABELS):
        raise FileFormatError(f"{path} tells other classes apart: {', '.join(weights.header.labels)}.")
    return cast(ParserNet, build(ParserNet, weights))
