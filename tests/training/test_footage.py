"""Shards of footage: what is written comes back, pairs are of one person, damaged files are refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.head.pose import HeadPose
from gshead_backend.training.footage import APART, Footage, split_of
from gshead_backend.training.footage_shard import MAX_BYTES, About, coded, write_shard

SIZE = 48


def about(person: str, *, split: str = "train", head: str = "toy") -> About:
    return About(head, "0" * 64, person, "s" + person, "mine", split, "clip", "k", SIZE)


def write(
    folder: Path, person: str, times: list[float], *, yaws: list[float] | None = None, views: list[int] | None = None,
    part: int = 0, split: str = "train", head: str = "toy",
) -> Path:  # fmt: skip
    frames = []
    for k, time in enumerate(times):
        camera = orbit_camera(yaws[k] if yaws else 0.0, size=(SIZE, SIZE))
        image = np.full((SIZE, SIZE, 3), (40 + 5 * k, 90, 200), np.uint8)
        matte = np.zeros((SIZE, SIZE), np.uint8)
        matte[8:40, 8 + k : 40] = 255
        pose = HeadPose(*(np.full(n, 0.01 * k, np.float32) for n in (5, 3, 3, 3, 6, 3)))
        frames.append(coded(image, matte, camera, pose, time=time, view=views[k] if views else 0, number=10 * k,
                            error_px=1.5, covers=np.array([0, 4, SIZE, SIZE])))  # fmt: skip
    path = folder / "footage" / f"{person}-{part:03d}.safetensors"
    write_shard(path, about(person, split=split, head=head), np.arange(4), np.full((6, 3), 0.25), frames)
    return path


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0, 1.0], yaws=[0, 20])
    write(tmp_path, "a", [2.0], part=1)
    footage = Footage(tmp_path)
    assert (len(footage), footage.people, footage.head) == (3, ("a",), "toy")
    frame = footage[1]
    assert abs(frame.image.astype(int) - [45, 90, 200]).max() <= 4  # a JPEG
    assert frame.matte[20, 8] == 0
    assert frame.matte[20, 9] == 255
    assert (frame.time, frame.number, frame.person, frame.error_px) == (1.0, 10, "a", 1.5)
    np.testing.assert_allclose(frame.camera.viewmat, orbit_camera(20.0).viewmat, atol=1e-6)
    assert isinstance(frame.camera, Camera)
    np.testing.assert_allclose(frame.pose.jaw_pose, 0.01)
    np.testing.assert_array_equal(frame.vertex_offsets, np.full((6, 3), 0.25, np.float32))
    assert not frame.known[3].any()
    assert frame.known[4].all()
    assert footage.angles == pytest.approx([0, 20, 0], abs=1e-3)


def test_it_goes_to_other_processes(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0, 1.0])
    footage = Footage(tmp_path)
    _ = footage[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(footage))[1].image, footage[1].image)


def test_pairs_are_of_one_person_and_apart(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0, 0.1, 0.2, 3.0, 3.1], yaws=[0, 0, 0, 0, 80])
    write(tmp_path, "b", [0.0, 5.0])
    footage, rng = Footage(tmp_path), np.random.default_rng(0)
    for _ in range(20):
        for index in range(len(footage)):
            source, target = footage.pair(index, rng)
            assert source.person == target.person
            assert abs(source.time - target.time) >= APART
            assert source.time != 3.1  # seen from the side: no portrait


def test_views_of_one_instant_are_a_pair(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0, 0.0, 0.0], yaws=[0, 40, 120], views=[0, 1, 2])
    footage, rng = Footage(tmp_path), np.random.default_rng(0)
    assert {footage.source_of(2, rng) for _ in range(30)} == {0, 1}
    assert {footage.source_of(0, rng) for _ in range(30)} == {1}


def test_a_person_with_one_frame_is_their_own_pair(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0])
    assert Footage(tmp_path).source_of(0, np.random.default_rng(0)) == 0


def test_splits_share_nobody(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0])
    write(tmp_path, "b", [0.0], split="validation")
    assert Footage(tmp_path, "train").people == ("a",)
    assert Footage(tmp_path, "validation").people == ("b",)
    assert Footage(tmp_path).people == ("a", "b")
    shares = [split_of(str(k)) for k in range(2000)]
    assert 0.07 < shares.count("validation") / len(shares) < 0.13
    assert {split_of(str(k), 0.0) for k in range(100)} == {"train"}


def test_different_heads_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, "a", [0.0])
    write(tmp_path, "b", [0.0], head="other")
    with pytest.raises(ArgumentError, match="different heads: other, toy"):
        Footage(tmp_path)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no prepared footage"):
        Footage(tmp_path)


@pytest.mark.parametrize("how", ["cut", "foreign", "text"])
def test_a_damaged_shard_is_refused_by_name(tmp_path: Path, how: str) -> None:
    path = write(tmp_path, "a", [0.0, 1.0])
    data = path.read_bytes()
    damaged = {"cut": data[:-100], "foreign": data.replace(b"gshead-footage", b"gshead-fooTage"), "text": b"hello"}
    path.write_bytes(damaged[how])
    with pytest.raises(FileFormatError, match=r"a-000\.safetensors"):
        Footage(tmp_path)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, "a", [0.0, 1.0])
    data = bytearray(path.read_bytes())
    data[data.index(b"\x89PNG") + 40] ^= 1
    path.write_bytes(bytes(data))
    (shard,) = Footage(tmp_path).shards
    with pytest.raises(FileFormatError, match=r"a-000\.safetensors"):
        shard.verify()


def test_a_picture_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a", [0.0, 1.0])
    data = bytearray(path.read_bytes())
    at = data.index(b"\x89PNG")
    data[at : at + 4] = b"xxxx"
    path.write_bytes(bytes(data))
    with pytest.raises(FileFormatError, match=r"a-000\.safetensors.*picture 0"):
        _ = Footage(tmp_path)[0]


def test_a_shard_is_small_enough_to_be_sent(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    frame = coded(noise, noise[..., 0], orbit_camera(0.0, size=(SIZE, SIZE)), HeadPose.neutral(5), time=0, view=0,
                  number=0, error_px=0, covers=np.zeros(4))  # fmt: skip
    many = [frame] * (MAX_BYTES // frame.size + 2)
    with pytest.raises(ArgumentError, match="at most 16000000 bytes"):
        write_shard(tmp_path / "a.safetensors", about("a"), np.zeros(4), np.zeros((6, 3)), many)
