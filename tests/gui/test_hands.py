"""What a hand does in Blender's window: clicks on a head, files from outside, a clipping region, a movie that fails."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from blender_window import QUARTERS, ROOT, Session, window_session

from gshead_backend.export.frames import write_png


@pytest.fixture(scope="module")
def session(blender_gui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    out = tmp_path_factory.mktemp("hands")
    with window_session(blender_gui, "hands", out, take=str(ROOT / "samples" / "take_demo.json")) as made:
        if not made.report["xdotool"]:
            pytest.skip("SKIPPED: xdotool, which moves the mouse, is not installed where Blender runs")
        for path in out.glob("*.npy"):
            write_png(path.with_suffix(".png"), np.load(path) / 255)
        yield made


def test_a_click_on_the_splats_selects_the_head(session: Session) -> None:
    clicks = session.report["clicks"]
    assert clicks["face"] == [["Rig"], "Rig"], "not the wall behind it"
    assert clicks["beside"] == [["Wall"], "Wall"]
    assert clicks["shift"] == [["Rig", "Wall"], "Rig"]
    assert clicks["empty"] == [["Empty"], "Empty"], "lines that are drawn before the head can still be picked"
    assert clicks["undone"] == [["Rig", "Wall"], "Rig"]
    assert clicks["box"] == [["Box"], "Box"], "what stands before the head hides it"


def test_a_saved_file_shows_the_mesh_where_there_is_no_extension(session: Session) -> None:
    assert session.report["saved"] == ["BOUNDS", "TEXTURED", "BOUNDS"]


def test_a_clipping_region_leaves_splats_out(session: Session) -> None:
    whole, clipped = (np.load(session.out / f"{name}.npy") / 255 for name in ("whole", "clipped"))
    for quarter, (x, y) in enumerate(np.round(session.report["marks"]).astype(int)):
        before, after = (p[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0) for p in (whole, clipped))
        assert np.abs(before - QUARTERS[quarter]).max() < 0.05
        left = quarter % 2 == 0
        assert (np.abs(after - QUARTERS[quarter]).max() < 0.05) == left, f"quarter {quarter} of {session.out}"
    assert session.report["clicks"]["clipped"][1] != "Rig", "what is not seen is not clicked"
    assert session.report["unclipped"]


def test_files_dropped_from_outside_are_taken(session: Session) -> None:
    assert session.report["drops"] == [0, 0]
    name, count = session.report["dropped_take"]
    assert name
    assert count == 1
    assert session.report["dropped_photo"], "the photo became a head"
    assert session.report["stopped"] <= 1


def test_a_movie_ends_with_the_frame_before_the_heads_were_lost_and_says_why(session: Session) -> None:
    told = session.report["movie"]
    assert told["ended"] == ["cancel"]
    assert told["problem"] == ["GSH-E601", "Render"]
    assert told["format"] == "FFMPEG"
    assert told["path"].endswith("movie_"), "format and path are put back"
    (movie,) = told["files"]
    assert int(cv2.VideoCapture(str(session.out / movie)).get(cv2.CAP_PROP_FRAME_COUNT)) == 2


def test_nothing_went_wrong_unseen(session: Session) -> None:
    assert "Traceback" not in session.log, session.log
