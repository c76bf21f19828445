"""``HeadModel``: a parametric head with FLAME's parameters, as plain numpy arrays.

A head is evaluated in three linear steps and one skinning step::

    control = template + identity_dirs @ betas + expression_dirs @ (gain(betas) * expression)      (C, 3)
    rest    = subdivision @ control + vertex_offsets                                               (V, 3)
    vertices = LBS(rest, joints(betas), rotations, skin_weights) + translation                     (V, 3)

``subdivision`` is one sparse matrix (Catmull-Clark limit of a control cage for the default head, absent for
heads that come dense), so dense shape keys are exactly ``subdivision @ expression_dirs``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..errors import HeadError

JOINT_NAMES = ("root", "neck", "jaw", "leftEye", "rightEye")
PARENTS = (-1, 0, 1, 1, 1)


@dataclass(frozen=True)
class SparseMatrix:
    """Compressed sparse rows: float32 ``data`` (nnz,), int32 ``indices`` (nnz,), ``indptr`` (rows + 1,)."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    columns: int

    def __matmul__(self, dense: np.ndarray) -> np.ndarray:
        """(columns, k) to (rows, k). Every row has at least one entry."""
        flat = np.ascontiguousarray(dense).reshape(dense.shape[0], -1)
        gathered = np.take(flat, self.indices, axis=0, mode="clip")  # ten times as fast as flat[indices]
        gathered *= self.data[:, None]
        out = np.add.reduceat(gathered, self.indptr[:-1], axis=0)
        return out.reshape(-1, *dense.shape[1:])


@dataclass(frozen=True)
class HeadModel:
    """A parametric head. Metres, Y up, face toward +Z, "left" is the person's own left (+X).

    Attributes:
        name: short id, e.g. ``"gshead-default"`` or ``"flame2023"``.
        license: SPDX id or a sentence; decides whether an avatar file may embed the head.
        template: (C, 3) control points.
        identity_dirs: (C, 3, B) per unit of ``betas`` (1 = one standard deviation).
        expression_dirs: (C, 3, E) per unit of ``expression``.
        expression_names: E names; the default head's are the 52 ARKit names.
        expression_gain: (E, B) identity gain; delta e is multiplied by ``1 + expression_gain[e] @ betas``. May be None.
        subdivision: sparse (V, C), or None when C == V.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        uv: (T, 2) in 0..1, origin at the bottom left. uv_faces: (F, 3) int32 into ``uv``.
        joints: (5, 3) rest joints. joints_identity: (5, 3, B).
        skin_weights: (V, 5), rows sum to 1.
        pose_correctives: (V, 3, 36) FLAME posedirs over joints 1..4 (R - I), or None.
        arkit_expression: (52, E) maps ARKit channels to ``expression``.
        arkit_jaw: (52, 3) jaw Euler XYZ radians per unit. arkit_eyes: (52, 2, 3) eye Euler XYZ radians per unit.
        region: (V,) uint8 index into ``region_names``.
        mirror: (V,) int32, the vertex on the other side.
        landmark_triangles: (468,) int32. landmark_bary: (468, 3). landmark_sigma: (468,) metres.
    """

    name: str
    license: str
    template: np.ndarray
    identity_dirs: np.ndarray
    expression_dirs: np.ndarray
    expression_names: tuple[str, ...]
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    joints: np.ndarray
    joints_identity: np.ndarray
    skin_weights: np.ndarray
    arkit_expression: np.ndarray
    arkit_jaw: np.ndarray
    arkit_eyes: np.ndarray
    region: np.ndarray
    region_names: tuple[str, ...]
    mirror: np.ndarray
    landmark_triangles: np.ndarray
    landmark_bary: np.ndarray
    landmark_sigma: np.ndarray
    expression_gain: np.ndarray | None = None
    subdivision: SparseMatrix | None = None
    pose_correctives: np.ndarray | None = None
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        c, b, e = self.template.shape[0], self.identity_dirs.shape[2], self.expression_dirs.shape[2]
        v, t = self.vertex_count, self.landmark_triangles.shape[0]
        expected: dict[str, tuple[int, ...]] = {
            "template": (c, 3), "identity_dirs": (c, 3, b), "expression_dirs": (c, 3, e),
            "faces": (self.faces.shape[0], 3), "uv_faces": (self.faces.shape[0], 3), "joints": (5, 3),
            "joints_identity": (5, 3, b), "skin_weights": (v, 5), "arkit_expression": (52, e),
            "arkit_jaw": (52, 3), "arkit_eyes": (52, 2, 3), "region": (v,), "mirror": (v,),
            "landmark_bary": (t, 3), "landmark_sigma": (t,),
        }  # fmt: skip
        for key, shape in expected.items():
            got = getattr(self, key).shape
            if got != shape:
                raise HeadError(f"Head '{self.name}': {key} must have shape {shape}, got {got}.")
        if len(self.expression_names) != e:
            raise HeadError(f"Head '{self.name}': {len(self.expression_names)} names for {e} expressions.")
        for key, high in (("faces", v), ("uv_faces", self.uv.shape[0]), ("mirror", v)):
            index = getattr(self, key)
            if index.size and (index.min() < 0 or index.max() >= high):
                raise HeadError(f"Head '{self.name}': {key} indexes outside 0..{high - 1}.")
        if t and self.landmark_triangles.max() >= self.faces.shape[0]:
            raise HeadError(f"Head '{self.name}': landmark_triangles index outside the faces.")

    @property
    def vertex_count(self) -> int:
        """V, the number of dense vertices."""
        return self.template.shape[0] if self.subdivision is None else self.subdivision.indptr.size - 1

    @property
    def identity_count(self) -> int:
        return self.identity_dirs.shape[2]

    @property
    def expression_count(self) -> int:
        return self.expression_dirs.shape[2]

    def region_mask(self, *names: str) -> np.ndarray:
        """(V,) bool: vertices in any of the named regions."""
        wanted = [i for i, n in enumerate(self.region_names) if n in names]
        return np.isin(self.region, wanted)

    @property
    def sha256(self) -> str:
        """Hash over every array; identifies the head an avatar was made on."""
        if "sha256" not in self._cache:
            digest = hashlib.sha256(self.name.encode())
            for f in fields(self):
                value = getattr(self, f.name)
                if isinstance(value, SparseMatrix):
                    value = np.concatenate([value.data, value.indices, value.indptr]).astype(np.float64)
                if isinstance(value, np.ndarray):
                    digest.update(f.name.encode() + str(value.shape).encode())
                    digest.update(np.ascontiguousarray(value).tobytes())
            self._cache["sha256"] = digest.hexdigest()
        return self._cache["sha256"]
