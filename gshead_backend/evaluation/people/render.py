"""Make the test people: bodies here, pictures in Blender, then one multi-view folder a person. Resumable."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import EvaluationError
from ...files import write_atomic
from ...head.arkit import ARKIT_NAMES
from ...head.catalog import load_head
from ...head.model import HeadModel
from ...portrait.labels import LABELS
from .bodies import default_geometry, identity, looking, make_body
from .cast import CAST, DAILY, SAMPLES, SIZE, VERSION, Role
from .frames import EXPRESSIONS, VIEWS, Moment, cameras, moments
from .job import facts_of, store_body

LABEL_STEP = 16
SCRIPT = Path(__file__).with_name("scene.py")
LICENSE = "CC0-1.0"
Progress = Callable[[float, str], None]


def render_people(
    folder: Path, *, people: Sequence[str] | None = None, python: Path | None = None,
    frames: Sequence[str] | None = None, views: Sequence[int] | None = None,
    progress: Progress = lambda fraction, text: None, size: int = SIZE, samples: int = SAMPLES,
) -> list[Path]:  # fmt: skip
    """Render test people into ``folder``; what is there already is kept.

    Args:
        people: names from ``cast.CAST``; all when None. Those on ICT-FaceKit's geometry need an imported head named
            "ict" or ``$GSHEAD_ICT`` (a head file), and are left out without.
        frames: names from ``frames.EXPRESSIONS``; all when None. views: indices into ``frames.VIEWS``; all when None.
            More of both can be added by a later call.
        python: a Python with the bpy wheel, or a Blender program; ``$GSHEAD_BLENDER`` or the one that ``bootstrap.py``
            made when None.
    Returns:
        The folders, with all that was wanted in them.
    Raises:
        EvaluationError: no Blender, an unknown name, or Blender failed.
    """
    known = {role.name: role for role in CAST}
    unknown = [n for n in people or () if n not in known]
    if unknown:
        raise EvaluationError(f"There is no test person '{unknown[0]}'.", remedy=f"Known are: {', '.join(known)}.")
    strange = [n for n in frames or () if n not in EXPRESSIONS]
    if strange:
        raise EvaluationError(f"There is no frame '{strange[0]}'.", remedy=f"Known are: {', '.join(EXPRESSIONS)}.")
    wanted = sorted(set(range(len(VIEWS)) if views is None else views))
    if not wanted or not 0 <= wanted[0] <= wanted[-1] < len(VIEWS):
        raise EvaluationError(f"Views are numbered 0 to {len(VIEWS) - 1}, not {list(views or ())}.")
    ict = ict_head()
    roles = [known[n] for n in people or known if known[n].geometry == "default" or ict is not None]
    blender = python or find_blender()
    names = [m for m in EXPRESSIONS if frames is None or m in frames]
    done = [folder / role.name for role in roles]
    missing = {(k, n): sorted(set(wanted) - _rendered(done[k] / n, size)) for n in names for k in range(len(roles))}
    todo = {key: left for key, left in missing.items() if left}
    for at, ((k, name), left) in enumerate(todo.items()):
        role = roles[k]
        progress(at / len(todo), f"{role.name}: {name}")
        head = ict if role.geometry == "ict" else None
        moment = next(m for m in moments(role) if m.name == name)
        _frame(done[k], role, moment, left, head, blender, size, samples)
        _finish(done[k], role, head, size, samples)
    lost = len(people or known) - len(roles)
    progress(1.0, f"{len(done)} test people" + (f"; {lost} left out: no ICT-FaceKit head is installed" if lost else ""))
    return done


def ict_head() -> HeadModel | None:
    """The ICT-FaceKit head, when one is installed."""
    from ...errors import GsheadError

    try:
        return load_head(os.environ.get("GSHEAD_ICT") or "ict")
    except GsheadError:
        return None


def find_blender() -> Path:
    """A Python with the bpy wheel, or a Blender. Raises ``EvaluationError``."""
    chosen = os.environ.get("GSHEAD_BLENDER")
    root = Path(__file__).parents[3]
    candidates = [Path(chosen)] if chosen else [
        root / ".venvs" / f"blender-{v}" / "bin" / "python" for v in ("4.5", "5.0", "5.2")
    ]  # fmt: skip
    for path in candidates:
        if path.exists():
            return path
    found = shutil.which("blender")
    if found and not chosen:
        return Path(found)
    raise EvaluationError(
        f"There is no Blender to render test people with (looked for {', '.join(map(str, candidates))}).",
        remedy="Run 'python3 bootstrap.py setup', or set GSHEAD_BLENDER to a Blender or to a Python with bpy.",
    )


def _rendered(place: Path, size: int) -> set[int]:
    """The views of a frame that are there, made by this version and of this size."""
    try:
        made = json.loads((place / "made.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if made.get("cast") != VERSION or made.get("size") != size:
        return set()
    return set(made.get("views", range(len(VIEWS))))


def _frame(
    target: Path, role: Role, moment: Moment, views: Sequence[int], head: HeadModel | None, blender: Path, size: int,
    samples: int,
) -> None:  # fmt: skip
    """Render these views of a frame, beside those that are there."""
    place = target / moment.name
    body = make_body(role, moment, head)
    every = [c.resized(size, size) for c in cameras(role, middle_of(role, head))]
    there = _rendered(place, size)
    with tempfile.TemporaryDirectory(prefix="gshead-") as temporary:
        work = Path(temporary)
        store_body(body, work / "body.npz")
        job: dict[str, Any] = {
            "body": str(work / "body.npz"), "role": facts_of(role, body), "out": temporary, "size": size,
            "samples": samples,
            "views": [
                {"index": k, "K": every[k].K.tolist(), "viewmat": every[k].viewmat.tolist(), "size": size}
                for k in views
            ],
        }  # fmt: skip
        if role.crowd:
            other = CAST[(CAST.index(role) + 4) % 15]
            store_body(make_body(other, moments(other)[0]), work / "other.npz")
            shift = np.eye(4)
            shift[:3, 3] = [0.30, -0.02, -0.42]
            job["crowd"] = {"body": str(work / "other.npz"), "role": facts_of(other, None), "matrix": shift.tolist()}
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        run_blender(blender, work / "job.json")
        place.mkdir(parents=True, exist_ok=True)
        for k in views:
            shutil.copy(work / f"view_{k:02d}.png", place / f"view_{k:02d}.png")
            _truth(work, place, k)
    marks = np.stack([c.project(body.landmarks)[:, :2] for c in every]).astype(np.float32)
    with (place / "landmarks.part").open("wb") as file:
        np.save(file, marks)
    os.replace(place / "landmarks.part", place / "landmarks.npy")
    made = {"cast": VERSION, "size": size, "views": sorted(there | set(views))}
    write_atomic(place / "made.json", json.dumps(made).encode())  # last: now they are complete


def _truth(work: Path, place: Path, k: int) -> None:
    """The label map and the matte from Blender's flat renders."""
    coded = cv2.imread(str(work / f"coded_{k:02d}.png"), cv2.IMREAD_UNCHANGED)
    cover = cv2.imread(str(work / f"cover_{k:02d}.png"), cv2.IMREAD_UNCHANGED)
    if coded is None or cover is None or coded.shape[2] != 4:
        raise EvaluationError("Blender wrote no label picture.")
    seen = np.where(coded[..., 3] > 127, np.round(coded[..., 1] / LABEL_STEP), 0).astype(np.uint8)
    cv2.imwrite(str(place / f"labels_{k:02d}.png"), _agreed(seen, cover[..., 3] > 127))
    cv2.imwrite(str(place / f"matte_{k:02d}.png"), cover[..., 3])


def _agreed(seen: np.ndarray, person: np.ndarray) -> np.ndarray:
    """One ray a pixel hits hair or misses it by chance: the most frequent label around each pixel of the person."""
    votes = np.stack([cv2.GaussianBlur((seen == k).astype(np.float32), (0, 0), 0.8) for k in range(1, len(LABELS))])
    return np.where(person, votes.argmax(0) + 1, 0).astype(np.uint8)


def run_blender(blender: Path, job: Path) -> None:
    """Run the scene script on a job file. Raises ``EvaluationError`` with the end of what Blender said."""
    command = [str(blender), str(SCRIPT), str(job)]
    if "python" not in blender.name:
        command = [str(blender), "--background", "--factory-startup", "--python", str(SCRIPT), "--", str(job)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if "GSHEAD-DONE" not in run.stdout:
        tail = "\n".join((run.stderr + run.stdout).strip().splitlines()[-8:])
        raise EvaluationError(f"Blender failed to render a test person:\n{tail}")


def middle_of(role: Role, head: HeadModel | None) -> np.ndarray:
    """(3,) what the cameras look at: the middle of the neutral face, a little inside."""
    marks = make_body(role, moments(role)[0], head).landmarks
    return np.array([0.0, (marks[10, 1] + marks[152, 1]) / 2, marks[[234, 454], 2].mean() + 0.01])


def _finish(target: Path, role: Role, head: HeadModel | None, size: int, samples: int) -> None:
    """``scene.json`` and the landmarks of the views that are there."""
    model = default_geometry() if head is None else head
    frames, views, marks = {}, [], []
    posed = [c.resized(size, size) for c in cameras(role, middle_of(role, head))]
    for moment in moments(role):
        there = sorted(_rendered(target / moment.name, size))
        if not there:
            continue
        weights = looking(model, moment)
        frames[moment.name] = {
            "arkit": {n: round(float(w), 5) for n, w in zip(ARKIT_NAMES, weights, strict=True) if w > 0},
            "gaze_deg": {"left": moment.gaze[0].round(4).tolist(), "right": moment.gaze[1].round(4).tolist()},
        }  # fmt: skip
        marks.append(np.load(target / moment.name / "landmarks.npy")[there])
        for k in there:
            camera = posed[k]
            views.append({
                "image": f"{moment.name}/view_{k:02d}.png", "frame": moment.name,
                "matte": f"{moment.name}/matte_{k:02d}.png",
                "labels": f"{moment.name}/labels_{k:02d}.png", "K": camera.K.tolist(),
                "viewmat": camera.viewmat.tolist(),
            })  # fmt: skip
    with (target / "landmarks.part").open("wb") as file:
        np.savez_compressed(file, landmarks=np.concatenate(marks))
    os.replace(target / "landmarks.part", target / "landmarks.npz")
    document = {
        "format": "gshead-multiview", "version": 1, "name": role.name, "license": LICENSE, "cast": VERSION,
        "size": size, "samples": samples, "role": dataclasses.asdict(role), "head": model.name,
        "betas": identity(role, model).astype(float).round(6).tolist(), "landmarks": "landmarks.npz", "source": 0,
        "frames": frames, "views": views,
    }  # fmt: skip
    write_atomic(target / "scene.json", json.dumps(document, indent=1).encode())


__all__ = ["DAILY", "render_people"]
