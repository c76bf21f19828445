"""A fabricated FLAME-shaped model with FLAME's 5,023 vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flame_file import flame_tables, write_chumpy_pickle
from scipy.spatial import KDTree

COUNT = 5023


def write_small_flame(path: Path) -> None:
    """The larger fabricated model, thinned out."""
    tables = flame_tables()
    points = np.asarray(tables["v_template"], np.float64)
    chosen = np.sort(np.random.default_rng(0).permutation(len(points))[:COUNT])
    owner = KDTree(points[chosen]).query(points)[1]
    faces = owner[tables["f"].astype(np.int64)]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    tables["f"] = faces[keep].astype(np.uint32)
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        tables[name] = tables[name][chosen]
    regressor = np.asarray(tables["J_regressor"]) @ points  # the joints stay where they are
    design = np.c_[points[chosen], np.ones(COUNT)]
    tables["J_regressor"] = np.linalg.lstsq(design.T, np.c_[regressor, np.ones(5)].T, rcond=None)[0].T
    write_chumpy_pickle(tables, path)
