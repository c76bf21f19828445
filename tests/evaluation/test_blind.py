"""Blind comparisons: sheets in a hidden order, answers counted for the right method, mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from gshead_backend.cli import main
from gshead_backend.errors import EvaluationError, FileFormatError
from gshead_backend.evaluation.blind import ANSWERS, KEY, score, sign_test

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"


def _comparison(folder: Path, orders: list[list[str]], answers: list[str]) -> Path:
    sheets = {f"{i + 1:02}": {"photo": f"{i}.jpg", "order": order} for i, order in enumerate(orders)}
    (folder / KEY).write_text(json.dumps({"format": "gshead-blind", "version": 1, "sheets": sheets}))
    lines = [f"{name},{answer}" for name, answer in zip(sheets, answers, strict=True)]
    (folder / ANSWERS).write_text("\n".join(["sheet,preferred", *lines]))
    return folder


def test_a_portrait_becomes_a_sheet_and_the_answer_counts_for_its_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.png").write_bytes(SAMPLE.read_bytes())
    (photos / "b.png").write_bytes(b"no picture")
    call = ["evaluate", "blind", "uvfit", "rar", "--photos", str(photos), "--out", str(out), "--quality", "draft"]
    assert main([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["unused"]) == ["b.png"]
    sheet = cv2.imread(told["sheets"][0])
    assert sheet.shape[0] > 500, "two rows"
    assert sheet.shape[1] > 2000, "the photo, five sides, three expressions"
    assert sheet.std() > 30
    assert main(call) != 0, "answers must not be lost"
    capsys.readouterr()
    assert (out / ANSWERS).read_text().split() == ["sheet,preferred", "01,"]
    (out / ANSWERS).write_text("sheet,preferred\n01,b\n")
    assert main(["evaluate", "blind", "score", "--out", str(out), "--json"]) == 0
    order = json.loads((out / KEY).read_text())["sheets"]["01"]["order"]
    votes = json.loads(capsys.readouterr().out)["votes"]
    assert votes[order[1]] == 1
    assert votes[order[0]] == 0


def test_votes_are_counted_by_method_whatever_their_letter(tmp_path: Path) -> None:
    orders = [["x", "y"], ["y", "x"], ["y", "x"], ["x", "y"]]
    tally = score(_comparison(tmp_path, orders, ["A", "b", "=", ""]))
    assert tally.votes == {"x": 2, "y": 0}
    assert tally.ties == 1
    assert tally.p == pytest.approx(0.5)


def test_answers_that_mean_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="'C'"):
        score(_comparison(tmp_path, [["x", "y"]], ["c"]))
    with pytest.raises(EvaluationError, match="Nothing was answered"):
        score(_comparison(tmp_path, [["x", "y"]], [""]))
    with pytest.raises(FileFormatError, match="no blind comparison"):
        score(tmp_path / "nowhere")


def test_the_sign_test_is_the_binomial_one() -> None:
    assert sign_test(5, 5) == 1
    assert sign_test(10, 0) == pytest.approx(2 / 1024)
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
