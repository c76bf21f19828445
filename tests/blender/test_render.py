"""F12 through the real backend: passes, regions, background, lattices, and failures that write no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from harness import Blender

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import load_avatar
from gshead_backend.avatar.splats import transform_splats
from gshead_backend.camera import Camera
from gshead_backend.head import HeadPose
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import rasterize

SIZE = 96
OUTSIDE = 1e10


def read_exr(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 4) Combined and (H, W) Depth of a multilayer EXR."""
    parts = OpenEXR.File(str(path), separate_channels=True).parts  # Blender 5 writes one part for each pass
    channels = {name: channel.pixels for part in parts for name, channel in part.channels.items()}
    ending = {name.split(".", 1)[1]: pixels for name, pixels in channels.items()}
    rgba = np.stack([ending[f"Combined.{c}"] for c in "RGBA"], -1)
    return rgba, ending["Depth.Z"]


def expected(folder: Path, told: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What the project's own rasterizer makes of the pose, place and camera that the add-on read."""
    avatar = load_avatar(folder / "avatar.gshead")
    width, height, K, viewmat, near, far, orthographic = told["camera"]
    camera = Camera(width, height, np.reshape(K, (3, 3)), np.reshape(viewmat, (4, 4)), near, far, orthographic)
    splats = drive(avatar, HeadPose.from_vector(np.array(told["pose"])))
    image = rasterize(transform_splats(splats, np.reshape(told["matrix"], (4, 4))), camera)
    return pack_frame(np.asarray(image.color), np.asarray(image.alpha), "float32"), np.asarray(image.depth)


def left_edge(rgba: np.ndarray) -> int:
    return int(np.flatnonzero((rgba[..., 3] > 0.5).any(0))[0])


@pytest.fixture(scope="module")
def shots(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The pictures of ``render_passes``, once per version."""
    folder = tmp_path_factory.mktemp("shots")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("render_passes", out=str(folder))


@pytest.mark.parametrize("name", ["rest", "posed", "region"])
def test_a_still_is_what_the_rasterizer_draws(shots: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, told = shots
    rgba, depth = read_exr(folder / f"{name}.exr")
    wanted, wanted_depth = expected(folder, told["poses"][name])
    assert wanted[..., 3].max() > 0.9, "the head is in the picture"
    np.testing.assert_allclose(rgba, wanted, atol=2e-4)
    seen = np.isfinite(wanted_depth)
    assert (depth[~seen] == OUTSIDE).all()
    np.testing.assert_allclose(depth[seen], wanted_depth[seen], atol=2e-4)
    if name == "region":
        assert rgba.shape[:2] == (int(0.6 * SIZE) - int(0.1 * SIZE), int(0.8 * SIZE) - int(0.25 * SIZE))


def test_the_world_shows_behind_the_head_without_transparent_film(shots: tuple[Path, dict[str, Any]]) -> None:
    folder, told = shots
    over, _ = read_exr(folder / "background.exr")
    clear, _ = expected(folder, told["poses"]["background"])
    assert (over[..., 3] == 1).all()
    wanted = clear[..., :3] + (1 - clear[..., 3:]) * np.array([0.2, 0.4, 0.6])
    np.testing.assert_allclose(over[..., :3], wanted, atol=2e-4)


def test_a_lattice_moves_the_splats(shots: tuple[Path, dict[str, Any]]) -> None:
    folder, told = shots
    before, _ = read_exr(folder / "lattice_rest.exr")
    after, _ = read_exr(folder / "lattice.exr")
    assert not told["poses"]["lattice_rest"]["vertices"], "an undeformed lattice changes nothing: a pose is enough"
    assert told["poses"]["lattice"]["vertices"]
    assert left_edge(after) - left_edge(before) >= 5


def test_a_head_hidden_from_render_is_not_drawn(shots: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = shots
    rgba, depth = read_exr(folder / "hidden.exr")
    assert (rgba == 0).all()
    assert (depth == OUTSIDE).all()


def test_failures_raise_with_the_reason_and_write_no_file(shots: tuple[Path, dict[str, Any]]) -> None:
    folder, told = shots
    assert "no camera" in told["failures"]["camera"].lower()
    assert "GSH-E101" in told["failures"]["bytes"]
    assert not (folder / "must_not_exist.exr").exists()


def test_modifiers_that_change_the_vertex_count_are_said_and_drawn_by_the_rig(
    shots: tuple[Path, dict[str, Any]],
) -> None:
    folder, told = shots
    assert told["subdivided"]
    assert "follow the rig only" in told["output"]
    rgba, _ = read_exr(folder / "subdivided.exr")
    assert rgba[..., 3].max() > 0.9


def test_the_viewport_shaders_decode_every_byte_and_test_depth(blender: Blender) -> None:
    seen = blender.run("viewport_shader")
    assert seen["clear"] < 1e-5
    assert seen["over"] < 1e-5
    assert seen["bytes"] == 0
    np.testing.assert_allclose(seen["grey"], [0.2158605] * 3 + [1.0], atol=1e-5)
    depth = seen["depth"]
    assert depth["pixels"] > 500
    assert depth["wrong"] == 0, "before the wall it is drawn, thin hair too, and behind it is not"
    assert depth["color"] < 1e-5
    assert seen["clipping"]["wrong"] == 0, "the clipping region (Alt B)"
    assert min(seen["clipping"]["hidden"], seen["clipping"]["shown"]) > 500


def test_the_overlay_comes_and_goes_with_the_extension_and_colors_are_kept_in_one_click(blender: Blender) -> None:
    seen = blender.run("overlay_life")
    assert seen["first"] == [6, 1, True]
    assert seen["on"]
    assert seen["off"]
    assert seen["left"] == [0, 0, False]
    before, after = seen["colors"]
    assert before == ["View transform AgX", "Look AgX - Punchy", "Exposure 0.5, gamma 1"]
    assert after == []


def test_live_views_read_poses_quickly_and_find_other_deformation(blender: Blender, tmp_path: Path) -> None:
    seen = blender.run("reading", out=str(tmp_path))
    seen.pop("output")
    assert all(seen.values()), seen
