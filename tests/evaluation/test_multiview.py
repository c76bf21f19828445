"""Multi-view folders: good ones, wrong ones, hostile ones; alignment and scores on a world that is known."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from folders import painted, write_folder
from synthetic_portrait import arkit_pose

from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import SceneError
from gshead_backend.evaluation.align import SeenMarks, align, head_marks
from gshead_backend.evaluation.benchmarks.common import Shot
from gshead_backend.evaluation.benchmarks.scenes import Placed, _overlap, score_view
from gshead_backend.evaluation.multiview import Scene, read_scene
from gshead_backend.head import default_head

START = np.diag([1.0, -1.0, -1.0, 1.0])
START[2, 3] = 1.0


@pytest.fixture(scope="module")
def truth() -> Avatar:
    return painted(default_head())


@pytest.fixture(scope="module")
def folder(truth: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "one"
    write_folder(path, truth, scale=1.7)
    return path


def aligned(scene: Scene, avatar: Avatar, *, silhouettes: bool = False) -> Placed:
    """The avatar in the world, by the true landmarks."""
    source = scene.views[scene.source]
    pose = arkit_pose(avatar.head)
    points, normals = head_marks(avatar.head, avatar.personal.vertices(pose))
    marks = {v.index: scene.marks(v) for v in scene.views if v.frame == "neutral"}
    others = [SeenMarks(i, scene.views[i].camera, m[:468]) for i, m in marks.items() if i and m is not None]
    pixels = marks[0]
    assert pixels is not None
    found = align(
        points, normals, source.camera, pixels[:468], START, [] if silhouettes else others,
        (lambda to_world: _overlap(scene, source, avatar, pose, to_world)) if silhouettes else None,
    )  # fmt: skip
    return Placed(scene, Shot(None, pixels, np.eye(2, 3)), avatar, found)  # type: ignore[arg-type]


def test_a_folder_is_read_with_its_truth(folder: Path, truth: Avatar) -> None:
    scene = read_scene(folder)
    assert (scene.name, scene.license, scene.source, len(scene.views)) == ("painted", "CC0-1.0", 0, 5)
    assert scene.head == truth.head.name
    assert scene.betas == pytest.approx(truth.betas)
    smile = scene.frames["smile"]
    assert smile.arkit is not None
    assert smile.arkit.sum() == pytest.approx(1.8)
    view = scene.views[1]
    assert view.read_image().shape == (320, 320, 3)
    matte = view.read_matte()
    assert matte is not None
    assert matte.max() == 1
    assert view.read_labels() is None
    assert scene.marks(view).shape == (478, 2)  # type: ignore[union-attr]


def test_the_one_scalar_is_found(folder: Path, truth: Avatar) -> None:
    placed = aligned(read_scene(folder), truth)
    assert placed.alignment.scale == pytest.approx(1.7, rel=2e-3)
    assert placed.alignment.method == "landmarks"
    assert placed.alignment.residual_px < 0.05
    by_outline = aligned(read_scene(folder), truth, silhouettes=True).alignment
    assert by_outline.method == "silhouettes"
    assert by_outline.scale == pytest.approx(1.7, rel=0.03)


def test_a_perfect_avatar_scores_high_and_a_shifted_one_less(folder: Path, truth: Avatar) -> None:
    scene = read_scene(folder)
    placed = aligned(scene, truth)
    view, pose = scene.views[2], arkit_pose(truth.head)
    assert placed.yaw(view) == pytest.approx(30, abs=3)
    perfect, picture = score_view(placed, view, pose)
    assert perfect["face_psnr"] > 40  # type: ignore[operator]
    assert perfect["head_psnr"] > 38  # type: ignore[operator]
    assert perfect["iou"] > 0.995  # type: ignore[operator]
    assert perfect["landmarks_px"] < 0.2  # type: ignore[operator]
    assert picture.shape[0] == 256
    move = np.eye(4)
    move[0, 3] = 0.006 * 1.7
    shifted = replace(placed, alignment=replace(placed.alignment, to_world=move @ placed.alignment.to_world))
    worse, _ = score_view(shifted, view, pose)
    for name in ("face_psnr", "face_ssim", "head_psnr", "iou"):
        assert worse[name] < perfect[name] - 0.005, name  # type: ignore[operator]
    assert worse["landmarks_px"] > 2  # type: ignore[operator]


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *way, last = (int(p) if p.isdigit() else p for p in path.split("."))
        at: Any = document
        for step in way:
            at = at[step]
        at[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", "other", "gshead-multiview"),
        ("version", 2, "version 2"),
        ("source", 9, "'source'"),
        ("source", True, "'source'"),
        ("frames", {}, "'frames'"),
        ("frames.neutral", 3, "Frame 'neutral'"),
        ("frames.smile.arkit", {"mouthGrin": 1}, "mouthGrin"),
        ("frames.smile.arkit", {"jawOpen": "1"}, "'jawOpen' must be a number"),
        ("frames.smile.gaze_deg", {"left": [1, 2]}, "'left' and 'right'"),
        ("views", [], "'views'"),
        ("views.1", None, "View 1"),
        ("views.1.frame", "absent", "no frame 'absent'"),
        ("views.1.K", [[1, 0], [0, 1]], "3 x 3 numbers"),
        ("views.1.K", [[-9, 0, 1], [0, 9, 1], [0, 0, 1]], "focal"),
        ("views.1.viewmat", [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 1], [0, 0, 0, 1]], "rotation"),
        ("views.1.viewmat", [[1, 0, 0, 1e9], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], "4 x 4 numbers"),
        ("views.1.image", "../secret.png", "leaves the folder"),
        ("views.1.image", "/etc/passwd", "leaves the folder"),
        ("views.1.image", "C:/secret.png", "leaves the folder"),
        ("views.1.image", "..\\secret.png", "slashes"),
        ("views.1.image", "link.png", "leaves the folder"),
        ("views.1.image", "absent.png", "no file"),
        ("views.1.image", "scene.json", "not a PNG or JPEG"),
        ("views.1.image", 7, "'image' must be a path"),
        ("views.1.matte", "small.png", "'matte' is (20, 20)"),
        ("views.1.image", "tiny.png", "16 to 4096"),
        ("landmarks", "pickled.npz", "'landmarks'"),
        ("landmarks", "short.npz", "must have shape"),
        ("betas", ["x"], "'betas'"),
        ("head", 1, "'head' must be text"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, tmp_path: Path, path: str, value: Any, words: str) -> None:
    work = tmp_path / "scene"
    work.mkdir()
    for file in folder.iterdir():
        (work / file.name).hardlink_to(file)
    (work / "scene.json").unlink()
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((320, 320, 3), np.uint8))
    cv2.imwrite(str(work / "small.png"), np.zeros((20, 20), np.uint8))
    cv2.imwrite(str(work / "tiny.png"), np.zeros((4, 4), np.uint8))
    if value == "link.png":
        try:
            os.symlink(tmp_path / "secret.png", work / "link.png")
        except OSError:
            pytest.skip("no links here")
    np.savez(work / "pickled.npz", landmarks=np.array([{}], dtype=object))
    np.savez(work / "short.npz", landmarks=np.zeros((2, 468, 2)))
    document = json.loads((folder / "scene.json").read_text())
    _set(path, value)(document)
    (work / "scene.json").write_text(json.dumps(document))
    with pytest.raises(SceneError) as caught:
        read_scene(work)
    assert words in caught.value.message
    assert caught.value.code == "GSH-E801"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', '{"a": 1, "a": 2}'])
def test_documents_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(SceneError):
        read_scene(tmp_path)


def test_a_missing_folder_and_damaged_pictures(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SceneError, match="not a multi-view folder"):
        read_scene(tmp_path / "absent")
    view = read_scene(folder).views[0]
    broken = tmp_path / "cut.png"
    broken.write_bytes(view.image.read_bytes()[:2000])
    with pytest.raises(SceneError, match="damaged"):
        replace(view, image=broken).read_image()
    cv2.imwrite(str(tmp_path / "labels.png"), np.full((320, 320), 40, np.uint8))
    with pytest.raises(SceneError, match="not a label"):
        replace(view, labels=tmp_path / "labels.png").read_labels()
