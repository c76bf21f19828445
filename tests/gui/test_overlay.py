"""What a user sees of heads in every shading mode: before and behind a cube, in all views, and gone when turned off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from blender_window import QUARTERS, Session, window_session

from gshead_backend.export.frames import write_png

RIGHT_UPPER = 0  # of QUARTERS: what the cube is put before


@pytest.fixture(scope="module")
def session(blender_gui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with window_session(blender_gui, "overlay", tmp_path_factory.mktemp("overlay")) as ended:
        yield ended


def patch(session: Session, name: str, pixel: list[float]) -> np.ndarray:
    """The mean colour, 0..1, of 3 x 3 pixels of a screenshot, which is kept as PNG."""
    picture = np.load(session.out / f"{name}.npy")
    if not (session.out / f"{name}.png").exists():
        write_png(session.out / f"{name}.png", picture / 255)
    x, y = (round(v) for v in pixel)
    return picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0) / 255


def matches(color: np.ndarray, quarter: int, factor: float = 1.0) -> bool:
    return bool(np.abs(color - factor * QUARTERS[quarter]).max() < 0.05)


MODES = ["solid_persp", "solid_ortho", "material_persp", "blender_eevee_persp", "cycles_persp"]


@pytest.mark.parametrize("mode", MODES)
def test_a_cube_before_the_head_covers_it_and_one_behind_does_not(session: Session, mode: str) -> None:
    for place in ("before", "behind"):
        view: dict[str, Any] = session.report["views"][f"{mode}_{place}"]
        for quarter, pixel in enumerate(view["pixels"]):
            covered = place == "before" and quarter == RIGHT_UPPER
            color = patch(session, f"{mode}_{place}", pixel)
            assert matches(color, quarter) != covered, f"{color} at {pixel} in {session.out}/{mode}_{place}.png"
            if covered:
                assert np.ptp(color) < 0.05, f"the grey cube is there, not {color}"
        assert all(shown == sent > 0 for shown, sent in view["tokens"])
        assert view["display"] == "BOUNDS", "the mesh makes room for the splats"


def test_the_overlay_leaves_rendered_shading_to_the_engine(session: Session) -> None:
    """The engine's picture goes through AgX; a second head over it would show the photo's colours."""
    view = session.report["views"]["gshead_persp_behind"]
    assert len(view["tokens"]) == 1, "one stream, the engine's"
    colors = [patch(session, "gshead_persp_behind", pixel) for pixel in view["pixels"]]
    assert not any(matches(color, quarter) for quarter, color in enumerate(colors))
    assert min(np.ptp(color) for color in colors) > 0.2, "the head is there"


def test_passepartout_darkens_what_the_shifted_frame_leaves_out(session: Session) -> None:
    pixels = session.report["views"]["camera"]["pixels"]
    colors = [patch(session, "camera", pixel) for pixel in pixels]
    assert matches(colors[1], 1)
    assert matches(colors[3], 3)
    for quarter in (0, 2):
        assert colors[quarter].argmax() == QUARTERS[quarter].argmax(), "the head, not the background"
        assert colors[quarter].max() < 0.6 * QUARTERS[quarter].max()


def test_of_two_heads_the_nearer_one_covers_the_other_and_a_cube_stands_between(session: Session) -> None:
    view = session.report["views"]["two"]
    assert all(matches(patch(session, "two", pixel), quarter) for quarter, pixel in enumerate(view["pixels"]))
    behind = [patch(session, "two", pixel) for pixel in view["second"]]
    assert not matches(behind[0], 0), "hidden by the nearer head"
    assert matches(behind[0], 1), "what is seen there is the nearer head"


def test_quad_view_has_four_views_of_their_own(session: Session) -> None:
    report = session.report
    assert [report["views"][f"quad{k}"]["views"] for k in range(4)] == [4] * 4
    front = report["views"]["quad0"]
    assert all(matches(patch(session, "quad0", pixel), quarter) for quarter, pixel in enumerate(front["pixels"]))
    for k in range(4):
        x, y, width, height = report["views"][f"quad{k}"]["region"]
        picture = np.load(session.out / f"quad{k}.npy")[y : y + height, x : x + width].reshape(-1, 3) / 255
        assert (np.ptp(picture, axis=1) > 0.4).mean() > 0.02, f"region {k} shows a head"
        assert all(shown == sent > 0 for shown, sent in report["views"][f"quad{k}"]["tokens"])
    assert report["views_after_quad"] == 1


def test_nothing_is_left_behind(session: Session) -> None:
    life = session.report["life"]
    assert life["on"] == "BOUNDS"
    assert life["off"] == ["TEXTURED", 0, 0], "turned off: the mesh is back, views and streams are gone"
    assert life["undone"] == ["BOUNDS", 1]
    assert life["workspace"] == [True, 1], "only regions on the screen have views"
    assert life["file"] == [0, 0, 0], "another file without heads: no views, no streams"
    assert life["disabled"] == [0, 0, False]
    assert "Traceback" not in session.log, session.log


def test_python_time_of_a_redraw_is_reported(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """Reported, not gated: software drawing and a shared machine say nothing about time."""
    median, count, slowest = session.report["redraw_ms"]
    assert count > 30
    with capsys.disabled():
        print(f"\n  Overlay, Python per redraw: median {median:.2f} ms of {count}, the first {slowest:.0f} ms")
