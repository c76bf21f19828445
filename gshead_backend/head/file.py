"""Head files: one safetensors file, compact without loss.

Arrays are float32 and int32 in memory. On disk each one takes the smallest type that gives back exactly the same
numbers: float16, 16-bit fixed point (``value * 2**bits``), uint8 or uint16. Expression deltas, which are mostly zero,
are stored as their touched rows. So a head has the same ``sha256`` before and after a round trip.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import FileFormatError, GsheadError, HeadError
from .model import HeadModel, SparseMatrix

FORMAT_VERSION = 1
_FLOATS = (
    "template", "identity_dirs", "uv", "joints", "joints_identity", "skin_weights", "arkit_expression", "arkit_jaw",
    "arkit_eyes", "landmark_bary", "landmark_sigma", "expression_gain", "pose_correctives",
)  # fmt: skip
_INTS = ("faces", "uv_faces", "region", "mirror", "landmark_triangles")
_OPTIONAL = ("expression_gain", "pose_correctives")
_MAX_BYTES = 400_000_000


def _pack_float(a: np.ndarray) -> tuple[np.ndarray, int | None]:
    """The smallest exact storage of a float32 array and its number of fixed-point bits, if any."""
    if not a.size:
        return a, None
    half = a.astype(np.float16)
    if np.array_equal(half.astype(np.float32), a):
        return half, None
    for kind, bits in ((np.int16, 14), (np.int16, 13), (np.uint16, 15), (np.uint16, 16)):
        fixed = np.rint(a.astype(np.float64) * 2**bits)
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        if fixed.min() >= low and fixed.max() <= high and np.array_equal((fixed / 2**bits).astype(np.float32), a):
            return fixed.astype(kind), bits
    return a, None


def _pack_int(a: np.ndarray) -> np.ndarray:
    high = int(a.max(initial=0))
    return a.astype(np.uint8 if high < 256 else np.uint16 if high < 65536 else np.int32)


def head_to_tensors(head: HeadModel) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Compact tensors and JSON-able metadata; :func:`head_from_tensors` gives back an equal head."""
    tensors: dict[str, np.ndarray] = {}
    fixed: dict[str, int] = {}

    def put(name: str, a: np.ndarray) -> None:
        tensors[name], bits = _pack_float(np.ascontiguousarray(a, np.float32))
        if bits is not None:
            fixed[name] = bits

    for name in _FLOATS:
        value = getattr(head, name)
        if value is not None:
            put(name, value)
    for name in _INTS:
        tensors[name] = _pack_int(np.ascontiguousarray(getattr(head, name)))
    touched = np.abs(head.expression_dirs).max(1) > 0
    put("expression_values", head.expression_dirs.transpose(2, 0, 1)[touched.T])
    tensors["expression_rows"] = _pack_int(np.nonzero(touched.T)[1])
    tensors["expression_counts"] = touched.sum(0).astype(np.int32)
    if head.subdivision is not None:
        put("subdivision_data", head.subdivision.data)
        tensors["subdivision_indices"] = _pack_int(head.subdivision.indices)
        tensors["subdivision_counts"] = _pack_int(np.diff(head.subdivision.indptr))
    meta = {
        "format": FORMAT_VERSION,
        "name": head.name,
        "license": head.license,
        "expression_names": list(head.expression_names),
        "region_names": list(head.region_names),
        "fixed_point": fixed,
        "sha256": head.sha256,
    }
    return tensors, meta


def _expressions(get: Any, control_count: int, expression_count: int) -> np.ndarray:
    rows, counts, values = get("expression_rows"), get("expression_counts"), get("expression_values")
    bad = counts.size != expression_count or counts.min(initial=0) < 0 or counts.sum() != rows.size
    if bad or values.shape != (rows.size, 3) or rows.max(initial=0) >= control_count:
        raise HeadError("The expression tables of the head disagree with each other.")
    dirs = np.zeros((expression_count, control_count, 3), np.float32)
    dirs[np.repeat(np.arange(expression_count), counts), rows] = values
    return np.ascontiguousarray(dirs.transpose(1, 2, 0))


def _subdivision(get: Any, control_count: int) -> SparseMatrix:
    data, indices, counts = get("subdivision_data"), get("subdivision_indices"), get("subdivision_counts")
    if counts.min(initial=1) < 1 or counts.sum() != indices.size or data.shape != indices.shape:
        raise HeadError("The subdivision matrix of the head is inconsistent.")
    if indices.max(initial=0) >= control_count or indices.min(initial=0) < 0:
        raise HeadError("The subdivision matrix of the head indexes outside its control points.")
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return SparseMatrix(data, indices.astype(np.int32), indptr, control_count)


def head_from_tensors(tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> HeadModel:
    """The head stored by :func:`head_to_tensors`.

    Raises:
        HeadError: a tensor is missing, of the wrong shape, not finite or indexes outside its target.
    """
    fixed = meta.get("fixed_point", {})

    def get(name: str) -> np.ndarray:
        if name not in tensors:
            raise HeadError(f"The head has no tensor '{name}'.")
        a = tensors[name]
        if a.dtype.kind not in "fiu":
            raise HeadError(f"Tensor '{name}' of the head has type {a.dtype}.")
        if name in fixed:
            return (a / np.float64(2 ** int(fixed[name]))).astype(np.float32)
        if a.dtype.kind == "f":
            a = a.astype(np.float32)
            if not np.isfinite(a).all():
                raise HeadError(f"Tensor '{name}' of the head holds NaN or infinity.")
            return a
        return a.astype(np.int64)

    try:
        if meta.get("format") != FORMAT_VERSION:
            raise HeadError(f"The head has format {meta.get('format')!r}; this gshead reads {FORMAT_VERSION}.")
        floats = {k: get(k) for k in _FLOATS if k in tensors or k not in _OPTIONAL}
        ints = {k: get(k).astype(np.uint8 if k == "region" else np.int32) for k in _INTS}
        names = tuple(str(n) for n in meta["expression_names"])
        if floats["template"].ndim != 2 or floats["template"].shape[1] != 3:
            raise HeadError(f"The head's template has shape {floats['template'].shape}, not (C, 3).")
        control_count = floats["template"].shape[0]
        return HeadModel(
            name=str(meta["name"]), license=str(meta["license"]), expression_names=names,
            region_names=tuple(str(n) for n in meta["region_names"]),
            expression_dirs=_expressions(get, control_count, len(names)),
            subdivision=_subdivision(get, control_count) if "subdivision_data" in tensors else None,
            **floats, **ints,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, GsheadError):
            raise
        raise HeadError(f"The head's tables are malformed: {error}.") from error


def save_head(head: HeadModel, path: str | os.PathLike[str]) -> None:
    """Write a head file atomically."""
    path = Path(path)
    tensors, meta = head_to_tensors(head)
    data = save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, {"gshead_head": json.dumps(meta)})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(temporary, 0o644)  # mkstemp makes private files, a head is not a secret
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Only the metadata of a head file (name, licence, sha256 ...). Raises ``FileFormatError``."""
    return _open(Path(path), with_tensors=False)[1]


def read_head(path: str | os.PathLike[str]) -> HeadModel:
    """Read a head file. Raises ``FileFormatError`` when it is not one, ``HeadError`` when its content is broken."""
    tensors, meta = _open(Path(path), with_tensors=True)
    return head_from_tensors(tensors, meta)


def _open(path: Path, *, with_tensors: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    remedy = "Choose a file written by 'gshead head import' or by save_head."
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FileFormatError(f"Head file {path} is larger than {_MAX_BYTES // 1_000_000} MB.", remedy=remedy)
        with safe_open(path, framework="np") as f:
            meta = json.loads((f.metadata() or {}).get("gshead_head", "null"))
            tensors = {k: f.get_tensor(k) for k in f.keys()} if with_tensors else {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise FileFormatError(f"There is no head file {path}.", remedy=remedy) from error
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a head file: {error}.", remedy=remedy) from error
    if not isinstance(meta, dict):
        raise FileFormatError(f"{path} is a safetensors file but holds no head.", remedy=remedy)
    return tensors, meta
