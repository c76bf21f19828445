"""Heads that a network draws, through a real backend: alone and beside splats, in two viewports, moving and final."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from server_harness import real_backend

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import MissingWeightsError
from gshead_backend.head import HeadPose
from gshead_backend.methods.draw import drawer_of
from gshead_backend.protocol import Client, Instance, camera_spec
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import Rendered, rasterize
from gshead_backend.raster.compose import merge
from gshead_backend.server.shots import HeadInstance, Shot

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "methods" / "gagavatar"))
from pipeline_engine import PipelineEngine
from small import install, with_portrait
from tiny_avatar import make_tiny_avatar

ROOT = Path(__file__).parents[2]
VIEW = orbit_camera(15, 5, size=(120, 90), distance=0.9)


@pytest.fixture(scope="module")
def home(tiny_head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def real(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a real backend on the CPU whose data folder is ``home``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSHEAD_DATA_DIR", str(home))
        with real_backend(tmp_path_factory.mktemp("painted")) as client:
            yield client


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """The backend is shared by the module here, so its workers and rings outlive a test."""


@pytest.fixture(scope="module")
def people(tiny_head):
    """Two painted heads and one of splats, as files hold them."""
    made = [with_portrait(make_tiny_avatar(tiny_head)), with_portrait(make_tiny_avatar(tiny_head), 9)]
    made.append(make_tiny_avatar(tiny_head))
    return [avatar_from_bytes(avatar_to_bytes(avatar)) for avatar in made]


@pytest.fixture(scope="module")
def ids(real, people, home, tiny_head):
    with pytest.raises(MissingWeightsError, match=r"GAGAvatar\.pt"):
        real.avatar_put(avatar_to_bytes(people[0]))
    install(home, tiny_head)
    return [real.avatar_put(avatar_to_bytes(avatar)) for avatar in people]


def spec(camera: Camera):
    return camera_spec(camera.width, camera.height, camera.K, camera.viewmat, near=camera.near, far=camera.far)


def pose_of(head, value: float = 0.0) -> HeadPose:
    neutral = HeadPose.neutral(head.expression_count)
    return replace(neutral, expression=np.full(head.expression_count, value, np.float32))


def placed(avatar_id: str, head, x: float = 0.0, z: float = 0.0, value: float = 0.0) -> Instance:
    matrix = np.eye(4)
    matrix[:3, 3] = x, 0, z
    return Instance(avatar_id, matrix, pose_of(head, value).to_vector())


def test_the_info_says_how_it_was_made(real, ids, people):
    assert ids[0] != ids[1] != ids[2]
    assert real.avatar_put(avatar_to_bytes(people[0])) == ids[0]


def test_a_final_frame_is_what_the_painter_draws(real, ids, people, home, monkeypatch, tiny_head):
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    frame = real.render(spec(VIEW), [placed(ids[0], tiny_head, value=0.3)], dtype="float32")
    truth = drawer_of(people[0])(pose_of(tiny_head, 0.3), VIEW)
    assert truth.alpha.max() > 0.3
    np.testing.assert_allclose(frame.rgba, pack_frame(truth.color, truth.alpha, "float32"), atol=1e-4)
    again = real.render(spec(VIEW), [placed(ids[0], tiny_head, value=0.3)], dtype="float32")
    assert again.rgba.tobytes() == frame.rgba.tobytes()


def test_nearer_heads_cover_farther_ones_whatever_draws_them(real, ids, people, home, monkeypatch, tiny_head):
    """A painted head before and behind a splat head."""
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    front = orbit_camera(0, size=(96, 96), distance=1.2)
    frames = []
    for z in (0.3, -0.6):
        heads = [placed(ids[0], tiny_head, z=z), placed(ids[2], tiny_head)]
        frame = real.render(spec(front), heads, dtype="float32")
        moved = front.viewmat.copy()
        moved[:3, 3] += moved[:3, 2] * z
        painted = drawer_of(people[0])(pose_of(tiny_head), replace(front, viewmat=moved))
        splats = rasterize(drive(people[2], pose_of(tiny_head)), front)
        truth = merge([_as_torch(splats), _as_torch(painted)])
        color = pack_frame(truth.color.numpy(), truth.alpha.numpy(), "float32")
        np.testing.assert_allclose(frame.rgba, color, atol=2e-3)
        known = frame.rgba[..., 3] > 0.1
        np.testing.assert_allclose(frame.depth[known], truth.depth.numpy()[known], atol=2e-3)
        frames.append(frame.rgba)
    assert np.abs(frames[0] - frames[1]).max() > 0.1


def _as_torch(drawn: Rendered) -> Rendered:
    return Rendered(*(torch.from_numpy(np.asarray(a)) for a in (drawn.color, drawn.alpha, drawn.depth)))


def test_moving_pictures_show_splats_and_resting_ones_the_network(real, ids, people, home, monkeypatch, tiny_head):
    """Two viewports at once, two people: each gets its own, newest first, and what rests is painted."""
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    pose = pose_of(tiny_head, 0.2)
    other = orbit_camera(-40, size=(80, 64), distance=0.8)
    painted = [pack_frame(*_parts(drawer_of(people[n])(pose, view)), "uint8") for n, view in ((0, VIEW), (1, other))]
    splats = [
        pack_frame(*_parts(rasterize(drive(people[n], pose), view)), "uint8") for n, view in ((0, VIEW), (1, other))
    ]
    with Client(real.threaded.endpoint) as client:
        for avatar in people[:2]:
            client.avatar_put(avatar_to_bytes(avatar))
        streams = [client.stream_open(), client.stream_open()]
        for moving in (True, False, True, False):
            tokens = [
                client.stream_update(
                    stream, spec(view), [placed(ids[n], tiny_head, value=0.2)], splats=1000 if moving else 0
                )
                for n, (stream, view) in enumerate(zip(streams, (VIEW, other), strict=True))
            ]
            wanted = splats if moving else painted
            for n, (stream, token) in enumerate(zip(streams, tokens, strict=True)):
                frame = client.stream_latest(stream, newer_than=token - 1, timeout=30)
                assert frame is not None
                close = np.abs(frame.rgba.astype(int) - wanted[n]) <= 2
                assert close.mean() > 0.99, (n, moving)


def _parts(drawn):
    return np.asarray(drawn.color), np.asarray(drawn.alpha)


def test_the_gpus_pipeline_draws_them_too(people, home, ids, monkeypatch, tiny_head):
    """On torch's CPU device: a batch of final frames with and without painted heads, and one of both."""
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    engine = PipelineEngine("cpu")
    said: list[str] = []
    engine.attend(said.append)
    for avatar_id, avatar in zip(ids, people, strict=True):
        engine.load(avatar_id, avatar_to_bytes(avatar), 10**6)

    def shot(*which: int, value: float = 0.0, dtype="float32") -> Shot:
        heads = [HeadInstance(ids[n], np.eye(4), pose_of(tiny_head, value), None) for n in which]
        return Shot(spec(VIEW), heads, dtype, True, final=True)

    with engine.draw([shot(0), shot(2), shot(2, value=0.2), shot(0, 2), shot(1, dtype="uint8")]) as pictures:
        frames = [[array.copy() for array in arrays] for _, arrays in pictures]
    neutral = pose_of(tiny_head)
    painted = drawer_of(people[0])(neutral, VIEW)
    np.testing.assert_allclose(frames[0][0], pack_frame(*_parts(painted), "float32"), atol=2e-3)
    np.testing.assert_allclose(frames[0][1], painted.depth, atol=1e-4)
    splats = rasterize(drive(people[2], neutral), VIEW)
    np.testing.assert_allclose(frames[1][0], pack_frame(*_parts(splats), "float32"), atol=2e-3)
    both = merge([_as_torch(splats), _as_torch(painted)])
    np.testing.assert_allclose(frames[3][0], pack_frame(*_parts(both), "float32"), atol=5e-3)
    other = drawer_of(people[1])(neutral, VIEW)
    assert np.abs(frames[4][0].astype(int) - pack_frame(*_parts(other), "uint8")).max() <= 1
    assert set(said) >= {"Loading GAGAvatar's weights", "Reading the photo", "Painting a head"}
    for avatar_id in ids:
        engine.unload(avatar_id)
