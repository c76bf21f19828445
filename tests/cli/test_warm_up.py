"""What ``gshead warm-up`` compiles is all that drawing, driving and fitting need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from run_cli import ROOT, gshead

USED = """
import numpy as np, torch
from gshead_backend.camera import Camera
from gshead_backend.raster.cpu.autograd import rasterize_torch
from gshead_backend.raster.cpu.pipeline import rasterize_numpy
from gshead_backend.avatar.types import Splats
rng = np.random.default_rng(0)
camera = Camera(64, 48, np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), np.eye(4))
means = np.float32(rng.normal([0, 0, 2], 0.2, (500, 3)))
quats, scales = np.float32(rng.normal(size=(500, 4))), np.full((500, 3), 0.02, np.float32)
splats = Splats(means, quats, scales, np.full(500, 0.5, np.float32), np.float32(rng.random((500, 3))))
rasterize_numpy(splats, camera)
fitted = Splats(*(torch.tensor(getattr(splats, n)).requires_grad_() for n in Splats.__dataclass_fields__))
rasterize_torch(fitted, camera).color.sum().backward()
"""


def test_after_a_warm_up_nothing_is_left_to_compile(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def compiled() -> set[Path]:
        return {p.relative_to(tmp_path) for p in tmp_path.rglob("*.nbc")}

    command = [sys.executable, "-m", "gshead_backend.cli", "warm-up", "--json"]
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=280)
    before = compiled()
    assert len(before) > 10
    subprocess.run([sys.executable, "-c", USED], env=env, check=True, timeout=120)
    photo, avatar = ROOT / "samples" / "synthetic_portrait.png", tmp_path / "head.gshead"
    made = gshead("reconstruct", photo, "-o", avatar, "--quality", "draft", NUMBA_CACHE_DIR=str(tmp_path))
    assert made.returncode == 0, made.stderr
    drawn = gshead("render", avatar, "-o", tmp_path / "frames", "--size", "128x128", NUMBA_CACHE_DIR=str(tmp_path))
    assert drawn.returncode == 0, drawn.stderr
    assert compiled() == before
