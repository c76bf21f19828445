"""``gshead render-blend``: frames of a .blend in a headless Blender, each once and whole, never without its heads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import ArgumentError, FileFormatError, RenderError
from .console import Progress, emit, parse, parse_frames


def main(args: Sequence[str]) -> int:
    return parse(render_blend, "render-blend", args)


def render_blend(
    blend: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], frames: str, *,
    blender: str = "", extension: str = "", engine: str = "", connection: str = "", retries: int = 2,
    json: bool = False,
) -> int:  # fmt: skip
    """Render frames of a .blend with heads into a folder, as 0001, 0002 and so on, in the file's own format.

    Run it again at any time: frames that are whole are kept, all others rendered. Several may work on one folder.
    Frames are written under another name and renamed; DIR/manifest.json lists them with their hashes.

    Args:
        blend: the scene, with its avatars packed (they are unless you unpacked them).
        out: the folder; made when missing.
        frames: for example 1-48, 1-48:2 or 1,5,9.
        blender: Blender's program, or a Python with the bpy module; $GSHEAD_BLENDER or 'blender' by default.
        extension: the extension's zip, installed for this run into settings of its own; empty uses your Blender's own.
        engine: GSHEAD, CYCLES, ...; the file's own when empty.
        connection: connection file of a backend that runs already; by default one is started, and ends with this.
        retries: how often a frame is tried again when the backend was lost.
        json: print the result as one JSON object.
    """
    from ..farm.blender import Chunk, find_blender, render_chunk
    from ..farm.frames import FrameFolder

    numbers, job = parse_frames(frames), job_of(blend, out, engine, retries)
    program = find_blender(blender, extension)
    program.environment.update(backend_environment(connection))
    progress, started = Progress(), time.perf_counter()
    progress(0.0, "Starting Blender")
    done = 0

    def say(event: dict[str, Any]) -> None:
        nonlocal done
        if event["event"] == "frame":
            done += 1
            progress(done / len(numbers), f"Frame {event['frame']} {event['state']}")

    folder = FrameFolder(out.resolve(), job["key"])
    folder.sweep()
    whole, left = Chunk(), numbers
    try:
        while left:  # once more only where another worker, who had claimed a frame, did not come to its end
            chunk = render_chunk(program, job, left, say=say)
            whole.rendered += chunk.rendered
            whole.failed |= chunk.failed
            left = folder.left_of(frame for frame in left if frame not in whole.failed)
    finally:
        progress.close()
        folder.write_manifest(numbers)
    done_here = {*whole.rendered, *whole.failed}
    kept = [frame for frame in numbers if frame not in done_here]
    return finish(whole.rendered, kept, whole.failed, out, time.perf_counter() - started, as_json=json)


def job_of(blend: Path, out: Path, engine: str, retries: int) -> dict[str, Any]:
    """What ``render_chunk`` takes. Raises ``FileFormatError``, ``ArgumentError``."""
    from ..farm.frames import job_key

    if not 0 <= retries <= 20:
        raise ArgumentError(f"--retries must be 0 to 20, got {retries}.")
    if not blend.is_file():
        raise FileFormatError(f"There is no file '{blend}'.")
    return {
        "blend": str(blend.resolve()), "out": str(out.resolve()), "key": job_key(blend, engine=engine),
        "engine": engine, "retries": retries,
    }  # fmt: skip


def backend_environment(connection: str) -> dict[str, str]:
    """What tells Blender's extension where the backend is, or how to start this very one."""
    import json
    import os
    import sys

    if connection:
        if not Path(connection).is_file():
            raise ArgumentError(f"There is no connection file '{connection}'.")
        return {"GSHEAD_CONNECTION_FILE": str(Path(connection).resolve())}
    if os.environ.get("GSHEAD_BACKEND_COMMAND") or os.environ.get("GSHEAD_CONNECTION_FILE"):
        return {}
    return {"GSHEAD_BACKEND_COMMAND": json.dumps([sys.executable, "-m", "gshead_backend.cli", "serve"])}


def finish(
    rendered: Sequence[int], kept: Sequence[int], failed: dict[int, str], out: Path, seconds: float, *, as_json: bool
) -> int:
    """Say what became of the frames. Raises ``RenderError`` when some are missing."""
    result = {
        "rendered": sorted(rendered), "kept": sorted(kept), "failed": {str(k): v for k, v in sorted(failed.items())},
        "folder": str(out), "seconds": round(seconds, 2),
    }  # fmt: skip
    emit(result, f"{len(rendered)} frames rendered, {len(kept)} kept in {out}: {seconds:.1f} s", as_json=as_json)
    if failed:
        frame = min(failed)
        raise RenderError(
            f"{len(failed)} of {len(failed) + len(rendered) + len(kept)} frames were not rendered; frame {frame}: "
            f"{failed[frame]}",
            remedy="Run the same command again for those that are missing.",
        )
    return 0
