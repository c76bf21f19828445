"""``HeadPose``: one frame's parameters of a head model, in FLAME's terms."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..errors import ArgumentError


def _zeros(n: int) -> np.ndarray:
    return np.zeros(n, np.float32)


@dataclass(frozen=True)
class HeadPose:
    """All fields float32; rotations are axis-angle in radians, local to the parent joint.

    Attributes:
        expression: (E,) coefficients of the head model's expression basis.
        global_orient: (3,) rotation of the whole head about the root joint.
        neck_pose: (3,) rotation of the head about the neck joint.
        jaw_pose: (3,).
        eye_pose: (6,) left eye then right eye (the person's own left).
        translation: (3,) metres, head space.
    """

    expression: np.ndarray
    global_orient: np.ndarray
    neck_pose: np.ndarray
    jaw_pose: np.ndarray
    eye_pose: np.ndarray
    translation: np.ndarray

    def __post_init__(self) -> None:
        for field, size in zip(fields(self), (None, 3, 3, 3, 6, 3), strict=True):
            value = np.asarray(getattr(self, field.name), np.float32)
            if value.ndim != 1 or (size is not None and value.size != size):
                raise ArgumentError(f"HeadPose.{field.name} must have shape ({size or 'E'},), got {value.shape}.")
            if not np.isfinite(value).all():
                raise ArgumentError(f"HeadPose.{field.name} holds NaN or infinity.")
            object.__setattr__(self, field.name, value)

    @classmethod
    def neutral(cls, expression_count: int) -> HeadPose:
        """Rest pose for a head with ``expression_count`` expression coefficients."""
        return cls(_zeros(expression_count), _zeros(3), _zeros(3), _zeros(3), _zeros(6), _zeros(3))

    @property
    def rotations(self) -> np.ndarray:
        """(5, 3) axis-angle of root, neck, jaw, left eye, right eye."""
        return np.concatenate([self.global_orient, self.neck_pose, self.jaw_pose, self.eye_pose]).reshape(5, 3)

    def to_vector(self) -> np.ndarray:
        """(E + 18,) float32: expression, global_orient, neck, jaw, eyes, translation. What the wire carries."""
        return np.concatenate([getattr(self, f.name) for f in fields(self)])

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> HeadPose:
        """Inverse of :meth:`to_vector`; raises ``ArgumentError`` when it is too short."""
        v = np.asarray(vector, np.float32).reshape(-1)
        if v.size < 18:
            raise ArgumentError(f"A pose vector has at least 18 values, got {v.size}.")
        e = v.size - 18
        return cls(v[:e], v[e : e + 3], v[e + 3 : e + 6], v[e + 6 : e + 9], v[e + 9 : e + 15], v[e + 15 :])
