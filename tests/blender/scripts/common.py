"""Shared by the scripts that run inside Blender: enabling the extension, made-up avatars, reporting back."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np

TESTS = Path(__file__).resolve().parents[2]
ARGS: dict[str, Any] = json.loads(os.environ.get("GSHEAD_TEST_ARGS", "{}"))
PACKAGE = "bl_ext.user_default.gshead"


def enable() -> None:
    """Install the built zip into this (temporary) home once, and enable it; the first thing every script does."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    home = Path(bpy.utils.user_resource("EXTENSIONS")) / "user_default" / "gshead"
    if not home.is_dir():
        result = bpy.ops.extensions.package_install_files(
            filepath=ARGS["zip"], repo="user_default", enable_on_install=True, overwrite=True
        )
        assert result == {"FINISHED"}, result
    elif PACKAGE not in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_enable(module=PACKAGE)
    assert PACKAGE in bpy.context.preferences.addons, "the extension did not enable"


def run(main: Any) -> None:
    """Run a script; a failure ends the process at once (the 4.5 wheel may hang while it tears down after one)."""
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def module(name: str) -> Any:
    """A module of the installed extension, e.g. ``module("rig.build")``."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def report(**values: Any) -> None:
    """Hand results to the test: one JSON line that the harness picks out of Blender's chatter."""
    print("\nGSHEAD-RESULT " + json.dumps(values, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


def tiny_avatar(count: int = 400, seed: int = 3) -> Any:
    """A made-up avatar on the tiny head: random splats bound to its triangles, random identity and offsets."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from tiny import make_tiny_head

    from gshead_backend.avatar.types import Avatar

    head = make_tiny_head()
    rng = np.random.default_rng(seed)
    f32 = np.float32
    return Avatar(
        head=head, betas=rng.normal(size=head.identity_count).astype(f32),
        vertex_offsets=(rng.normal(size=(head.vertex_count, 3)) * 5e-4).astype(f32),
        triangle=rng.integers(0, len(head.faces), count).astype(np.int32),
        bary=rng.dirichlet(np.ones(3), count).astype(f32), region=np.zeros(count, np.uint8),
        offset=(rng.normal(size=(count, 3)) * 1e-3).astype(f32),
        rotation=np.tile(np.array([1, 0, 0, 0], f32), (count, 1)),
        log_scale=np.full((count, 3), np.log(0.006), f32), opacity_logit=np.full(count, 2.0, f32),
        color=rng.uniform(0.2, 0.9, (count, 3)).astype(f32), name="tiny", method="test",
    )  # fmt: skip
