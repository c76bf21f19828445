"""Outlines of control bones as points and edges in their bone's own axes. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import board
from .strokes import text_lines


@dataclass(frozen=True)
class Outline:
    """(N, 3) points, (M, 2) edges, and polygons as lists of points; what has polygons is drawn filled."""

    points: np.ndarray
    edges: np.ndarray
    faces: tuple[tuple[int, ...], ...] = ()


def circle(radius: float = 1.0, *, normal: int = 2, corners: int = 32, filled: bool = False) -> Outline:
    """A circle about the origin in the plane across an axis."""
    angle = np.arange(corners) * (2 * np.pi / corners)
    points = np.zeros((corners, 3))
    points[:, (normal + 1) % 3], points[:, (normal + 2) % 3] = radius * np.cos(angle), radius * np.sin(angle)
    face = (tuple(range(corners)),) if filled else ()
    return Outline(points, _loop(corners), face)


def rectangle(left: float, bottom: float, right: float, top: float, *, filled: bool = False) -> Outline:
    """A rectangle in the xy plane."""
    points = np.array([[left, bottom, 0], [right, bottom, 0], [right, top, 0], [left, top, 0]], float)
    return Outline(points, _loop(4), ((0, 1, 2, 3),) if filled else ())


def together(*parts: Outline) -> Outline:
    """Several outlines as one."""
    points, edges, faces, count = [], [], [], 0
    for part in parts:
        points.append(part.points)
        edges.append(part.edges + count)
        faces += [tuple(i + count for i in face) for face in part.faces]
        count += len(part.points)
    return Outline(np.concatenate(points), np.concatenate(edges), tuple(faces))


def moved(outline: Outline, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Outline:
    """An outline somewhere else."""
    return Outline(outline.points + np.array([x, y, z]), outline.edges, outline.faces)


def region(name: str) -> Outline:
    """The labels and tracks of a region of the board, or of the joysticks ("Face"), in board units."""
    parts = [_text(label) for label in board.labels()[name]]
    if name == "Face":
        for stick in board.joysticks():
            (left, right), (low, high) = stick.limits(0), stick.limits(1)
            x, y = stick.at
            parts.append(rectangle(x + left - 0.12, y + low - 0.12, x + right + 0.12, y + high + 0.12))
    else:
        for slider in board.sliders():
            if slider.region == name:
                x, y = slider.at
                ends = [[x, y, 0], [x + slider.direction, y, 0]]
                ticks = [[e[0], y + d, 0] for e in ends for d in (-0.12, 0.12)]
                parts.append(Outline(np.array(ends + ticks, float), np.array([[0, 1], [2, 3], [4, 5]])))
    return together(*parts)


def frame() -> Outline:
    """The border of the board."""
    half = board.WIDTH / 2
    return rectangle(-half, -0.7, half, board.HEIGHT + 0.2)


def _loop(count: int) -> np.ndarray:
    return np.stack([np.arange(count), (np.arange(count) + 1) % count], 1)


def _text(label: board.Text) -> Outline:
    points, edges = text_lines(label.text, label.at, label.height)
    return Outline(np.concatenate([points, np.zeros((len(points), 1))], 1), edges)


SHAPES = {
    "slider": circle(0.17, corners=12, filled=True),
    "joystick": circle(0.24, corners=4, filled=True),
    "ring": circle(normal=1),
    "disc": circle(),
    "target": together(circle(), Outline(np.array([[-0.4, 0, 0], [0.4, 0, 0], [0, -0.4, 0], [0, 0.4, 0]]),
                                         np.array([[0, 1], [2, 3]]))),
    "pair": rectangle(-1, -0.55, 1, 0.55),
    "chin": Outline(np.array([[np.sin(a), 0.25 * np.cos(a) - 0.25, np.cos(a) - 1] for a in np.linspace(-1.1, 1.1, 17)]),
                    np.stack([np.arange(16), np.arange(1, 17)], 1)),
    "handle": rectangle(-3, -0.12, 3, 0.12, filled=True),
}  # fmt: skip
