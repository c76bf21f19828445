"""``gshead farm``: an animation on all devices of this machine, or as a job for a farm's own manager."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ArgumentError
from .console import emit, parse_actions, parse_frames
from .render_blend import backend_environment, finish, job_of


def main(args: Sequence[str]) -> int:
    if args[:1] == ["backend"]:
        return parse_actions({"start": start, "stop": stop}, "farm backend", args[1:])
    return parse_actions({"run": run, "template": template, "backend": backend}, "farm", args)


def run(
    blend: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], frames: str, *,
    workers: int = 0, chunk: int = 8, gpus: str = "auto", blender: str = "", extension: str = "", engine: str = "",
    retries: int = 2, json: bool = False,
) -> int:  # fmt: skip
    """Render an animation on this machine: one Blender a worker, one backend a GPU (or one for the CPU).

    Chunks whose Blender ends early are tried again. After a crash or a reboot run the same command: it goes on.

    Args:
        blend: the scene. out: the folder. frames: for example 1-250.
        workers: Blenders at work at once; one a GPU by default, two on a machine without.
        chunk: frames that a Blender renders before the next one is started.
        gpus: auto for all that the driver lists, none, or numbers such as 0,1.
        blender, extension, engine: as in 'gshead render-blend'.
        retries: how often a chunk, and a frame for which the backend was lost, is tried again.
        json: print the result as one JSON object.
    """
    from ..farm.blender import find_blender
    from ..farm.frames import FrameFolder
    from ..farm.pool import Farm, Worker, chunks_of
    from ..gpus import visible_gpus
    from ..protocol.launcher import clean_environment
    from .farm_table import Table

    numbers = parse_frames(frames)
    if chunk < 0 or not 0 <= workers <= 64:
        raise ArgumentError("--chunk must not be negative, and --workers lie in 0..64.")
    found = visible_gpus(clean_environment()) if gpus == "auto" else _numbers(gpus)
    devices: list[str | None] = list(found) or [None]
    count = workers or (len(devices) if devices != [None] else 2)
    rows = [Worker(f"worker {i + 1}", devices[i % len(devices)]) for i in range(count)]
    job = job_of(blend, out, engine, retries)
    program = find_blender(blender, extension)
    program.environment.update(backend_environment(""))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gsh-") as runtime, Table(rows, len(numbers)) as table:
        farm = Farm(program, job, chunks_of(numbers, chunk), rows, Path(runtime), retries, table.update)
        try:
            farm.run()
        finally:
            FrameFolder(out.resolve(), job["key"]).write_manifest(numbers)
    return finish(farm.rendered, farm.kept, farm.failed, out, time.perf_counter() - started, as_json=json)


def _numbers(text: str) -> list[str]:
    if text in ("", "none"):
        return []
    try:
        return [str(int(part)) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(f"--gpus must be auto, none or numbers such as 0,1, not '{text}'.") from None


def template(
    kind: tyro.conf.Positional[Literal["openjd", "slurm", "flamenco"]], blend: tyro.conf.Positional[Path], /,
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], frames: str, *, job: Path, chunk: int = 8,
    extension: str = "", blender: str = "", gpu: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Write a job for a farm's manager; its tasks run 'gshead render-blend' on the workers.

    Args:
        kind: openjd (a job bundle, also for AWS Deadline Cloud), slurm (a batch script with a job array) or flamenco (a
            job type for Flamenco 3).
        blend: the scene, by the path that the workers see. out: the folder for frames, likewise.
        frames: for example 1-250.
        job: where to write: a folder for openjd, a file for the others.
        chunk: frames a task.
        extension: path of the extension's zip on the workers. blender: of Blender there.
        gpu: tasks ask for one GPU.
        json: print the result as one JSON object.
    """
    from ..farm.templates import Submission, write_template

    files = write_template(
        kind, Submission(str(blend), str(out), parse_frames(frames), chunk, extension, blender, gpu), job
    )
    emit({"files": [str(f) for f in files]}, "\n".join(map(str, files)), as_json=json)
    return 0


def backend() -> int:
    """Start or stop the backend of a farm's step: 'gshead farm backend start|stop FILE'."""
    raise ArgumentError("Say what to do.", remedy="Use 'gshead farm backend start FILE' or 'stop FILE'.")


def start(note: tyro.conf.Positional[Path], /, *, device: str = "auto") -> int:
    """Start a backend that outlives this command, and print the variable by which tasks find it.

    It ends with 'gshead farm backend stop FILE', or by itself two minutes after its last client.

    Args:
        note: file in which to write what 'stop' needs.
        device: auto, cpu, cuda or cuda:N.
    """
    from ..farm.backend import start_for_step

    connection = start_for_step(note, device=device)
    print(f"openjd_env: GSHEAD_CONNECTION_FILE={connection}", flush=True)
    return 0


def stop(note: tyro.conf.Positional[Path], /) -> int:
    """Stop the backend that 'gshead farm backend start FILE' started.

    Args:
        note: the file that was given to 'start'.
    """
    from ..farm.backend import stop_after_step

    stop_after_step(note)
    return 0
