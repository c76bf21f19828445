"""Takes: what a file says is what the head does, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.avatar.take import (
    CHANNEL_NAMES,
    Channel,
    Take,
    demo_take,
    keyed,
    load_take,
    save_take,
    take_from_json,
    take_to_json,
)
from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.head import ARKIT_INDEX, HeadModel, PersonalHead

SAMPLE = Path(__file__).parents[2] / "samples" / "take_demo.json"


def _json(**changes: object) -> str:
    base = {"format": "gshead-take", "version": 1, "fps": 24, "frames": 3, "channels": {"jawOpen": [0, 0.5, 1]}}
    return json.dumps({k: v for k, v in (base | changes).items() if v is not None})


def test_dense_channels_give_their_values_and_hold_outside() -> None:
    take = take_from_json(_json(start=10))
    assert list(take.frames) == [10, 11, 12]
    assert take.sample("jawOpen").tolist() == [0, 0.5, 1]
    for frame, value in ((-5, 0), (10, 0), (10.5, 0.25), (12, 1), (99, 1)):
        assert take.arkit(frame)[ARKIT_INDEX["jawOpen"]] == pytest.approx(value)
    assert take.sample("cheekPuff").tolist() == [0, 0, 0]
    assert take.sample("headRotation").shape == (3, 3)


@pytest.mark.parametrize(("interpolation", "quarter"), [("linear", 0.25), ("smooth", 0.15625), ("constant", 0.0)])
def test_interpolation_between_keys(interpolation: str, quarter: float) -> None:
    keys = {"frames": [0, 4], "values": [0, 1], "interpolation": interpolation}
    take = take_from_json(_json(start=0, frames=5, channels={"jawOpen": keys}))
    assert take.channels["jawOpen"].at(1) == pytest.approx(quarter)
    assert take.channels["jawOpen"].at(4) == 1
    assert take.sample("jawOpen")[-1] == 1


def test_smooth_is_blenders_bezier_with_flat_handles() -> None:
    t = np.linspace(0, 1, 11)
    bezier = 3 * t**2 * (1 - t) + t**3  # control values 0, 0, 1, 1; times 0, 1/3, 2/3, 1 are linear in t
    assert np.allclose(keyed((0, 0), (1, 1)).at(t), bezier)


def test_rotations_turn_the_way_the_documentation_says(tiny_head: HeadModel) -> None:
    personal = PersonalHead.create(tiny_head, np.zeros(tiny_head.identity_count))
    nose = int(np.argmax(personal.rest[:, 2]))

    def move(name: str, angles: tuple[float, float, float]) -> np.ndarray:
        pose = Take(24, 1, {name: keyed((1, angles))}).pose(tiny_head, 1)
        return personal.vertices(pose)[nose] - personal.rest[nose]

    assert move("neckRotation", (20, 0, 0))[1] < -0.01, "+x nods down"
    assert move("neckRotation", (0, 20, 0))[0] > 0.01, "+y turns to the own left"
    crown = int(np.argmax(personal.rest[:, 1]))
    tilted = personal.vertices(Take(24, 1, {"headRotation": keyed((1, (0, 0, 20)))}).pose(tiny_head, 1))
    assert tilted[crown, 0] - personal.rest[crown, 0] < -0.01, "+z tilts to the own right"


def test_eye_rotations_reach_only_their_eye(tiny_head: HeadModel) -> None:
    pose = Take(24, 1, {"leftEyeRotation": keyed((1, (0, 30, 0)))}).pose(tiny_head, 1)
    assert pose.eye_pose[:3] == pytest.approx([0, np.radians(30), 0])
    assert pose.eye_pose[3:] == pytest.approx([0, 0, 0])
    pose = Take(24, 1, {"jawOpen": keyed((1, 1))}).pose(tiny_head, 1)
    assert pose.jaw_pose == pytest.approx(tiny_head.arkit_jaw[ARKIT_INDEX["jawOpen"]])


def test_the_demo_take_in_samples_is_the_builders() -> None:
    assert SAMPLE.read_text() == take_to_json(demo_take())


def test_the_demo_take_shows_what_it_promises(tiny_head: HeadModel) -> None:
    take = load_take(SAMPLE)
    assert (take.fps, take.frame_count) == (24, 48)
    yaw = take.sample("headRotation")[:, 1] + take.sample("neckRotation")[:, 1]
    assert (yaw.max(), yaw.min()) == pytest.approx((35, -35))
    at = {name: take.sample(name) for name in ("eyeBlinkLeft", "jawOpen", "mouthSmileRight", "eyeLookOutLeft")}
    assert at["eyeBlinkLeft"][6 - 1] == 1
    assert yaw[15 - 1] == pytest.approx(35)
    assert yaw[25 - 1] == pytest.approx(-35)
    assert at["jawOpen"][35 - 1] >= 0.7
    assert at["eyeLookOutLeft"][39 - 1] >= 0.8
    assert at["mouthSmileRight"][47 - 1] >= 0.8
    assert np.isfinite(take.pose(tiny_head, 12).to_vector()).all()


def test_saving_and_loading_keeps_every_key(tmp_path: Path) -> None:
    take = Take(
        29.97, 10,
        {"jawOpen": keyed((1, 0), (4.5, 0.123456), interpolation="constant"),
         "headRotation": Channel(np.arange(1.0, 11), np.linspace(0, 30, 30).reshape(10, 3).round(3), "linear")},
        name="two words",
    )  # fmt: skip
    save_take(take, tmp_path / "t.json")
    back = load_take(tmp_path / "t.json")
    assert (back.fps, back.frame_count, back.start, back.name) == (29.97, 10, 1, "two words")
    for name, channel in take.channels.items():
        assert np.array_equal(back.channels[name].frames, channel.frames)
        assert np.array_equal(back.channels[name].values, channel.values)
        assert back.channels[name].interpolation == channel.interpolation
    assert take_to_json(back) == (tmp_path / "t.json").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "gshead-take"),
        (_json(version=2), "version 2"),
        (_json(fps=0), "frames per second"),
        (_json(fps="24"), "frames per second"),
        (_json(fps=None), "frames per second"),
        (_json(frames=0, channels={}), "1 to 200000 frames"),
        (_json(frames=2.5), "whole numbers"),
        (_json(frames=10**12), "lists 3 values for 1000000000000"),
        (_json(start=True), "whole numbers"),
        (_json(channel={}), "unknown entry 'channel'"),
        (_json(channels=[]), "must be an object"),
        (_json(channels={"mouthSmile_L": [0, 0, 0]}), "Did you mean 'mouthSmileLeft'"),
        (_json(channels={"headrotation": [0, 0, 0]}), "Did you mean 'headRotation'"),
        (_json(channels={"qqqq": [0, 0, 0]}), "52 ARKit names"),
        (_json(channels={"jawOpen": [0, 1]}), "lists 2 values for 3 frames"),
        (_json(channels={"jawOpen": 3}), "must be a list"),
        (_json(channels={"jawOpen": [0, 80, 0]}), "reaches 80.*not percent"),
        (_json(channels={"jawOpen": [0, "1", 0]}), "'1', which is not a number"),
        (_json(channels={"jawOpen": [0, True, 0]}), "not a number"),
        (_json(channels={"jawOpen": [[0], [0], [0]]}), "needs one number"),
        (_json(channels={"jawOpen": [0, [1], 0]}), "different length"),
        (_json(channels={"headRotation": [0, 0, 0]}), "three angles in degrees"),
        (_json(channels={"headRotation": [[0, 0, 9e9]] * 3}), "reaches 9e\\+09"),
        (_json(channels={"jawOpen": {"frames": [2, 1], "values": [0, 1]}}), "must increase"),
        (_json(channels={"jawOpen": {"frames": [1], "values": [0, 1]}}), "needs one number for each of its 1"),
        (_json(channels={"jawOpen": {"frames": [], "values": []}}), "1 to 200000 keys"),
        (_json(channels={"jawOpen": {"frames": [1]}}), "needs the lists"),
        (_json(channels={"jawOpen": {"frames": [1], "values": [0], "ease": 1}}), "unknown entry 'ease'"),
        (_json(channels={"jawOpen": {"frames": [1], "values": [0], "interpolation": "cubic"}}), "'cubic'"),
        (_json().replace("0.5", "NaN"), "NaN is not a number"),
        (_json().replace('"fps"', '"frames": 3, "fps"'), "a key appears twice"),
    ],
)
def test_what_is_wrong_with_a_take_is_named(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        take_from_json(text)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8\xff\xe0" * 10)
    for name in ("photo.json", "absent.json"):
        with pytest.raises(FileFormatError, match=name):
            load_take(tmp_path / name)


def test_channel_names_cover_arkit_and_four_joints() -> None:
    assert len(CHANNEL_NAMES) == 56
    with pytest.raises(ArgumentError, match="jawOpen"):
        Take(24, 1, {"JawOpen": keyed((1, 0))})
