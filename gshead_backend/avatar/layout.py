"""What a ``.gshead`` file may contain, and the checks that run before anything is allocated."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, FileFormatError, GsheadError
from .types import REGIONS, Avatar, NetworkPortrait

FORMAT_VERSION = (1, 1)
"""The newest that is read. A file has the oldest that can hold it: 1.1 only with a portrait for a network."""
MAX_FILE_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 4 * 2**20
MAX_JSON_BYTES = 2**20
MAX_JSON_DEPTH = 32
MAX_TENSORS = 128
MAX_SPLATS = 2_000_000
MAX_VERTICES = 200_000
MAX_IDENTITY = 1024
MAX_EXPRESSIONS = 1024
MAX_EXPRESSION_VALUES = 20_000_000  # points times expressions: they are dense in memory
MAX_RANK = 256
MAX_PIXELS = 1024  # a side of the portrait for a network
MAX_NAME = 200
_ITEM_BYTES = {"F32": 4, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "U16": 2, "U8": 1, "I8": 1}


class Tensor(NamedTuple):
    """One tensor of the format: allowed safetensors types, shape (a number, or the name of a count), memory type."""

    types: tuple[str, ...]
    shape: tuple[int | str, ...]
    memory: type


LAYOUT: dict[str, Tensor] = {
    "avatar.betas": Tensor(("F32",), ("identity",), np.float32),
    "avatar.vertex_offsets": Tensor(("F16", "F32"), ("vertices", 3), np.float32),
    "splats.triangle": Tensor(("U16", "I32"), ("splats",), np.int32),
    "splats.bary": Tensor(("F32",), ("splats", 2), np.float32),
    "splats.region": Tensor(("U8",), ("splats",), np.uint8),
    "splats.offset": Tensor(("F16", "F32"), ("splats", 3), np.float32),
    "splats.rotation": Tensor(("F16", "F32"), ("splats", 4), np.float32),
    "splats.log_scale": Tensor(("F16", "F32"), ("splats", 3), np.float32),
    "splats.opacity_logit": Tensor(("F16", "F32"), ("splats",), np.float32),
    "splats.color": Tensor(("F16", "F32"), ("splats", 3), np.float32),
}
REQUIRED = tuple(LAYOUT)
DYNAMIC_LAYOUT: dict[str, Tensor] = {
    "dynamic.index": Tensor(("U16", "I32"), ("dynamic",), np.int32),
    "dynamic.basis": Tensor(("F16", "F32"), ("dynamic", 14, "rank"), np.float32),
    "dynamic.gain": Tensor(("F32",), ("rank", "features"), np.float32),
    "dynamic.bias": Tensor(("F32",), ("rank",), np.float32),
}
PORTRAIT_LAYOUT: dict[str, Tensor] = {
    "portrait.image": Tensor(("U8",), ("pixels", "pixels", 3), np.uint8),
    "portrait.camera": Tensor(("F32",), (3, 4), np.float32),
}
LIMITS = {
    "identity": MAX_IDENTITY, "vertices": MAX_VERTICES, "splats": MAX_SPLATS, "dynamic": MAX_SPLATS,
    "rank": MAX_RANK, "features": MAX_EXPRESSIONS + 3, "pixels": MAX_PIXELS,
}  # fmt: skip


def check_header(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Judge a file by its header alone.

    Returns:
        The safetensors entries by tensor name, and the JSON document under the key ``gshead``.

    Raises:
        FileFormatError: not a ``.gshead`` file, outside the limits, or of a newer major version.
    """
    header = _read_header(data)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("gshead"), str):
        raise FileFormatError(
            "This safetensors file is not a gshead avatar: its header has no 'gshead' document.",
            remedy="Open a file written by gshead (.gshead).",
        )
    document = parse_json(metadata["gshead"], "The avatar's document")
    _check_document(document)
    if len(header) > MAX_TENSORS:
        raise FileFormatError(f"The avatar file has {len(header)} tensors; at most {MAX_TENSORS} are allowed.")
    counts: dict[str, int] = {}
    newer = tuple(document["format"]) > FORMAT_VERSION
    for name, entry in header.items():
        shape = _check_entry(name, entry)
        known = LAYOUT.get(name) or DYNAMIC_LAYOUT.get(name) or PORTRAIT_LAYOUT.get(name)
        if known is not None:
            _check_known(name, entry["dtype"], shape, known, counts)
        elif not name.startswith("head.") and not newer:
            raise FileFormatError(f"The avatar file has an unknown tensor '{name[:80]}'.")
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise FileFormatError(f"The avatar file lacks {', '.join(missing)}.")
    _check_head(header, document["head"])
    return header, document


def check_avatar(avatar: Avatar) -> None:
    """What :class:`Avatar` itself leaves open. Raises ``ArgumentError`` naming the field and the value."""
    for name, text in (("name", avatar.name), ("method", avatar.method)):
        if len(text) > MAX_NAME or not text.isprintable():
            raise ArgumentError(f"Avatar.{name} must be at most {MAX_NAME} printable characters, got {text[:40]!r}.")
    n = len(avatar)
    if not 0 < n <= MAX_SPLATS:
        raise ArgumentError(f"An avatar has 1 to {MAX_SPLATS} splats, this one {n}.")
    if np.abs(avatar.bary.sum(1) - 1).max() > 1e-3:
        raise ArgumentError("Avatar.bary must sum to 1 in every row.")
    if avatar.bary.min() < -0.5 or avatar.bary.max() > 1.5:
        raise ArgumentError("Avatar.bary leaves its triangle by more than half its size.")
    if avatar.region.max() >= len(REGIONS):
        raise ArgumentError(f"Avatar.region holds {avatar.region.max()}; regions are 0 to {len(REGIONS) - 1}.")
    if np.abs(avatar.rotation).max(1).min() < 1e-3:
        raise ArgumentError("Avatar.rotation holds a quaternion of zero length.")
    for name, low, high in (("offset", -10, 10), ("log_scale", -30, 3), ("opacity_logit", -100, 100)):
        value = getattr(avatar, name)
        if value.min() < low or value.max() > high:
            raise ArgumentError(f"Avatar.{name} must lie in {low}..{high}, got {value.min():g}..{value.max():g}.")
    if np.abs(avatar.color).max() > 100:
        raise ArgumentError(f"Avatar.color reaches {np.abs(avatar.color).max():g}; colours are about 0..1.")
    if avatar.dynamic is not None:
        _check_dynamic(avatar)
    if avatar.portrait is not None:
        _check_portrait(avatar.portrait)


def parse_json(
    text: str, what: str, error: type[GsheadError] = FileFormatError, *, max_bytes: int = MAX_JSON_BYTES
) -> dict[str, Any]:
    """A JSON object with unique keys, finite numbers and bounded size and depth. Raises ``error``."""
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise error(f"{what} is larger than {max_bytes} bytes.")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise error(f"{what} is not valid JSON: {problem}.") from problem
    if not isinstance(document, dict):
        raise error(f"{what} must be a JSON object.")
    if _depth(document) > MAX_JSON_DEPTH:
        raise error(f"{what} is nested more than {MAX_JSON_DEPTH} deep.")
    return document


def _read_header(data: bytes) -> dict[str, Any]:
    remedy = "Open a file written by gshead (.gshead)."
    if len(data) > MAX_FILE_BYTES:
        raise FileFormatError(f"The file has {len(data)} bytes; an avatar has at most {MAX_FILE_BYTES}.")
    if len(data) < 10:
        raise FileFormatError(f"This is not an avatar file: it has only {len(data)} bytes.", remedy=remedy)
    (length,) = struct.unpack("<Q", bytes(data[:8]))
    if length > min(len(data) - 8, MAX_HEADER_BYTES) or bytes(data[8:9]) != b"{":
        raise FileFormatError("This is not an avatar file, or only the beginning of one.", remedy=remedy)
    try:
        text = bytes(data[8 : 8 + length]).decode("utf-8")
        header = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"The header of the avatar file is damaged: {error}.", remedy=remedy) from error
    return header


def _check_document(document: Mapping[str, Any]) -> None:
    version = document.get("format")
    if not (isinstance(version, list) and len(version) == 2 and all(type(v) is int and v >= 0 for v in version)):
        raise FileFormatError("The avatar file does not say its format version.")
    if version[0] != FORMAT_VERSION[0]:
        created = str(document.get("created_with", "an unknown version"))[:80]
        raise FileFormatError(
            f"The avatar file has format {version[0]}.{version[1]}, written by {created}; "
            f"this gshead reads format {FORMAT_VERSION[0]}.",
            remedy="Update gshead, or make the avatar again with this version.",
        )
    for key, kind in (("name", str), ("method", str), ("created_with", str), ("provenance", dict), ("head", dict)):
        if not isinstance(document.get(key), kind):
            raise FileFormatError(f"The avatar file's '{key}' is missing or of the wrong kind.")


def _check_entry(name: str, entry: Any) -> tuple[int, ...]:
    if not isinstance(entry, dict):
        raise FileFormatError(f"The header of tensor '{name[:80]}' is damaged.")
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise FileFormatError(f"Tensor '{name[:80]}' has type {dtype!r}, which avatars do not use.")
    if not (isinstance(shape, list) and len(shape) <= 4 and all(type(s) is int and 0 <= s < 2**31 for s in shape)):
        raise FileFormatError(f"Tensor '{name[:80]}' has an impossible shape.")
    offsets = entry.get("data_offsets")
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(o) is int and o >= 0 for o in offsets)):
        raise FileFormatError(f"Tensor '{name[:80]}' has damaged offsets.")
    size = _ITEM_BYTES[dtype]
    for s in shape:
        size *= s
    if offsets[1] - offsets[0] != size:
        raise FileFormatError(f"Tensor '{name[:80]}' should take {size} bytes, not {offsets[1] - offsets[0]}.")
    return tuple(shape)


def _check_known(name: str, dtype: str, shape: tuple[int, ...], known: Tensor, counts: dict[str, int]) -> None:
    if dtype not in known.types:
        raise FileFormatError(f"Tensor '{name}' has type {dtype}; expected {' or '.join(known.types)}.")
    if len(shape) != len(known.shape):
        raise FileFormatError(f"Tensor '{name}' has shape {shape}; expected {len(known.shape)} dimensions.")
    for got, want in zip(shape, known.shape, strict=True):
        if isinstance(want, int):
            if got != want:
                raise FileFormatError(f"Tensor '{name}' has shape {shape}; expected a {want} in it.")
        elif counts.setdefault(want, got) != got:
            raise FileFormatError(f"Tensor '{name}' has {got} {want}; another has {counts[want]}.")
        elif got > LIMITS[want]:
            raise FileFormatError(f"The avatar file has {got} {want}; at most {LIMITS[want]} are allowed.")


def _check_head(header: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    """The embedded head's counts, so that a small file cannot unfold into a huge dense head."""
    if not isinstance(head.get("name"), str) or not isinstance(head.get("license"), str):
        raise FileFormatError("The avatar file does not name its head.")
    sha256 = head.get("sha256")
    if sha256 is not None:
        if not (isinstance(sha256, str) and len(sha256) == 64):
            raise FileFormatError("The avatar file refers to its head by a damaged hash.")
        return
    meta = head.get("meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("expression_names"), list):
        raise FileFormatError("The avatar file neither embeds its head nor refers to one.")
    fixed = meta.get("fixed_point", {})
    if not isinstance(fixed, dict) or not all(type(bits) is int and 0 <= bits <= 32 for bits in fixed.values()):
        raise FileFormatError("The embedded head's fixed-point table is damaged.")
    expressions = len(meta["expression_names"])
    control = (header.get("head.template", {}).get("shape") or [0])[0]
    points = max(control, header["avatar.vertex_offsets"]["shape"][0])
    if expressions > MAX_EXPRESSIONS or points > MAX_VERTICES or expressions * points > MAX_EXPRESSION_VALUES:
        raise FileFormatError(f"The embedded head has {points} points and {expressions} expressions: too many.")


def _check_dynamic(avatar: Avatar) -> None:
    d = avatar.dynamic
    assert d is not None
    m, k, features = d.index.shape[0], d.bias.shape[0], avatar.head.expression_count + 3
    expected = {"index": (m,), "basis": (m, 14, k), "gain": (k, features), "bias": (k,)}
    for name, shape in expected.items():
        value = getattr(d, name)
        if value.shape != shape:
            raise ArgumentError(f"DynamicResidual.{name} must have shape {shape}, got {value.shape}.")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ArgumentError(f"DynamicResidual.{name} holds NaN or infinity.")
    if m and (d.index.min() < 0 or d.index.max() >= len(avatar)):
        raise ArgumentError("DynamicResidual.index points outside the avatar's splats.")
    if k > MAX_RANK:
        raise ArgumentError(f"DynamicResidual has rank {k}; at most {MAX_RANK} is allowed.")


def _check_portrait(portrait: NetworkPortrait) -> None:
    image, camera = portrait.image, portrait.camera
    side = image.shape[0] if image.ndim == 3 else 0
    if image.dtype != np.uint8 or not 0 < side <= MAX_PIXELS or image.shape != (side, side, 3):
        raise ArgumentError(f"NetworkPortrait.image must be (S, S, 3) uint8, got {image.shape} {image.dtype}.")
    if camera.shape != (3, 4) or not np.isfinite(camera).all():
        raise ArgumentError(f"NetworkPortrait.camera must be (3, 4) and finite, got {camera.shape}.")
    turn = camera[:, :3].astype(np.float64)
    if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3 or np.abs(camera[:, 3]).max() > 1000:
        raise ArgumentError("NetworkPortrait.camera must be a rotation and a place near the head.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key appears twice")
    return out


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
    return depth
