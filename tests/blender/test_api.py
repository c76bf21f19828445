"""The add-on's Python API in background mode, over a real backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_files import make_example_files
from harness import Blender
from PIL import Image


def test_scripts_do_everything_that_operators_do(blender: Blender, tmp_path: Path) -> None:
    make_example_files(tmp_path)
    seen = blender.run("api_script", out=str(tmp_path), timeout=300)
    made = {"ada.gshead", "ada.ply", "ada.usdc", "again.json", "still.png", *(f"frames/{n:04d}.png" for n in (1, 2, 3))}
    assert made <= set(seen["files"])
    picture = np.asarray(Image.open(tmp_path / "still.png"))
    assert picture.shape == (160, 160, 4)
    assert 0.2 < (picture[..., 3] > 127).mean() < 0.8, "the camera frames the head"
    assert picture[..., 3][0].max() == 0
    assert seen["heads"] == [["Ada", "Ada Rig"], ["Ada.001", "Ada Rig.001"], ["head", "head Rig"]]
    assert seen["again"]
    assert seen["set"] == pytest.approx(0.6)
    assert seen["same_action"]
    assert seen["take"] == pytest.approx([0.2, 0.8, 5 / 9, 30], abs=1e-4)
    assert seen["imported"] == [True, [101.0, 110.0]]
    assert seen["exported"] == 4
    assert "after 1 of 5" in seen["cancelled"]
    assert seen["stopped"] == 1
    assert seen["no_camera"] == "RenderError GSH-E400: Cannot render, no camera"
    assert seen["put_back"]
    wanted = (
        "ArgumentError", "ArgumentError", "ArgumentError", "FileFormatError", "ImageError", "FileFormatError",
        "ArgumentError", "ArgumentError",
    )  # fmt: skip
    assert [error.split()[0] for error in seen["errors"]] == list(wanted), seen["errors"]
    assert seen["no_command"].startswith("BackendError GSH-E600")
