"""A video, or a folder of pictures in order, to persons and their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import NoFaceError
from ..head.model import HeadModel
from ..portrait.crop import Crop
from ..portrait.tracking.clip import Clip, open_clip
from ..training.footage_shard import CodedFrame, coded
from .cropping import ENLARGED, cropped, head_crop_of, matte_of, steady
from .fitted import Fitted, camera_of, fit_person, marks_error
from .plan import PersonPlan, Plan, error_facts
from .settings import Counts, Settings
from .shots import Shot, shots, take

CUT_SIDE = 4096
"""Pixels of the longer side of the pictures that crops are cut from; landmarks are found in smaller ones."""
FEWEST = 4
"""Frames of a shot below which nobody can be met."""
BLURRED = 0.3
"""Share of a shot's median sharpness below which a frame is blurred ..."""
DULL = 4.0
"""... and the sharpness below which it is, whatever the others are: sharp faces have 25 to 45, blurred by 2 % of their
width 5."""
TURNED = 70.0
"""Degrees beyond which half of the landmarks are guesses."""
MISFIT = 0.035
"""Landmark error, as a share of the face's height, that no face of this person has."""


def plan_clip(
    path: Path, head: HeadModel, settings: Settings, progress: Callable[[float, str], None] = lambda f, t: None
) -> Plan:
    """Look at a clip. Raises ``ArgumentError`` when it is none, ``NoFaceError`` when nothing of it can be used."""
    clip, counts = open_clip(path), Counts()
    progress(0.0, "looking for cuts")
    taken = take(clip, settings)
    counts.looked = len(taken.number) + taken.unreadable
    counts.drop("unreadable", taken.unreadable)
    found = shots(clip, taken, lambda f: progress(0.1 + 0.8 * f, "following the face"))
    counts.drop("no_face", len(taken.number) - sum(len(s.numbers) for s in found))
    usable = [s for s in found if len(s.numbers) >= FEWEST]
    if not settings.every_shot:
        usable = sorted(usable, key=lambda s: -len(s.numbers))[:1]
    counts.drop("other_shot", sum(len(s.numbers) for s in found) - sum(len(s.numbers) for s in usable))
    people, errors = [], []
    for shot in usable:
        person, error = _person(clip, shot, head, settings, counts)
        if person is not None:
            people.append(person)
            errors.append(error)
    if not people:
        raise NoFaceError(
            f"Nothing of '{path.name}' can be used: {told(counts)}.",
            remedy="Use a clip of one face that looks toward the camera, evenly lit, sharp and not covered.",
        )
    facts = {"shots": len(found), **error_facts(np.concatenate(errors))}
    return Plan("clip", people, counts, "", facts)


def told(counts: Counts) -> str:
    """Counts as a part of a sentence."""
    from .settings import REASONS

    dropped = [f"{n} {REASONS[reason]}" for reason, n in sorted(counts.dropped.items())]
    return f"of {counts.looked} frames, {', '.join(dropped) or 'none is dropped'}"


def _person(
    clip: Clip, shot: Shot, head: HeadModel, settings: Settings, counts: Counts
) -> tuple[PersonPlan | None, np.ndarray]:
    fitted = fit_person(head, shot.seen)
    full = replace(clip, max_side=CUT_SIDE)
    scale = _width(full, int(shot.numbers[0])) / shot.seen.size[0, 0]
    cameras = [camera_of(shot.seen, i, fitted.focal, fitted.viewmat[i]) for i in range(len(shot.numbers))]
    cameras = [c.resized(round(scale * c.width), round(scale * c.height)) for c in cameras]
    crops = steady([head_crop_of(fitted.personal, c, settings.size) for c in cameras])
    reasons = _reasons(shot, fitted, crops, settings)
    for reason in reasons:
        if reason:
            counts.drop(reason)
    kept = np.array([i for i, reason in enumerate(reasons) if not reason], int)
    if kept.size < FEWEST:
        counts.drop("other_shot", kept.size)
        return None, np.zeros(0)

    def frames(first: int) -> Iterator[CodedFrame]:
        rows = {int(shot.numbers[i]): int(i) for i in kept[first:]}
        for number, _, image in full.frames():
            if number in rows and image is not None:
                i = rows[number]
                local = crops[i].to_crop(scale * shot.seen.points[i, :, :2])
                camera, pose = cropped(cameras[i], crops[i]), fitted.pose[i]
                picture = crops[i].cut(image)
                yield coded(
                    picture, matte_of(picture, local, crops[i].inside(image.shape)), camera, pose,
                    time=float(shot.seen.seconds[i]), view=0, number=number,
                    error_px=marks_error(fitted.personal, pose, camera, local), covers=crops[i].covered(image.shape),
                )  # fmt: skip

    return PersonPlan(f"shot {shot.numbers[0]}", fitted.betas, fitted.vertex_offsets, kept.size, frames), fitted.error[
        kept
    ]


def _reasons(shot: Shot, fitted: Fitted, crops: list[Crop], settings: Settings) -> list[str]:
    """Why a frame is dropped, "" for those that stay."""
    blurred = shot.sharpness < max(BLURRED * float(np.median(shot.sharpness)), DULL)
    small = np.array([c.side for c in crops]) < settings.size / ENLARGED
    out = np.full(len(crops), "", object)
    for reason, which in (
        ("does_not_fit", fitted.error > MISFIT), ("turned_away", fitted.yaw > TURNED), ("blurred", blurred),
        ("too_small", small),
    ):  # fmt: skip
        out[which] = reason
    return out.tolist()


def _width(clip: Clip, number: int) -> int:
    for _, _, image in clip.frames(number):
        if image is not None:
            return int(image.shape[1])
    raise AssertionError
