"""Batched driving gives the splats of ``drive``, whatever way it takes, and takes another way where one fails."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from batch_fixtures import avatars_of, collapsed_meshes, poses_of, worst, worst_on_meshes
from torch import Tensor

from gshead_backend.avatar import drive_batch_torch
from gshead_backend.avatar.device_torch import HostDevice, Upload
from gshead_backend.avatar.drive_batch_torch import TorchBatch
from gshead_backend.avatar.drive_graph import GraphDriver, driver_of
from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.avatar.types import Splats
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadPose

KINDS = ("still", "dynamic", "correctives")
CLOSE = {"means": 1e-6, "quats": 1e-5, "scales": 1e-6, "opacities": 1e-6, "colors": 1e-6}
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def assert_close(differences: dict[str, float]) -> None:
    assert {name: value for name, value in differences.items() if value > CLOSE[name]} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_batched_torch_drives_like_numpy(tiny_head, kind):
    avatar, poses = avatars_of(tiny_head)[kind], poses_of(tiny_head)
    got = TorchBatch(avatar, torch.device("cpu")).from_poses(torch.tensor(np.stack([p.to_vector() for p in poses])))
    assert got.means.shape == (len(poses), len(avatar), 3)
    assert_close(worst(got, avatar, poses))


@pytest.mark.parametrize("kind", KINDS)
def test_batched_torch_on_collapsed_meshes(tiny_head, kind):
    avatar, pose = avatars_of(tiny_head)[kind], poses_of(tiny_head)[1]
    meshes = collapsed_meshes(avatar)
    poses = torch.tensor(np.stack([pose.to_vector()] * len(meshes)))
    got = TorchBatch(avatar, torch.device("cpu")).from_vertices(torch.tensor(np.stack(meshes)), poses)
    assert_close(worst_on_meshes(got, avatar, meshes, pose))


@pytest.mark.parametrize("kind", KINDS)
def test_driver_takes_fewer_frames_than_its_batch_and_works_in_inference_mode(tiny_head, kind):
    avatar, poses = avatars_of(tiny_head)[kind], poses_of(tiny_head)
    with torch.inference_mode():
        driver = GraphDriver(TorchAvatar(avatar), 8)
        assert driver.way == "graph"
        assert_close(worst(driver.drive(poses), avatar, poses))
        assert_close(worst(driver.drive(poses[3:]), avatar, poses[3:]))
    two = [avatar.personal.vertices(p) for p in poses[1:3]]
    assert_close(worst(driver.drive_vertices(two, poses[1:3]), avatar, poses[1:3]))
    neutral = HeadPose.neutral(avatar.head.expression_count)
    assert_close(worst_on_meshes(driver.drive_vertices(two), avatar, two, neutral))


def test_driver_refuses_what_does_not_fit(tiny_head):
    avatar = avatars_of(tiny_head)["still"]
    driver = GraphDriver(TorchAvatar(avatar), 2)
    for count in (0, 3):
        with pytest.raises(ArgumentError, match="1 to 2 frames"):
            driver.drive([HeadPose.neutral(52)] * count)
    with pytest.raises(ArgumentError, match="expression values"):
        driver.drive([HeadPose.neutral(51)])
    with pytest.raises(ArgumentError, match="vertices"):
        driver.drive_vertices([np.zeros((5, 3), np.float32)])


def test_an_avatar_without_splats_can_be_driven(tiny_head):
    avatar = avatars_of(tiny_head, 8)["still"]
    none = type(avatar)(
        **{
            name: getattr(avatar, name)[:0] if name in {
                "triangle", "bary", "region", "offset", "rotation", "log_scale", "opacity_logit", "color",
            } else getattr(avatar, name)
            for name in avatar.__dataclass_fields__ if name != "_cache"
        }
    )  # fmt: skip
    assert GraphDriver(TorchAvatar(none), 2).drive([HeadPose.neutral(52)]).means.shape == (1, 0, 3)


def test_a_rotation_of_length_zero_turns_nothing_in_any_twin(tiny_head):
    avatar, poses = avatars_of(tiny_head)["dynamic"], poses_of(tiny_head)[:2]
    lengths = np.linalg.norm(avatar.rotation, axis=1)
    assert (lengths == 0).sum() == 1
    for driver in (GraphDriver(TorchAvatar(avatar), 2), GraphDriver(TorchAvatar(avatar), 2, ways=())):
        assert_close(worst(driver.drive(poses), avatar, poses))
    np.testing.assert_array_equal(np.linalg.norm(avatar.rotation, axis=1), lengths)  # the avatar itself is untouched


def test_drivers_are_kept_with_the_avatar(tiny_head):
    twin = TorchAvatar(avatars_of(tiny_head)["still"])
    assert driver_of(twin, 1) is driver_of(twin, 1)
    assert driver_of(twin, 1) is not driver_of(twin, 8)


class Broken:
    """Stands for kernels that cannot be compiled, or compute something else."""

    def __init__(self, avatar, batch, device, fault) -> None:
        if fault == "no compiler":
            raise RuntimeError("Failed to find C compiler")
        self.right, self.fault = TorchBatch(avatar, device), fault

    def spoiled(self, splats: Splats) -> Splats:
        if self.fault == "moved":
            return Splats(splats.means + 1e-3, splats.quats, splats.scales, splats.opacities, splats.colors)
        if self.fault == "turned":
            quats = splats.quats.roll(1, -1)
            return Splats(splats.means, quats, splats.scales, splats.opacities, splats.colors)
        return Splats(splats.means, splats.quats, splats.scales * float("nan"), splats.opacities, splats.colors)

    def from_poses(self, poses: Tensor) -> Splats:
        return self.spoiled(self.right.from_poses(poses))

    def from_vertices(self, vertices: Tensor, poses: Tensor) -> Splats:
        return self.right.from_vertices(vertices, poses)


@pytest.mark.parametrize("fault", ["no compiler", "moved", "turned", "nan"])
def test_kernels_that_fail_or_are_wrong_are_left_out(tiny_head, monkeypatch, caplog, fault):
    module = types.ModuleType("drive_triton")
    module.TritonBatch = lambda avatar, batch, device: Broken(avatar, batch, device, fault)
    monkeypatch.setitem(sys.modules, "gshead_backend.avatar.drive_triton", module)
    avatar, poses = avatars_of(tiny_head)["dynamic"], poses_of(tiny_head)
    driver = GraphDriver(TorchAvatar(avatar), 5, ways=("triton", "graph"))
    assert driver.way == "graph"
    assert "'triton' is left out" in caplog.text
    assert_close(worst(driver.drive(poses), avatar, poses))


def test_without_any_fast_way_the_plain_one_is_used(tiny_head, monkeypatch, caplog):
    monkeypatch.setattr(drive_batch_torch, "TorchBatch", lambda avatar, device: Broken(avatar, 0, device, "nan"))
    avatar, poses = avatars_of(tiny_head)["dynamic"], poses_of(tiny_head)
    driver = GraphDriver(TorchAvatar(avatar), 5)
    assert driver.way == "torch"
    assert "'graph' is left out" in caplog.text
    assert_close(worst(driver.drive(poses), avatar, poses))
    meshes = [avatar.personal.vertices(p) for p in poses]
    assert_close(worst(driver.drive_vertices(meshes, poses), avatar, poses))


def test_the_environment_chooses_the_first_way(tiny_head, monkeypatch, caplog):
    twin = TorchAvatar(avatars_of(tiny_head)["still"])
    monkeypatch.setenv("GSHEAD_DRIVE", "torch")
    assert GraphDriver(twin).way == "torch"
    monkeypatch.setenv("GSHEAD_DRIVE", "fast")
    assert GraphDriver(twin).way == "graph"
    assert "may be one of: triton, graph, torch" in caplog.text


class LateUploads(HostDevice):
    """Copies happen when somebody waits for them, or for a later one: a stream that is far behind."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Callable[[], object]] = []
        self.ran = 0

    def upload(self, host: Tensor, target: Tensor):
        return self.enqueue(lambda: target.copy_(host))

    def read_back(self, pairs: Sequence[tuple[Tensor, Tensor]]):
        return self.enqueue(lambda: [target.copy_(source) for source, target in pairs])

    def enqueue(self, work: Callable[[], object]):
        self.queue.append(work)
        device, wanted = self, len(self.queue)

        class Event:
            def synchronize(self) -> None:
                while device.ran < wanted:
                    device.queue[device.ran]()
                    device.ran += 1

        return Event()


def test_an_upload_is_not_overwritten_before_it_has_happened():
    device = LateUploads()
    upload, seen = Upload(device, (3,)), []
    for i in range(7):
        upload.array()[:] = i
        upload.send()
        device.enqueue(lambda: seen.append(upload.target.tolist()))  # what a kernel queued behind it would read
    device.enqueue(lambda: None).synchronize()
    assert seen == [[float(i)] * 3 for i in range(7)]


def in_subprocess(tmp_path: Path, *arguments: str, **environment: str) -> dict:
    root, here = Path(__file__).parents[2], Path(__file__).parent
    path = os.pathsep.join([str(root), str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(here / "triton_checks.py"), *arguments],
        env={**os.environ, "PYTHONPATH": path, "TRITON_CACHE_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_triton
@pytest.mark.parametrize("kind", KINDS)
def test_triton_drives_like_numpy_in_its_interpreter(tmp_path, kind):
    report = in_subprocess(tmp_path, "drive", kind, TRITON_INTERPRET="1")
    assert set(report) == {"poses", "meshes"}
    for differences in report.values():
        assert_close(differences)


@needs_triton
def test_triton_packs_like_torch_in_its_interpreter(tmp_path):
    report = in_subprocess(tmp_path, "pack", TRITON_INTERPRET="1")
    assert report["uint8"] <= 1
    assert report["uint8 share"] < 1e-3
    assert report["float16"] <= 1e-3
    assert report["float32"] <= 1e-5


@needs_triton
@pytest.mark.parametrize("capability", ["75", "90", "120"])
def test_triton_kernels_compile_without_a_gpu(tmp_path, capability):
    sizes = in_subprocess(tmp_path, "compile", capability)
    assert len(sizes) == 7
    assert min(sizes.values()) > 1000
