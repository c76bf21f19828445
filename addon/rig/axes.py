"""The one conversion between head space and Blender. No bpy here.

Head space (FLAME's): right-handed, metres, Y up, face toward +Z, the person's left is +X.
Blender: right-handed, metres, Z up; a head at rest looks toward -Y (front view), left is +X.
"""

from __future__ import annotations

import numpy as np

HEAD_TO_BLENDER = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
BLENDER_TO_HEAD = HEAD_TO_BLENDER.T.copy()


def to_blender(points: np.ndarray) -> np.ndarray:
    """(..., 3) head-space points or directions to Blender object space; keeps the dtype."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x, -z, y], -1)


def to_head(points: np.ndarray) -> np.ndarray:
    """(..., 3) Blender object-space points or directions to head space; keeps the dtype."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x, z, -y], -1)


def matrix_to_head(matrix: np.ndarray) -> np.ndarray:
    """(..., 4, 4) transform acting on Blender coordinates, expressed in head space (a change of basis)."""
    return BLENDER_TO_HEAD @ matrix @ HEAD_TO_BLENDER


def head_to_world(matrix_world: np.ndarray) -> np.ndarray:
    """(4, 4) head space to Blender's world, for a head object with this ``matrix_world``."""
    return np.asarray(matrix_world, np.float64) @ HEAD_TO_BLENDER
