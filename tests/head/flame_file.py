"""A fabricated FLAME-shaped model: FLAME's keys and axes, made from the default head's own surface."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from gshead_backend.head import ARKIT_INDEX, PersonalHead, default_head
from gshead_backend.head.skinning import dense_expressions

EXPRESSIONS = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight", "mouthPucker", "browInnerUp",
    "mouthFunnel", "cheekPuff", "mouthLeft", "mouthFrownLeft", "mouthFrownRight",
)  # fmt: skip


def flame_tables() -> dict[str, np.ndarray]:
    """Skin and eyeballs of the default head, a little larger, elsewhere and with mixed expressions."""
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count))
    keep = head.region_mask("skin", "scalp", "ear", "neck", "lips", "lids", "eye_left", "eye_right")
    faces = head.faces[keep[head.faces].all(1)]
    used, faces = np.unique(faces, return_inverse=True)
    v = len(used)
    shapes = np.zeros((v, 3, 300 + len(EXPRESSIONS)), np.float32)
    for b in range(8):
        shapes[:, :, b] = (head.subdivision @ np.ascontiguousarray(head.identity_dirs[:, :, b]))[used]
    dense = dense_expressions(head).reshape(52, -1, 3)
    basis = np.stack([dense[ARKIT_INDEX[n]][used] for n in EXPRESSIONS], -1)
    mix = np.linalg.qr(np.random.default_rng(2).normal(size=(len(EXPRESSIONS),) * 2))[0]
    shapes[:, :, 300:] = basis @ mix
    scale, shift = 1.04, np.array([0.0, -0.02, -0.03])
    template = person.rest[used] * scale + shift
    shapes *= scale
    # Any linear regressor that returns the joints will do: their nearest vertices, plus a least-norm correction.
    target = person.joints * scale + shift
    design = np.c_[template, np.ones(v)].astype(np.float64)
    regressor = np.linalg.lstsq(design.T, np.c_[target, np.ones(5)].T, rcond=None)[0].T
    return {
        "v_template": template, "shapedirs": shapes, "posedirs": np.zeros((v, 3, 36)), "J_regressor": regressor,
        "weights": head.skin_weights[used], "f": faces.reshape(-1, 3).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
    }  # fmt: skip


def write_chumpy_pickle(tables: dict[str, np.ndarray], path: Path) -> None:
    """As FLAME ships: protocol 2, chumpy objects around arrays, a scipy matrix, text beside them."""
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.__dict__ = {"x": x, "_dirty_vars": {}, "_itr": None, "_cache": {"r": None}}

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    content: dict[str, Any] = dict(tables)
    content |= {k: Ch(tables[k]) for k in ("v_template", "shapedirs", "weights")}
    content["J_regressor"] = sp.csc_matrix(tables["J_regressor"])
    content |= {"bs_style": "lbs", "bs_type": "lrotmin"}
    sys.modules |= {"chumpy": types.ModuleType("chumpy"), "chumpy.ch": module}
    try:
        path.write_bytes(pickle.dumps(content, protocol=2))
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]
