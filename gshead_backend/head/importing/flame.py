"""FLAME's own tables, read from .pkl or .npz and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import FileFormatError
from .archive import read_npz
from .unpickle import load_arrays

IDENTITY_COUNT = 300
_PARENTS = (-1, 0, 1, 1, 1)


@dataclass(frozen=True)
class FlameTables:
    """Arrays of a FLAME file: metres, Y up, face toward +Z; joints root, neck, jaw, left eye, right eye.

    template (V, 3); identity (V, 3, B); expression (V, 3, E); correctives (V, 3, 36); regressor (5, V);
    weights (V, 5); faces (F, 3).
    """

    template: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    correctives: np.ndarray
    regressor: np.ndarray
    weights: np.ndarray
    faces: np.ndarray


def read_tables(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a model file of any kind that can be imported.

    Raises:
        FileFormatError: no such file, of another kind, or damaged. UnsafePickleError: see ``load_arrays``.
    """
    if not path.is_file():
        raise FileFormatError(f"There is no file {path}.")
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.suffix.lower() == ".pkl":
        return load_arrays(path)
    raise FileFormatError(
        f"{path.name} is neither .pkl nor .npz.",
        remedy="Choose the model file of a FLAME release, or a compact ICT-FaceKit file.",
    )


def read_flame(path: Path) -> FlameTables:
    """Read a FLAME file.

    Raises:
        FileFormatError: no FLAME tables, or of the wrong shape. UnsafePickleError: see ``load_arrays``.
    """
    return flame_tables(read_tables(path), path.name)


def flame_tables(arrays: dict[str, np.ndarray], name: str) -> FlameTables:
    """Check FLAME's tables. Raises ``FileFormatError`` when one is missing or of the wrong shape."""

    def get(key: str, *shape: int | None) -> np.ndarray:
        if key not in arrays:
            raise FileFormatError(
                f"{name} has no table '{key}': it is not a FLAME model file.",
                remedy="Choose generic_model.pkl or flame2023*.pkl of a FLAME release.",
            )
        a = arrays[key]
        if a.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, a.shape, strict=True)):
            wanted = " x ".join("any" if s is None else str(s) for s in shape)
            raise FileFormatError(f"{name}: table '{key}' is {a.shape}, expected {wanted}.")
        if not np.isfinite(a).all():
            raise FileFormatError(f"{name}: table '{key}' holds NaN or infinity.")
        return a

    template = get("v_template", None, 3).astype(np.float32)
    v = len(template)
    shapes = get("shapedirs", v, 3, None).astype(np.float32)
    if shapes.shape[2] <= IDENTITY_COUNT:
        raise FileFormatError(f"{name} has {shapes.shape[2]} shape components; FLAME has 300 and its expressions.")
    faces = get("f", None, 3).astype(np.int64)
    if faces.min() < 0 or faces.max() >= v:
        raise FileFormatError(f"{name}: faces index outside its {v} vertices.")
    parents = get("kintree_table", 2, 5)[0].astype(np.int64)
    if tuple(parents[1:]) != _PARENTS[1:]:
        raise FileFormatError(f"{name} has the joint tree {parents.tolist()}; FLAME's is {list(_PARENTS)}.")
    weights = np.clip(get("weights", v, 5), 0, None)
    return FlameTables(
        template, shapes[:, :, :IDENTITY_COUNT], shapes[:, :, IDENTITY_COUNT:],
        get("posedirs", v, 3, 36).astype(np.float32), get("J_regressor", 5, v).astype(np.float64),
        (weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)).astype(np.float32), faces.astype(np.int32),
    )  # fmt: skip
