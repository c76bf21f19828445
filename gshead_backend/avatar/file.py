"""The ``.gshead`` avatar file: one safetensors file whose header carries one JSON document.

Tensors of the avatar stand under ``splats.*`` and ``avatar.*``, a low-rank residual under ``dynamic.*``, what a neural
renderer reads under ``portrait.*`` (format 1.1), an embedded head under ``head.*``. The JSON document is the value of
the safetensors metadata key ``gshead``::

    {"format": [1, 0], "created_with": "gshead 0.1.0", "name": "...", "method": "uvfit", "provenance": {...},
     "head": {"name": "...", "license": "CC0-1.0", "sha256": null or "...", "meta": null or {...}}}

A head is embedded when its licence lets anyone pass it on; any other (FLAME) is named with the hash of its arrays
and must be installed where the file is opened. The same avatar always gives the same bytes, and saving what was
loaded gives the file again. Every file is read as a stranger's: the whole header is judged before an array is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import safetensors
import safetensors.numpy

from .. import __version__
from ..errors import ArgumentError, FileFormatError, GsheadError, HeadError
from ..files import write_atomic
from ..head import HeadModel, find_head, head_from_tensors, head_to_tensors
from .layout import (
    DYNAMIC_LAYOUT,
    FORMAT_VERSION,
    LAYOUT,
    MAX_FILE_BYTES,
    PORTRAIT_LAYOUT,
    REQUIRED,
    check_avatar,
    check_header,
    parse_json,
)
from .types import Avatar, DynamicResidual, NetworkPortrait

EMBEDDABLE_LICENSES = frozenset({"CC0-1.0", "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause"})
_HEAD = "head."
_loaded_heads: WeakValueDictionary[str, HeadModel] = WeakValueDictionary()


def save_avatar(avatar: Avatar, path: str | Path) -> int:
    """Write ``avatar`` to ``path`` (atomically) and return the size in bytes. Raises ``ExportError``."""
    data = avatar_to_bytes(avatar)
    write_atomic(path, data)
    return len(data)


def load_avatar(path: str | Path, *, head: HeadModel | None = None) -> Avatar:
    """Read a ``.gshead`` file; see :func:`avatar_from_bytes`."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise FileFormatError(f"'{path}' has {size} bytes; an avatar has at most {MAX_FILE_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    try:
        return avatar_from_bytes(data, head=head)
    except FileFormatError as error:
        raise FileFormatError(f"'{path}': {error.message}", remedy=error.remedy) from error


def avatar_to_bytes(avatar: Avatar) -> bytes:
    """The ``.gshead`` file of ``avatar``.

    Positions, rotations, sizes, opacities and colours are stored as float16 (errors measured in
    ``tests/avatar/test_file.py``: below 0.02 mm, 0.1 degrees, 0.4 % of a splat's size and a third of an 8-bit step);
    barycentric coordinates stay float32 because they multiply positions that are metres away from the surface.

    Raises:
        ArgumentError: a value does not fit the format; the message names it.
    """
    check_avatar(avatar)
    tensors: dict[str, np.ndarray] = {
        "avatar.betas": _f32(avatar.betas),
        "avatar.vertex_offsets": _f16(avatar.vertex_offsets, "vertex_offsets"),
        "splats.triangle": _index(avatar.triangle),
        "splats.bary": _f32(avatar.bary[:, :2]),
        "splats.region": np.ascontiguousarray(avatar.region, np.uint8),
        "splats.offset": _f16(avatar.offset, "offset"),
        "splats.rotation": _f16(avatar.rotation, "rotation"),
        "splats.log_scale": _f16(avatar.log_scale, "log_scale"),
        "splats.opacity_logit": _f16(avatar.opacity_logit, "opacity_logit"),
        "splats.color": _f16(avatar.color, "color"),
    }
    if avatar.dynamic is not None:
        tensors |= {
            "dynamic.index": _index(avatar.dynamic.index),
            "dynamic.basis": _f16(avatar.dynamic.basis, "dynamic.basis"),
            "dynamic.gain": _f32(avatar.dynamic.gain),
            "dynamic.bias": _f32(avatar.dynamic.bias),
        }
    version = FORMAT_VERSION if avatar.portrait is not None else (1, 0)
    if avatar.portrait is not None:
        tensors |= {
            "portrait.image": np.ascontiguousarray(avatar.portrait.image, np.uint8),
            "portrait.camera": _f32(avatar.portrait.camera),
        }
    head_document, head_tensors = _pack_head(avatar.head)
    document = {
        "format": list(version),
        "created_with": f"gshead {__version__}",
        "name": avatar.name,
        "method": avatar.method,
        "provenance": avatar.provenance,
        "head": head_document,
    }
    # One metadata key: safetensors keeps metadata in a hash map, whose order would change from run to run.
    return safetensors.numpy.save(tensors | head_tensors, metadata={"gshead": _canonical_json(document)})


def avatar_from_bytes(data: bytes, *, head: HeadModel | None = None) -> Avatar:
    """The avatar in the bytes of a ``.gshead`` file.

    Args:
        data: the file.
        head: the head a file refers to by hash, when the caller has it; otherwise it is looked up among the
            installed heads.

    Raises:
        FileFormatError: not a ``.gshead`` file, damaged, too large, or of a newer major version.
        HeadError: the head that the file refers to is not installed.
    """
    header, document = check_header(data)
    try:
        tensors = safetensors.numpy.load(bytes(data))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"This is not a valid avatar file: {error}.") from error
    if set(tensors) != set(header):
        raise FileFormatError("This is not a valid avatar file: its header can be read in two ways.")
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise FileFormatError(f"Avatar tensor '{name}' holds NaN or infinity.")
    try:
        return _assemble(tensors, document, _unpack_head(tensors, document["head"], head))
    except ArgumentError as error:
        raise FileFormatError(f"The avatar file contradicts itself: {error.message}") from error


def describe_avatar(data: bytes) -> dict[str, Any]:
    """What a ``.gshead`` file holds, from its header alone: names, counts and bytes by part (JSON-able)."""
    header, document = check_header(data)
    parts: dict[str, int] = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        part = name.split(".", 1)[0]
        parts[part] = parts.get(part, 0) + end - start
    return {
        "name": document["name"],
        "method": document["method"],
        "format": ".".join(map(str, document["format"])),
        "created_with": document["created_with"],
        "head": document["head"]["name"],
        "head_embedded": document["head"].get("sha256") is None,
        "drawn_by_network": "portrait.image" in header,
        "splats": header["splats.triangle"]["shape"][0],
        "bytes": len(data),
        "bytes_by_part": dict(sorted(parts.items())),
        "provenance": document["provenance"],
    }


def _assemble(tensors: Mapping[str, np.ndarray], document: Mapping[str, Any], head: HeadModel) -> Avatar:
    missing = [name for name in REQUIRED if name not in tensors]
    if missing:
        raise FileFormatError(f"The avatar file lacks {', '.join(missing)}.")
    get = {name: tensors[name].astype(LAYOUT[name].memory) for name in REQUIRED}
    two = get["splats.bary"]
    avatar = Avatar(
        head=head, betas=get["avatar.betas"], vertex_offsets=get["avatar.vertex_offsets"],
        triangle=get["splats.triangle"], bary=np.column_stack([two, 1 - two[:, 0] - two[:, 1]]),
        region=get["splats.region"], offset=get["splats.offset"], rotation=get["splats.rotation"],
        log_scale=get["splats.log_scale"], opacity_logit=get["splats.opacity_logit"], color=get["splats.color"],
        dynamic=_unpack_dynamic(tensors), portrait=_unpack_portrait(tensors), name=document["name"],
        method=document["method"], provenance=document["provenance"],
    )  # fmt: skip
    check_avatar(avatar)
    return avatar


def _unpack_dynamic(tensors: Mapping[str, np.ndarray]) -> DynamicResidual | None:
    present = [name for name in DYNAMIC_LAYOUT if name in tensors]
    if not present:
        return None
    if len(present) != len(DYNAMIC_LAYOUT):
        raise FileFormatError(f"The avatar file has only part of a dynamic residual: {', '.join(present)}.")
    index, basis, gain, bias = (tensors[name].astype(DYNAMIC_LAYOUT[name].memory) for name in DYNAMIC_LAYOUT)
    return DynamicResidual(index, basis, gain, bias)


def _unpack_portrait(tensors: Mapping[str, np.ndarray]) -> NetworkPortrait | None:
    present = [name for name in PORTRAIT_LAYOUT if name in tensors]
    if not present:
        return None
    if len(present) != len(PORTRAIT_LAYOUT):
        raise FileFormatError(f"The avatar file has only part of a portrait for a network: {', '.join(present)}.")
    image, camera = (tensors[name] for name in PORTRAIT_LAYOUT)
    return NetworkPortrait(image, camera)


def _pack_head(head: HeadModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    common: dict[str, Any] = {"name": head.name, "license": head.license}
    if head.license not in EMBEDDABLE_LICENSES:
        return common | {"sha256": head.sha256, "meta": None}, {}
    tensors, meta = head_to_tensors(head)
    packed = {_HEAD + name: np.ascontiguousarray(value) for name, value in tensors.items()}
    return common | {"sha256": None, "meta": meta}, packed


def _unpack_head(tensors: Mapping[str, np.ndarray], document: Mapping[str, Any], given: HeadModel | None) -> HeadModel:
    if document.get("sha256") is not None:
        return _installed_head(document["name"], document["sha256"], given)
    own = {name[len(_HEAD) :]: value for name, value in tensors.items() if name.startswith(_HEAD)}
    if not own:
        raise FileFormatError("The avatar file neither embeds its head nor refers to one.")
    try:
        head = head_from_tensors(own, document["meta"])
    except HeadError as error:
        raise FileFormatError(f"The head in the avatar file is damaged: {error.message}") from error
    # Avatars on the same head share one object, which keeps a backend with many avatars small.
    return _loaded_heads.setdefault(head.sha256, head)


def _installed_head(name: str, sha256: str, given: HeadModel | None) -> HeadModel:
    """The head a file refers to, found by the hash alone: a stranger's file must not name a path."""
    remedy = "Import the same head with 'gshead head import PATH', or open the avatar where it is installed."
    if given is not None and given.sha256 != sha256:
        raise HeadError(
            f"The avatar was made on head '{name}' with sha256 {sha256[:12]}…; the one given has {given.sha256[:12]}….",
            remedy=remedy,
        )
    try:
        return given or find_head(sha256)
    except GsheadError as error:
        raise HeadError(
            f"The avatar was made on head '{name}' (sha256 {sha256[:12]}…), which is not installed here.", remedy=remedy
        ) from error


def _canonical_json(document: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"Avatar.provenance must be plain JSON: {error}.") from error
    parse_json(text, "Avatar.provenance", ArgumentError)
    return text


def _f32(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32)


def _f16(value: np.ndarray, name: str) -> np.ndarray:
    value = np.asarray(value)
    if value.size and np.abs(value).max() > 60000:
        raise ArgumentError(f"Avatar.{name} holds {np.abs(value).max():g}, which the file format cannot hold.")
    return np.ascontiguousarray(value, np.float16)


def _index(value: np.ndarray) -> np.ndarray:
    """Triangle or splat indices in the smallest type that holds them."""
    small = value.size == 0 or int(value.max()) < 2**16
    return np.ascontiguousarray(value, np.uint16 if small else np.int32)
