"""The whole backend with its real engine on a tiny head: what comes over the wire is what the rooms compute."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from server_harness import real_backend

from gshead_backend.avatar.drive import drive, drive_vertices
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.avatar.light import lamp
from gshead_backend.avatar.shading import lit, shading_of, splat_shadow
from gshead_backend.avatar.splats import concatenate, transform_splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import FileFormatError, GsheadError, ImageError, ProtocolError
from gshead_backend.head import HeadPose
from gshead_backend.protocol import Client, Instance, camera_spec
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import rasterize

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_avatar import make_tiny_avatar

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a real backend on the CPU; one for the module, because it compiles when it starts."""
    with real_backend(tmp_path_factory.mktemp("real")) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """The backend is shared by the module here, so its workers and rings outlive a test."""


@pytest.fixture(scope="module")
def avatar(tiny_head):
    return avatar_from_bytes(avatar_to_bytes(make_tiny_avatar(tiny_head, dynamic=True)))


@pytest.fixture(scope="module")
def avatar_id(real, avatar):
    return real.avatar_put(avatar_to_bytes(avatar))


def _spec(camera: Camera):
    return camera_spec(camera.width, camera.height, camera.K, camera.viewmat, near=camera.near, far=camera.far)


def _pose(avatar, seed: int) -> HeadPose:
    rng = np.random.default_rng(seed)
    vector = rng.uniform(-0.3, 0.3, avatar.head.expression_count + 18).astype(np.float32)
    vector[-3:] = 0
    return HeadPose.from_vector(vector)


CAMERA = orbit_camera(25, 10, size=(160, 120), distance=0.9)


def _expected(splats, dtype="float32"):
    rendered = rasterize(splats, CAMERA)
    return pack_frame(rendered.color, rendered.alpha, dtype), rendered.depth


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_running_front_has_no_heavy_library_in_memory(real, avatar_id):
    assert avatar_id
    libraries = Path(f"/proc/{real.hello().pid}/maps").read_text()
    assert "zmq" in libraries
    assert not [name for name in ("libtorch", "llvmlite", "/cv2/", "/scipy/") if name in libraries]


def test_a_posed_head_equals_drive_and_rasterize(real, avatar, avatar_id):
    pose = _pose(avatar, 1)
    frame = real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), pose.to_vector())])
    rgba, depth = _expected(drive(avatar, pose))
    assert frame.rgba[..., 3].max() > 0.5
    assert np.abs(frame.rgba - rgba).max() < 1e-4
    seen = np.isfinite(depth)
    assert np.array_equal(np.isfinite(frame.depth), seen)
    assert np.abs(frame.depth[seen] - depth[seen]).max() < 1e-4


def test_a_stream_draws_a_level_of_detail_once_it_is_made_and_frames_always_draw_all(real):
    """What comes over the wire with ``splats`` is the reduced avatar's picture; asked for everything, everything's."""
    from gshead_backend.detail import reduced
    from gshead_backend.head import default_head
    from gshead_backend.server.levels import SIZES

    whole = make_tiny_avatar(default_head(), round(1.5 * SIZES[0]))
    avatar_id = real.avatar_put(avatar_to_bytes(whole))
    kept = avatar_from_bytes(avatar_to_bytes(whole))
    pose = HeadPose.neutral(kept.head.expression_count)
    instance = Instance(avatar_id, np.eye(4), pose.to_vector())
    expected = [_expected(drive(a, pose), "uint8")[0].astype(int) for a in (kept, reduced(kept, SIZES[0]))]
    assert np.abs(expected[0] - expected[1]).max() > 4, "they can be told apart"
    stream = real.stream_open(dtype="uint8")

    def seen(splats: int) -> np.ndarray:
        token = real.stream_update(stream, _spec(CAMERA), [instance], splats=splats)
        frame = real.stream_latest(stream, newer_than=token - 1, timeout=30)
        assert frame is not None
        return frame.rgba.astype(int)

    assert np.abs(seen(SIZES[0]) - expected[0]).max() <= 1, "all of it until the level is there"
    deadline = time.monotonic() + 120
    while np.abs(seen(SIZES[0]) - expected[1]).max() > 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert np.abs(seen(0) - expected[0]).max() <= 1
    final = real.render(_spec(CAMERA), [instance], dtype="uint8")
    assert np.abs(final.rgba.astype(int) - expected[0]).max() <= 1
    real.stream_close(stream)
    real.avatar_drop(avatar_id)


def test_a_placed_head_and_two_heads_equal_moved_splats(real, avatar, avatar_id):
    one, two = np.eye(4), np.eye(4)
    one[:3, 3] = -0.1, 0.02, 0.0
    two[:3, :3] = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]) * 0.8
    two[:3, 3] = 0.12, 0.0, 0.05
    poses = [_pose(avatar, 2), _pose(avatar, 3)]
    heads = [Instance(avatar_id, m, p.to_vector()) for m, p in zip((one, two), poses, strict=True)]
    moved = [transform_splats(drive(avatar, p), m) for m, p in zip((one, two), poses, strict=True)]
    single = real.render(_spec(CAMERA), heads[1:])
    assert np.abs(single.rgba - _expected(moved[1])[0]).max() < 2e-3
    both = real.render(_spec(CAMERA), heads)
    assert np.abs(both.rgba - _expected(concatenate(moved))[0]).max() < 2e-3


def test_vertices_with_and_without_a_pose(real, avatar, avatar_id):
    pose = _pose(avatar, 4)
    vertices = (avatar.personal.vertices(pose) * [1.0, 1.2, 1.0]).astype(np.float32)
    without = real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), vertices=vertices)])
    assert np.abs(without.rgba - _expected(drive_vertices(avatar, vertices))[0]).max() < 1e-4
    with_pose = real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), pose.to_vector(), vertices)])
    assert np.abs(with_pose.rgba - _expected(drive_vertices(avatar, vertices, pose))[0]).max() < 1e-4
    assert not np.array_equal(without.rgba, with_pose.rgba), "the pose drives the residual"


def test_a_viewport_frame_is_the_same_picture(real, avatar, avatar_id):
    pose = _pose(avatar, 5)
    stream = real.stream_open(depth=True)
    token = real.stream_update(stream, _spec(CAMERA), [Instance(avatar_id, np.eye(4), pose.to_vector())], scale=0.5)
    small = real.stream_latest(stream, newer_than=token - 1, timeout=30)
    assert small is not None
    assert small.rgba.shape == (60, 80, 4)
    token = real.stream_update(stream, _spec(CAMERA), [Instance(avatar_id, np.eye(4), pose.to_vector())])
    frame = real.stream_latest(stream, newer_than=token - 1, timeout=30)
    assert frame is not None
    expected = _expected(drive(avatar, pose), "uint8")[0]
    assert np.abs(frame.rgba.astype(int) - expected).max() <= 1
    real.stream_close(stream)


def test_wrong_poses_avatars_and_photos_are_named_errors(real, avatar, avatar_id):
    with pytest.raises(ProtocolError, match="expression values"):
        real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), np.zeros(18))])
    with pytest.raises(ProtocolError, match="vertices were sent"):
        real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), vertices=np.zeros((3, 3)))])
    with pytest.raises(FileFormatError):
        real.avatar_put(b"not an avatar at all")
    with pytest.raises(FileFormatError):
        real.avatar_put(avatar_to_bytes(avatar)[:-100])
    with pytest.raises(ImageError):
        real.reconstruct(b"not a photo")
    with pytest.raises(GsheadError):
        real.reconstruct(b"\x89PNG\r\n\x1a\n")
    assert real.render(_spec(CAMERA), []).rgba.shape == (120, 160, 4)


def test_the_same_pose_gives_the_same_bytes(real, avatar, avatar_id):
    heads = [Instance(avatar_id, np.eye(4), _pose(avatar, 6).to_vector())]
    first, second = (real.render(_spec(CAMERA), heads, dtype="float16") for _ in range(2))
    assert first.rgba.tobytes() == second.rgba.tobytes()
    assert first.depth.tobytes() == second.depth.tobytes()


def test_a_head_in_a_light_equals_the_readable_twin(real, avatar, avatar_id):
    pose, light = _pose(avatar, 4), lamp(-60, 20, soft=0.1, power=2)
    head = Instance(avatar_id, np.eye(4), pose=pose.to_vector(), light=light, light_strength=0.8)
    wanted, _ = _expected(lit(drive(avatar, pose), shading_of(avatar), light, 0.8))
    frame = real.render(_spec(CAMERA), [head])
    np.testing.assert_allclose(frame.rgba, wanted, atol=2e-3)
    plain = real.render(_spec(CAMERA), [Instance(avatar_id, np.eye(4), pose=pose.to_vector())])
    assert np.abs(plain.rgba - frame.rgba).max() > 0.1
    again = real.render(_spec(CAMERA), [head])
    assert again.rgba.tobytes() == frame.rgba.tobytes()
    fallen = np.random.default_rng(0).uniform(0, 1, (avatar.head.vertex_count, 3)).astype(np.float16)
    shaded = real.render(_spec(CAMERA), [replace(head, shadow=fallen)])
    dark = lit(drive(avatar, pose), shading_of(avatar), light, 0.8, splat_shadow(avatar, fallen))
    np.testing.assert_allclose(shaded.rgba, _expected(dark)[0], atol=2e-3)
    # one that is lit beside one in the photo's light, moved aside
    place = np.eye(4)
    place[0, 3] = 0.25
    other = Instance(avatar_id, place, pose=pose.to_vector())
    both = concatenate(
        [lit(drive(avatar, pose), shading_of(avatar), light, 0.8), transform_splats(drive(avatar, pose), place)]
    )
    np.testing.assert_allclose(real.render(_spec(CAMERA), [head, other]).rgba, _expected(both)[0], atol=2e-3)
