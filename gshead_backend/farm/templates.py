"""Jobs for farms' own managers: an Open Job Description bundle, a Slurm array script, a Flamenco 3 job type.

Their tasks run ``gshead render-blend`` on the workers, which need that command, a Blender, the extension's zip (or a
Blender in which it is enabled) and the .blend; nothing in them is tied to one farm.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ArgumentError
from ..files import write_atomic

Kind = Literal["openjd", "slurm", "flamenco"]
TASK_SECONDS = 24 * 3600
_OPENJD_TASKS, _OPENJD_NAME = 1024, 128


@dataclass(frozen=True)
class Submission:
    """One animation.

    Attributes:
        blend, out: paths as the workers see them. frames: numbers. chunk: frames a task.
        extension: path of the extension's zip on the workers; empty where their Blender has it enabled.
        blender: path of Blender there; empty for $GSHEAD_BLENDER or ``blender``. gpu: a task needs one GPU.
    """

    blend: str
    out: str
    frames: Sequence[int]
    chunk: int = 8
    extension: str = ""
    blender: str = ""
    gpu: bool = False

    def __post_init__(self) -> None:
        if not self.frames:
            raise ArgumentError("A job needs at least one frame.")
        if self.chunk < 1:
            raise ArgumentError(f"A task needs at least one frame, not {self.chunk}.")
        for name, text in (
            ("blend", self.blend), ("out", self.out), ("extension", self.extension), ("blender", self.blender),
        ):  # fmt: skip
            if not text.isprintable():
                raise ArgumentError(f"The path {text!r} ({name}) has characters that cannot be printed.")

    @property
    def name(self) -> str:
        return Path(self.blend).stem or "gshead"

    @property
    def chunks(self) -> list[str]:
        """Frames of each task, as ``--frames`` takes them."""
        frames = list(self.frames)
        return [ranges(frames[i : i + self.chunk]) for i in range(0, len(frames), self.chunk)]

    @property
    def options(self) -> list[str]:
        named = (("--extension", self.extension), ("--blender", self.blender))
        return [word for option, value in named if value for word in (option, value)]


def ranges(frames: Sequence[int]) -> str:
    """``[1, 2, 3, 7]`` to ``"1-3,7"``."""
    parts: list[list[int]] = []
    for frame in frames:
        if parts and frame == parts[-1][1] + 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def write_template(kind: Kind, submission: Submission, target: Path) -> list[Path]:
    """Write the job, atomically, and return the files: a folder's for openjd, one file for the others.

    Raises ``ArgumentError``, ``ExportError``.
    """
    if kind == "openjd":
        documents = {"template.json": openjd_template(submission), **_deadline_extras(submission)}
        files = {target / name: json.dumps(value, indent=2) + "\n" for name, value in documents.items()}
    else:
        writers: dict[str, Callable[[Submission], str]] = {"slurm": slurm_script, "flamenco": flamenco_job_type}
        if kind not in writers:
            raise ArgumentError(f"There is no farm template '{kind}'.", remedy="Use openjd, slurm or flamenco.")
        files = {target: writers[kind](submission)}
    for path, text in files.items():
        write_atomic(path, text.encode())
    return list(files)


def openjd_template(s: Submission) -> dict[str, Any]:
    """A job template of Open Job Description 2023-09: one step whose environment starts a backend and stops it."""
    backend = ["farm", "backend"]
    folder = "{{Session.WorkingDirectory}}/gshead-backend.json"
    render = [
        "render-blend", "{{Param.BlendFile}}", "--out", "{{Param.OutputDir}}", "--frames={{Task.Param.Frames}}",
        *s.options,
    ]  # fmt: skip
    _check_openjd(s)
    step: dict[str, Any] = {
        "name": "Render",
        "parameterSpace": {"taskParameterDefinitions": [{"name": "Frames", "type": "STRING", "range": s.chunks}]},
        "stepEnvironments": [
            {
                "name": "Backend",
                "description": "One backend for all tasks of a session; it also ends by itself when nobody uses it.",
                "script": {
                    "actions": {
                        "onEnter": {"command": "{{Param.Gshead}}", "args": [*backend, "start", folder], "timeout": 600},
                        "onExit": {"command": "{{Param.Gshead}}", "args": [*backend, "stop", folder], "timeout": 60},
                    }
                },
            }
        ],
        "script": {"actions": {"onRun": {"command": "{{Param.Gshead}}", "args": render, "timeout": TASK_SECONDS}}},
    }
    if s.gpu:
        step["hostRequirements"] = {"amounts": [{"name": "amount.worker.gpu", "min": 1}]}
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": s.name[:_OPENJD_NAME],
        "parameterDefinitions": [
            {"name": "BlendFile", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"},
            {"name": "OutputDir", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"},
            {"name": "Gshead", "type": "STRING", "default": "gshead", "description": "The command on the worker."},
        ],
        "steps": [step],
    }  # fmt: skip


def _check_openjd(s: Submission) -> None:
    """Raise ``ArgumentError`` for what Open Job Description 2023-09 does not take."""
    if len(s.chunks) > _OPENJD_TASKS:
        size = -(-len(s.frames) // _OPENJD_TASKS)
        raise ArgumentError(
            f"{len(s.chunks)} tasks of {s.chunk} frames: Open Job Description takes {_OPENJD_TASKS} tasks.",
            remedy=f"Use --chunk {size} or more, or submit the frames in several jobs.",
        )
    for text in (s.name, *s.options):
        if "{{" in text or "}}" in text:
            raise ArgumentError(f"Open Job Description would replace what stands between braces in {text!r}.")


def _deadline_extras(s: Submission) -> dict[str, Any]:
    """The parameters, for ``openjd run --job-param file://parameters.json``, and as AWS Deadline Cloud's bundles have
    them. Not as the template's defaults: those may not be absolute paths."""
    values = [{"name": "BlendFile", "value": s.blend}, {"name": "OutputDir", "value": s.out}]
    assets = {"inputs": {"filenames": [s.blend], "directories": []}, "outputs": {"directories": [s.out]}}
    return {
        "parameters.json": {v["name"]: v["value"] for v in values},
        "parameter_values.json": {"parameterValues": values},
        "asset_references.json": {"assetReferences": assets},
    }


def slurm_script(s: Submission) -> str:
    """A batch script with a job array: ``sbatch FILE``; a task of it may be requeued at any time."""
    command = ["gshead", "render-blend", s.blend, "--out", s.out, *s.options]
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={''.join(c if c.isalnum() or c in '-_.' else '_' for c in s.name)}",
        f"#SBATCH --array=0-{len(s.chunks) - 1}",
        "#SBATCH --requeue",
        *(["#SBATCH --gres=gpu:1"] if s.gpu else []),
        "set -eu",
        f"CHUNKS=({' '.join(shlex.quote(chunk) for chunk in s.chunks)})",
        f'exec {shlex.join(command)} --frames="${{CHUNKS[$SLURM_ARRAY_TASK_ID]}}"',  # "=": it may begin with a minus
    ]
    return "\n".join(lines) + "\n"


def flamenco_job_type(s: Submission) -> str:
    """A job type script for Flamenco 3's ``scripts`` folder; its settings start as this animation's.

    Flamenco's add-on puts the scene that it submits into the setting ``blendfile``.
    """
    if min(s.frames) < 0:
        raise ArgumentError(
            f"Flamenco takes no frames below zero, and this job begins at {min(s.frames)}.",
            remedy="Move the animation to later frames, or use openjd or slurm.",
        )
    settings = [
        {"key": "blendfile", "type": "string", "required": True, "default": s.blend, "description": "Scene to render",
         "visible": "web"},
        {"key": "render_output_path", "type": "string", "subtype": "dir_path", "required": True, "default": s.out,
         "description": "Folder for the frames"},
        {"key": "frames", "type": "string", "required": True, "default": ranges(s.frames),
         "description": "Frames to render, such as 1-50,60"},
        {"key": "chunk_size", "type": "int32", "required": True, "default": s.chunk, "propargs": {"min": 1},
         "description": "Frames a task"},
        {"key": "gshead", "type": "string", "required": True, "default": "gshead",
         "description": "The gshead command on the workers"},
        {"key": "extension", "type": "string", "default": s.extension, "description": "The extension's zip there"},
        {"key": "blender", "type": "string", "default": s.blender, "description": "Blender there"},
    ]  # fmt: skip
    return (
        "// A job type for Flamenco 3: put it into the manager's 'scripts' folder.\n"
        f"const JOB_TYPE = {json.dumps({'label': 'gshead render', 'settings': settings}, indent=2)};\n"
        + """
function compileJob(job) {
  const settings = job.settings;
  for (const frames of frameChunker(settings.frames, settings.chunk_size)) {
    const args = ["render-blend", settings.blendfile, "--out", settings.render_output_path, "--frames=" + frames];
    if (settings.extension) args.push("--extension", settings.extension);
    if (settings.blender) args.push("--blender", settings.blender);
    const task = author.Task("render-" + frames, "blender");
    task.addCommand(author.Command("exec", { exe: settings.gshead, args: args }));
    job.addTask(task);
  }
}
"""
    )
