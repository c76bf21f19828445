"""A clip to a ``Track``: follow the face, find the person, fit every frame, smooth."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ArgumentError, NoFaceError
from ...head.model import HeadModel
from ...head.rotation import euler_to_matrix, matrix_to_euler
from ...head.skinning import PersonalHead
from ...head.smoothing import HEAD_SECONDS, QUICK_SECONDS, smooth_channels, smoothed
from ...process_pool import process_pool
from ..gaze import look_channels
from ..types import Progress, no_progress
from .clip import Clip
from .follow import CHUNK, Seen, follow, nearest_face
from .gaps import filled, gaps
from .person import Person
from .store import Store

FOLLOWING = 0.75  # share of the whole work, for the progress
FEW = 2 * CHUNK  # frames for which other processes are not worth their start
FACING = np.diag([1.0, -1.0, -1.0])  # head space to the axes of an OpenCV camera that looks at the face


@dataclass(frozen=True)
class Track:
    """F frames at a constant rate.

    Attributes:
        fps: frames per second. arkit: (F, 52) 0..1, eyeLook* included.
        gaze: (F, 2, 3) degrees, Euler XYZ of the left and right eyeball in all.
        eyes: (F, 2, 3) degrees by which they turn beyond what eyeLook* do.
        head: (F, 3) degrees, Euler XYZ in head space; 0 looks into the camera.
        viewmat: (F, 4, 4) head space to camera. focal: pixels of frames of ``size`` (width, height).
        betas: (B,) identity that explains the clip. found: (F,) bool; other frames are filled in from their neighbours.
    """

    fps: float
    arkit: np.ndarray
    gaze: np.ndarray
    eyes: np.ndarray
    head: np.ndarray
    viewmat: np.ndarray
    focal: float
    size: tuple[int, int]
    betas: np.ndarray
    found: np.ndarray

    def gaps(self) -> list[tuple[int, int]]:
        """First and last index of every run of frames without a face."""
        return gaps(self.found)


def track(
    clip: Clip, head: HeadModel, *, workers: int = 0, smooth: float = 1.0, store: Path | None = None,
    progress: Progress = no_progress,
) -> Track:  # fmt: skip
    """Track the largest face of a clip's first frames through the clip.

    Args:
        head: the model whose expressions are fitted; the result drives any avatar.
        workers: processes that follow the face; as many as cores (at most 8) when 0.
        smooth: 0 leaves every frame alone, 1 is usual.
        store: a folder in which finished parts are kept until all is done; a later call goes on there.
    Raises:
        ArgumentError: a head without ARKit expressions. NoFaceError: no frame shows a face.
        MissingAssetError: the networks are not installed.
    """
    if not np.abs(head.arkit_expression).sum() > 0:
        raise ArgumentError(
            f"The head '{head.name}' has no ARKit expressions, which a take is made of.",
            remedy="Track with the default head; the take drives avatars on any head that has them.",
        )
    seen = _followed(clip, workers, store, lambda f, t: progress(FOLLOWING * f, t))
    if not seen.found.any():
        raise NoFaceError(
            f"None of the {len(seen)} frames of '{clip.path.name}' shows a face.",
            remedy="Use a clip of one face that looks toward the camera, evenly lit and not covered.",
        )
    progress(FOLLOWING, "Finding the person")
    person = Person(head, seen)
    raw = _solved(person, lambda f, t: progress(FOLLOWING + (1 - FOLLOWING) * f, t))
    result = _finished(clip, person, raw, smooth)
    progress(1.0, "Tracked")
    return result


def _followed(clip: Clip, workers: int, store: Path | None, progress: Progress) -> Seen:
    workers = workers or min(
        8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    kept = Store(store, clip)
    parts = kept.parts()
    done = sum(len(p) for p in parts)
    near = parts[-1].last_box() if parts else None
    total = max(clip.count, done, 1)

    def collect(part: Seen) -> None:
        parts.append(part)
        kept.add(len(parts) - 1, part)
        count = sum(len(p) for p in parts)
        lost = sum(int((~p.found).sum()) for p in parts)
        text = f"Following: frame {count} of {max(total, count)}" + (f", {lost} without a face" if lost else "")
        progress(min(count / total, 1.0), text)

    if workers == 1 or total - done <= FEW:
        for chunk, start in _chunks(clip, done, near):
            collect(follow(chunk, start))
    else:
        again = "Run again, with fewer --workers: what was followed is kept where there is a place for it."
        with process_pool(workers, "a face was followed", remedy=again) as pool:
            waiting: deque[Future[Seen]] = deque()
            for chunk, start in _chunks(clip, done, near):
                waiting.append(pool.submit(follow, chunk, start))
                while len(waiting) > workers + 1 or (waiting and waiting[0].done()):
                    collect(waiting.popleft().result())
            while waiting:
                collect(waiting.popleft().result())
    kept.close()
    return Seen.joined(parts) if parts else follow([], None)


def _chunks(
    clip: Clip, start: int, near: np.ndarray | None
) -> Iterator[tuple[list[tuple[float, np.ndarray | None]], np.ndarray | None]]:
    """Frames from ``start``, ``CHUNK`` together, and the box of the face to follow in them."""
    chunk: list[tuple[float, np.ndarray | None]] = []
    for _, seconds, image in clip.frames(start):
        if not chunk and image is not None:
            face = nearest_face(image, near)
            near = near if face is None else face.box
        chunk.append((seconds, image))
        if len(chunk) == CHUNK:
            yield chunk, near
            chunk = []
    if chunk:
        yield chunk, near


@dataclass(frozen=True)
class _Raw:
    """arkit: (n, 52) without eyeLook*. gaze: (n, 2, 3) Euler angles of the eyeballs. R: (n, 3, 3), t: (n, 3)."""

    arkit: np.ndarray
    gaze: np.ndarray
    R: np.ndarray
    t: np.ndarray


def _solved(person: Person, progress: Progress) -> _Raw:
    n, head = len(person.seen), person.solver.head
    raw = _Raw(np.zeros((n, 52)), np.zeros((n, 2, 3)), np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3)))
    rest = PersonalHead.create(head, person.betas.astype(np.float32)).rest
    state, before = None, -2
    for count, i in enumerate(person.found):
        state = person.fit(int(i), state if before == i - 1 else None)
        before = i
        raw.R[i], raw.t[i] = state.R, state.t
        raw.arkit[i] = person.arkit(state)
        raw.gaze[i] = person.gaze(int(i), state, rest)
        if count % CHUNK == 0:
            progress(count / person.found.size, f"Fitting: frame {i + 1} of {n}")
    return raw


def _finished(clip: Clip, person: Person, raw: _Raw, smooth: float) -> Track:
    """Fill, put on a constant rate, smooth; split the gaze into eyeLook* and what they do not reach."""
    seen, head = person.seen, person.solver.head
    angles = filled(np.unwrap(matrix_to_euler(FACING @ raw.R), axis=0), seen.found)
    columns = [filled(x.reshape(len(seen), -1), seen.found) for x in (raw.arkit, raw.gaze, angles, raw.t)]
    found = seen.found
    if np.abs(seen.seconds - seen.seconds[0] - np.arange(len(seen)) / clip.fps).max() > 0.5 / clip.fps:
        at = seen.seconds[0] + np.arange(round((seen.seconds[-1] - seen.seconds[0]) * clip.fps) + 1) / clip.fps
        columns = [np.stack([np.interp(at, seen.seconds, c) for c in x.T], 1) for x in columns]
        found = found[np.abs(seen.seconds[None] - at[:, None]).argmin(1)]
    arkit, gaze, angles, t = columns
    arkit = smooth_channels(arkit, clip.fps, smooth)
    gaze = smoothed(gaze, clip.fps, QUICK_SECONDS * smooth).reshape(-1, 2, 3)
    angles, t = (smoothed(x, clip.fps, HEAD_SECONDS * smooth) for x in (angles, t))
    look = np.stack([look_channels(head, g) for g in gaze])
    beyond = gaze - np.einsum("fc,cea->fea", look, head.arkit_eyes)
    viewmat = np.tile(np.eye(4), (len(t), 1, 1))
    viewmat[:, :3, :3], viewmat[:, :3, 3] = FACING @ euler_to_matrix(angles), t
    size = seen.size[person.found[0]]
    return Track(
        clip.fps, (arkit + look).astype(np.float32), np.degrees(gaze), np.degrees(beyond), np.degrees(angles), viewmat,
        float(np.exp(person.log_focal[0])), (int(size[0]), int(size[1])), person.betas, found,
    )  # fmt: skip
