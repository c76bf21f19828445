"""The same take gives the same bytes: rendered twice, by a backend that was started anew, and shared by two of them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from server_harness import real_backend
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import avatar_to_bytes
from gshead_backend.avatar.take import demo_take
from gshead_backend.camera import orbit_camera
from gshead_backend.head import HeadModel
from gshead_backend.protocol import Client, Instance, camera_spec

FRAMES = range(0, 48, 6)


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Large avatars are sent without a copy, for which pyzmq keeps a thread."""


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    made = [Path(tempfile.mkdtemp(prefix="gsh-")) for _ in range(3)]  # sockets have short paths
    yield made
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def rendered(client: Client, head: HeadModel, data: bytes, frames: Sequence[int]) -> dict[int, str]:
    """Frame to the hash of its colours and depth; all of them are asked for at once."""
    avatar, take = client.avatar_put(data, timeout=120), demo_take()
    c = orbit_camera(20, size=(120, 100), focal_mm=85, distance=1.0)
    spec = camera_spec(c.width, c.height, c.K, c.viewmat, near=c.near, far=c.far)
    asked = {
        f: client.threaded.render(spec, [Instance(avatar, np.eye(4), take.pose(head, f).to_vector())]) for f in frames
    }
    found = {}
    for number, request in asked.items():
        frame = request.wait(300)
        assert frame.rgba[..., 3].max() > 0.5
        assert frame.depth is not None
        found[number] = hashlib.sha256(frame.rgba.tobytes() + frame.depth.tobytes()).hexdigest()
    return found


@pytest.mark.timeout(600)
def test_the_same_take_gives_the_same_bytes(tiny_head: HeadModel, folders: list[Path]) -> None:
    data = avatar_to_bytes(make_tiny_avatar(tiny_head, 1500))
    with real_backend(folders[0]) as client:
        first, again = (rendered(client, tiny_head, data, FRAMES) for _ in range(2))
    assert len(set(first.values())) > 4, "the take moves"
    assert again == first, "rendered twice"
    with real_backend(folders[1]) as one, real_backend(folders[2]) as other, ThreadPoolExecutor(2) as pool:
        halves = [
            pool.submit(rendered, client, tiny_head, data, list(FRAMES)[part::2])
            for part, client in enumerate((one, other))
        ]
        shared = halves[0].result() | halves[1].result()
    assert shared == first, "by two workers at once, both started anew"
