"""The square that is cut out of a picture: around the head as it was fitted, so that nothing of it jitters."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ..camera import Camera
from ..errors import MissingWeightsError
from ..evaluation.align import head_marks
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.skinning import PersonalHead
from ..portrait.crop import Crop
from ..portrait.matte import cut_out, people
from ..portrait.nets.parser import Parsing, parse

HEIGHTS = 1.9
"""Side of the crop in heights of the bare head: hair and shoulders have room, and a portrait's own crop fits inside."""
BELOW = 0.06
"""How far below the head's middle the crop's middle is, in heights of the head: nothing above is as long as a neck."""
STEADY = 5
"""Frames to each side over which a crop's side is the median."""
ENLARGED = 2.0
"""A crop whose pixels would have to be enlarged more is not taken."""
_HEAD = ("skin", "scalp", "ear", "lips", "lids")


def head_crop_of(personal: PersonalHead, camera: Camera, size: int) -> Crop:
    """The crop of ``size`` pixels around a head, in pixels of ``camera``; the face's expression does not move it."""
    bare = personal.rest[personal.model.region_mask(*_HEAD)]
    low, high = bare.min(0), bare.max(0)
    height = float(high[1] - low[1])
    middle = (low + high) / 2 - np.array([0, BELOW * height, 0])
    u, v, depth = camera.project(middle[None])[0]
    side = HEIGHTS * height * float(camera.K[1, 1]) / max(float(depth), 1e-3)
    return Crop(np.array([u, v]) - side / 2, side, size)


def steady(crops: list[Crop]) -> list[Crop]:
    """The same with sides that do not jitter."""
    sides = np.array([c.side for c in crops])
    out = []
    for k, crop in enumerate(crops):
        side = float(np.median(sides[max(k - STEADY, 0) : k + STEADY + 1]))
        out.append(Crop(crop.origin + (crop.side - side) / 2, side, crop.size))
    return out


def cropped(camera: Camera, crop: Crop) -> Camera:
    """The camera that sees what the crop shows."""
    K = camera.K.copy()
    K[:2, 2] -= crop.origin
    K[:2] *= crop.scale
    return replace(camera, width=crop.size, height=crop.size, K=K)


def projected_marks(head: HeadModel, personal: PersonalHead, pose: HeadPose, camera: Camera) -> np.ndarray:
    """(478, 2) pixels where the fitted head has its landmarks; an iris is where the middle of its lids is."""
    points = camera.project(head_marks(head, personal.vertices(pose))[0])[:, :2]
    irises = [np.repeat(points[list(eye)].mean(0)[None], 5, 0) for eye in ((33, 133), (263, 362))]
    return np.concatenate([points, *irises])


def parsed(image: np.ndarray, marks: np.ndarray) -> Parsing | None:
    """What the parser says of a crop (S, S, 3) with landmarks (478, 2); None where it is not installed."""
    try:
        return parse(image, marks, people(image))
    except MissingWeightsError:
        return None


def matte_of(image: np.ndarray, marks: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(S, S) uint8: this person, from the parser or the classical way; nothing outside the source picture.

    Args:
        image: (S, S, 3) uint8 crop. marks: (478, 2) landmarks in it. inside: (S, S) bool, pixels that are known.
    """
    told = parsed(image, marks)
    alpha = cut_out(image, people(image), marks, inside) if told is None else told.matte * inside
    return (np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8)


def given_matte(matte: np.ndarray, crop: Crop) -> np.ndarray:
    """(S, S) uint8 of a known matte (H, W) float32 0..1."""
    full = (np.clip(matte, 0, 1) * 255 + 0.5).astype(np.uint8)
    return cv2.bitwise_and(crop.cut(full), np.where(crop.inside(full.shape), 255, 0).astype(np.uint8))
