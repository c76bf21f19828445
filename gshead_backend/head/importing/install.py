"""``import_head``: from a FLAME file or ICT-FaceKit to a head file that ``load_head`` finds by name."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from ...errors import ArgumentError, HeadError
from ...folders import make_private
from ..bake.landmarks import Detector, tflite_detector
from ..catalog import DEFAULT_NAME, default_head, heads_folder
from ..file import read_head, save_head
from ..model import HeadModel
from .chart import head_chart
from .flame import FlameTables, flame_tables, read_tables
from .graft import graft_mouth
from .ict import build_ict_head, check_ict, is_ict
from .ict_folder import read_ict_folder
from .landmarks import with_landmarks
from .transfer import carry_expressions, carry_regions, overlay

FLAME_LICENSE = "LicenseRef-FLAME"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def import_head(path: str | os.PathLike[str], name: str | None = None, *, detector: Detector | None = None) -> Path:
    """Convert a FLAME model file or ICT-FaceKit and install it.

    FLAME's licences forbid passing the model on: such a head stays in the user's data folder, and avatars made on it
    name it by its hash instead of carrying it.

    Args:
        path: .pkl or .npz of a FLAME release, ICT-FaceKit's folder of OBJ files or its compact .npz, or a head file
            (.safetensors) to install as it is.
        name: how ``load_head`` will find it; the file's own name when absent.
        detector: finds 468 landmarks on an image; the portrait room's network when absent.
    Returns:
        The installed head file.
    Raises:
        FileFormatError, UnsafePickleError: the file or folder holds neither, or is broken.
        MissingAssetError: the landmark network is not installed. HeadError: no face is found on the head's renders.
    """
    path = Path(path)
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "head"
    if not _NAME.fullmatch(name) or name in (DEFAULT_NAME, "default"):
        raise ArgumentError(
            f"'{name}' cannot be the name of a head.",
            remedy="Use letters, digits, '.', '_' and '-', such as flame2023.",
        )
    stored = heads_folder() / f"{name}.safetensors"
    if path.suffix.lower() == ".safetensors":
        return _store(dataclasses.replace(read_head(path), name=name), stored)
    arrays = read_ict_folder(path) if path.is_dir() else read_tables(path)
    if is_ict(arrays):
        check_ict(arrays, path.name)
    tables = None if is_ict(arrays) else flame_tables(arrays, path.name)
    if detector is None:
        # The one place where this room reaches to its right, and only when asked to import a head.
        from ...portrait.assets import asset_path

        detector = tflite_detector(asset_path("face_landmark.tflite"))
    head = build_ict_head(arrays, name, detector) if tables is None else build_head(tables, name, detector)
    return _store(head, stored)


def _store(head: HeadModel, path: Path) -> Path:
    make_private(path.parent)
    save_head(head, path)
    return path


def build_head(tables: FlameTables, name: str, detector: Detector) -> HeadModel:
    """A ``HeadModel`` from FLAME's tables, with all that FLAME's file lacks."""
    template = tables.template.astype(np.float64)
    joints = tables.regressor @ template
    eyes = joints[3:].mean(0)
    main = tables.weights[:, 3:].sum(1) < 0.5
    front = main & (np.abs(template[:, 0]) < 0.02) & (template[:, 1] < eyes[1]) & (template[:, 1] > eyes[1] - 0.08)
    if not front.any():
        raise HeadError(
            "The head has no nose below its eyes: it is not in FLAME's axes (metres, Y up, face toward +Z)."
        )
    nose = template[np.flatnonzero(front)[template[front, 2].argmax()]]
    source = default_head()
    e = tables.expression.shape[2]
    head = HeadModel(
        name=name, license=FLAME_LICENSE, template=tables.template, identity_dirs=tables.identity,
        expression_dirs=tables.expression, expression_names=tuple(f"expression{k:03d}" for k in range(e)),
        faces=tables.faces, uv=head_chart(template, tables.faces, nose).astype(np.float32), uv_faces=tables.faces,
        joints=joints.astype(np.float32),
        joints_identity=np.einsum("jv,vab->jab", tables.regressor, tables.identity).astype(np.float32),
        skin_weights=tables.weights, arkit_expression=np.zeros((52, e), np.float32),
        arkit_jaw=np.zeros((52, 3), np.float32), arkit_eyes=np.zeros((52, 2, 3), np.float32),
        region=_eyes_only(tables, source), region_names=source.region_names,
        mirror=np.asarray(KDTree(template).query(template * [-1, 1, 1])[1]).astype(np.int32),
        landmark_triangles=np.zeros(468, np.int32), landmark_bary=np.full((468, 3), 1 / 3, np.float32),
        landmark_sigma=np.full(468, 0.002, np.float32), pose_correctives=tables.correctives,
    )  # fmt: skip
    head = with_landmarks(head, detector)
    over = overlay(source, head)
    head = dataclasses.replace(head, region=carry_regions(source, head, over))
    return graft_mouth(source, carry_expressions(source, head, over))


def _eyes_only(tables: FlameTables, source: HeadModel) -> np.ndarray:
    """(V,) a first region map: eyeballs by their joints, skin elsewhere."""
    region = np.full(len(tables.template), source.region_names.index("skin"), np.uint8)
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        region[tables.weights[:, joint] > 0.5] = source.region_names.index(name)
    return region
