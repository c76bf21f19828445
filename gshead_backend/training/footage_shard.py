"""One shard of footage: frames of one person from one clip or one capture, tracked and cropped, in one file.

It is a safetensors file: pictures lie one after the other as JPEG (the image) and PNG (the matte) bytes, with where
each ends; the rest are plain arrays over the T frames. A shard is written in one step, has at most ``MAX_BYTES``, and
is read through a memory map without running anything that it contains. It names nobody: persons are hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from ..camera import Camera
from ..errors import ArgumentError, FileFormatError
from ..files import write_atomic
from ..head.pose import HeadPose

FORMAT, VERSION = "gshead-footage", 1
META = "gshead"
MAX_BYTES = 16_000_000
MAX_SIDE = 2048
JPEG_QUALITY = 94
FIRST_SEED = 2**48
"""Samples that are made of footage are numbered from here; no synthetic person reaches it."""
_PER_FRAME = {
    "jpeg_end": ("I64", ()), "matte_end": ("I64", ()), "K": ("F32", (3, 3)), "viewmat": ("F32", (4, 4)),
    "pose": ("F32", (None,)), "time": ("F64", ()), "view": ("I32", ()), "number": ("I64", ()), "error_px": ("F32", ()),
    "covers": ("F32", (4,)),
}  # fmt: skip


@dataclass(frozen=True)
class About:
    """What a shard says of all its frames.

    Attributes:
        head, head_sha256: the head model that was fitted. person: a hash of the source (and of the shot in it), never
            a path. source: a hash of the file or folder it was taken from; persons of one source are in one split.
        licence: what the user said of the footage; may be empty. split: "train" or "validation". kind: "clip" or
            "multiview". settings: a hash of how it was prepared. size: pixels of a side.
    """

    head: str
    head_sha256: str
    person: str
    source: str
    licence: str
    split: str
    kind: str
    settings: str
    size: int


@dataclass(frozen=True)
class Frame:
    """One frame: a square crop around the head, and the head that was fitted to it.

    Attributes:
        image: (S, S, 3) uint8 sRGB. matte: (S, S) uint8, this person, hair and clothes included.
        camera: sees the fitted head's space; its viewmat carries where the head is and how it is turned.
        pose: expression, jaw and eyes; ``global_orient``, ``neck_pose`` and ``translation`` are zero.
        betas: (B,) float32, vertex_offsets: (V, 3) float32 metres: the person, the same in all frames.
        time: seconds from the clip's start; the same for all views of one instant. view: 0 in a clip, which of the
            cameras in a capture. number: of the frame in the clip, or of the picture in the capture's list.
        error_px: mean distance of the fitted head's landmarks from the detected ones, pixels of ``image``; NaN where no
            landmarks were detected (a view from behind).
        covers: (4,) left, top, right, bottom pixel that the source picture covers; beyond, its edge pixels continue.
        person: the hash of who it is.
    """

    image: np.ndarray
    matte: np.ndarray
    camera: Camera
    pose: HeadPose
    betas: np.ndarray
    vertex_offsets: np.ndarray
    time: float
    view: int
    number: int
    error_px: float
    covers: np.ndarray
    person: str

    @property
    def known(self) -> np.ndarray:
        """(S, S) bool: pixels that the source picture covers."""
        at = np.arange(self.image.shape[0]) + 0.5
        left, top, right, bottom = self.covers
        return ((at > top) & (at < bottom))[:, None] & ((at > left) & (at < right))[None]


@dataclass(frozen=True)
class CodedFrame:
    """A frame as it is stored: what :class:`Frame` holds, with the pictures coded. jpeg, matte: bytes. K: (3, 3)."""

    jpeg: bytes
    matte: bytes
    K: np.ndarray
    viewmat: np.ndarray
    pose: np.ndarray
    time: float
    view: int
    number: int
    error_px: float
    covers: np.ndarray

    @property
    def size(self) -> int:
        """Bytes that it takes in a shard."""
        return len(self.jpeg) + len(self.matte) + 4 * (9 + 16 + self.pose.size + 4 + 2) + 32


def coded(
    image: np.ndarray, matte: np.ndarray, camera: Camera, pose: HeadPose, *, time: float, view: int, number: int,
    error_px: float, covers: np.ndarray,
) -> CodedFrame:  # fmt: skip
    """A frame for :func:`write_shard`. image: (S, S, 3) uint8. matte: (S, S) uint8."""
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    png = cv2.imencode(".png", matte)[1]
    return CodedFrame(
        jpeg.tobytes(), png.tobytes(), camera.K.astype(np.float32), camera.viewmat.astype(np.float32),
        pose.to_vector(), time, view, number, error_px, np.asarray(covers, np.float32),
    )  # fmt: skip


def write_shard(
    path: str | Path, about: About, betas: np.ndarray, vertex_offsets: np.ndarray, frames: Sequence[CodedFrame]
) -> None:
    """Write one shard.

    Args:
        betas: (B,). vertex_offsets: (V, 3) metres, stored as half floats.
    Raises:
        ArgumentError: no frames, or more than ``MAX_BYTES``. ExportError: the place cannot be written.
    """
    if not frames:
        raise ArgumentError("A shard of footage holds at least one frame.")
    stack = lambda name, dtype: np.ascontiguousarray(np.stack([getattr(f, name) for f in frames]), dtype)  # noqa: E731
    arrays = {
        "jpeg": np.frombuffer(b"".join(f.jpeg for f in frames), np.uint8),
        "jpeg_end": np.cumsum([len(f.jpeg) for f in frames]).astype(np.int64),
        "matte": np.frombuffer(b"".join(f.matte for f in frames), np.uint8),
        "matte_end": np.cumsum([len(f.matte) for f in frames]).astype(np.int64),
        "K": stack("K", np.float32), "viewmat": stack("viewmat", np.float32), "pose": stack("pose", np.float32),
        "time": stack("time", np.float64), "view": stack("view", np.int32), "number": stack("number", np.int64),
        "error_px": stack("error_px", np.float32), "covers": stack("covers", np.float32),
        "betas": np.ascontiguousarray(betas, np.float32),
        "vertex_offsets": np.ascontiguousarray(vertex_offsets, np.float16),
    }  # fmt: skip
    said = {"format": FORMAT, "version": VERSION, "sha256": digest(arrays), **asdict(about)}
    data = safetensors.numpy.save(arrays, {META: json.dumps(said, sort_keys=True)})  # several keys have no fixed order
    if len(data) > MAX_BYTES:
        raise ArgumentError(f"A shard of footage has at most {MAX_BYTES} bytes; {len(frames)} frames take {len(data)}.")
    write_atomic(path, data)


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, by name; without what an interrupted writing left."""
    return sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of all arrays' names and bytes."""
    out = hashlib.sha256()
    for name in sorted(arrays):
        out.update(name.encode() + b"\0" + np.ascontiguousarray(arrays[name]).tobytes())
    return out.hexdigest()


class Shard:
    """A shard file; opened when it is made, its pictures read when they are asked for. It can be sent to processes.

    Raises ``FileFormatError`` that names the file when it is foreign, damaged or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            meta = msgspec.json.decode((self._file.metadata() or {})[META], type=dict[str, Any])
            if meta.get("format") != FORMAT or meta.get("version") != VERSION:
                raise ValueError(f"it says '{meta.get('format')}', version {meta.get('version')}")
            self.about = msgspec.convert({f.name: meta[f.name] for f in fields(About)}, About)
            if self.about.split not in ("train", "validation") or not 16 <= self.about.size <= MAX_SIDE:
                raise ValueError(f"it says split '{self.about.split[:40]}' and {self.about.size} pixels")
            self.sha256 = str(meta["sha256"])
            self.arrays = self._checked()
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError, msgspec.MsgspecError) as error:
            raise self._damaged(str(error)) from error
        self.count = self.arrays["time"].size

    @cached_property
    def _file(self) -> Any:
        return safetensors.safe_open(self.path, "np").__enter__()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_file"}

    def _checked(self) -> dict[str, np.ndarray]:
        """Every array but the pictures' bytes."""
        file, found = self._file, {}
        count = file.get_slice("time").get_shape()[0]
        for name, (dtype, shape) in {**_PER_FRAME, "betas": ("F32", None), "vertex_offsets": ("F16", None)}.items():
            part = file.get_slice(name)
            wanted = part.get_shape()[1:] if shape is None else list(shape)
            sizes = part.get_shape()[1:]
            fits = len(sizes) == len(wanted) and all(w in (None, s) for s, w in zip(sizes, wanted, strict=True))
            if part.get_dtype() != dtype or not fits or (shape is not None and part.get_shape()[0] != count):
                raise ValueError(f"'{name}' is {part.get_dtype()} {part.get_shape()}")
            found[name] = file.get_tensor(name)
        for name in ("K", "viewmat", "pose", "time", "covers", "betas", "vertex_offsets"):
            if not np.isfinite(found[name]).all():
                raise ValueError(f"'{name}' is not finite")
        for name in ("jpeg", "matte"):
            ends, part = found[f"{name}_end"], file.get_slice(name)
            if part.get_dtype() != "U8" or np.any(np.diff(ends, prepend=0) <= 0) or [ends[-1]] != part.get_shape():
                raise ValueError(f"the pictures in '{name}' do not add up")
        if found["betas"].ndim != 1 or found["vertex_offsets"].shape[1:] != (3,) or not count:
            raise ValueError("it holds no head")
        return found

    def verify(self) -> None:
        """Read everything and compare it with the stored hash. Raises ``FileFormatError``."""
        try:
            said = digest({name: self._file.get_tensor(name) for name in self._file.keys()})  # noqa: SIM118
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise self._damaged(str(error)) from error
        if said != self.sha256:
            raise self._damaged("its content is not what was written")

    def frame(self, i: int) -> Frame:
        """Frame ``i``, its pictures decoded. Raises ``FileFormatError``."""
        a, size = self.arrays, self.about.size
        image, matte = self._picture("jpeg", i, cv2.IMREAD_COLOR), self._picture("matte", i, cv2.IMREAD_GRAYSCALE)
        camera = Camera(size, size, a["K"][i], a["viewmat"][i])
        return Frame(
            np.ascontiguousarray(image[..., ::-1]), matte, camera, HeadPose.from_vector(a["pose"][i]), a["betas"],
            a["vertex_offsets"].astype(np.float32), float(a["time"][i]), int(a["view"][i]), int(a["number"][i]),
            float(a["error_px"][i]), a["covers"][i], self.about.person,
        )  # fmt: skip

    def _picture(self, name: str, i: int, flags: int) -> np.ndarray:
        ends = self.arrays[f"{name}_end"]
        data = self._file.get_slice(name)[int(ends[i - 1]) if i else 0 : int(ends[i])]
        try:
            picture = cv2.imdecode(data, flags)
        except cv2.error as error:
            raise self._damaged(f"picture {i} cannot be read: {error}") from error
        if picture is None or picture.shape[:2] != (self.about.size, self.about.size):
            raise self._damaged(f"picture {i} cannot be read")
        return picture

    def _damaged(self, why: str) -> FileFormatError:
        return FileFormatError(
            f"'{self.path}' is not a whole shard of footage: {why}.", remedy="Remove it and prepare its source again."
        )
