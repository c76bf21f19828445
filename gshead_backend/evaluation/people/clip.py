"""Render a test person's clip in Cycles: one picture a frame, and ``clip.json`` with the truth. Resumable."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...camera import Camera
from ...errors import EvaluationError
from ...files import write_atomic
from ...head.arkit import ARKIT_NAMES
from ...head.model import HeadModel
from ...head.rotation import euler_to_matrix
from .bodies import default_geometry, identity, looking, make_body
from .cast import CAST, Role
from .frames import Moment, cameras
from .job import facts_of, store_body
from .motion import FPS, VERSION, moments
from .render import LICENSE, Progress, find_blender, ict_head, middle_of, run_blender

SIZE, SAMPLES = 384, 8


def render_clip(
    folder: Path, name: str, *, python: Path | None = None, size: int = SIZE, samples: int = SAMPLES,
    frames: int | None = None, progress: Progress = lambda fraction, text: None,
) -> Path:  # fmt: skip
    """Render a person's clip into ``folder/name``; pictures that are there are kept.

    The camera stands still; in the files it carries the head's motion, as head space does not move. The light and the
    backdrop go with the head.

    Args:
        name: of ``cast.CAST``. frames: only so many from the first.
    Raises:
        EvaluationError: an unknown name, no Blender, no ICT head for a person that needs one, or Blender failed.
    """
    role = next((r for r in CAST if r.name == name), None)
    if role is None:
        raise EvaluationError(
            f"There is no test person '{name}'.", remedy=f"Known are: {', '.join(r.name for r in CAST)}."
        )
    head = ict_head() if role.geometry == "ict" else None
    if role.geometry == "ict" and head is None:
        raise EvaluationError(f"{name} needs an imported ICT-FaceKit head.", remedy="See docs/evaluation.md.")
    blender = python or find_blender()
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    acts, turns = moments(role)
    acts = acts[:frames]
    seen = _cameras(role, head, turns[: len(acts)], size)
    facts = []
    for i, (moment, camera) in enumerate(zip(acts, seen, strict=True)):
        progress(i / len(acts), f"{name}: frame {moment.name}")
        picture = target / f"{moment.name}.png"
        if not picture.exists():
            _render(picture, role, moment, camera, head, blender, samples)
        facts.append(_truth(role, head, moment, camera, picture.name))
    document = {
        "format": "gshead-clip", "version": 1, "motion": VERSION, "name": name, "license": LICENSE, "fps": FPS,
        "role": dataclasses.asdict(role), "head": (head or default_geometry()).name,
        "betas": identity(role, head or default_geometry()).astype(float).round(6).tolist(), "frames": facts,
    }  # fmt: skip
    write_atomic(target / "clip.json", json.dumps(document, indent=1).encode())
    progress(1.0, f"{name}: {len(acts)} frames")
    return target


def _cameras(role: Role, head: HeadModel | None, turns: np.ndarray, size: int) -> list[Camera]:
    """The portrait's camera, with the head turned about its middle before it."""
    still = cameras(role, middle_of(role, head))[0].resized(size, size)
    pivot = middle_of(role, head) - np.array([0, 0.06, 0.08])  # about where the neck carries the head
    out = []
    for yaw, pitch, roll in np.radians(turns):
        turn = np.eye(4)
        turn[:3, :3] = euler_to_matrix(np.array([-pitch, yaw, roll]))
        turn[:3, 3] = pivot - turn[:3, :3] @ pivot
        out.append(dataclasses.replace(still, viewmat=still.viewmat @ turn))
    return out


def _render(
    picture: Path, role: Role, moment: Moment, camera: Camera, head: HeadModel | None, blender: Path, samples: int
) -> None:
    body = make_body(role, moment, head)
    with tempfile.TemporaryDirectory(prefix="gshead-") as temporary:
        work = Path(temporary)
        store_body(body, work / "body.npz")
        view: dict[str, Any] = {
            "index": 0, "K": camera.K.tolist(), "viewmat": camera.viewmat.tolist(), "size": camera.width,
        }  # fmt: skip
        job = {"body": str(work / "body.npz"), "role": facts_of(role, body), "out": temporary, "size": camera.width,
               "samples": samples, "views": [view], "labels": False}  # fmt: skip
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        run_blender(blender, work / "job.json")
        part = picture.with_suffix(".part")
        shutil.copy(work / "view_00.png", part)
        part.replace(picture)


def _truth(role: Role, head: HeadModel | None, moment: Moment, camera: Camera, image: str) -> dict[str, Any]:
    weights = looking(head or default_geometry(), moment)
    return {
        "image": image, "K": camera.K.tolist(), "viewmat": camera.viewmat.round(7).tolist(),
        "arkit": {n: round(float(w), 5) for n, w in zip(ARKIT_NAMES, weights, strict=True) if w > 0},
        "gaze_deg": {"left": moment.gaze[0].round(3).tolist(), "right": moment.gaze[1].round(3).tolist()},
    }  # fmt: skip
