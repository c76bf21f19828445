"""In Blender's window: a backend killed during playback, cached frames without one, dialogs and preferences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from blender_window import Session, window_session

from gshead_backend.export.frames import write_png

PICTURES = ("offline", "menu", "drop", "problem", "sidebar", "firstday", "preferences")


@pytest.fixture(scope="module")
def session(blender_gui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    out = tmp_path_factory.mktemp("life")
    with window_session(blender_gui, "life", out) as made:
        for name in PICTURES:
            write_png(out / f"{name}.png", np.load(out / f"{name}.npy") / 255)
        yield made


def test_a_killed_backend_never_holds_blender_up_and_comes_back_by_itself(session: Session) -> None:
    told = session.report["killed"]
    count, _, busy = session.report["redraws"]
    assert count > 5
    assert busy < 100, "milliseconds of Python in one redraw"
    assert told["frames_meanwhile"] > 1, "playback goes on"


def test_frames_are_kept_and_play_without_a_backend(session: Session) -> None:
    assert session.report["cached"][0] == session.report["cached_again"][0] == 6
    assert session.report["offline"]["state"] == "offline"
    for frame in range(1, 7):
        before, after = (np.load(session.out / f"{name}{frame}.npy").astype(int) for name in ("frame", "again"))
        # Without a backend the mesh is drawn as well, not its box: a few of its pixels lie before the splats.
        assert (np.abs(before - after).max(-1) > 2).mean() < 0.04, f"frame {frame} in {session.out}"
        assert np.median(np.abs(before - after)) == 0
    first, last = (np.load(session.out / f"again{frame}.npy").astype(int) for frame in (1, 6))
    assert np.abs(first - last).max() > 50, "the frames differ"


def test_an_error_that_a_user_causes_opens_a_dialog(session: Session) -> None:
    assert session.report["invoked"] == ["CANCELLED"]
    assert session.report["problem"] == "Attach to Bone"
    assert "GSH-E100 Attach to Bone" in session.report["clipboard"]
    assert "GSH-E101" in session.report["refused"]
    plain, dialog = (np.load(session.out / f"{name}.npy").astype(int) for name in ("offline", "problem"))
    assert np.abs(plain - dialog)[400:, 100:700].max() > 50


def test_check_installation_leaves_the_window_alive(session: Session) -> None:
    told = session.report["checkup"]
    assert not told["error"]
    assert told["checks"] > 8
    assert told["ticks"] > 2


def test_nothing_went_wrong_unseen(session: Session) -> None:
    assert "Traceback" not in session.log, session.log


def test_times_are_reported(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """Reported, not gated: software drawing and a shared machine say nothing about time."""
    with capsys.disabled():
        count, wall, busy = session.report["redraws"]
        told, offline = session.report["killed"], session.report["offline"]["seconds"]
        print(
            f"\n  Killed during playback: backend back after {told['backend']:.1f} s, picture {told['picture']:.1f} s; "
        )
        print(f"  Python in {count} redraws: at most {wall:.1f} ms, {busy:.1f} ms of processor")
        print(f"  A cached frame without a backend: {1e3 * min(offline):.0f} to {1e3 * max(offline):.0f} ms")
