"""``gshead evaluate`` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from folders import painted, write_folder

from gshead_backend.cli import main
from gshead_backend.evaluation.benchmarks.common import Candidate
from gshead_backend.evaluation.benchmarks.photos import moved_splats
from gshead_backend.evaluation.benchmarks.video import read_frames
from gshead_backend.evaluation.standard_take import standard_take
from gshead_backend.head import default_head
from gshead_backend.methods import ReconstructOptions, get_method
from gshead_backend.methods.uvfit.presets import chosen
from gshead_backend.portrait.fit import fit_portrait

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "person_00"
    write_folder(path, painted(default_head()), size=384, yaws=(0.0, 30.0))
    return path


def test_people_and_a_multi_view_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "not_a_scene").mkdir(exist_ok=True)
    arguments = ["evaluate", "uvfit", "--quality", "draft", "--people", str(folder.parent), "--photos", "none",
                 "--date", "today", "--out", str(tmp_path), "--json"]  # fmt: skip
    assert main([*arguments, "--multiview", str(folder), str(tmp_path / "absent"), "--unfitted"]) == 0
    out = capsys.readouterr()
    report = json.loads(out.out)
    assert [(n["benchmark"], n["method"], n["quality"], n["items"]) for n in report["lines"]] == [
        ("people", "uvfit", "draft, not fitted", 1), ("multiview", "uvfit", "draft, not fitted", 1),
        ("people", "uvfit", "draft", 1), ("multiview", "uvfit", "draft", 1),
    ]  # fmt: skip
    metrics = report["lines"][2]["metrics"]
    assert metrics["face_psnr"] > 18
    assert metrics["iou"] > 0.8
    assert 0.8 < metrics["scale"] < 1.25
    assert metrics["matte_iou"] > 0.95
    assert metrics["zero_mae"] == pytest.approx(0.6)
    assert {"gaze_deg", "head_deg", "identity_mm", "expression_face_psnr", "fit_landmarks_px"} <= set(metrics)
    assert report["failures"][0]["error"].startswith("GSH-E801")
    assert "absent" in out.err
    assert {n["what"] for n in report["not_measured"]} == {"video"}
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") >= 5

    assert main(["evaluate", "compare", str(tmp_path), str(tmp_path / "report.json")]) == 0
    assert "0 better, 0 worse" in capsys.readouterr().out

    monkeypatch.setenv("GSHEAD_TEST_PEOPLE", str(tmp_path / "nobody"))
    assert main(["evaluate", "uvfit", "--photos", "none", "--out", str(tmp_path / "none"), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "GSH-E800"
    assert "gshead evaluate people" in error["remedy"]
    assert not (tmp_path / "none" / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evaluate", "--help"], 0, "compare"),
        (["evaluate", "magic", "--people", "none"], 4, "GSH-E503"),
        (["evaluate", "uvfit", "--people", "empty"], 3, "GSH-E800"),
        (["evaluate", "uvfit", "--photos", "empty"], 3, "GSH-E800"),
        (["evaluate", "uvfit", "--quality", "superb"], 2, "superb"),
        (["evaluate", "compare", "a.json", "b.json"], 3, "GSH-E802"),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(arguments) == code
    out = capsys.readouterr()
    assert words in out.out + out.err


def test_a_video_reenacts_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = cv2.imread(str(SAMPLE))
    path = tmp_path / "still.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (512, 512))
    for i in range(3):
        writer.write(np.roll(photo, 6 * i, axis=1))
    writer.release()
    assert [n for n, _ in read_frames(path, 2)] == [0, 2]
    code = main(["evaluate", "uvfit", "--quality", "draft", "--people", "none", "--photos", "none", "--video",
                 str(path), str(SAMPLE), "--out", str(tmp_path / "out"), "--json"])  # fmt: skip
    assert code == 0
    report = json.loads(capsys.readouterr().out)
    (line,) = report["lines"]
    assert line["metrics"]["face_psnr"] > 17
    assert line["metrics"]["iou"] > 0.85
    assert report["failures"][0]["what"] == "video astronaut.png"


def test_a_candidate_before_its_fit_takes_no_step() -> None:
    fitted = Candidate("uvfit", "standard", default_head())
    bare = replace(fitted, fitted=False)
    assert (fitted.label, bare.label) == ("standard", "standard, not fitted")
    assert chosen(fitted.options()).iterations > 0
    assert chosen(bare.options()).iterations == 0


def test_the_standard_take_is_frozen() -> None:
    take, names = standard_take()
    assert len(names) == take.frame_count == 15
    blink = take.arkit(1 + names.index("blink"))
    assert blink.sum() == 2
    assert np.abs(take.rotation("neckRotation", 1 + names.index("turn left"))).max() == pytest.approx(np.radians(11))


def test_no_fit_moves_no_hidden_splat_and_a_change_is_counted() -> None:
    head = default_head()
    fit = fit_portrait(SAMPLE.read_bytes(), head)
    options = ReconstructOptions("draft", splats=4000, fit_steps=0)
    before = get_method("uvfit")(fit, head, options, lambda fraction, text: None)
    assert moved_splats(before, before, fit)["hidden_moved_pct"] == 0
    after = type(before)(**{k: v for k, v in vars(before).items() if k != "_cache"} | {"color": before.color + 0.1})
    found = moved_splats(before, after, fit)
    assert found["hidden_moved_pct"] == 100
    assert 20 < found["hidden_pct"] < 90  # type: ignore[operator]
