"""Multi-view folders: pictures of one person from known cameras (``docs/evaluation.md`` specifies the format).

Everything in a folder may come from a stranger: paths may not leave it, sizes are checked before pixels are decoded,
and whatever is wrong is said with the view and the entry that are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..avatar.layout import parse_json
from ..camera import Camera
from ..errors import FileFormatError, GsheadError, SceneError
from ..head.arkit import ARKIT_INDEX
from ..portrait.labels import LABELS
from .scene_files import image_size, read_grey, read_rgb

FORMAT, VERSION = "gshead-multiview", 1
MAX_VIEWS, MAX_FRAMES, MAX_JSON = 5000, 1000, 32 * 2**20
MAX_LANDMARKS = 64 * 2**20
_REMEDY = "docs/evaluation.md describes the format."


@dataclass(frozen=True)
class Frame:
    """What the face does. arkit: (52,) weights. gaze: (2, 2) radians, rows left and right eye, columns yaw toward the
    person's left and pitch up, in head space; None where it is not known."""

    name: str
    arkit: np.ndarray | None
    gaze: np.ndarray | None


@dataclass(frozen=True)
class View:
    """One picture. camera: sees the world, metres, Y up. matte, labels: files of the same size, or None."""

    index: int
    frame: str
    camera: Camera
    image: Path
    matte: Path | None
    labels: Path | None

    def read_image(self) -> np.ndarray:
        """(H, W, 3) uint8 sRGB. Raises ``SceneError``."""
        return read_rgb(self.image)

    def read_matte(self) -> np.ndarray | None:
        """(H, W) float32 0..1, or None."""
        return None if self.matte is None else read_grey(self.matte).astype(np.float32) / 255

    def read_labels(self) -> np.ndarray | None:
        """(H, W) uint8 index into ``labels.LABELS``, or None. Raises ``SceneError`` for other values."""
        if self.labels is None:
            return None
        out = read_grey(self.labels)
        if out.max() >= len(LABELS):
            raise SceneError(f"View {self.index}: '{self.labels.name}' holds {out.max()}, not a label.")
        return out


@dataclass(frozen=True)
class Scene:
    """A folder that has been read and checked; pictures are read when they are asked for.

    Attributes:
        frames: by name. views: in the folder's order. source: index of the view that plays the portrait.
        head: name of the head model of the truth, with ``betas`` (B,), where both are known.
        landmarks: (views, 468 or 478, 2) float32 pixels, NaN where unknown; None without.
    """

    folder: Path
    name: str
    license: str
    frames: dict[str, Frame]
    views: tuple[View, ...]
    source: int
    head: str | None = None
    betas: np.ndarray | None = None
    landmarks: np.ndarray | None = field(default=None, repr=False)

    def marks(self, view: View) -> np.ndarray | None:
        """(468 or 478, 2) true landmarks of a view, or None where they are not known."""
        if self.landmarks is None or not np.isfinite(self.landmarks[view.index]).all():
            return None
        return self.landmarks[view.index].astype(np.float64)


def read_scene(folder: str | Path) -> Scene:
    """Read ``scene.json`` of a folder and check everything it names.

    Raises ``SceneError`` that names the folder, the view and the entry.
    """
    folder = Path(folder)
    try:
        path = folder / "scene.json"
        if path.stat().st_size > MAX_JSON:
            raise SceneError(f"'scene.json' is larger than {MAX_JSON} bytes.")
        document = parse_json(path.read_text("utf-8"), "'scene.json'", max_bytes=MAX_JSON)
        return _scene(folder, document)
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(f"'{folder}' is not a multi-view folder: {error}.", remedy=_REMEDY) from error
    except (SceneError, FileFormatError) as error:
        raise SceneError(f"'{folder}': {error.message}", remedy=error.remedy or _REMEDY) from error


def _scene(folder: Path, d: dict[str, Any]) -> Scene:
    if d.get("format") != FORMAT:
        raise SceneError(f'\'scene.json\' does not say "format": "{FORMAT}".')
    if d.get("version") != VERSION:
        raise SceneError(f"'scene.json' has version {d.get('version')!r}; this gshead reads version {VERSION}.")
    frames, views = d.get("frames"), d.get("views")
    if not isinstance(frames, dict) or not 1 <= len(frames) <= MAX_FRAMES:
        raise SceneError(f"'frames' must be an object with 1 to {MAX_FRAMES} frames.")
    if not isinstance(views, list) or not 1 <= len(views) <= MAX_VIEWS:
        raise SceneError(f"'views' must be a list of 1 to {MAX_VIEWS} views.")
    read_frames = {name: _frame(name, value) for name, value in frames.items()}
    read_views = tuple(_view(folder, i, value, read_frames) for i, value in enumerate(views))
    source = d.get("source", 0)
    if type(source) is not int or not 0 <= source < len(read_views):
        raise SceneError(f"'source' must be the index of one of the {len(read_views)} views, got {source!r}.")
    return Scene(
        folder, str(d.get("name", folder.name))[:200], str(d.get("license", "unknown"))[:200], read_frames, read_views,
        source, _text(d, "head"), _betas(d), _landmarks(folder, d, len(read_views)),
    )  # fmt: skip


def _frame(name: str, value: Any) -> Frame:
    if not isinstance(value, dict):
        raise SceneError(f"Frame '{name}' must be an object.")
    arkit = gaze = None
    if "arkit" in value:
        weights = value["arkit"]
        if not isinstance(weights, dict):
            raise SceneError(f"Frame '{name}': 'arkit' must be an object of weights.")
        arkit = np.zeros(52, np.float32)
        for channel, weight in weights.items():
            if channel not in ARKIT_INDEX:
                raise SceneError(f"Frame '{name}': there is no ARKit channel '{channel[:80]}'.")
            arkit[ARKIT_INDEX[channel]] = _numbers(weight, (), f"Frame '{name}': '{channel}'", 2.0)
    if "gaze_deg" in value:
        sides = value["gaze_deg"]
        if not isinstance(sides, dict) or set(sides) != {"left", "right"}:
            raise SceneError(f"Frame '{name}': 'gaze_deg' must have 'left' and 'right'.")
        gaze = np.radians(
            [_numbers(sides[s], (2,), f"Frame '{name}': gaze of the {s} eye", 90.0) for s in ("left", "right")]
        )
    return Frame(name, arkit, gaze)


def _view(folder: Path, index: int, value: Any, frames: dict[str, Frame]) -> View:
    what = f"View {index}"
    if not isinstance(value, dict):
        raise SceneError(f"{what} must be an object.")
    frame = value.get("frame")
    if not isinstance(frame, str) or frame not in frames:
        raise SceneError(f"{what}: there is no frame {str(frame)[:80]!r}.")
    K = _numbers(value.get("K"), (3, 3), f"{what}: 'K'", 1e6)
    viewmat = _numbers(value.get("viewmat"), (4, 4), f"{what}: 'viewmat'", 1e6)
    if K[0, 0] <= 0 or K[1, 1] <= 0 or np.abs([K[0, 1], K[1, 0]]).max() > 1e-6 * K[0, 0]:
        raise SceneError(f"{what}: 'K' needs positive focal lengths and no skew.")
    if np.abs(K[2] - [0, 0, 1]).max() > 1e-9 or np.abs(viewmat[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise SceneError(f"{what}: the last row of 'K' must be 0 0 1 and of 'viewmat' 0 0 0 1.")
    R = viewmat[:3, :3]
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise SceneError(f"{what}: 'viewmat' must be a rotation and a translation, world to camera (OpenCV axes).")
    image = _inside(folder, value.get("image"), f"{what}: 'image'")
    width, height = image_size(image)
    files: dict[str, Path | None] = {}
    for key in ("matte", "labels"):
        files[key] = _inside(folder, value[key], f"{what}: '{key}'") if value.get(key) is not None else None
        path = files[key]
        if path is not None and image_size(path) != (width, height):
            raise SceneError(f"{what}: '{key}' is {image_size(path)}, the image {(width, height)} pixels.")
    try:
        camera = Camera(width, height, K, viewmat)
    except GsheadError as error:
        raise SceneError(f"{what}: {error.message}") from error
    return View(index, frame, camera, image, files["matte"], files["labels"])


def _inside(folder: Path, name: Any, what: str) -> Path:
    """The file inside the folder that a scene names; links that lead out of it are refused as well."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name:
        raise SceneError(f"{what} must be a path inside the folder, with slashes.")
    pure = PurePosixPath(name)
    path = folder / name
    if pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
        raise SceneError(f"{what}: '{name[:120]}' leaves the folder.")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SceneError(f"{what}: '{name[:120]}' leaves the folder.")
    if not path.is_file():
        raise SceneError(f"{what}: there is no file '{name[:120]}'.")
    return path


def _numbers(value: Any, shape: tuple[int, ...], what: str, limit: float) -> np.ndarray:
    try:
        out = np.array(value, dtype=object)
        fine = out.shape == shape and all(type(v) in (int, float) and math.isfinite(v) for v in out.ravel())
        out = out.astype(np.float64) if fine else out
    except (ValueError, OverflowError):
        fine = False
        out = np.empty(0)
    if not fine or (out.size and np.abs(out).max() > limit):
        kind = "a number" if shape == () else f"{' x '.join(map(str, shape))} numbers"
        raise SceneError(f"{what} must be {kind}, not beyond {limit:g}.")
    return out


def _text(d: dict[str, Any], key: str) -> str | None:
    value = d.get(key)
    if value is not None and not isinstance(value, str):
        raise SceneError(f"'{key}' must be text.")
    return value


def _betas(d: dict[str, Any]) -> np.ndarray | None:
    betas = d.get("betas")
    if betas is None:
        return None
    if not isinstance(betas, list) or len(betas) > 4096:
        raise SceneError("'betas' must be a list of at most 4096 numbers.")
    return _numbers(betas, (len(betas),), "'betas'", 1e3).astype(np.float32)


def _landmarks(folder: Path, d: dict[str, Any], views: int) -> np.ndarray | None:
    """The ``landmarks`` array of the named .npz file."""
    if d.get("landmarks") is None:
        return None
    path = _inside(folder, d["landmarks"], "'landmarks'")
    if path.stat().st_size > MAX_LANDMARKS:
        raise SceneError(f"'landmarks' is larger than {MAX_LANDMARKS} bytes.")
    try:
        with np.load(path, allow_pickle=False) as file:
            marks = np.asarray(file["landmarks"])
    except Exception as error:  # zipfile, zlib, numpy and the missing key each raise their own
        raise SceneError(f"'landmarks': '{path.name}' holds no array 'landmarks': {error}.") from error
    if marks.ndim != 3 or marks.shape[0] != views or marks.shape[1] not in (468, 478) or marks.shape[2] != 2:
        raise SceneError(f"'landmarks' must have shape ({views}, 468 or 478, 2), got {marks.shape}.")
    if marks.dtype.kind != "f":
        raise SceneError(f"'landmarks' must be floating point, got {marks.dtype}.")
    return marks.astype(np.float32)
