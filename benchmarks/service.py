"""The backend as Blender uses it: frames per second over the socket, reconstruction by quality, peak memory."""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import ROOT, Report, Row, timed
from scenes import camera, covered_head, pose_at

QUALITIES = ("draft", "standard", "high")


@contextmanager
def backend(device: str) -> Iterator[Any]:
    """A client of a fresh backend process; both end afterwards."""
    from gshead_backend.protocol import Client
    from gshead_backend.protocol.launcher import start_backend

    command = [sys.executable, "-m", "gshead_backend.cli", "serve", "--device", device]
    with tempfile.TemporaryDirectory(prefix="gsb-", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        os.chmod(folder, 0o700)
        running = start_backend(
            command, directory=Path(folder), name="bench", env={"PYTHONPATH": str(ROOT)}, timeout=60
        )
        with Client(running.endpoint, name="benchmark", timeout=300) as client:
            try:
                yield client
            finally:
                client.shutdown(force=True)


def measure_socket(report: Report, device: str, sizes: tuple[int, ...]) -> None:
    """Lock-step frames (pose out, pixels back) and the newest-wins stream, 512 x 512."""
    from gshead_backend.avatar.file import avatar_to_bytes

    with backend(device) as client:
        for splats in sizes:
            avatar = covered_head(splats)
            avatar_id = client.avatar_put(avatar_to_bytes(avatar), timeout=300)
            spec, poses = wire_poses(avatar_id, avatar)
            turn, label = itertools.cycle(poses), f"{splats // 1000}k splats"
            client.render(spec, [poses[0]], dtype="uint8", depth=False, timeout=300)
            for dtype, what in (("uint8", "viewport, 8 bit"), ("float32", "final, float32 + depth")):
                call = functools.partial(_frame, client, spec, turn, dtype)
                row = timed("socket", f"512², {what}, pose to pixels, {label}, {device}", call)
                row.note = f"{1000 / row.value:.0f} frames a second"
                report.add(row)
            report.add(_stream(client, spec, turn, f"512², stream, each wish after the last frame, {label}, {device}"))
            if device == "cpu":
                for row in _in_turns(client, spec, turn, avatar, f"{label}, {device}"):
                    report.add(row)
            report.add(_flood(client, spec, turn, f"512², stream, wishes all the time, {label}, {device}"))
            report.add(
                _timeline(client, spec, turn, f"512², timeline, float32 + depth, asked ahead, {label}, {device}")
            )
            client.avatar_drop(avatar_id)


def wire_poses(avatar_id: str, avatar: Any) -> tuple[Any, list[Any]]:
    """The camera and the 48 poses of the loop, as the wire wants them."""
    from gshead_backend.protocol import Instance, camera_spec

    view = camera()
    spec = camera_spec(view.width, view.height, view.K, view.viewmat, near=view.near, far=view.far)
    matrix = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    return spec, [Instance(avatar_id, matrix, pose_at(avatar, f).to_vector()) for f in range(48)]


def _frame(client: Any, spec: Any, turn: Iterator[Any], dtype: str) -> object:
    return client.render(spec, [next(turn)], dtype=dtype, depth=dtype != "uint8")


def _stream(client: Any, spec: Any, turn: Iterator[Any], name: str, seconds: float = 4.0) -> Row:
    """New frames a second when the next update is sent as soon as a frame arrives."""
    stream = client.stream_open(dtype="uint8")
    try:
        token, frames = client.stream_update(stream, spec, [next(turn)]), 0
        client.stream_latest(stream, newer_than=token - 1, timeout=30)
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            token = client.stream_update(stream, spec, [next(turn)])
            if client.stream_latest(stream, newer_than=token - 1, timeout=5) is not None:
                frames += 1
        rate = frames / (time.perf_counter() - begin)
    finally:
        client.stream_close(stream)
    return Row("socket", name, rate, "frames/s", None, frames)


def _in_turns(client: Any, spec: Any, turn: Iterator[Any], avatar: Any, label: str, turns: int = 7) -> list[Row]:
    """What a client gets beside the same drawing alone in this process, second by second: machines' speed drifts."""
    from gshead_backend.avatar.drive_fast import drive_fast
    from gshead_backend.parallel import keep_freed_memory
    from gshead_backend.raster import rasterize

    keep_freed_memory()  # as the worker does
    view, poses = camera(), [pose_at(avatar, f) for f in range(48)]
    drawing = (rasterize(drive_fast(avatar, pose), view) for pose in itertools.cycle(poses))
    next(drawing)
    alone, ours = [], []
    for _ in range(turns):
        alone.append(_rate(lambda: next(drawing)))
        ours.append(_ahead(client, spec, turn))
    share = statistics.median(b / a for a, b in zip(alone, ours, strict=True))
    return [
        Row("socket", f"512², drive + rasterize alone, {label}", statistics.median(alone), "frames/s", None, turns),
        Row("socket", f"512², stream, one wish ahead, in turns with it, {label}", statistics.median(ours), "frames/s",
            None, turns, f"{100 * share:.0f} % of it (median of the turns)"),
    ]  # fmt: skip


def _rate(call: Callable[[], object], seconds: float = 1.0) -> float:
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        call()
        count += 1
    return count / (time.perf_counter() - begin)


def _ahead(client: Any, spec: Any, turn: Iterator[Any], seconds: float = 1.0) -> float:
    """New frames a second when one wish waits while the one before it is drawn, as in playback."""
    stream = client.stream_open(dtype="uint8")
    try:
        tokens, frames, begin = deque([client.stream_update(stream, spec, [next(turn)])]), -1, 0.0
        while frames < 0 or time.perf_counter() - begin < seconds:
            tokens.append(client.stream_update(stream, spec, [next(turn)]))
            if client.stream_latest(stream, newer_than=tokens.popleft() - 1, timeout=30) is not None:
                frames += 1
                begin = begin or time.perf_counter()  # from the first frame on
        return frames / (time.perf_counter() - begin)
    finally:
        client.stream_close(stream)


def _flood(client: Any, spec: Any, turn: Iterator[Any], name: str, seconds: float = 4.0) -> Row:
    """New frames a second that reach the client while wishes come four times as fast as frames."""
    stream, frames, newest = client.stream_open(dtype="uint8"), 0, 0
    pause = 0.25 * client.render(spec, [next(turn)], dtype="uint8", depth=False).seconds
    try:
        begin = wished = time.perf_counter()
        while (now := time.perf_counter()) - begin < seconds:
            if now >= wished:
                client.stream_update(stream, spec, [next(turn)])
                wished += pause
            frame = client.stream_latest(stream, newer_than=newest, timeout=max(wished - now, 0.0005))
            if frame is not None:
                newest, frames = frame.token, frames + 1
        rate = frames / (time.perf_counter() - begin)
    finally:
        client.stream_close(stream)
    return Row("socket", name, rate, "frames/s", None, frames)


def _timeline(client: Any, spec: Any, turn: Iterator[Any], name: str, frames: int = 120, ahead: int = 16) -> Row:
    """Final frames a second when the next ones are asked for before the last has come, as a farm task does."""
    waiting = deque(client.threaded.render(spec, [next(turn)]) for _ in range(ahead))
    waiting.popleft().wait(60)
    begin = time.perf_counter()
    for _ in range(frames):
        waiting.append(client.threaded.render(spec, [next(turn)]))
        waiting.popleft().wait(60)
    rate = frames / (time.perf_counter() - begin)
    for request in waiting:
        request.wait(60)
    return Row("socket", name, rate, "frames/s", None, frames)


_RECONSTRUCT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from gshead_backend.head import default_head
from gshead_backend.methods import ReconstructOptions, get_method
from gshead_backend.portrait import fit_portrait
method, head, data = get_method("uvfit"), default_head(), Path(sys.argv[2]).read_bytes()
import numpy, torch
from gshead_backend.raster.cpu import warm_up
warm_up(gradients=True)
start = time.perf_counter()
fit = fit_portrait(data, head)
fitted = time.perf_counter()
avatar = method(fit, head, ReconstructOptions(quality=sys.argv[3], device=sys.argv[4]), lambda f, t: None)
done = time.perf_counter()
if sys.platform == "linux":  # ru_maxrss starts with the parent's there: it survives exec
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1024
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
gpu = torch.cuda.max_memory_allocated() / 2**20 if sys.argv[4] != "cpu" else 0
print("RESULT", fitted - start, done - fitted, len(avatar), peak, gpu)
"""


def measure_reconstruction(report: Report, device: str, repeats: int = 1) -> None:
    """Seconds and peak memory from portrait bytes to avatar, each in a fresh process, imports and compiling apart."""
    import statistics
    import subprocess

    photo = ROOT / "samples" / "astronaut.png"
    for quality in QUALITIES:
        runs = []
        for _ in range(repeats):
            done = subprocess.run(
                [sys.executable, "-c", _RECONSTRUCT, str(ROOT), str(photo), quality, device],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
            if done.returncode or not lines:
                print(f"reconstruct {quality} on {device} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
                break
            runs.append([float(v) for v in lines[-1].split()[1:]])
        if not runs:
            continue
        fit, build, splats, peak, gpu = (statistics.median(c) for c in zip(*runs, strict=True))
        name = f"uvfit {quality}, {int(splats) // 1000}k splats, {device}"
        report.add(Row("reconstruct", f"{name}: portrait to avatar", fit + build, "s", None, len(runs),
                       f"face and head fit {fit:.1f} s, method {build:.1f} s"))  # fmt: skip
        report.add(Row("memory", f"{name}: peak of the process", peak, "MiB", None, len(runs),
                       f"and {gpu:.0f} MiB on the GPU" if gpu else ""))  # fmt: skip
