"""Many portraits over a pool: how much faster more workers are, at draft quality, with the sample portrait."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

from measure import Report, Row
from PIL import Image, ImageEnhance

from gshead_backend.farm.batch import Runner, pool_client
from gshead_backend.farm.portraits import Batch
from gshead_backend.gpus import visible_gpus

GROUP = "pool"
PORTRAITS = 8
SAMPLE = Path(__file__).parents[1] / "samples" / "synthetic_portrait.png"
OPTIONS = {"method": "uvfit", "quality": "draft", "seed": 0, "splats": 0}


def measure_pool(report: Report, device: str, portraits: int = PORTRAITS) -> None:
    """Seconds a portrait with one worker and with more; the workers are warm: each has made one before."""
    most = max(2, len(visible_gpus())) if device == "cuda" else 2
    for workers in dict.fromkeys((1, 2, most)):
        pool = pool_client("local", workers=workers, device=_device(device))
        with tempfile.TemporaryDirectory() as folder, pool as c:
            place = Path(folder)
            for name, count in (("warm", workers), ("photos", portraits)):
                _photos(place / name, count)
            Runner(Batch(place / "warm", place / "warm", OPTIONS), c, OPTIONS).run()
            batch = Batch(place / "photos", place / "out", OPTIONS)
            start = time.perf_counter()
            Runner(batch, c, OPTIONS).run()
            seconds = time.perf_counter() - start
        if batch.count("made") != portraits:
            raise RuntimeError(f"{batch.count('failed')} portraits failed: {batch.items[0].error}")
        row, hourly = f"draft, {workers} worker{'s' * (workers > 1)}, {device}", 3600 * portraits / seconds
        report.add(Row(GROUP, row, seconds / portraits, "s/portrait", None, portraits, f"{hourly:.0f} an hour"))


def _device(device: str) -> str:
    return "auto" if device == "cuda" else device  # auto gives each worker a GPU of its own


def _photos(folder: Path, count: int) -> None:
    folder.mkdir()
    picture = Image.open(SAMPLE).convert("RGB")
    for i in range(count):
        data = io.BytesIO()
        ImageEnhance.Brightness(picture).enhance(0.9 + 0.01 * i).save(data, "PNG")
        (folder / f"{folder.name}-{i}.png").write_bytes(data.getvalue())
