"""``gshead status``: what a running backend is doing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import BackendError
from .console import bytes_text, emit, parse

_ENVELOPE = ("type", "v", "id", "parent", "session")


def main(args: Sequence[str]) -> int:
    return parse(status, "status", args)


def status(
    *, name: str = "default", runtime_dir: Path | None = None, connection: Path | None = None, json: bool = False
) -> int:
    """Sessions, jobs, frames a second and memory of a running backend; nothing is started.

    Args:
        name: of a backend on this machine.
        runtime_dir: where it keeps its connection file, when it was started with another one than usual.
        connection: connection file of a backend on another machine, instead of a name.
        json: print the result as one JSON object.
    """
    import msgspec

    from ..protocol import Client, Endpoint
    from ..protocol.launcher import live_endpoint

    endpoint = Endpoint.read(connection) if connection else live_endpoint(directory=runtime_dir, name=name)
    if endpoint is None:
        raise BackendError(
            f"No backend named '{name}' is running.", remedy="Blender starts one when needed; or run 'gshead serve'."
        )
    with Client(endpoint, name="gshead status", timeout=5.0) as client:
        hello, found = client.hello(), client.status()
    result = {
        "boot_id": hello.boot_id, "package": hello.package, "pid": hello.pid, "address": endpoint.address,
        **{key: value for key, value in msgspec.to_builtins(found).items() if key not in _ENVELOPE},
    }  # fmt: skip
    emit(result, _text(hello, found), as_json=json)
    return 0


def _text(hello: Any, found: Any) -> str:
    lines = [
        f"backend {hello.boot_id}: gshead {hello.package}, process {hello.pid}, up {_time(found.seconds)}",
        f"frames: {found.drawn} drawn, {found.fps:.1f} a second",
        "memory: " + ", ".join(f"{name} {bytes_text(size)}" for name, size in found.memory.items()),
    ]
    lines += [
        f"worker {w.role}: {w.state} {w.device}".rstrip() + (f", restarted {w.restarts} times" if w.restarts else "")
        for w in found.workers
    ]
    for s in found.sessions:
        who = "this command" if s.own else s.client or "another user's"
        lines.append(
            f"session {s.number}: {who}, {_time(s.seconds)}, {s.avatars} avatars, {s.streams} streams, "
            f"{s.frames} frames waiting, {s.fps:.1f} a second"
        )
    for job in found.jobs:
        state = f"job {job.number}: running" if job.running else "job: waiting"
        lines.append(f"{state}, {job.kind}, {_time(job.seconds)}, {job.clients} clients")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{seconds:.1f} s"
