"""Reports: what is written can be read, compared and looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.errors import ReportError
from gshead_backend.evaluation.benchmarks.common import Item
from gshead_backend.evaluation.catalog import HEADLINES, METRICS, metric
from gshead_backend.evaluation.compare import compare, table, unpaired, verdict
from gshead_backend.evaluation.report import Line, Report, read_report


def report(face: float, scale: float = 1.0, *, quality: str = "standard") -> Report:
    items = [
        Item("people", f"<person {i}>", {"face_psnr": face + i, "scale": scale, "gaze_deg": None, "iou": 0.9},
             [("source & co", np.zeros((8, 24, 3), np.uint8))], ["a note"], {"reconstruct": 2.0 + i})
        for i in range(3)
    ]  # fmt: skip
    line = Line("people", "uvfit", quality, items)
    line.close({"arkit_corr": 0.5})
    return Report(
        "2026-01-02T03:04:05", "cpu", {"seed": 0}, [line], [("video", "none was given", "gshead evaluate x")],
        [("photos a.png", "GSH-E303: No face.")], 12.3,
    )  # fmt: skip


def test_a_report_is_written_read_and_appended_to_the_history(tmp_path: Path) -> None:
    files = report(20.0).write(tmp_path)
    document = read_report(tmp_path)
    assert document == json.loads(files["json"].read_text())
    (line,) = document["lines"]
    assert (line["benchmark"], line["method"], line["quality"], line["items"]) == ("people", "uvfit", "standard", 3)
    assert line["metrics"]["face_psnr"] == 21
    assert line["metrics"]["seconds_reconstruct"] == 3
    assert line["metrics"]["arkit_corr"] == 0.5
    assert line["metrics"]["gaze_deg"] is None
    assert document["not_measured"] == [{"what": "video", "why": "none was given", "command": "gshead evaluate x"}]
    assert document["date"] == "2026-01-02T03:04:05"
    report(22.0).write(tmp_path)
    history = [json.loads(text) for text in files["history"].read_text().splitlines()]
    assert [h["lines"][0]["metrics"]["face_psnr"] for h in history] == [21, 23]


def test_the_page_needs_nothing_else_and_takes_no_markup_from_names(tmp_path: Path) -> None:
    html = report(20.0).write(tmp_path)["html"].read_text()
    assert "data:image/jpeg;base64," in html
    assert "<person" not in html
    assert "&lt;person 1&gt;" in html
    assert "http" not in html.replace("https://", "http")
    for text in ("uvfit · standard", "21.00", "none was given", "No face.", "not installed", "source &amp; co"):
        assert text in html


def test_the_page_names_medians_goals_and_the_worst_with_links_to_their_pictures(tmp_path: Path) -> None:
    made = report(20.0)
    (line,) = made.lines
    line.items = [
        Item("people", f"<number {i}>", {"face_psnr_60": 20.0 + i, "iou": 0.95 if i else None}, [], [], {})
        for i in range(9)
    ]  # fmt: skip
    html = made.write(tmp_path)["html"].read_text()
    face, outline = (
        html[html.index(f"<tr><td>{name}</td><td>") :].split("</tr>")[0] for name in ("face_psnr_60", "iou")
    )
    assert "<b>24.00</b>" not in face  # the goal itself is reached
    assert "<td>24.00</td><td>24.00</td><td>yes</td>" in face
    assert face.index("&lt;number 0&gt;") < face.index("&lt;number 4&gt;")
    assert "&lt;number 5&gt;" not in face
    assert "href='#item-0-3'" in face
    assert "id='item-0-3'" in html
    assert "<td>0.950</td><td>0.920</td><td>yes</td>" in outline
    for item in line.items:
        item.metrics["face_psnr_60"] = 20.0
    assert "<b>20.00</b></td><td>24.00</td><td>no</td>" in made.write(tmp_path)["html"].read_text()
    line.items = line.items[:5]
    assert "goals and the worst" not in made.write(tmp_path)["html"].read_text()


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("face_psnr", 20, 21, "better"),
        ("face_psnr", 20, 19, "worse"),
        ("face_psnr", 20, 20.01, "same"),
        ("gaze_deg", 8, 5, "better"),
        ("gaze_deg", 5, 8, "worse"),
        ("iou_60", 0.9, 0.95, "better"),
        ("scale", 1.0, 1.2, "changed"),
        ("parser_iou_hair", 0.5, 0.4, "worse"),
        ("parser_miou", None, 0.8, "new"),
        ("parser_miou", 0.8, None, "gone"),
    ],
)
def test_better_and_worse(name: str, before: float | None, after: float | None, said: str) -> None:
    assert verdict(name, before, after) == said


def test_two_reports_line_by_line() -> None:
    before, after = report(20.0).document(), report(22.0, 1.5).document()
    changes = {c.name: c for c in compare(before, after)}
    assert (changes["face_psnr"].before, changes["face_psnr"].after, changes["face_psnr"].verdict) == (21, 23, "better")
    assert changes["scale"].verdict == "changed"
    assert changes["iou"].verdict == "same"
    text = table(changes.values())
    assert "people · uvfit · standard" in text
    assert any("face_psnr" in t and "21.000" in t and "better" in t for t in text.splitlines())
    assert unpaired(before, after) == []
    other = report(22.0, quality="draft").document()
    assert compare(before, other) == []
    assert len(unpaired(before, other)) == 2


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": "gshead-evaluation", "version": 99}',
             '{"format": "gshead-evaluation", "version": 1, "lines": [3]}'],
)  # fmt: skip
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ReportError):
        read_report(tmp_path)
    with pytest.raises(ReportError):
        read_report(tmp_path / "absent.json")


def test_every_headline_is_in_the_table_of_metrics() -> None:
    for names in HEADLINES.values():
        for name in names:
            assert metric(name).about, name
    assert all(m.better in ("higher", "lower", "neither") for m in METRICS.values())
