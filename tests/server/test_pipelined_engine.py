"""Frames drawn several at a time, as on a GPU, come to the right client, in order, with the right pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from server_harness import serve_command

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.camera import orbit_camera
from gshead_backend.errors import ProtocolError
from gshead_backend.head import HeadPose
from gshead_backend.protocol import Instance, ThreadedClient, camera_spec
from gshead_backend.protocol.launcher import start_backend
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import rasterize

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_avatar import make_tiny_avatar

CAMERA = orbit_camera(20, size=(150, 130), focal_mm=85, distance=1.0)


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Large avatars are sent without a copy, for which pyzmq keeps a thread."""


@pytest.fixture
def threaded(runtime):
    command = serve_command(device="cpu")
    command[-1] = command[-1].replace("fake_engine:FakeEngine", "pipeline_engine:PipelineEngine")
    backend = start_backend(command, directory=runtime, timeout=60)
    with ThreadedClient(backend.endpoint, timeout=60) as client:
        yield client
    backend.wait(10)


def _pose(head, i: int) -> HeadPose:
    expression = np.zeros(head.expression_count, np.float32)
    expression[i % head.expression_count] = 0.8
    pose = HeadPose.neutral(head.expression_count)
    return HeadPose(expression, np.array([0, 0.05 * i, 0], np.float32), *list(vars(pose).values())[2:])


def test_a_timeline_and_a_stream_through_batches(threaded, tiny_head):
    avatar = avatar_from_bytes(avatar_to_bytes(make_tiny_avatar(tiny_head, dynamic=True)))
    avatar_id = threaded.avatar_put(avatar_to_bytes(avatar)).wait(60).avatar_id
    c = CAMERA
    spec = camera_spec(c.width, c.height, c.K, c.viewmat, near=c.near, far=c.far)
    poses = [_pose(tiny_head, i) for i in range(21)]
    heads = [[Instance(avatar_id, np.eye(4), pose.to_vector())] for pose in poses]
    broken = [Instance(avatar_id, np.eye(4), np.zeros(21))]
    frames = [threaded.render(spec, h, dtype=("float32", "uint8")[i % 5 == 4]) for i, h in enumerate(heads)]
    wrong = threaded.render(spec, broken)
    after = threaded.render(spec, heads[3])
    stream = threaded.stream_open(depth=True).wait(10)
    token = threaded.stream_update(stream, spec, heads[7])
    for i, request in enumerate(frames):
        got, expected = request.wait(60), rasterize(drive(avatar, poses[i]), CAMERA)
        wanted = pack_frame(expected.color, expected.alpha, got.dtype)
        difference = np.abs(got.rgba.astype(np.float64) - wanted) / (255 if got.dtype == "uint8" else 1)
        assert difference.max() <= 0.01, i  # a splat at the edge of visibility may be drawn by one and not the other
        assert difference.mean() <= (2e-4 if got.dtype == "uint8" else 2e-5), i
        seen = np.isfinite(expected.depth)
        np.testing.assert_allclose(got.depth[seen], expected.depth[seen], atol=1e-3)
    with pytest.raises(ProtocolError, match="3 expression"):
        wrong.wait(30)
    assert np.array_equal(after.wait(30).rgba, frames[3].wait(1).rgba), "the same wish gives the same bytes"
    frame = threaded.stream_latest(stream, newer_than=token - 1, timeout=30)
    assert frame is not None
    expected = rasterize(drive(avatar, poses[7]), CAMERA)
    assert np.abs(frame.rgba.astype(int) - pack_frame(expected.color, expected.alpha, "uint8")).max() <= 2
    threaded.avatar_drop(avatar_id).wait(10)
