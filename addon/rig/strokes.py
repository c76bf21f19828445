"""A stroke alphabet for labels in the viewport: lines stay sharp at any zoom and cost nothing. No bpy here."""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT = 4, 6  # of a glyph's grid
ADVANCE = 5.8  # to the next glyph, in grid units
_SLIM = 0.8  # of a grid unit's width to its height

# Each glyph is strokes of grid points "xy", separated by commas.
GLYPHS = {
    "A": "00 04 26 44 40,02 42", "B": "00 06 36 45 44 33 03,33 42 41 30 00", "C": "45 36 16 05 01 10 30 41",
    "D": "00 06 26 44 42 20 00", "E": "46 06 00 40,03 33", "F": "46 06 00,03 33", "G": "45 36 16 05 01 10 30 41 43 23",
    "H": "00 06,40 46,03 43", "I": "20 26", "J": "46 41 30 10 01", "K": "00 06,46 02,13 40", "L": "06 00 40",
    "M": "00 06 23 46 40", "N": "00 06 40 46", "O": "10 01 05 16 36 45 41 30 10", "P": "00 06 36 45 44 33 03",
    "Q": "10 01 05 16 36 45 41 30 10,22 40", "R": "00 06 36 45 44 33 03,23 40",
    "S": "45 36 16 05 04 13 33 42 41 30 10 01", "T": "06 46,26 20", "U": "06 01 10 30 41 46", "V": "06 20 46",
    "W": "06 10 24 30 46", "X": "00 46,06 40", "Y": "06 23 46,23 20", "Z": "06 46 00 40", " ": "",
}  # fmt: skip


def text_lines(text: str, center: tuple[float, float], height: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) points and (M, 2) edges of a line of text about its middle, in the units of ``height``.

    Raises ``KeyError`` for a character without a glyph: capital letters and spaces have one.
    """
    scale = np.array([_SLIM, 1.0]) * (height / HEIGHT)
    points: list[np.ndarray] = [np.zeros((0, 2))]
    edges: list[np.ndarray] = [np.zeros((0, 2), int)]
    count = 0
    for place, letter in enumerate(text):
        for stroke in filter(None, GLYPHS[letter].split(",")):
            grid = np.array([[int(x) + place * ADVANCE, int(y)] for x, y in stroke.split()], float)
            points.append(grid)
            edges.append(count + np.stack([np.arange(len(grid) - 1), np.arange(1, len(grid))], 1))
            count += len(grid)
    middle = np.array([(len(text) * ADVANCE - (ADVANCE - WIDTH)) / 2, HEIGHT / 2])
    return (np.concatenate(points) - middle) * scale + center, np.concatenate(edges)
