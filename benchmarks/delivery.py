"""What a viewport feels: how old the newest frame is, how soon the first one comes, and whether memory stays flat."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from measure import Report, Row, timed
from scenes import camera, covered_head, pose_at
from service import backend, wire_poses

CONSUMER_HZ = 20
SECONDS = 6.0


def measure_delivery(report: Report, device: str, sizes: tuple[int, ...]) -> None:
    """Age of streamed frames under full load with a slow consumer; the worker's memory; start to first frame."""
    from gshead_backend.avatar.file import avatar_to_bytes

    for splats in sizes:
        data, label = avatar_to_bytes(covered_head(splats)), f"{splats // 1000}k splats, {device}"
        if splats == sizes[0]:
            with _nothing_compiled():
                report.add(_first_frame(data, device, f"backend start to first frame, nothing compiled, {label}"))
            for what in ("first start", "second start"):
                report.add(_first_frame(data, device, f"backend start to first frame, {what}, {label}"))
        with backend(device) as client:
            avatar_id = client.avatar_put(data, timeout=300)
            spec, poses = wire_poses(avatar_id, covered_head(splats))
            client.render(spec, [poses[0]], dtype="uint8", depth=False, timeout=300)
            before = _worker_memory(client)
            _ages(report, client, spec, poses, label)
            after = _worker_memory(client)
            if before and after:
                grown = f"{after - before:+.1f} MiB over {SECONDS:.0f} s of streaming"
                report.add(Row("delivery", f"render worker's memory, {label}", after, "MiB", None, 1, grown))


@contextlib.contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Backends that start in it find no compiled kernels, as after an installation without ``gshead warm-up``."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"NUMBA_CACHE_DIR": folder}):
        yield


def _first_frame(data: bytes, device: str, name: str) -> Row:
    """Seconds from starting the backend's process to a frame of an avatar in the client's hands."""
    start = time.perf_counter()
    with backend(device) as client:
        avatar_id = client.avatar_put(data, timeout=300)
        spec, poses = wire_poses(avatar_id, covered_head(1000))
        client.render(spec, [poses[0]], dtype="uint8", depth=False, timeout=300)
        return Row("delivery", name, time.perf_counter() - start, "s")


def _ages(report: Report, client: Any, spec: Any, poses: list[Any], label: str) -> None:
    """Wishes come twice as fast as frames can be drawn; a consumer looks 20 times a second."""
    stream, sent = client.stream_open(dtype="uint8"), {}
    once = client.render(spec, [poses[0]], dtype="uint8", depth=False)
    running = threading.Event()
    running.set()

    def wish() -> None:
        i = 0
        while running.is_set():
            now = time.perf_counter()
            sent[client.stream_update(stream, spec, [poses[i % len(poses)]])] = now
            i += 1
            time.sleep(max(0.5 * once.seconds, 0.001))

    producer = threading.Thread(target=wish)
    producer.start()
    ages, drawn, newest, begin = [], [], 0, time.perf_counter()
    try:
        while time.perf_counter() - begin < SECONDS:
            time.sleep(1 / CONSUMER_HZ)
            frame = client.stream_latest(stream, newer_than=newest)
            if frame is not None:
                newest = frame.token
                ages.append(1e3 * (time.perf_counter() - sent[frame.token]))
                drawn.append(1e3 * frame.seconds)
    finally:
        running.clear()
        producer.join()
        client.stream_close(stream)
    one, p95 = statistics.median(drawn), float(np.percentile(ages, 95))
    note = f"p95 {p95:.1f} ms = {p95 / one:.1f} drawing times of {one:.1f} ms"
    name = f"512², age of the displayed frame, consumer at {CONSUMER_HZ} Hz, {label}"
    report.add(Row("delivery", name, statistics.median(ages), "ms", float(np.percentile(ages, 90)), len(ages), note))


def _worker_memory(client: Any) -> float | None:
    """Resident MiB of the render worker, where /proc tells."""
    pids = [w.pid for w in client.hello().workers if w.role == "render"]
    try:
        text = Path(f"/proc/{pids[0]}/status").read_text()
    except (OSError, IndexError):
        return None
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def measure_levels(report: Report, device: str) -> None:
    """A standard avatar reduced to the viewport's level: seconds, what a frame then costs, how alike they look."""
    from gshead_backend.avatar.drive_fast import drive_fast
    from gshead_backend.detail import reduced
    from gshead_backend.raster import rasterize
    from gshead_backend.server.levels import SIZES

    if device != "cpu":
        return
    view = camera()
    for splats in (65_000, 150_000):
        whole = covered_head(splats)
        start = time.perf_counter()
        less = reduced(whole, SIZES[0])
        seconds, label = time.perf_counter() - start, f"{splats // 1000}k to {len(less) // 1000}k splats"
        report.add(Row("levels", f"making a level, {label}", seconds, "s"))
        for avatar, what in ((whole, "whole"), (less, "reduced")):
            poses = [pose_at(avatar, f) for f in range(48)]
            frames = iter(range(10**9))
            call = lambda a=avatar, p=poses, f=frames: rasterize(drive_fast(a, p[next(f) % 48]), view)  # noqa: E731
            report.add(timed("levels", f"512², drive + rasterize, {label}, {what}", call, count=100))
        pictures = [rasterize(drive_fast(a, pose_at(a, 6)), view) for a in (whole, less)]
        inside = pictures[0].alpha > 0.02
        error = ((pictures[0].color - pictures[1].color)[inside] ** 2).mean()
        report.add(Row("levels", f"512², likeness of the two, {label}", float(-10 * np.log10(error)), "dB"))
