"""What ``drive_fast`` keeps of the last frame of an avatar, so that what has not moved costs nothing."""

from __future__ import annotations

import numpy as np

from ..head.pose import HeadPose
from .drive import Appearance
from .residual_fast import appearance_fast, changing_splats, code_of
from .types import Avatar

NEVER = np.zeros(0, np.bool_)
"""A mask of no splats, or of no vertices."""


class LastFrame:
    """The splats that were driven last: those on triangles that have not moved since stay as they are, exactly.

    Give the same one to every frame of one avatar. The splats that come back lie in its memory, until the next frame.

    Attributes:
        kept: how many splats the latest frame took over.
    """

    def __init__(self) -> None:
        self.kept = 0
        self._avatar: Avatar | None = None
        self._vertices = np.zeros((0, 3), np.float32)
        self._placed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._code = NEVER
        self._appearance: Appearance | None = None

    def still(self, avatar: Avatar, vertices: np.ndarray) -> np.ndarray:
        """(V,) which vertices are where they were; none of another avatar."""
        last, self._vertices = self._vertices, vertices
        if avatar is not self._avatar or self._placed is None:
            self._avatar, self._placed, self._appearance = avatar, None, None
            return np.zeros(len(vertices), np.bool_)
        same = vertices == last
        return same[:, 0] & same[:, 1] & same[:, 2]  # all(1) takes eight times as long

    def appearance(self, avatar: Avatar, pose: HeadPose | None) -> tuple[Appearance, np.ndarray]:
        """What the splats look like, and (N,) which of them the residual has changed since; empty for none."""
        code = code_of(avatar, pose)
        if self._appearance is not None and np.array_equal(code, self._code):
            return self._appearance, NEVER
        self._code, self._appearance = code, appearance_fast(avatar, code, self._appearance)
        return self._appearance, changing_splats(avatar)

    def room(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, quats and scales of ``n`` splats: the last frame's."""
        if self._placed is None:
            self._placed = room(n)
        return self._placed


def room(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory for the means (n, 3), quats (n, 4) and scales (n, 3) of ``n`` splats."""
    return np.empty((n, 3), np.float32), np.empty((n, 4), np.float32), np.empty((n, 3), np.float32)
