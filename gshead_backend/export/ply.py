"""3D Gaussian Splatting's PLY layout (Kerbl et al. 2023): what every splat viewer reads. numpy only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ..avatar.types import Splats
from ..errors import ArgumentError
from ..files import write_atomic
from ..head.rotation import quat_multiply

SH_C0 = 0.28209479177387814  # the constant spherical harmonic, sqrt(1 / (4 pi))
FIELDS = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
_MIN_SCALE = 1e-9
_MAX_LOGIT = 20.0
_COMMENTS = {
    "rdf": "axes: x right, y down, z forward (turned half a turn about x from the head's own axes)",
    "head": "axes: x to the person's left, y up, z toward the viewer",
}


def rgb_to_sh(rgb: np.ndarray) -> np.ndarray:
    """Colours 0..1 to the degree-0 spherical-harmonic coefficient."""
    return (rgb - 0.5) / SH_C0


def checked_splats(splats: Splats) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """means, unit quats, scales, opacities within 0..1 and colours of RGB splats, float32.

    Raises ``ArgumentError`` for other colours, NaN, infinity, or a quaternion of zeros.
    """
    means, quats, scales = (np.asarray(a, np.float32) for a in (splats.means, splats.quats, splats.scales))
    opacities, colors = np.asarray(splats.opacities, np.float32), np.asarray(splats.colors, np.float32)
    if colors.ndim != 2 or colors.shape[1] != 3:
        raise ArgumentError(f"The file holds RGB splats; these have colours of shape {colors.shape}.")
    if not all(np.isfinite(a).all() for a in (means, quats, scales, opacities, colors)):
        raise ArgumentError("The splats hold NaN or infinity.")
    with np.errstate(over="ignore"):
        length = np.linalg.norm(quats, axis=1, keepdims=True)
    if not (np.isfinite(length) & (length > 0)).all():
        raise ArgumentError("A splat's quaternion is zero, or too long to be made a unit one.")
    return means, quats / length, scales, np.clip(opacities, 0, 1), colors


def ply_records(splats: Splats) -> np.ndarray:
    """(N, 17) float32 in the order of ``FIELDS``: log scales, logit opacity, unit quaternion wxyz."""
    means, quats, scales, clipped, colors = checked_splats(splats)
    opacities = clipped.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = np.clip(np.log(opacities) - np.log1p(-opacities), -_MAX_LOGIT, _MAX_LOGIT)
    return np.concatenate(
        [
            means, np.zeros_like(means), rgb_to_sh(colors), logit[:, None].astype(np.float32),
            np.log(np.maximum(scales, _MIN_SCALE)), quats,
        ], 1, dtype=np.float32,
    )  # fmt: skip


def export_ply(path: str | Path, splats: Splats, *, axes: Literal["rdf", "head"] = "rdf") -> int:
    """Write splats as a binary PLY (atomically); returns the size in bytes.

    PLY has no axes of its own. 3DGS viewers take a file as coming from a camera solver (x right, y down, z forward),
    so ``"rdf"`` stands upright in them; ``"head"`` keeps head space (Y up, face toward +Z).

    Raises:
        ArgumentError: the splats are not RGB or not finite. ExportError: the file cannot be written.
    """
    if axes not in _COMMENTS:
        raise ArgumentError(f"axes must be 'rdf' or 'head', got {axes!r}.")
    records = ply_records(splats)
    if axes == "rdf":
        records[:, 1:3] *= -1
        records[:, 13:17] = quat_multiply(np.array([0.0, 1.0, 0.0, 0.0], np.float32), records[:, 13:17])
    header = ["ply", "format binary_little_endian 1.0", "comment gshead, metres", f"comment {_COMMENTS[axes]}"]
    header += [f"element vertex {len(records)}", *(f"property float {name}" for name in FIELDS), "end_header", ""]
    data = "\n".join(header).encode("ascii") + records.astype("<f4").tobytes()
    write_atomic(path, data)
    return len(data)
