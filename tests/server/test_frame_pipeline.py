"""Frames in batches: right, in order, and never mixed up however late a device's copies are."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_fixtures import random_avatar
from torch import Tensor

from gshead_backend.avatar.device_torch import HostDevice
from gshead_backend.avatar.drive import drive, drive_vertices
from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.avatar.light import lamp
from gshead_backend.avatar.shading import lit, shading_of, splat_shadow
from gshead_backend.avatar.splats import concatenate, transform_splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadPose
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import rasterize
from gshead_backend.server import frames_cuda
from gshead_backend.server.frame_wishes import FrameWish, HeadWish, drawn_together
from gshead_backend.server.frames_cuda import FramePipeline, packer_of

SIZE = (40, 32)


def pose_at(head, frame: int) -> HeadPose:
    rng = np.random.default_rng(frame)
    neutral = HeadPose.neutral(head.expression_count)
    return replace(
        neutral, expression=rng.uniform(0, 0.3, head.expression_count), jaw_pose=np.array([0.1 * (frame % 4), 0, 0]),
        global_orient=np.array([0.0, 0.2 * np.sin(frame), 0.0]),
    )  # fmt: skip


def matrix(x: float) -> np.ndarray:
    out = np.eye(4)
    out[0, 3] = x
    return out


def camera(frame: int = 0, size: tuple[int, int] = SIZE) -> Camera:
    return orbit_camera(10 * frame, size=size, distance=0.7)


def wish(twin: TorchAvatar, frame: int, **changes) -> FrameWish:
    head = HeadWish(twin, matrix(0.01 * (frame % 7)), pose_at(twin.avatar.head, frame))
    return FrameWish(camera(frame), (replace(head, **changes),))


def expected(wish: FrameWish, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The frame as the CPU path draws it."""
    if not wish.heads:
        shape = (wish.camera.height, wish.camera.width)
        return np.zeros((*shape, 4), dtype), np.full(shape, np.inf, np.float32)
    parts = []
    for head in wish.heads:
        avatar = head.avatar.avatar
        if head.vertices is None:
            driven = drive(avatar, head.pose)
        else:
            driven = drive_vertices(avatar, head.vertices, head.pose)
        if head.light is not None or head.shadow is not None:
            fallen = None if head.shadow is None else splat_shadow(avatar, head.shadow)
            driven = lit(driven, shading_of(avatar), head.light, head.light_strength, fallen)
        parts.append(transform_splats(driven, head.matrix))
    r = rasterize(concatenate(parts), wish.camera)
    return pack_frame(r.color, r.alpha, dtype), r.depth


def assert_pictures(pictures, wishes: list[FrameWish], dtype: str = "uint8", device: str = "cpu") -> None:
    """Within two 8-bit levels almost everywhere: another device, or another order of sums, rounds otherwise."""
    assert len(pictures) == len(wishes)
    level, tail = (2 / 255, 6 / 255) if device == "cpu" else (4 / 255, 0.06)
    for (rgba, depth), w in zip(pictures, wishes, strict=True):
        want, far = expected(w, dtype)
        assert rgba.dtype == want.dtype
        assert rgba.shape == want.shape
        scale = 255 if dtype == "uint8" else 1
        difference = np.abs(rgba.astype(np.float64) - want.astype(np.float64)) / scale
        assert difference.max() <= tail
        assert np.quantile(difference, 0.99) <= level
        seen = np.isfinite(far) & (want[..., 3] > 0.1 * scale)
        assert w.heads == () or seen.mean() > 0.05
        np.testing.assert_allclose(depth[seen], far[seen], atol=3e-3)


@pytest.fixture
def twin(tiny_head) -> TorchAvatar:
    return TorchAvatar(random_avatar(tiny_head, 600, dynamic=True))


class LateDevice(HostDevice):
    """Copies to the host happen in order, and not before somebody waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Callable[[], object]] = []
        self.ran = self.made = 0

    def host_tensor(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        self.made += 1
        return super().host_tensor(shape, dtype)

    def read_back(self, pairs: Sequence[tuple[Tensor, Tensor]]):
        self.queue.append(lambda: [target.copy_(source) for source, target in pairs])
        device, wanted = self, len(self.queue)

        class Event:
            def synchronize(self) -> None:
                while device.ran < wanted:
                    device.queue[device.ran]()
                    device.ran += 1

        return Event()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_a_batch_holds_the_frames_that_were_wished_for(twin, dtype):
    wishes = [wish(twin, i) for i in range(5)]
    with FramePipeline("cpu").submit(wishes, dtype) as pictures:
        assert_pictures(pictures, wishes, dtype)


def test_frames_come_in_order_whatever_is_among_them(twin, tiny_head):
    other = TorchAvatar(random_avatar(tiny_head, 300, seed=5))
    mesh = (twin.avatar.personal.vertices(pose_at(tiny_head, 3)) * 1.1).astype(np.float32)
    two = FrameWish(camera(), (wish(twin, 1).heads[0], replace(wish(other, 2).heads[0], matrix=matrix(0.15))))
    twice = FrameWish(camera(), (wish(twin, 1).heads[0], replace(wish(twin, 2).heads[0], matrix=matrix(-0.15))))
    wishes = [
        wish(twin, 0), wish(twin, 1), two, wish(other, 2), FrameWish(camera(), ()), wish(twin, 3, vertices=mesh),
        wish(twin, 4, vertices=mesh, pose=None), replace(wish(twin, 5), camera=camera(5, (24, 56))), wish(twin, 6),
        twice,
    ]  # fmt: skip
    with FramePipeline("cpu").submit(wishes, "float32") as pictures:
        assert_pictures(pictures, wishes, "float32")


def test_more_frames_than_a_batch_holds(twin):
    wishes = [wish(twin, i) for i in range(35)]
    groups = drawn_together(wishes)
    assert [len(g) for g in groups] == [16, 16, 3]
    with FramePipeline("cpu").submit(wishes, "uint8") as pictures:
        assert_pictures(pictures, wishes)


def test_late_copies_of_several_tickets_are_never_mixed(twin):
    device = LateDevice()
    pipeline = FramePipeline("cpu", queue=device)
    batches = [[wish(twin, 10 * b + i) for i in range(1 + b % 3)] for b in range(6)]
    tickets = [pipeline.submit(batch, "uint8") for batch in batches]
    assert device.ran == 0
    results = [ticket.result() for ticket in reversed(tickets)][::-1]
    for pictures, batch in zip(results, batches, strict=True):
        assert_pictures(pictures, batch)


def test_a_released_buffer_is_used_again_and_others_are_left_alone(twin):
    device = LateDevice()
    pipeline = FramePipeline("cpu", queue=device)
    batches = [[wish(twin, 3 * b + i) for i in range(3)] for b in range(8)]
    kept = pipeline.submit(batches[0], "uint8")
    before = pipeline.submit(batches[1], "uint8")
    made = device.made
    for batch, last in zip(batches[2:], batches[1:-1], strict=True):
        now = pipeline.submit(batch, "uint8")  # the next one is queued before the last one is looked at
        with before as pictures:
            assert_pictures(pictures, last)
        before = now
    assert device.made == made + 2  # one more pair of buffers: two tickets are under way beside the one kept
    assert_pictures(before.result(), batches[-1])
    assert_pictures(kept.result(), batches[0])


def test_releasing_a_ticket_nobody_looked_at_does_not_spoil_the_next(twin):
    device = LateDevice()
    pipeline = FramePipeline("cpu", queue=device)
    pipeline.submit([wish(twin, 0)], "uint8").release()
    ticket = pipeline.submit([wish(twin, 5)], "uint8")
    assert device.ran == 1  # the released one's copy was waited for before its buffer went on
    assert_pictures(ticket.result(), [wish(twin, 5)])
    ticket.release()
    ticket.release()
    assert len(pipeline._free) == 2


def test_free_buffers_of_old_sizes_do_not_pile_up(twin):
    pipeline = FramePipeline("cpu")
    for width in range(20, 40):
        pipeline.submit([replace(wish(twin, 0), camera=camera(0, (width, 20)))], "uint8").release()
    assert len(pipeline._free) == frames_cuda.KEPT


def test_preparing_makes_what_frames_need_and_no_more(twin):
    pipeline = FramePipeline("cpu")
    pipeline.prepare(twin, most=5)
    made = dict(twin.drivers)
    assert set(made) == {1, 8}
    pipeline.submit([wish(twin, i) for i in range(5)], "uint8").release()
    assert twin.drivers == made


def test_without_depth_none_is_copied(twin):
    with FramePipeline("cpu").submit([wish(twin, 1)], "uint8", depth=False) as pictures:
        ((rgba, depth),) = pictures
        assert depth is None
        assert rgba.shape == (SIZE[1], SIZE[0], 4)


def test_a_head_with_neither_pose_nor_vertices_is_refused(twin):
    with pytest.raises(ArgumentError, match="neither"):
        FramePipeline("cpu").submit([wish(twin, 1, pose=None)], "uint8")


def test_a_packing_that_is_wrong_or_fails_is_left_out(monkeypatch, caplog):
    cuda = types.SimpleNamespace(type="cuda")
    module = types.ModuleType("packing_triton")
    monkeypatch.setitem(sys.modules, "gshead_backend.server.packing_triton", module)
    real, host = frames_cuda.check_packing, torch.device("cpu")
    monkeypatch.setattr(frames_cuda, "check_packing", lambda fused, device: real(fused, host))
    module.pack_frame = lambda color, alpha, dtype: frames_cuda.pack_frame(color.flip(-1), alpha, dtype)
    assert packer_of(cuda) is frames_cuda.pack_frame
    assert "frames differ by" in caplog.text
    module.pack_frame = lambda color, alpha, dtype: 1 / 0
    assert packer_of(cuda) is frames_cuda.pack_frame
    assert "ZeroDivisionError" in caplog.text
    right = module.pack_frame = lambda color, alpha, dtype: frames_cuda.pack_frame(color, alpha, dtype)
    assert packer_of(cuda) is right


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")
class TestOnCuda:
    """The same on a real device."""

    @pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
    def test_batches_hold_the_right_frames(self, tiny_head, dtype):
        twin = TorchAvatar(random_avatar(tiny_head, 3000, dynamic=True), "cuda")
        pipeline = FramePipeline("cuda")
        pipeline.prepare(twin, 16)
        batches = [[wish(twin, 20 * b + i) for i in range(n)] for b, n in enumerate((16, 1, 5, 16, 3))]
        before = None
        for batch in batches:
            now = pipeline.submit(batch, dtype), batch
            if before is not None:
                with before[0] as pictures:
                    assert_pictures(pictures, before[1], dtype, "cuda")
            before = now
        assert before is not None
        assert_pictures(before[0].result(), before[1], dtype, "cuda")

    def test_everything_else_among_them(self, tiny_head):
        twin = TorchAvatar(random_avatar(tiny_head, 3000), "cuda")
        other = TorchAvatar(random_avatar(tiny_head, 2000, seed=5), "cuda")
        mesh = (twin.avatar.personal.vertices(pose_at(tiny_head, 3)) * 1.1).astype(np.float32)
        two = FrameWish(camera(), (wish(twin, 1).heads[0], replace(wish(other, 2).heads[0], matrix=matrix(0.15))))
        wishes = [
            wish(twin, 0), wish(twin, 1), two, wish(other, 2), FrameWish(camera(), ()), wish(twin, 3, vertices=mesh),
            wish(twin, 4, vertices=mesh, pose=None), replace(wish(twin, 5), camera=camera(5, (24, 56))), wish(twin, 6),
        ]  # fmt: skip
        with FramePipeline("cuda").submit(wishes, "float32") as pictures:
            assert_pictures(pictures, wishes, "float32", "cuda")

    def test_results_lie_in_pinned_memory(self, tiny_head):
        twin = TorchAvatar(random_avatar(tiny_head, 500), "cuda")
        pipeline = FramePipeline("cuda")
        pipeline.submit([wish(twin, 0)], "uint8").release()
        assert all(buffer.is_pinned() for buffer in pipeline._free)
        again = [buffer.data_ptr() for buffer in pipeline._free]
        pipeline.submit([wish(twin, 1)], "uint8").release()
        assert sorted(buffer.data_ptr() for buffer in pipeline._free) == sorted(again)

    def test_the_fused_packing_is_used_where_triton_is(self):
        pytest.importorskip("triton", reason="Triton is not installed")
        from gshead_backend.server import packing_triton

        frames_cuda.check_packing(packing_triton.pack_frame, torch.device("cuda"))
        assert packer_of(torch.device("cuda")) is packing_triton.pack_frame


def test_shadows_fall_on_each_head_alone(twin: TorchAvatar) -> None:
    pipeline, rng = FramePipeline("cpu"), np.random.default_rng(2)
    fallen = [rng.uniform(0, 1, (twin.avatar.head.vertex_count, 3)).astype(np.float32) for _ in range(3)]
    batch = [wish(twin, i, shadow=shadow) for i, shadow in enumerate(fallen)]
    lit_too = [wish(twin, i, shadow=shadow, light=lamp(30 * i, 0)) for i, shadow in enumerate(fallen)]
    for wishes in (batch, lit_too, [batch[0], wish(twin, 1), lit_too[2]]):
        with pipeline.submit(wishes, "uint8") as pictures:
            assert_pictures(pictures, wishes)


def test_heads_are_lit_each_by_its_own_light(twin: TorchAvatar) -> None:
    pipeline = FramePipeline("cpu")
    lights = [lamp(40 * i - 80, 10, soft=0.1, power=1.5) for i in range(5)]
    batch = [wish(twin, i, light=light, light_strength=0.5 + 0.1 * i) for i, light in enumerate(lights)]
    mixed = [batch[0], wish(twin, 1), batch[2], FrameWish(camera(3), (*batch[3].heads, *wish(twin, 4).heads))]
    for wishes in (batch, mixed):
        with pipeline.submit(wishes, "uint8") as pictures:
            assert_pictures(pictures, wishes)
    with (
        pipeline.submit([wish(twin, 1)], "uint8") as ((plain, _),),
        pipeline.submit([batch[1]], "uint8") as ((got, _),),
    ):
        assert np.abs(plain.astype(int) - got).max() > 20
