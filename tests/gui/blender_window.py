"""Scripts in Blender's window: starting one, the head that they show, and what comes back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import display
import numpy as np
import pytest
from this_tree import BACKEND_COMMAND

from gshead_backend.avatar.file import avatar_to_bytes
from gshead_backend.avatar.types import Avatar
from gshead_backend.head import default_head

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
BACKEND = [*BACKEND_COMMAND, "--grace", "1"]
HIDDEN = ("PYTHONPATH", "PYTHONHOME", "GSHEAD_CONNECTION_FILE")
# The four quarters of the face, as seen from the front: sRGB of (head's right, left) x (above, below) the eyes' height.
QUARTERS = np.array([[0.85, 0.2, 0.2], [0.2, 0.75, 0.2], [0.25, 0.3, 0.9], [0.85, 0.8, 0.2]], np.float32)
SIDEWAYS, UPWARD = 0.03, 0.045  # metres from the middle to the marked points


@dataclass(frozen=True)
class Session:
    """One session of Blender's window: what its script reported, and its folder of pictures."""

    out: Path
    report: dict[str, Any]
    quit_seconds: float
    log: str
    environment: dict[str, str]


def painted_avatar(count: int = 20_000) -> tuple[Avatar, list[int], np.ndarray]:
    """The default head covered with opaque splats in four colours, a vertex in each, and the point between the eyes."""
    head = default_head()
    f32, rng = np.float32, np.random.default_rng(1)
    neutral = Avatar(
        head=head, betas=np.zeros(head.identity_count, f32), vertex_offsets=np.zeros((head.vertex_count, 3), f32),
        triangle=np.zeros(1, np.int32), bary=np.full((1, 3), 1 / 3, f32), region=np.zeros(1, np.uint8),
        offset=np.zeros((1, 3), f32), rotation=np.array([[1, 0, 0, 0]], f32), log_scale=np.zeros((1, 3), f32),
        opacity_logit=np.zeros(1, f32), color=np.zeros((1, 3), f32),
    )  # fmt: skip
    rest = neutral.personal.rest
    eyes = neutral.personal.joints[3:5].mean(0)
    edges = rest[head.faces[:, 1:]] - rest[head.faces[:, :1]]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    triangle = rng.choice(len(area), count, p=area / area.sum()).astype(np.int32)
    bary = rng.dirichlet(np.ones(3), count).astype(f32)
    at = np.einsum("nk,nka->na", bary, rest[head.faces[triangle]])
    quarter = (at[:, 0] > 0) + 2 * (at[:, 1] < eyes[1])
    avatar = Avatar(
        head=head, betas=neutral.betas, vertex_offsets=neutral.vertex_offsets, triangle=triangle, bary=bary,
        region=np.zeros(count, np.uint8), offset=np.zeros((count, 3), f32),
        rotation=np.tile(np.array([1, 0, 0, 0], f32), (count, 1)), log_scale=np.full((count, 3), np.log(0.003), f32),
        opacity_logit=np.full(count, 6.0, f32), color=QUARTERS[quarter], name="Painted", method="test",
    )  # fmt: skip
    marks = [(x, y) for y in (UPWARD, -UPWARD) for x in (-SIDEWAYS, SIDEWAYS)]
    in_front = rest[:, 2] > eyes[2]
    distance = [np.hypot(rest[:, 0] - x, rest[:, 1] - eyes[1] - y) + np.where(in_front, 0, 1e3) for x, y in marks]
    return avatar, [int(np.argmin(d)) for d in distance], eyes


@contextlib.contextmanager
def window_session(blender: str, script: str, out: Path, **arguments: Any) -> Iterator[Session]:
    """Run a script of ``scripts/`` to its end in Blender's window; pictures and report go to ``out``."""
    runtime = Path(tempfile.mkdtemp(prefix="gsh-"))  # short: Unix sockets have short paths
    built = subprocess.run(
        [sys.executable, str(ROOT / "bootstrap.py"), "build-addon"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    extension = Path(built.stdout.strip().splitlines()[-1])
    avatar, vertices, eyes = painted_avatar()
    (out / "painted.gshead").write_bytes(avatar_to_bytes(avatar))
    kept = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    with display.virtual_screen(out) as (name, screen_file):
        environment = {
            **kept, "DISPLAY": name, "LIBGL_ALWAYS_SOFTWARE": "1", "BLENDER_USER_RESOURCES": str(out / "user"),
            "GSHEAD_RUNTIME_DIR": str(runtime), "GSHEAD_BACKEND_COMMAND": json.dumps(BACKEND), "PYTHONNOUSERSITE": "1",
            "GSHEAD_TEST_ARGS": json.dumps({
                "out": str(out), "zip": str(extension), "avatar": str(out / "painted.gshead"), "vertices": vertices,
                "center": [float(eyes[0]), -float(eyes[2]), float(eyes[1])], "screen_file": str(screen_file),
                "screen_height": display.HEIGHT, "portrait": str(ROOT / "samples" / "synthetic_portrait.png"),
                **arguments,
            }),
        }  # fmt: skip
        command = [blender, "--factory-startup", "--window-geometry", "0", "0", "1280", "800"]
        log = run([*command, "--python", str(SCRIPTS / f"{script}.py")], environment, timeout=300)
        ended = time.time()
        assert (out / "report.json").exists(), f"the window's script did not finish:\n{log[-5000:]}"
        report = json.loads((out / "report.json").read_text())
        yield Session(out, report, ended - report["quit_at"], log, environment)
    shutil.rmtree(runtime, ignore_errors=True)


def run(command: list[str], environment: dict[str, str], timeout: float) -> str:
    """Run a Blender to its end; its output."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"Blender did not end within {timeout:g} s:\n{process.communicate()[0][-5000:]}")
    assert process.returncode == 0, f"exit status {process.returncode}:\n{output[-5000:]}"
    return output
