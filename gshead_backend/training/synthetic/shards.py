"""Shards: files of finished samples, pictures coded as JPEG and PNG, read without running anything they contain.

One shard is one safetensors file: small arrays stacked over its samples; coded pictures one after the other as bytes,
with where each begins; the facts as JSON. It is written in one step under the number of its first sample, so an
interrupted run goes on where it was, and the same seeds give the same bytes.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

from ...camera import Camera
from ...errors import ArgumentError, FileFormatError
from ...files import write_atomic
from ...head.pose import HeadPose
from ...protocol.transfer import linear_to_srgb, srgb_to_linear
from .sample import USUAL, Drawing, Sample
from .workers import each_sample

SHARD = 64
FORMAT, VERSION = "gshead-synthetic", 1
JPEG_QUALITY = 95
_PICTURES = ("image", "matte", "labels", "albedo")
_ARRAYS = ("arkit", "gaze", "betas", "light", "landmarks")


def write(path: str | Path, samples: Sequence[Sample]) -> None:
    """One shard. The photograph becomes a JPEG, the rest is exact but for the albedo and matte (8 bits).

    Raises ``ArgumentError`` without samples, ``ExportError`` when the place cannot be written.
    """
    if not samples:
        raise ArgumentError("A shard holds at least one sample.")
    arrays: dict[str, np.ndarray] = {
        "seed": np.array([s.seed for s in samples], np.int64),
        "shot_seed": np.array([s.shot_seed for s in samples], np.int64),
        "pose": np.stack([s.pose.to_vector() for s in samples]),
        "K": np.stack([s.camera.K for s in samples]), "viewmat": np.stack([s.camera.viewmat for s in samples]),
        "sun": np.stack([np.stack(s.sun) for s in samples]).astype(np.float32),
        **{name: np.stack([getattr(s, name) for s in samples]).astype(np.float32) for name in _ARRAYS},
    }  # fmt: skip
    for name in _PICTURES:
        coded = [_coded(name, getattr(s, name)) for s in samples]
        arrays[f"{name}_start"] = np.cumsum([0, *map(len, coded)]).astype(np.int64)
        arrays[f"{name}_bytes"] = np.frombuffer(b"".join(coded), np.uint8)
    meta = {"format": FORMAT, "version": str(VERSION), "about": json.dumps([s.about for s in samples], sort_keys=True)}
    write_atomic(path, safetensors.numpy.save(arrays, meta))


def read(path: str | Path) -> Iterator[Sample]:
    """The samples of a shard, decoded one by one. Raises ``FileFormatError`` when it is none or damaged."""
    try:
        with safetensors.safe_open(path, "np") as file:
            meta = file.metadata() or {}
            if meta.get("format") != FORMAT or meta.get("version") != str(VERSION):
                raise ValueError(f"its format is {meta.get('format')} {meta.get('version')}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(meta["about"])
        for i in range(arrays["seed"].size):
            yield _sample(arrays, about[i], i)
    except (OSError, ValueError, KeyError, IndexError, TypeError, safetensors.SafetensorError) as error:
        raise FileFormatError(
            f"{path} is not a shard of synthetic people: {error}.", remedy="Remove it and make it again."
        ) from error


def make(
    folder: str | Path, first: int, count: int, how: Drawing = USUAL, *, workers: int = 1,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, Any]:  # fmt: skip
    """Write the samples ``first`` .. ``first + count - 1`` as shards where they are not there yet.

    Returns:
        "made" and "found" samples, "seconds", "samples_per_second".
    """
    folder = Path(folder)
    jobs: list[tuple[Path, list[int]]] = []
    found = 0
    for start in range(first, first + count, SHARD):
        seeds = list(range(start, min(start + SHARD, first + count)))
        path = folder / f"{start:010d}-{len(seeds)}.safetensors"
        if path.exists():
            found += len(seeds)
        else:
            jobs.append((path, seeds))
    started = time.perf_counter()
    total = sum(len(seeds) for _, seeds in jobs)
    stream = each_sample([s for _, seeds in jobs for s in seeds], how, workers=workers)
    done = 0
    for path, seeds in jobs:
        batch: list[Sample] = []
        for _ in seeds:
            sample = next(stream)
            assert isinstance(sample, Sample)
            batch.append(sample)
            done += 1
            speed = done / (time.perf_counter() - started)
            progress(done / total, f"{done} of {total} samples, {speed:.2f} a second")
        write(path, batch)
    seconds = time.perf_counter() - started
    return {"made": total, "found": found, "seconds": seconds, "samples_per_second": total / max(seconds, 1e-9)}


def _coded(name: str, picture: np.ndarray) -> bytes:
    if name == "albedo":
        picture = linear_to_srgb(np.clip(picture, 0, 1))
    if picture.dtype != np.uint8:
        picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    buffer = io.BytesIO()
    if name == "image":
        Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        Image.fromarray(picture).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _decoded(arrays: dict[str, np.ndarray], name: str, i: int) -> np.ndarray:
    start = arrays[f"{name}_start"]
    data = arrays[f"{name}_bytes"][start[i] : start[i + 1]].tobytes()
    return np.array(Image.open(io.BytesIO(data), formats=("JPEG", "PNG")))


def _sample(arrays: dict[str, np.ndarray], about: dict[str, Any], i: int) -> Sample:
    image = _decoded(arrays, "image", i)
    h, w = image.shape[:2]
    return Sample(
        seed=int(arrays["seed"][i]), shot_seed=int(arrays["shot_seed"][i]), image=image,
        matte=(_decoded(arrays, "matte", i) / np.float32(255)).astype(np.float32), labels=_decoded(arrays, "labels", i),
        albedo=srgb_to_linear(_decoded(arrays, "albedo", i) / np.float32(255)),
        camera=Camera(w, h, arrays["K"][i], arrays["viewmat"][i]), pose=HeadPose.from_vector(arrays["pose"][i]),
        sun=(arrays["sun"][i, 0], arrays["sun"][i, 1]), about=about, **{name: arrays[name][i] for name in _ARRAYS},
    )  # fmt: skip
