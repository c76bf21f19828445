"""Prepared footage to what learned heads train on: portraits as the pipeline reads them, beside other true frames.

A front frame of a person plays the photograph and goes through the detector, the parser and the head fit like a
user's. Beside it are seven other frames of that person, their cameras moved by the one similarity that lays the
footage's head on the head that was fitted to this one photograph, as ``training.heads`` does with synthetic people.
What footage does not tell is not made up: albedo and light are marked as unknown ("lit" 0), classes come from the
parser, and what lies beyond the source picture counts nothing.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from ..camera import Camera
from ..errors import GsheadError
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.skinning import PersonalHead
from ..methods.common.observe import observe_portrait
from ..portrait.fit import fit_portrait
from ..portrait.matte import head_window
from ..portrait.types import PortraitFit
from ..training.crops import STORED, UNKNOWN, cut_labels, cut_matte, widened
from ..training.footage import APART, FACING, Footage, Frame
from ..training.footage_shard import FIRST_SEED
from ..training.heads import GROUPS, VIEW, VIEWS, face_similarity, moved_camera, observed_arrays
from .cropping import parsed, projected_marks

FRONT = 35.0
"""Degrees up to which a frame plays the photograph, where the person has such frames."""
PARSED = 75.0
"""Degrees up to which the parser, which learned from fronts, is asked."""
UNLABELLED = 254
"""A pixel of this person of which no class is known: it counts in full."""
SIDE, FAR_SIDE, BEHIND = 10.0, 45.0, 100.0
SOLID = 128


def sources_of(footage: Footage, person: str, count: int) -> list[int]:
    """At most ``count`` frames that can play the photograph, spread over the person's time."""
    mine = footage.frames_of(person)
    angles = footage.angles[mine]
    limit = FRONT if (angles <= FRONT).any() else FACING
    fronts = mine[angles <= limit]
    fronts = fronts[np.argsort(footage.times[fronts], kind="stable")]
    at = np.linspace(0, len(fronts) - 1, min(count, len(fronts))).round().astype(int)
    return [int(i) for i in fronts[np.unique(at)]]


def targets_of(footage: Footage, source: int, rng: np.random.Generator) -> list[int]:
    """``VIEWS`` - 1 other frames of the source's person, evenly over the angles from which they are seen; some twice
    where there are too few."""
    mine = footage.frames_of(footage.person_of(source))
    apart = (np.abs(footage.times[mine] - footage.times[source]) >= APART) | (
        footage.views[mine] != footage.views[source]
    )
    pool = next(p for p in (mine[apart], mine[mine != source], mine) if p.size)
    pool = pool[np.argsort(footage.angles[pool] + 1e-6 * rng.random(pool.size))]
    parts = np.array_split(pool, VIEWS - 1) if pool.size >= VIEWS - 1 else []
    if parts:
        return [int(rng.choice(part)) for part in parts]
    return [int(i) for i in np.resize(rng.permutation(pool), VIEWS - 1)]


def head_sample(footage: Footage, head: HeadModel, source: int) -> dict[str, np.ndarray] | None:
    """The arrays of one sample, as ``training.heads.arrays`` stores a synthetic person; None where the pipeline does
    not find the face again, or fits quite another one."""
    frame = footage[source]
    try:
        fit = fit_portrait(_png(frame.image), head)
        seen = observe_portrait(fit, head)
    except GsheadError:
        return None
    true = PersonalHead.create(head, frame.betas, frame.vertex_offsets)
    similarity = face_similarity(true, fit, head)
    if similarity is None:
        return None
    seed = seed_of(frame)
    others = [footage[i] for i in targets_of(footage, source, np.random.default_rng(seed))]
    views = [_photo(fit), *(_view(head, true, other, similarity) for other in others)]
    groups = [0, *(_group(frame, other) for other in others)]
    texels = len(seen.lattice)
    return {
        **observed_arrays(seed, seen),
        "K": np.stack([v.camera.K for v in views]).astype(np.float32),
        "viewmat": np.stack([v.camera.viewmat for v in views]).astype(np.float32),
        "pose": np.stack([v.pose.to_vector() for v in views]), "color": np.stack([v.color for v in views]),
        "matte": np.stack([v.matte for v in views]), "labels": np.stack([v.labels for v in views]),
        "light": np.zeros((9, 3), np.float32), "lit": np.zeros((), np.uint8), "group": np.array(groups, np.uint8),
        "uv_color": np.zeros((texels, 3), np.uint8), "uv_label": np.full(texels, UNKNOWN, np.uint8),
    }  # fmt: skip


def crop_sample(footage: Footage, head: HeadModel, index: int) -> dict[str, np.ndarray]:
    """What the identity stage of ``sega`` reads: a crop as photographs are cut, the matte, the parser's classes.

    It lacks what the portrait networks learn from: footage has no truth for them.
    """
    frame = footage[index]
    marks = _marks(head, PersonalHead.create(head, frame.betas, frame.vertex_offsets), frame)
    wide = widened(head_window(frame.image, marks)[0]).resized(STORED)
    labels = _labels(frame, marks)
    image = cv2.resize(wide.cut(frame.image), (STORED, STORED), interpolation=cv2.INTER_AREA)
    return {
        "image": image, "matte": cut_matte(frame.matte.astype(np.float32) / 255, wide),
        "labels": cut_labels(labels, wide), "seed": np.array(seed_of(frame), np.int64),
    }  # fmt: skip


def seed_of(frame: Frame) -> int:
    """A number for a frame that no synthetic person has."""
    said = hashlib.sha256(f"{frame.person} {frame.number} {frame.view}".encode()).digest()
    return FIRST_SEED + int.from_bytes(said[:6], "big") // 2


class _Picture:
    """One true picture of ``VIEW`` pixels. color: (S, S, 3) uint8. matte, labels: (S, S) uint8."""

    def __init__(
        self, camera: Camera, pose: HeadPose, image: np.ndarray, matte: np.ndarray, labels: np.ndarray
    ) -> None:
        self.camera, self.pose = camera.resized(VIEW, VIEW), pose
        self.color = cv2.resize(image, (VIEW, VIEW), interpolation=cv2.INTER_AREA)
        self.matte = cv2.resize(matte, (VIEW, VIEW), interpolation=cv2.INTER_AREA)
        self.labels = cv2.resize(labels, (VIEW, VIEW), interpolation=cv2.INTER_NEAREST)


def _photo(fit: PortraitFit) -> _Picture:
    """The photograph itself, with the head that was fitted to it."""
    matte = (np.clip(fit.matte, 0, 1) * 255 + 0.5).astype(np.uint8)
    labels = _classes(None if fit.parsing is None else fit.parsing, matte)
    if fit.covers is not None:
        at = np.arange(matte.shape[0]) + 0.5
        left, top, right, bottom = fit.covers
        labels[~(((at > top) & (at < bottom))[:, None] & ((at > left) & (at < right))[None])] = UNKNOWN
    return _Picture(fit.camera, fit.pose, fit.image, matte, labels)


def _view(
    head: HeadModel, true: PersonalHead, frame: Frame, similarity: tuple[float, np.ndarray, np.ndarray]
) -> _Picture:
    labels = _labels(frame, _marks(head, true, frame))
    return _Picture(moved_camera(frame.camera, similarity), frame.pose, frame.image, frame.matte, labels)


def _labels(frame: Frame, marks: np.ndarray) -> np.ndarray:
    told = parsed(frame.image, marks) if _angle(frame) <= PARSED else None
    labels = _classes(None if told is None else told.probabilities, frame.matte)
    labels[~frame.known] = UNKNOWN
    return labels


def _classes(probabilities: np.ndarray | None, matte: np.ndarray) -> np.ndarray:
    """(S, S) uint8 of (12, S, S) probabilities, where the matte says that somebody is there."""
    if probabilities is None:
        return np.where(matte >= SOLID, UNLABELLED, 0).astype(np.uint8)
    return np.where(matte >= SOLID, 1 + probabilities[1:].argmax(0), 0).astype(np.uint8)


def _marks(head: HeadModel, true: PersonalHead, frame: Frame) -> np.ndarray:
    return projected_marks(head, true, frame.pose, frame.camera)


def _group(source: Frame, other: Frame) -> int:
    """Index into ``heads.GROUPS``: what the picture shows beside the photograph."""
    angle = _angle(other)
    if angle > BEHIND:
        return GROUPS.index("behind")
    if angle > FAR_SIDE:
        return GROUPS.index("far side")
    same = other.time == source.time and other.view != source.view
    return GROUPS.index("side" if same and angle > SIDE else "expression")


def _angle(frame: Frame) -> float:
    eye = frame.camera.position
    return float(np.degrees(np.arccos(np.clip(eye[2] / max(float(np.linalg.norm(eye)), 1e-9), -1, 1))))


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
