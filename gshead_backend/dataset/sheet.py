"""A contact sheet of prepared footage, with the fitted head drawn on it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import ArgumentError
from ..evaluation.align import head_marks
from ..head.catalog import load_head
from ..head.model import HeadModel
from ..head.skinning import PersonalHead
from ..portrait.matte import FACE_OVAL
from ..training.footage import Footage, Frame

FRONT, BACK, OUTLINE = (90, 255, 90), (60, 120, 60), (255, 210, 60)
BEYOND = 0.45  # what remains of the picture outside the matte
GAP = 4


def make_sheet(folder: Path, *, people: int, frames: int, cell: int) -> tuple[bytes, int]:
    """A JPEG of one row a person, frames from the first to the last; and how many people it shows.

    Dots are the fitted head's landmarks (dark ones look away from the camera), the line is its face's outline, and what
    the matte leaves out is darkened.

    Raises:
        ArgumentError: no footage. HeadError: the head that it was fitted with is not installed.
    """
    footage = Footage(folder)
    head = fitted_head(footage)
    rows = []
    for person in footage.people[:people]:
        mine = footage.frames_of(person)
        chosen = mine[np.unique(np.linspace(0, len(mine) - 1, min(frames, len(mine))).round().astype(int))]
        cells = [_cell(head, footage[int(i)], cell) for i in chosen]
        cells += [np.zeros_like(cells[0])] * (frames - len(cells))
        rows.append(np.hstack([np.pad(c, ((0, GAP), (0, GAP), (0, 0))) for c in cells]))
    picture = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return picture.tobytes(), len(rows)


def fitted_head(footage: Footage) -> HeadModel:
    """The head model that footage was fitted with. Raises ``HeadError``, ``ArgumentError`` for one that has changed."""
    head = load_head("default" if footage.head == load_head("default").name else footage.head)
    if head.sha256 != footage.head_sha256:
        raise ArgumentError(
            f"The footage in '{footage.folder}' was fitted with another version of the head '{footage.head}'.",
            remedy="Prepare it again.",
        )
    return head


def _cell(head: HeadModel, frame: Frame, size: int) -> np.ndarray:
    image = cv2.resize(frame.image, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    matte = cv2.resize(frame.matte, (size, size), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    out = np.ascontiguousarray((image * (BEYOND + (1 - BEYOND) * matte)).astype(np.uint8))
    personal = PersonalHead.create(head, frame.betas, frame.vertex_offsets)
    points, normals = head_marks(head, personal.vertices(frame.pose))
    camera = frame.camera.resized(size, size)
    pixels = np.round(camera.project(points)[:, :2]).astype(int)
    front = (normals * (camera.position - points)).sum(1) > 0
    cv2.polylines(out, [pixels[list(FACE_OVAL)]], True, OUTLINE, 1, cv2.LINE_AA)
    for pixel, seen in sorted(zip(pixels.tolist(), front.tolist(), strict=True), key=lambda p: p[1]):
        cv2.circle(out, pixel, 1, FRONT if seen else BACK, -1)
    return out
