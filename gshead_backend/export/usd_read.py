"""Reading back what this project wrote into USD: the avatar from ``primvars:gshead:*``, its animation from UsdSkel.

A file is a stranger's. It is read spec by spec from its own layer and never composed, so nothing that it refers to is
opened; counts, types and ranges are judged as those of a ``.gshead`` file are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..avatar.file import avatar_from_bytes, avatar_to_bytes
from ..avatar.layout import MAX_JSON_BYTES, MAX_SPLATS, MAX_VERTICES, parse_json
from ..avatar.types import REGIONS, Avatar, DynamicResidual
from ..errors import ArgumentError, FileFormatError, GsheadError
from ..head import HeadModel, HeadPose, find_head
from ..head.rotation import matrix_to_axis_angle, quat_to_matrix
from .usd_nesting import check_nesting
from .usd_splats import PRIM_TYPE, SCHEMA_VERSION
from .usd_stage import usd_modules

_PREFIX = "primvars:gshead:"
_MAX_SAMPLES = 1_000_000
_MAX_HEADS = 100


@dataclass(frozen=True)
class UsdHead:
    """One head of a file.

    Attributes:
        path: of its splats in the file. avatar: as it was exported.
        times: frames of ``poses``, whole or not; both are empty when the file animates no rig beside the splats.
        poses: one a time. matrices: (4, 4) head space to the file's world, one a time, or one for a still.
        fps, up_axis: of the file.
    """

    path: str
    avatar: Avatar
    times: list[float]
    poses: list[HeadPose]
    matrices: list[np.ndarray]
    fps: float
    up_axis: str


def import_usd(path: str | Path, *, pxr: Any, heads: Sequence[HeadModel] = ()) -> list[UsdHead]:
    """The heads in a USD file that ``export_usd``, its clips, or *File > Export > USD* with gshead wrote.

    Args:
        pxr: as for ``export_usd``. heads: head models to look among before the installed ones.
    Raises:
        FileFormatError: not USD, damaged, made by something else, or of another schema version; the message says which.
        HeadError: it was made on a head model that is not installed.
    """
    path, usd = Path(path), usd_modules(pxr)
    broken = (ArgumentError, usd.Tf.ErrorException, ValueError, TypeError, KeyError, IndexError)
    try:
        layer = _open(usd, path)
        fps, axis = _fps(layer), _up_axis(layer)
        if topology := _topology_beside(layer, path):
            layer = _open(usd, topology)
        return [_read_head(usd, layer, prim, heads, fps, axis) for prim in _find_heads(usd, layer)]
    except FileFormatError as error:
        raise FileFormatError(f"'{path.name}': {error.message}", remedy=error.remedy) from error
    except broken as error:
        raise FileFormatError(f"'{path.name}' contradicts itself: {_brief(error)}.") from error


def _find_heads(usd: Any, layer: Any) -> list[str]:
    found: list[str] = []

    def visit(at: Any) -> None:
        spec = layer.GetPrimAtPath(at) if at.IsPrimPath() else None
        if spec is not None and spec.typeName == PRIM_TYPE and f"{_PREFIX}schemaVersion" in spec.properties:
            found.append(str(at))

    layer.Traverse(usd.Sdf.Path.absoluteRootPath, visit)
    if not found:
        raise FileFormatError(
            f"it holds no head of gshead: no {PRIM_TYPE} with {_PREFIX}schemaVersion.",
            remedy="Only files that gshead wrote can become heads again; others import as they are.",
        )
    if len(found) > _MAX_HEADS:
        raise FileFormatError(f"it holds {len(found)} heads; at most {_MAX_HEADS} are read.")
    return sorted(found)


def one_head(heads: Sequence[UsdHead], path: str = "") -> UsdHead:
    """The head at ``path``, or the only one. Raises ``ArgumentError`` that names them."""
    chosen = [head for head in heads if not path or head.path == path]
    if len(chosen) != 1:
        names = ", ".join(head.path for head in heads)
        what = f"There is no head {path} in the file." if path else f"The file holds {len(heads)} heads."
        raise ArgumentError(what, remedy=f"Choose one of: {names}.")
    return chosen[0]


def _open(usd: Any, path: Path) -> Any:
    try:
        check_nesting(path)
        layer = usd.Sdf.Layer.OpenAsAnonymous(str(path))
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except (usd.Tf.ErrorException, ValueError) as error:
        raise FileFormatError(f"it is not a USD file that can be read: {_brief(error)}.") from error
    if layer is None:
        raise FileFormatError("it is not a USD file.", remedy="Choose a .usd, .usda, .usdc or .usdz file.")
    return layer


def _topology_beside(layer: Any, path: Path) -> Path | None:
    """The topology of clips that ``path`` opens; None when it is no such file. Refuses anything else it refers to."""
    used = sorted(set(layer.GetCompositionAssetDependencies()))
    if not used:
        return None
    topology = path.with_name(f"{path.stem}.topology.usdc")
    if used != [f"./{topology.name}"]:
        raise FileFormatError(
            f"it is put together from other files ('{used[0]}'), which are not opened.",
            remedy="Flatten it first (usdcat --flatten), or choose the file that gshead wrote.",
        )
    if topology.is_symlink():
        raise FileFormatError(f"its topology '{topology.name}' is a symbolic link, which is not followed.")
    return topology


def _brief(error: Exception) -> str:
    if isinstance(error, GsheadError):
        return error.message.removesuffix(".")
    try:
        text = str(error).strip()
    except UnicodeDecodeError:  # OpenUSD quotes the file's own bytes
        text = ""
    return text.splitlines()[-1][:200] if text else type(error).__name__


class _Prim:
    """Authored values of one prim, by name."""

    def __init__(self, layer: Any, path: str) -> None:
        self._layer, self._path = layer, path

    def get(self, name: str) -> Any:
        spec = self._layer.GetAttributeAtPath(f"{self._path}.{name}")
        return None if spec is None else spec.default

    def gshead(self, name: str, kind: type | None = None) -> Any:
        value = self.get(_PREFIX + name)
        if value is None or (kind is not None and not isinstance(value, kind)):
            raise FileFormatError(f"{self._path} has no {_PREFIX}{name} as it is written by gshead.")
        return value

    def array(self, name: str, columns: int, limit: int) -> np.ndarray:
        """(n, columns) or, for one column, (n,) numbers."""
        value = np.asarray(self.gshead(name))
        if value.dtype.kind not in "fiu" or value.size % columns or value.size > limit * columns:
            raise FileFormatError(f"{self._path}.{_PREFIX}{name} has {value.size} values of {value.dtype}.")
        value = value.reshape(-1, columns) if columns > 1 else value.reshape(-1)
        return value.astype(np.int32 if value.dtype.kind in "iu" else np.float32)

    def samples(self, name: str) -> dict[float, Any]:
        """Time samples, or {0: the default}, or nothing."""
        at = f"{self._path}.{name}"
        times = sorted(self._layer.ListTimeSamplesForPath(at))
        if len(times) > _MAX_SAMPLES:
            raise FileFormatError(f"{at} has {len(times)} time samples; at most {_MAX_SAMPLES} are read.")
        if times:
            return {time: self._layer.QueryTimeSample(at, time) for time in times}
        value = self.get(name)
        return {} if value is None else {0.0: value}


def _read_head(usd: Any, layer: Any, path: str, heads: Sequence[HeadModel], fps: float, axis: str) -> UsdHead:
    prim = _Prim(layer, path)
    version = prim.gshead("schemaVersion", int)
    if version != SCHEMA_VERSION:
        raise FileFormatError(
            f"{path} has schema version {version}; this gshead reads {SCHEMA_VERSION}.", remedy="Update gshead."
        )
    digest = prim.gshead("headSha256", str)
    head = next((h for h in heads if h.sha256 == digest), None) or find_head(digest)
    avatar = _checked(_read_avatar(prim, head))
    parent = usd.Sdf.Path(path).GetParentPath()
    times, poses = _read_animation(usd, layer, f"{parent}/Rig/Skeleton/Animation", avatar)
    return UsdHead(path, avatar, times, poses, _read_matrices(usd, layer, parent, times), fps, axis)


def _read_avatar(prim: _Prim, head: HeadModel) -> Avatar:
    names = prim.gshead("regionNames", str).split(",")
    if names != list(REGIONS):
        raise FileFormatError(f"Its splats have the regions {', '.join(names)[:200]}, not those of gshead.")
    provenance = prim.gshead("provenance", str)
    if len(provenance) > MAX_JSON_BYTES:
        raise FileFormatError(f"Its provenance has {len(provenance)} characters; at most {MAX_JSON_BYTES} are read.")
    two = prim.array("barycentric", 2, MAX_SPLATS)
    quats = prim.gshead("rotation")
    rotation = np.asarray(quats, np.float32).reshape(-1, 4)[:, [3, 0, 1, 2]]  # Vt's memory is xyzw
    return Avatar(
        head=head, betas=prim.array("betas", 1, MAX_VERTICES),
        region=prim.array("region", 1, MAX_SPLATS).astype(np.uint8),
        vertex_offsets=prim.array("vertexOffsets", 3, MAX_VERTICES), triangle=prim.array("triangle", 1, MAX_SPLATS),
        bary=np.column_stack([two, 1 - two.sum(1)]).astype(np.float32), offset=prim.array("offset", 3, MAX_SPLATS),
        rotation=rotation, log_scale=prim.array("logScale", 3, MAX_SPLATS),
        opacity_logit=prim.array("opacityLogit", 1, MAX_SPLATS), color=prim.array("color", 3, MAX_SPLATS),
        dynamic=_read_dynamic(prim, head), name=prim.gshead("name", str), method=prim.gshead("method", str),
        provenance=parse_json(provenance, "provenance"),
    )  # fmt: skip


def _read_dynamic(prim: _Prim, head: HeadModel) -> DynamicResidual | None:
    if prim.get(f"{_PREFIX}dynamic:index") is None:
        return None
    index, bias = prim.array("dynamic:index", 1, MAX_SPLATS), prim.array("dynamic:bias", 1, 256)
    gain = prim.array("dynamic:gain", head.expression_count + 3, 256)
    rank = bias.size
    if not rank:
        raise FileFormatError("Its dynamic residual has no components.")
    return DynamicResidual(index, prim.array("dynamic:basis", 14 * rank, MAX_SPLATS).reshape(-1, 14, rank), gain, bias)


def _checked(avatar: Avatar) -> Avatar:
    """The avatar, judged by every rule of a ``.gshead`` file (whose half precision is not wanted here)."""
    avatar_from_bytes(avatar_to_bytes(avatar), head=avatar.head)
    return avatar


def _read_animation(usd: Any, layer: Any, path: str, avatar: Avatar) -> tuple[list[float], list[HeadPose]]:
    prim = _Prim(layer, path)
    names = list(prim.get("blendShapes") or [])
    ours = [usd.Tf.MakeValidIdentifier(name) for name in avatar.head.expression_names]
    if names[: len(ours)] != ours:
        return [], []
    weights, rotations, translations = (prim.samples(n) for n in ("blendShapeWeights", "rotations", "translations"))
    rest = avatar.personal.joints[0]
    times, poses = sorted(weights), []
    for time in times:
        quats = np.asarray(rotations[time], np.float32).reshape(-1, 4)[:, [3, 0, 1, 2]]
        turns = matrix_to_axis_angle(quat_to_matrix(quats)).reshape(-1)
        moved = np.asarray(translations[time], np.float32).reshape(-1, 3)[0] - rest
        expression = np.asarray(weights[time], np.float32)[: len(ours)]
        poses.append(HeadPose(expression, turns[:3], turns[3:6], turns[6:9], turns[9:15], moved))
    return times, poses


def _read_matrices(usd: Any, layer: Any, path: Any, times: list[float]) -> list[np.ndarray]:
    samples = _Prim(layer, str(path)).samples("xformOp:transform")
    if not samples:
        return [np.eye(4)]
    keys = sorted(samples)
    at = [keys[max(int(np.searchsorted(keys, time, "right")) - 1, 0)] for time in (times or keys[:1])]
    return [np.array(samples[key], np.float64).reshape(4, 4).T for key in at]


def _fps(layer: Any) -> float:
    fps = float(layer.framesPerSecond)
    return fps if 0 < fps <= 1000 else 24.0


def _up_axis(layer: Any) -> str:
    return str(layer.pseudoRoot.GetInfo("upAxis")) if layer.pseudoRoot.HasInfo("upAxis") else "Y"
