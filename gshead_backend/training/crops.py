"""Training crops: synthetic people seen by the real detector and cut by the code that cuts photos in use.

A folder of crops has ``train`` and ``validation``; each holds chunks of ``CHUNK`` seeds as uncompressed safetensors
that are read through a memory map. A chunk is written in one step and never again, so an interrupted preparation goes
on where it was; the same seeds give the same bytes, however many processes work.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy

from ..errors import PortraitError
from ..files import check_writable, write_atomic
from ..portrait.angles import head_angles, toward_ray
from ..portrait.crop import Crop, face_height
from ..portrait.image import Photo
from ..portrait.landmarks import Landmarks
from ..portrait.locate import locate_face
from ..portrait.matte import head_window
from ..portrait.nets.face_inputs import face_window
from ..portrait.nets.inputs import PARSER_SIZE
from ..portrait.nets.regressor import face_ray
from ..process_pool import process_pool
from .synthetic.sample import Drawing

CHUNK = 16
SPARE = 1.125  # room around the parser's crop for shifted and turned views of it
STORED = round(PARSER_SIZE * SPARE)
PER_PERSON = 8
"""Seeds of one person: so many different photographs."""
FIRST_SEED = {"validation": PER_PERSON * 1_000, "train": PER_PERSON * 2_000}
"""Persons below 1,000 are for tests only."""
MISSED = 0.12  # mean landmark error in face heights above which the detector saw something else
UNKNOWN = 255  # a label that says nothing: in use, what lies outside the photo is cut off by its border
MakeChunk = Callable[[str, Sequence[int], str, Drawing | None], tuple[int, int]]
SYNTHETIC = "gshead_backend.training.synthetic.sample:draw"


def crop_sample(sample: Any) -> dict[str, Any] | None:
    """One ``synthetic.Sample`` to the arrays of a chunk; None when the detector does not find this face.

    Of a sample without labels only what the regressor learns from.
    """
    photo = Photo(np.ascontiguousarray(sample.image))
    try:
        located = locate_face(photo)
    except PortraitError:
        return None
    points = located.landmarks.points
    if located.photo is not photo or _error(points, sample.landmarks) > MISSED:
        return None
    face = _face(photo.image, located.landmarks, sample)
    if not sample.labels.size:
        return face
    crop, probability = head_window(photo.image, points)
    wide = widened(crop)
    to_wide = wide.resized(STORED)
    return {
        "image": cv2.resize(wide.cut(photo.image), (STORED, STORED), interpolation=cv2.INTER_AREA),
        "person": _person(probability),
        "labels": cut_labels(sample.labels, to_wide),
        "matte": cut_matte(sample.matte, to_wide),
        "marks": to_wide.to_crop(points).astype(np.float32),
        **face,
    }  # fmt: skip


def _face(image: np.ndarray, found: Landmarks, sample: Any) -> dict[str, Any]:
    window, window_marks, roll = face_window(image, found.solid)
    R = toward_ray(face_ray(found.points, sample.camera.K)) @ sample.camera.viewmat[:3, :3]
    return {
        "window": window,
        "window_marks": window_marks,
        "roll": np.float32(roll),
        "arkit": np.asarray(sample.arkit, np.float32),
        "gaze": np.asarray(sample.gaze, np.float32),
        "head": np.array(head_angles(R), np.float32),
        "light": np.asarray(sample.light, np.float32),
    }  # fmt: skip


def _error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.linalg.norm(found[:468] - true[:468], axis=1).mean() / face_height(true))


def widened(crop: Crop) -> Crop:
    """The crop with room around it for shifted and turned views."""
    margin = (SPARE - 1) / 2 * crop.side
    return Crop(crop.origin - margin, crop.side * SPARE, round(crop.size * SPARE))


def _person(probability: np.ndarray) -> np.ndarray:
    """(STORED, STORED) uint8; beyond the crop nothing is known and the nearest value continues."""
    small = cv2.resize(probability, (PARSER_SIZE, PARSER_SIZE), interpolation=cv2.INTER_AREA)
    pad = (STORED - PARSER_SIZE) // 2
    return (np.clip(np.pad(small, pad, mode="edge"), 0, 1) * 255 + 0.5).astype(np.uint8)


def cut_labels(labels: np.ndarray, crop: Crop) -> np.ndarray:
    """Nearest class; ``UNKNOWN`` outside the picture."""
    index = np.floor((np.arange(crop.size) + 0.5) / crop.scale + crop.origin[:, None]).astype(int)
    x, y = index
    h, w = labels.shape
    out = labels[np.clip(y, 0, h - 1)][:, np.clip(x, 0, w - 1)].astype(np.uint8)
    inside = ((y >= 0) & (y < h))[:, None] & ((x >= 0) & (x < w))[None, :]
    return np.where(inside, out, np.uint8(UNKNOWN))


def cut_matte(matte: np.ndarray, crop: Crop) -> np.ndarray:
    """(size, size) uint8 of a matte (H, W) 0..1; nothing outside the picture."""
    seen = (np.clip(matte, 0, 1) * 255 + 0.5).astype(np.uint8)
    return crop.cut(seen) * crop.inside(matte.shape)


def make_chunk(source: str, seeds: Sequence[int], path: str, how: Drawing | None = None) -> tuple[int, int]:
    """Write one chunk; (kept, missed) samples.

    Args:
        source: ``"package.module:function"`` from a seed (and ``how``, where given) to a Sample.
    """
    draw = _function(source)
    if how is not None:
        draw = partial(draw, how=how)
    kept = [{**item, "seed": np.int64(seed)} for seed in seeds if (item := crop_sample(draw(seed))) is not None]
    if kept:
        arrays = {key: np.ascontiguousarray(np.stack([item[key] for item in kept])) for key in kept[0]}
    else:
        arrays = {"seed": np.zeros(0, np.int64)}
    write_atomic(Path(path), safetensors.numpy.save(arrays))
    return len(kept), len(seeds) - len(kept)


def _function(source: str) -> Callable[..., Any]:
    module, _, name = source.partition(":")
    return getattr(importlib.import_module(module), name)


def prepare(
    folder: Path, split: str, samples: int, *, workers: int = 1, source: str = SYNTHETIC, how: Drawing | None = None,
    shots: int = PER_PERSON, skip: int = 0, minutes: float | None = None, make: MakeChunk | None = None,
    chunk: int = CHUNK, flat: bool = False, progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, int]:  # fmt: skip
    """Make ``samples`` crops of a split (rounded up to chunks) where they are not there yet.

    Args:
        how: handed to ``source``. shots: photographs of each person, 1 to 8; fewer take longer and show more people.
        skip: people to leave out at the beginning. minutes: start no new chunk after so long. make: writes a chunk,
            ``make_chunk`` when None. chunk: samples of one. flat: both splits lie in ``folder`` itself.

    Returns:
        Numbers of samples "kept" and "missed" by the detector now, of chunks "found" already there and still "left".
    """
    first, began = FIRST_SEED[split], time.monotonic()
    first += PER_PERSON * skip
    seeds = [first + PER_PERSON * (k // shots) + k % shots for k in range(-(-samples // chunk) * chunk)]
    chunks = [seeds[k : k + chunk] for k in range(0, len(seeds), chunk)]
    mark = "" if shots == PER_PERSON else f"-{shots}"
    names = [f"{part[0]:09d}{mark}.safetensors" for part in chunks]
    paths = [folder / f"{split}-{name}" if flat else folder / split / name for name in names]
    jobs = [(source, part, str(p), how) for part, p in zip(chunks, paths, strict=True) if not p.exists()]
    write = make or make_chunk
    told = {"kept": 0, "missed": 0, "found": len(chunks) - len(jobs), "left": 0}
    waiting = jobs[::-1]
    if jobs:
        check_writable(jobs[0][2])  # now, not after the minutes that the first chunk takes

    def more() -> bool:
        return bool(waiting) and (minutes is None or time.monotonic() - began < 60 * minutes)

    def count(result: tuple[int, int], busy: int) -> None:
        told["kept"] += result[0]
        told["missed"] += result[1]
        done = len(jobs) - len(waiting) - busy
        progress(done / len(jobs), f"{split}: {done} of {len(jobs)} chunks, {told['missed']} faces missed")

    if workers <= 1:
        while more():
            count(write(*waiting.pop()), 0)
    elif jobs:
        again = "Run again, with fewer --workers: what is written is kept."
        with process_pool(workers, "training data were made", remedy=again) as pool:
            running: set[Future[tuple[int, int]]] = set()
            while running or more():
                while len(running) < workers and more():
                    running.add(pool.submit(write, *waiting.pop()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    count(future.result(), len(running))
    told["left"] = len(waiting)
    return told
