"""Other people's readers and validators, as pinned here, installed once into a cache of their own.

Node packages come through npm, Python ones through pip without their dependencies (``usd-convert-gsplat`` pins a numpy
of its own). Node is the one that the locks bring. Without an index the tests that need them are skipped and say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from locked_tools import node, npm
from pxr import Usd, UsdValidation

CACHE = Path(os.environ.get("GSHEAD_TEST_PEERS") or Path.home() / ".cache" / "gshead-test-peers")
NODE = {"@playcanvas/splat-transform": "2.7.1", "gltf-validator": "2.0.0-dev.3.10"}
PYTHON = {"usd-validation-nvidia": "1.22.0", "usd-convert-gsplat": "0.1.15", "imageio-ffmpeg": "0.8.1"}


def node_package(name: str) -> Path:
    """The folder of an installed node package; skips the test when it cannot be installed."""
    folder = CACHE / f"node-{name.replace('/', '_')}-{NODE[name]}"
    _install(
        folder, [*npm(), "install", f"{name}@{NODE[name]}", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]
    )
    return folder / "node_modules" / name


def python_package(name: str) -> Path:
    """A folder for ``PYTHONPATH`` that holds a package; skips the test when it cannot be installed."""
    folder = CACHE / f"python{sys.version_info[0]}{sys.version_info[1]}-{name}-{PYTHON[name]}"
    _install(folder, [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"{name}=={PYTHON[name]}", "--target"])
    return folder


def run(command: list[str], *, paths: tuple[Path, ...] = ()) -> str:
    """A peer's output; fails the test with it when the peer fails."""
    path = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def splat_transform(source: Path, target: Path, *options: str) -> None:
    """Convert with PlayCanvas's splat-transform."""
    script = node_package("@playcanvas/splat-transform") / "bin" / "cli.mjs"
    run([node(), str(script), "-q", "-w", str(source), str(target), *options])


def usd_errors(path: Path) -> list[str]:
    """What OpenUSD's own validators say about a file."""
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 10
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [f"{e.GetName()}: {e.GetMessage()}" for e in errors]


def gltf_issues(path: Path) -> list[dict[str, Any]]:
    """The Khronos validator's messages on a .glb file."""
    module = node_package("gltf-validator")
    script = (
        "const v = require(process.argv[1]), f = require('fs');"
        "v.validateBytes(new Uint8Array(f.readFileSync(process.argv[2])), {maxIssues: 0})"
        ".then(r => console.log(JSON.stringify(r.issues.messages)))"
    )
    return json.loads(run([node(), "-e", script, str(module), str(path)]))


def _install(folder: Path, command: list[str]) -> None:
    if folder.is_dir():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        done = subprocess.run([*command, str(made)], capture_output=True, text=True, timeout=240, check=False)
        if done.returncode != 0:
            pytest.skip(f"SKIPPED: cannot be installed here: {command[2:4]}: {done.stderr.strip()[-200:]}")
        if not folder.is_dir():  # another run may have been quicker
            made.rename(folder)
