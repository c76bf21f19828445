"""Live Link Face recordings: what they say, what is wrong with them, and that nothing in them breaks the reader."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gshead_backend.avatar import load_take
from gshead_backend.avatar.live_link import read_live_link
from gshead_backend.avatar.live_link_angles import COLUMNS, angles_of, degrees_of, live_link_csv
from gshead_backend.avatar.live_link_notes import Notes
from gshead_backend.avatar.retime import at_rate, scaled, shifted, smoothed_take
from gshead_backend.avatar.take import demo_take, keyed
from gshead_backend.avatar.timecode import label_of, read_timecodes, row_rate
from gshead_backend.cli import main
from gshead_backend.errors import ArgumentError, FileFormatError, GsheadError
from gshead_backend.head import ARKIT_NAMES
from gshead_backend.head.rotation import euler_to_matrix

HEADER = ",".join(("Timecode", "BlendShapeCount", *COLUMNS))


def recording(values: dict[str, list[float]], first: int = 0, step: int = 2, rate: int = 60) -> str:
    """A recording as the app writes it: 30 lines a second, labelled in sixtieths."""
    count = len(next(iter(values.values())))
    lines = [HEADER]
    for i in range(count):
        row = ",".join(f"{values.get(name, [0.0] * count)[i]:.10f}" for name in COLUMNS)
        lines.append(f"{label_of(first + i * step, rate)},61,{row}")
    return "\n".join(lines) + "\n"


def ramp(count: int, top: float = 1.0) -> list[float]:
    return np.linspace(0, top, count).tolist()


def test_the_columns_are_arkits_and_nine_angles() -> None:
    assert len(COLUMNS) == 61
    assert {name[0].lower() + name[1:] for name in COLUMNS[:52]} == set(ARKIT_NAMES)


def test_a_recording_becomes_a_take_at_its_own_rate() -> None:
    take, notes = read_live_link(recording({"JawOpen": ramp(90), "HeadYaw": [0.5] * 90}).encode(), "hello")
    assert (take.fps, take.frame_count, take.name) == (30, 90, "hello")
    assert set(take.channels) == {"jawOpen", "neckRotation"}
    np.testing.assert_allclose(take.sample("jawOpen"), ramp(90), atol=1e-4)
    np.testing.assert_allclose(take.sample("neckRotation"), [[0, -np.degrees(0.5), 0]] * 90, atol=1e-3)
    assert notes == Notes()
    assert notes.text() == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";").replace(".0000000000", ",0000000000").replace("0.", "0,"),
        lambda text: text.replace("JawOpen", "jaw_open").replace("EyeBlinkLeft", "EYEBLINK_L"),
        lambda text: text.replace("\n", "\n\n").replace(",", "\t"),
        lambda text: text.replace(".000,61", ",61"),
    ],
)  # fmt: skip
def test_spellings_of_the_same_recording(change) -> None:
    text = recording({"JawOpen": ramp(90), "EyeBlinkLeft": ramp(90, 0.5)})
    plain, _ = read_live_link(text.encode())
    other, notes = read_live_link(change(text).encode("utf-8"))
    wide, _ = read_live_link(change(text).replace("\ufeff", "").encode("utf-16"))
    assert notes.ignored == ()
    for take in (other, wide):
        assert (take.fps, take.frame_count) == (30, 90)
        for name in ("jawOpen", "eyeBlinkLeft"):
            np.testing.assert_allclose(take.sample(name), plain.sample(name), atol=1e-3)


def test_what_is_mended_is_told() -> None:
    lines = recording({"JawOpen": ramp(200), "CheekPuff": [0.5] * 200}).splitlines()
    lines[0] += ",SmellLevel"
    lines = [lines[0].replace("TongueOut", "Wagging"), *(line + ",1" for line in lines[1:])]
    lines[10] = lines[10].replace(",0.5000000000,", ",1.5,")
    lines[11] = lines[11].replace(",0.5000000000,", ",nan,")
    lines[12] = lines[12].replace(",0.5000000000,", ",,")
    lines[20] = lines[20].split(",")[0] + ",0"  # no face
    lines[30] = lines[29]
    lines[40] = "garbage" + lines[40][lines[40].index(",") :]
    del lines[50:53]
    lines[-1] = lines[-1][:40]
    take, notes = read_live_link("\n".join(lines).encode())
    assert notes.ignored == ("Wagging", "SmellLevel")
    assert notes.missing == ("tongueOut",)
    assert (notes.clamped, notes.unreadable) == (1, 2)
    assert notes.rows == 2, "the label that is none and the line that was cut off"
    assert (notes.repeated, notes.filled) == (1, 1 + 1 + 1 + 3), "no face, repeated, garbage, removed"
    assert take.frame_count == 199
    np.testing.assert_allclose(take.sample("jawOpen"), ramp(200)[:199], atol=1e-4)
    assert take.sample("cheekPuff").max() == 1
    assert "ignored Wagging, SmellLevel" in notes.text()
    assert "1 value clamped to 0..1; 2 values unreadable; 2 lines left out; 1 repeated line; 6 frames" in notes.text()


def test_the_clock_goes_over_midnight_and_knows_drop_frame() -> None:
    day = 24 * 3600 * 60
    take, _ = read_live_link(recording({"JawOpen": ramp(120)}, first=day - 100).encode())
    assert (take.fps, take.frame_count) == (30, 120)
    labels = ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03"]
    clock = read_timecodes(labels)
    np.testing.assert_allclose(np.diff(clock.seconds), 1001 / 30000)
    assert read_timecodes(["00:09:59;29", "00:10:00;00"], 30).seconds[1] == pytest.approx(1001 / 30000)
    across = read_timecodes(["23:59:59;29", "00:00:00;00"], 30)
    assert across.seconds[1] == pytest.approx(1001 / 30000)


@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60, 120])
@pytest.mark.parametrize("step", [1, 2])
def test_rates_are_found_from_timecodes(rate: int, step: int) -> None:
    clock = read_timecodes([label_of(7 + i * step, rate) for i in range(4 * rate)])
    assert (clock.rate, clock.known) == (rate, True)
    assert row_rate(clock) == rate / step


def test_a_recording_too_short_to_tell_its_rate_says_so() -> None:
    text = recording({"JawOpen": ramp(10)}, step=1)
    take, notes = read_live_link(text.encode())
    assert (take.fps, notes.assumed_rate) == (60, 60)
    take, notes = read_live_link(text.encode(), rate=24)
    assert (take.fps, notes.assumed_rate) == (24, 0)


def test_eye_angles_count_only_where_no_look_column_tells_the_same() -> None:
    values = {"JawOpen": ramp(90), "LeftEyeYaw": [0.2] * 90, "RightEyePitch": [0.1] * 90}
    text = recording(values)
    assert set(read_live_link(text.encode())[0].channels) == {"jawOpen"}
    take, _ = read_live_link(text.replace("EyeLook", "Xlook").encode())
    np.testing.assert_allclose(take.rotation("leftEyeRotation", 5), [0, -0.2, 0], atol=1e-4)
    np.testing.assert_allclose(take.rotation("rightEyeRotation", 5), [0.1, 0, 0], atol=1e-4)


def test_angles_there_and_back() -> None:
    angles = np.random.default_rng(0).uniform(-1.2, 1.2, (50, 3))
    np.testing.assert_allclose(angles_of(euler_to_matrix(np.radians(degrees_of(angles)))), angles, atol=1e-12)
    nod, turn, tilt = degrees_of(np.array([[0, 0.1, 0], [0.1, 0, 0], [0, 0, 0.1]]))
    assert nod[0] > 0
    assert turn[1] < 0, "yaw is positive to the person's own right, a take's y to the left"
    assert tilt[2] < 0


def test_a_take_written_as_a_recording_comes_back() -> None:
    take = demo_take()
    back, notes = read_live_link(live_link_csv(take).encode())
    assert notes.text() == ""
    assert (back.fps, back.frame_count) == (take.fps, take.frame_count)
    for name in ARKIT_NAMES:
        np.testing.assert_allclose(back.sample(name), take.sample(name), atol=1e-4)
    both = euler_to_matrix(np.radians(take.sample("headRotation"))) @ euler_to_matrix(
        np.radians(take.sample("neckRotation"))
    )
    np.testing.assert_allclose(euler_to_matrix(np.radians(back.sample("neckRotation"))), both, atol=1e-4)


def test_scale_smoothing_rate_and_shift() -> None:
    count = 120
    rng = np.random.default_rng(1)
    smile = 0.4 + 0.1 * rng.normal(size=count).clip(-2, 2)
    blink = np.zeros(count)
    blink[50:52] = 1
    values = {"MouthSmileLeft": smile.tolist(), "EyeBlinkLeft": blink.tolist()}
    take, _ = read_live_link(recording(values).encode())
    calm = smoothed_take(take, 1)
    np.testing.assert_array_equal(calm.sample("eyeBlinkLeft"), take.sample("eyeBlinkLeft"))
    assert np.diff(calm.sample("mouthSmileLeft")).std() < 0.5 * np.diff(smile).std()
    strong = scaled(take, 2)
    np.testing.assert_allclose(strong.sample("mouthSmileLeft"), np.clip(2 * take.sample("mouthSmileLeft"), 0, 1))
    slow = at_rate(take, 24)
    assert (slow.fps, slow.frame_count) == (24, 96)
    np.testing.assert_allclose(slow.sample("mouthSmileLeft")[4::4], take.sample("mouthSmileLeft")[5::5][:23], atol=1e-9)
    sparse = at_rate(demo_take(), 60)
    np.testing.assert_allclose(sparse.arkit(1 + 2.5 * 9.5), demo_take().arkit(1 + 9.5), atol=1e-6)
    later = shifted(take, 10)
    assert later.start == 11
    np.testing.assert_array_equal(later.arkit(15), take.arkit(5))
    for wrong in (lambda: scaled(take, -1), lambda: smoothed_take(take, 9), lambda: at_rate(take, 0)):
        with pytest.raises(ArgumentError):
            wrong()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "first line begins with nothing"),
        (b"\x00\x01\x02PNG", "No column"),
        (b"Filename,Timecode\nS01,12:13:00:09\n", "'Filename', 'Timecode'"),
        (HEADER.encode(), "no line with a timecode"),
        (HEADER.encode() + b"\nnonsense,61" + b",0" * 61, "timecode 'nonsense'"),
        (HEADER.encode() + b"\n12:00:00:00,0\n12:00:00:02,0", "shows a face"),
        (HEADER.encode() + b"\n00:00:00:00,61" + b",0" * 61 + b"\n10:00:00:00,61" + b",0" * 61, "span"),
        (b"JawOpen," + b"x," * 2000, "2002 columns"),
    ],
)
def test_what_is_no_recording_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(FileFormatError, match=what):
        read_live_link(data)


field = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1e999", "0.5", "1,5", '"', "12:00:00:00.1", "12:00:00;29", "99:99:99:99", "7"]
    ),
    st.text(max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.lists(st.lists(field, max_size=8), max_size=12)), st.booleans())
def test_no_input_raises_anything_but_a_gshead_error(content, proper: bool) -> None:
    if isinstance(content, list):
        content = "\n".join(",".join(row) for row in content).encode("utf-8", "surrogatepass")
    data = (b"Timecode,BlendShapeCount,JawOpen,HeadYaw\n" if proper else b"") + content
    with contextlib.suppress(GsheadError):
        take, notes = read_live_link(data)
        assert np.isfinite(take.sample("jawOpen")).all()
        assert isinstance(notes.text(), str)


def test_the_command_converts_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "Shot_7.csv"
    source.write_text(recording({"JawOpen": ramp(90), "HeadPitch": [0.2] * 90}) + "cut")
    out = tmp_path / "take.json"
    call = ["take", "convert", str(source), "-o", str(out), "--fps", "24", "--start", "101", "--offset", "0.5"]
    assert main([*call, "--scale", "0.5", "--json"]) == 0
    told = capsys.readouterr()
    assert "1 line left out" in told.err
    assert json.loads(told.out)["frames"] == 72
    take = load_take(out)
    assert (take.name, take.fps, take.start) == ("Shot_7", 24, 113)
    assert take.sample("jawOpen").max() == pytest.approx(0.5, abs=0.01)
    assert main(["take", "convert", str(out), "-o", str(tmp_path / "back.csv")]) == 0
    assert main(["take", "show", str(tmp_path / "back.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["channels"] == ["jawOpen", "neckRotation"]
    assert main(["take", "convert", str(source), "-o", str(tmp_path / "take.txt")]) == 2
    assert main(["take", "convert", str(tmp_path / "none.csv"), "-o", str(out)]) == 3


def test_keyed_channels_survive_what_needs_no_sampling() -> None:
    take = demo_take()
    assert scaled(take, 1) is take
    assert smoothed_take(take, 0) is take
    assert at_rate(take, take.fps) is take
    jaw = scaled(take, 0.5).channels["jawOpen"]
    assert jaw.interpolation == "smooth"
    assert len(jaw.frames) == len(keyed((32, 0), (35, 0.75), (36, 0.75), (38, 0)).frames)
