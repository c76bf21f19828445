"""ICT-FaceKit as a ``HeadModel``, from its tables (MIT licence, USC Institute for Creative Technologies)."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import KDTree

from ...errors import FileFormatError
from ..arkit import ARKIT_NAMES
from ..bake.landmarks import Detector
from ..catalog import default_head
from ..model import HeadModel
from .chart import islands
from .landmarks import with_landmarks
from .lids import with_closing_lids
from .transfer import carry_regions, overlay

LICENSE = "MIT"
_TABLES = {
    "v_template": (None, 3), "identity_dirs": (None, 3, None), "expression_dirs": (None, 3, None), "faces": (None, 3),
    "uv": (None, 2), "uv_faces": (None, 3), "skin_weights": (None, 5), "joints": (5, 3), "region": (None,),
}  # fmt: skip
_SKIN, _GUMS, _TEETH, _EYES = 0, 1, 2, (3, 4)
_TILES = 2  # the atlas is this many tiles wide and high
_INSIDE = ("mouth_cavity", "gums", "tongue", "teeth_upper", "teeth_lower")


def is_ict(arrays: dict[str, np.ndarray]) -> bool:
    """Whether these are ICT-FaceKit's tables rather than FLAME's."""
    return {"identity_dirs", "expression_dirs", "expression_names"} <= arrays.keys()


def check_ict(arrays: dict[str, np.ndarray], file: str) -> None:
    """Raise ``FileFormatError`` when a table is missing, has the wrong shape or points outside the mesh."""
    for key, shape in _TABLES.items():
        if key not in arrays:
            raise FileFormatError(f"{file} has no table '{key}': it is not a compact ICT-FaceKit file.")
        got = arrays[key].shape
        if len(got) != len(shape) or any(w is not None and w != g for w, g in zip(shape, got, strict=True)):
            raise FileFormatError(f"{file}: table '{key}' is {got}, expected {shape}.")
        if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all():
            raise FileFormatError(f"{file}: table '{key}' holds NaN or infinity.")
    v = len(arrays["v_template"])
    for key in ("identity_dirs", "expression_dirs", "skin_weights", "region"):
        if len(arrays[key]) != v:
            raise FileFormatError(f"{file}: table '{key}' has {len(arrays[key])} rows for {v} vertices.")
    for key, count in (("faces", v), ("uv_faces", len(arrays["uv"]))):
        index = arrays[key]
        if index.dtype.kind not in "iu" or index.size == 0 or index.min() < 0 or index.max() >= count:
            raise FileFormatError(f"{file}: table '{key}' points outside its {count} points.")
    if arrays["expression_names"].shape != arrays["expression_dirs"].shape[2:]:
        raise FileFormatError(f"{file}: expression_names does not name each expression.")


def build_ict_head(arrays: dict[str, np.ndarray], name: str, detector: Detector) -> HeadModel:
    """A ``HeadModel`` from checked tables, with landmarks, regions, the ARKit channels, and blinks that close all eyes.

    The channels are ICT-FaceKit's own shapes (it has no tongueOut), jawOpen too; the jaw joint is free for other
    motion. Eyes turn by their joints.

    Raises ``HeadError`` when no face is found on the head's renders.
    """
    source = default_head()
    template = arrays["v_template"].astype(np.float32)
    names = tuple(str(n) for n in arrays["expression_names"])
    kind, faces = arrays["region"], arrays["faces"].astype(np.int32)
    uv, uv_faces = _atlas(
        arrays["uv"].astype(np.float64), arrays["uv_faces"].astype(np.int64), faces, kind[faces[:, 0]]
    )
    weights = arrays["skin_weights"].astype(np.float32)
    joints = arrays["joints"].astype(np.float32)
    identity = arrays["identity_dirs"].astype(np.float32)
    head = HeadModel(
        name=name, license=LICENSE, template=template, identity_dirs=identity,
        expression_dirs=arrays["expression_dirs"].astype(np.float32), expression_names=names,
        faces=faces, uv=uv, uv_faces=uv_faces, joints=joints,
        joints_identity=_joints_identity(template, identity, weights, joints),
        skin_weights=weights / weights.sum(1, keepdims=True), arkit_expression=arkit_shapes(names),
        arkit_jaw=np.zeros((52, 3), np.float32), arkit_eyes=source.arkit_eyes.copy(),
        region=np.zeros(len(template), np.uint8), region_names=source.region_names,
        mirror=np.asarray(KDTree(template).query(template * [-1, 1, 1])[1]).astype(np.int32),
        landmark_triangles=np.zeros(468, np.int32), landmark_bary=np.full((468, 3), 1 / 3, np.float32),
        landmark_sigma=np.full(468, 0.002, np.float32),
    )  # fmt: skip
    head = dataclasses.replace(head, region=_inner_regions(head, kind))
    opened = np.stack([_opened(names, share) for share in (0.0, 0.35, 0.7)])
    head = with_closing_lids(with_landmarks(head, detector, expressions=opened, allowed=kind == _SKIN))
    region = carry_regions(source, head, overlay(source, head))
    return dataclasses.replace(head, region=np.where(kind == _SKIN, region, head.region).astype(np.uint8))


def arkit_shapes(names: tuple[str, ...]) -> np.ndarray:
    """(52, E): a channel drives the shape of its own name, or both sides' where ICT-FaceKit splits it."""
    out = np.zeros((52, len(names)), np.float32)
    for i, channel in enumerate(ARKIT_NAMES):
        side = {"Left": "_L", "Right": "_R"}
        for word, suffix in side.items():
            if channel.endswith(word) and channel not in names:
                wanted = {channel[: -len(word)] + suffix}
                break
        else:
            wanted = {channel, channel + "_L", channel + "_R"}
        out[i] = [n in wanted for n in names]
    return out


def _opened(names: tuple[str, ...], share: float) -> np.ndarray:
    return np.array([share * (n == "jawOpen") for n in names], np.float32)


def _inner_regions(head: HeadModel, kind: np.ndarray) -> np.ndarray:
    """(V,) eyes, gums and the two rows of teeth; skin elsewhere."""
    index = head.region_names.index
    out = np.full(len(kind), index("skin"), np.uint8)
    out[kind == _GUMS] = index("gums")
    out[kind == _TEETH] = index("teeth_upper")
    out[(kind == _TEETH) & (head.skin_weights[:, 2] > 0.5)] = index("teeth_lower")
    for value, name in zip(_EYES, ("eye_left", "eye_right"), strict=True):
        out[kind == value] = index(name)
    return out


def _joints_identity(template: np.ndarray, identity: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(5, 3, B): eyes move with their eyeballs, the jaw and the neck with the skin around them."""
    out = np.zeros((5, 3, identity.shape[2]), np.float32)
    for joint in (3, 4):
        out[joint] = identity[weights[:, joint] > 0.5].mean(0)
    for joint in (1, 2):
        near = np.exp(-0.5 * (np.linalg.norm(template - joints[joint], axis=1) / 0.05) ** 2)
        out[joint] = np.einsum("v,vab->ab", near / near.sum(), identity)
    return out


def _atlas(uv: np.ndarray, corners: np.ndarray, faces: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tiles that lie side by side in u, put into one square; a triangle belongs to the tile of its middle.

    ICT-FaceKit lays whites and irises over the face's tile, for textures of their own. In one texture they would be
    painted onto the face, so they move in with the teeth, which shrink to a quarter of their tile.

    Args:
        uv: (T, 2). corners: (F, 3) indices into it. faces: (F, 3) vertices. kind: (F,) of the surface.
    Returns:
        (T', 2) in 0..1 and (F, 3) indices into it.
    """
    corner = uv[corners]
    tile = np.clip(np.floor(corner[:, :, 0].mean(1)), 0, _TILES**2 - 1).astype(int)
    local = np.clip(corner - np.stack([tile, np.zeros_like(tile)], 1)[:, None], 0.002, 0.998)
    size = np.full(len(faces), 1 / _TILES)
    origin = np.stack([tile % _TILES, tile // _TILES], 1) / _TILES
    eyes = np.isin(kind, _EYES)
    size[eyes | (kind == _TEETH)] = 0.5 / _TILES
    piece = np.unique(islands(faces[eyes], int(faces.max()) + 1)[faces[eyes, 0]], return_inverse=True)[1]
    quarter = 1 + piece // 4 % 3  # of the teeth's tile: three for the eyes, of four places each
    teeth = origin[kind == _TEETH][:1] if (kind == _TEETH).any() else np.full((1, 2), 1 - 1 / _TILES)
    step = np.stack([quarter % 2, quarter // 2], 1) / 2 + np.stack([piece % 2, piece // 2 % 2], 1) / 4
    origin[eyes] = teeth + step / _TILES
    size[eyes] = 0.25 / _TILES
    placed = origin[:, None] + local * size[:, None, None]
    flat, index = np.unique(placed.reshape(-1, 2).astype(np.float32), axis=0, return_inverse=True)
    return flat, index.reshape(faces.shape).astype(np.int32)
