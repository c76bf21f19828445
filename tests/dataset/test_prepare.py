"""``gshead dataset prepare``: a clip becomes frames of one person with the head where it is; the rest is counted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage_of_people import BLURRED, GREY, OTHERS, SETTINGS, SIZE, Shown, write_video

from gshead_backend.cli import main
from gshead_backend.dataset.clip_source import plan_clip
from gshead_backend.dataset.prepare import Outcome, prepare
from gshead_backend.dataset.settings import Settings
from gshead_backend.errors import FileFormatError
from gshead_backend.evaluation.align import head_marks
from gshead_backend.head import HeadModel, PersonalHead
from gshead_backend.training.footage import Footage, Frame

Prepared = tuple[Path, Outcome]


def fitted_marks(head: HeadModel, frame: Frame) -> np.ndarray:
    """(468, 2) where the stored head has its landmarks."""
    personal = PersonalHead.create(head, frame.betas, frame.vertex_offsets)
    return frame.camera.project(head_marks(head, personal.vertices(frame.pose))[0])[:, :2]


def in_the_crop(frame: Frame, points: np.ndarray) -> np.ndarray:
    """Pixels of the clip in the frame, which shows all of its width."""
    left, top, right, _ = frame.covers
    return points * (right - left) / SIZE + [left, top]


def test_the_fitted_head_lies_on_the_face(prepared: Prepared, shown: list[Shown], head: HeadModel) -> None:
    """On average within 4 % of the face's height of the truth (the detector is no better), 1 % of the detector."""
    footage = Footage(prepared[0])
    assert [footage[i].number for i in range(len(footage))] == [k for k in range(9) if k != BLURRED]
    for i in range(len(footage)):
        frame = footage[i]
        true = in_the_crop(frame, shown[frame.number].marks[:468])
        face = np.linalg.norm(true[10] - true[152])
        assert face > 100
        assert np.linalg.norm(fitted_marks(head, frame) - true, axis=1).mean() < 0.04 * face
        assert frame.error_px < 0.01 * face


def test_the_matte_is_the_persons(prepared: Prepared, shown: list[Shown]) -> None:
    footage = Footage(prepared[0])
    for i in range(len(footage)):
        frame = footage[i]
        left, top, right, _ = frame.covers
        scale = (right - left) / SIZE
        true = cv2.warpAffine(shown[frame.number].matte, np.array([[scale, 0, left], [0, scale, top]]), (256, 256))
        a, b = true > 0.5, frame.matte > 127
        assert (a & b).sum() / (a | b).sum() > 0.96
        assert not frame.matte[~frame.known].any()


def test_the_face_turns_as_it_did(prepared: Prepared) -> None:
    """The clip's camera goes around the head by 36 degrees, by 4.5 from frame to frame."""
    footage = Footage(prepared[0])
    eyes = np.stack([footage[i].camera.position for i in range(len(footage))])
    turned = np.degrees(np.arctan2(eyes[:, 0], eyes[:, 2]))
    assert (np.diff(turned) > 1).all()
    assert abs(turned[-1] - turned[0] - 36) < 10


def test_what_is_dropped_is_counted(prepared: Prepared, clip: Path) -> None:
    record = prepared[1].made[str(clip)]
    assert record.looked == 9 + GREY + OTHERS
    assert record.dropped == {"blurred": 1, "no_face": GREY, "other_shot": OTHERS}
    assert record.frames == len(Footage(prepared[0])) == 8
    assert record.facts["shots"] == 2


def test_every_shot_can_be_kept_as_a_person_of_its_own(clip: Path, head: HeadModel) -> None:
    plan = plan_clip(clip, head, Settings(size=256, every=1, every_shot=True))
    assert [p.count for p in plan.people] == [8, OTHERS]
    assert np.abs(plan.people[0].betas - plan.people[1].betas).max() > 0.5


def test_the_folder_is_private_and_names_nobody(prepared: Prepared, clip: Path) -> None:
    folder = prepared[0]
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.rglob("*"):
        assert "Jane" not in path.name
        if path.is_file():
            data = path.read_bytes()
            assert b"Jane" not in data
            assert str(clip.parent).encode() not in data
    assert Footage(folder).shards[0].about.licence == "filmed with consent"


def test_the_same_again_does_nothing(prepared: Prepared, clip: Path, tmp_path: Path) -> None:
    """Also under another name; a source that is named twice is told."""
    copy = shutil.copy(clip, tmp_path / "copy.avi")
    before = {p: p.stat().st_mtime_ns for p in prepared[0].rglob("*.safetensors")}
    outcome = prepare([Path(copy), clip], prepared[0], SETTINGS)
    assert list(outcome.found) == [str(copy)]
    assert outcome.again == [str(clip)]
    assert {p: p.stat().st_mtime_ns for p in prepared[0].rglob("*.safetensors")} == before


def test_bad_sources_are_named_and_lose_nothing(
    prepared: Prepared, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, missing = tmp_path / "text.mp4", tmp_path / "missing.mp4"
    text.write_text("no video")
    nobody = write_video(tmp_path / "nobody.avi", [np.full((240, 320, 3), 20 * k, np.uint8) for k in range(6)])
    folder = shutil.copytree(prepared[0], tmp_path / "set")
    arguments = ["--size", "256", "--every", "1", "--licence", SETTINGS.licence, "--json"]
    sources = [str(p) for p in (nobody, clip, text, missing)]
    assert main(["dataset", "prepare", *sources, "-o", str(folder), *arguments]) == 3
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    codes = {Path(p).name: e["code"] for p, e in said["failed"].items()}
    assert codes == {"nobody.avi": "GSH-E303", "text.mp4": "GSH-E100", "missing.mp4": "GSH-E100"}
    assert "6 show no face" in said["failed"][str(nobody)]["message"]
    assert list(said["found"]) == [str(clip)]
    assert "nobody.avi" in printed.err
    assert len(Footage(folder)) == 8


KILLED = """
import os, signal, sys
from gshead_backend.cli import main
from gshead_backend.dataset import shelf
shelf.MAX_BYTES = shelf.MARGIN + 165_000
written, replace = 0, os.replace
def replaced(a, b):
    global written
    if str(b).endswith(".safetensors"):
        written += 1
        if written == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
    replace(a, b)
os.replace = replaced
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_call_goes_on_and_gives_the_same_files(shown: list[Shown], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "short.avi", [s.image for s in shown[:6]])

    def run(name: str, kill_at: int) -> int:
        command = ["dataset", "prepare", str(clip), "-o", str(tmp_path / name), "--size", "256", "--every", "1"]
        return subprocess.run([sys.executable, "-c", KILLED, str(kill_at), *command], check=False).returncode

    assert run("killed", 3) == -signal.SIGKILL
    killed = tmp_path / "killed" / "footage"
    left = [p for p in killed.iterdir() if not p.name.startswith(".")]
    assert len(left) == 2
    kept = {p.name: p.stat().st_ino for p in left}
    assert run("killed", 0) == run("whole", 0) == 0
    whole = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "footage").iterdir()}
    assert len(whole) >= 3
    assert {p.name: p.read_bytes() for p in killed.iterdir()} == whole
    assert {n: (killed / n).stat().st_ino for n in kept} == kept  # not written again


def test_other_settings_make_the_source_anew(prepared: Prepared, clip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prepared[0], tmp_path / "set")
    outcome = prepare([clip], folder, Settings(size=128, every=2))
    footage = Footage(folder)
    assert list(outcome.made) == [str(clip)]
    assert {s.about.size for s in footage.shards} == {128}
    assert len(list((folder / "footage").iterdir())) == 1


def test_a_damaged_shard_is_named(prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(prepared[0], tmp_path / "set")
    (path,) = (folder / "footage").iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(b"\x89PNG") + 300] ^= 255
    path.write_bytes(bytes(data))
    assert main(["dataset", "list", str(folder)]) == 3
    assert path.name in capsys.readouterr().err
    path.write_bytes(bytes(data[:-1000]))
    with pytest.raises(FileFormatError, match=path.stem):
        Footage(folder)


def test_list_says_what_is_there(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "list", str(prepared[0]), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (person,) = said["people"]
    assert (person["frames"], person["kind"], person["licence"]) == (8, "clip", "filmed with consent")
    assert person["seconds"] == pytest.approx(0.8, abs=0.01)
    assert 15 < person["turned"] < 32
    assert said["dropped"] == {"blurred": 1, "no_face": GREY, "other_shot": OTHERS}


def test_the_sheet_shows_the_landmarks(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["dataset", "sheet", str(prepared[0]), "--out", str(out), "--frames", "4", "--cell", "200"]) == 0
    sheet = np.asarray(cv2.imread(str(out)), int)
    assert sheet.shape[:2] == (204, 4 * 204)
    green = (sheet[..., 1] > 140) & (sheet[..., 1] > sheet[..., 0] + 60) & (sheet[..., 1] > sheet[..., 2] + 60)
    assert (green.sum(0).reshape(4, 204).sum(1) > 150).all()
