"""What a CUDA graph holds of driving: recorded once, it gives every later pose's splats, and it never waits.

Without a GPU a recorder takes the graph's place: it keeps torch's own operations with the tensors they were given,
plays them again into the same memory, and refuses those that would stop a capture on CUDA.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from batch_fixtures import avatars_of, poses_of, worst, worst_on_meshes
from test_drive_batch import CLOSE, KINDS, assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gshead_backend.avatar.device_torch import HostDevice
from gshead_backend.avatar.drive_graph import GraphDriver
from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.head import HeadPose

T = TypeVar("T")
# Each of them copies from or to the host, or needs the size of its result there.
WAITING = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::lift_fresh", "aten::is_nonzero",
    "aten::equal", "aten::_unique2", "aten::bincount",
}  # fmt: skip


class Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func._schema.name in WAITING:
            raise RuntimeError(f"{func} is not permitted while a stream is being captured")
        if func._schema.name.startswith("aten::index") and any(
            a.dtype == torch.bool for a in tree_leaves(args[1:]) if isinstance(a, torch.Tensor)
        ):
            raise RuntimeError("a mask's count has to be known on the host")
        out = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, out in self.calls:
            aliases = [r.alias_info for r in func._schema.returns]
            if any(a is not None and not a.is_write for a in aliases):
                continue  # a view of memory that is recorded already
            again = func(*args, **kwargs)
            for was, now in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(was, torch.Tensor) and was.data_ptr() != now.data_ptr():
                    was.copy_(now)


class RecordingDevice(HostDevice):
    def captured(self, step: Callable[[], T]) -> Callable[[], T]:
        with Recorder() as recorder:
            outputs = step()
        assert len(recorder.calls) > 10

        def replay() -> T:
            recorder.replay()
            return outputs

        return replay


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_step_drives_every_later_pose(tiny_head, kind):
    avatar, poses = avatars_of(tiny_head)[kind], poses_of(tiny_head)
    driver = GraphDriver(TorchAvatar(avatar), 2, ways=("graph",), device=RecordingDevice())
    assert driver.way == "graph"
    for i in range(len(poses) - 1):
        assert_close(worst(driver.drive(poses[i : i + 2]), avatar, poses[i : i + 2]))
    meshes = [avatar.personal.vertices(p) for p in poses]
    for i, pose in enumerate(poses):
        assert_close(worst_on_meshes(driver.drive_vertices([meshes[i]], [pose]), avatar, [meshes[i]], pose))
        assert_close(worst(driver.drive([pose]), avatar, [pose]))


def test_the_recorder_refuses_what_waits():
    device, x = RecordingDevice(), torch.arange(4.0)
    for step in (
        lambda: x.sum().item(),
        lambda: x[x > 1],
        lambda: x.nonzero(),
        lambda: x + torch.tensor([1.0, 2, 3, 4]),
    ):
        with pytest.raises(RuntimeError, match=r"captured|on the host"):
            device.captured(step)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")
class TestOnCuda:
    """Real graphs and kernels, each way by itself."""

    def near(self, differences: dict[str, float]) -> None:
        """Sums in another order and fused multiply-adds cost a little."""
        assert {name: value for name, value in differences.items() if value > 4 * CLOSE[name]} == {}

    @pytest.fixture(params=["triton", "graph"])
    def way(self, request) -> str:
        if request.param == "triton" and importlib.util.find_spec("triton") is None:
            pytest.skip("Triton is not installed")
        return request.param

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("batch", [1, 5, 16])
    def test_every_way_drives_like_numpy(self, tiny_head, way, kind, batch):
        avatar, poses = avatars_of(tiny_head, 3000)[kind], poses_of(tiny_head)
        driver = GraphDriver(TorchAvatar(avatar, "cuda"), batch, ways=(way,))
        assert driver.way == way
        for start in range(0, len(poses), batch):
            some = poses[start : start + batch]
            self.near(worst(driver.drive(some), avatar, some))
            meshes = [avatar.personal.vertices(p) for p in some]
            self.near(worst(driver.drive_vertices(meshes, some), avatar, some))
        neutral = HeadPose.neutral(avatar.head.expression_count)
        mesh = avatar.personal.vertices(poses[1])
        self.near(worst_on_meshes(driver.drive_vertices([mesh]), avatar, [mesh], neutral))

    def test_collapsed_meshes_stay_finite(self, tiny_head, way):
        avatar = avatars_of(tiny_head, 3000)["dynamic"]
        driver = GraphDriver(TorchAvatar(avatar, "cuda"), 1, ways=(way,))
        v = avatar.personal.vertices(HeadPose.neutral(avatar.head.expression_count))
        for flat in ([0, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1e-7, 1]):
            splats = driver.drive_vertices([(v * flat).astype(np.float32)])
            for name in ("means", "quats", "scales"):
                assert bool(torch.isfinite(getattr(splats, name)).all()), name
            torch.testing.assert_close(splats.quats.norm(dim=-1), torch.ones_like(splats.opacities), atol=1e-3, rtol=0)
            assert float(splats.scales.min()) > 0

    def test_a_frame_neither_waits_nor_allocates(self, tiny_head, way):
        avatar, poses = avatars_of(tiny_head, 3000)["dynamic"], poses_of(tiny_head)
        driver = GraphDriver(TorchAvatar(avatar, "cuda"), 1, ways=(way,))
        first = driver.drive(poses[:1]).means.data_ptr()
        torch.cuda.synchronize()
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        torch.cuda.set_sync_debug_mode("error")
        try:
            for pose in poses:
                assert driver.drive([pose]).means.data_ptr() == first
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
        self.near(worst(driver.drive(poses[:1]), avatar, poses[:1]))

    def test_the_fastest_way_is_chosen(self, tiny_head):
        fastest = "triton" if importlib.util.find_spec("triton") is not None else "graph"
        assert GraphDriver(TorchAvatar(avatars_of(tiny_head)["still"], "cuda"), 8).way == fastest

    def test_work_queued_on_other_streams_sees_its_own_frames(self, tiny_head, way):
        avatar, poses = avatars_of(tiny_head, 3000)["still"], poses_of(tiny_head)
        driver = GraphDriver(TorchAvatar(avatar, "cuda"), 1, ways=(way,))
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            copies = [driver.drive([pose]).means.clone() for pose in poses * 10]
        side.synchronize()
        for i, pose in enumerate(poses * 10):
            again = driver.drive([pose]).means
            torch.testing.assert_close(copies[i], again, atol=1e-6, rtol=0)
