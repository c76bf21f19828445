"""The parts of the add-on that need no Blender, here without one."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import numpy as np
import pytest
from harness import ROOT

from gshead_backend.camera import orbit_camera
from gshead_backend.errors import ArgumentError, BackendError, RenderError
from gshead_backend.head import HeadModel

PACKAGE = "gshead_addon_without_blender"
IN_RIG = ("axes", "board", "controls", "layout", "outlines", "strokes")
PURE = (
    *("axes", "board", "camera", "checkup", "colors", "compose", "controls", "frame_cache", "frame_files", "jobs"),
    *(
        "lamps",
        "layout",
        "outlines",
        "pace",
        "problem",
        "quality",
        "sampling",
        "session",
        "stream",
        "strokes",
        "take_files",
    ),
    *("texels", "unpacked", "world"),
)


def part(name: str) -> Any:
    """A module of the add-on, imported without its ``__init__`` and so without bpy."""
    if PACKAGE not in sys.modules:
        for package, folder in ((PACKAGE, ROOT / "addon"), (f"{PACKAGE}.rig", ROOT / "addon" / "rig")):
            module = types.ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
    inside = f"rig.{name}" if name in IN_RIG else name
    return importlib.import_module(f"{PACKAGE}.{inside}")


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_import_without_blender(name: str) -> None:
    assert part(name).__doc__
    assert "bpy" not in sys.modules


def test_axes_turn_a_head_upright_and_toward_the_front_view() -> None:
    axes = part("axes")
    left_up_face = np.eye(3)
    np.testing.assert_array_equal(axes.to_blender(left_up_face), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    points = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_array_equal(axes.to_head(axes.to_blender(points)), points)
    np.testing.assert_allclose(axes.to_blender(points), points @ axes.HEAD_TO_BLENDER[:3, :3].T)
    assert np.linalg.det(axes.HEAD_TO_BLENDER) == pytest.approx(1)


def test_working_spaces_keep_white_and_known_primaries() -> None:
    compose = part("compose")
    np.testing.assert_allclose(compose.rec709_to("Linear Rec.709"), np.eye(3), atol=1e-12)
    for space in ("Linear Rec.2020", "ACEScg"):
        np.testing.assert_allclose(compose.rec709_to(space) @ np.ones(3), 1, atol=1e-6)
    # ITU-R BT.2087: Rec.709 red in Rec.2020, to its four published digits.
    np.testing.assert_allclose(compose.rec709_to("Linear Rec.2020")[:, 0], [0.6274, 0.0691, 0.0164], atol=1e-4)
    with pytest.raises(RenderError, match="Fancy"):
        compose.rec709_to("Fancy")


def unpacked(made: Any) -> np.ndarray:
    """(H, W, 4) uint8 of the part that texels hold."""
    height = made.place[3]
    words = made.color.astype(np.uint32)
    np.testing.assert_array_equal(words, made.color)
    y = np.arange(height)
    alpha = words[height + y // 3] >> (8 * (y % 3))[:, None].astype(np.uint32) & 255
    return np.stack([words[:height] >> np.uint32(8 * k) & 255 for k in range(3)] + [alpha], -1).astype(np.uint8)


def test_texels_leave_out_the_empty_border() -> None:
    rgba = np.zeros((40, 50, 4), np.uint8)
    assert part("texels").texels(rgba).place == (0, 0, 1, 1)
    rgba[7, 30, 2], rgba[19, 11, 3] = 1, 255
    depth = np.arange(2000, dtype=np.float32).reshape(40, 50)
    made = part("texels").texels(rgba, depth)
    assert made.place == (11, 7, 20, 13)
    np.testing.assert_array_equal(unpacked(made), rgba[7:20, 11:31])
    np.testing.assert_array_equal(made.depth, depth[7:20, 11:31])


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (97, 33), (193, 4)])
def test_texels_hold_every_byte_in_floats_that_no_driver_may_change(shape: tuple[int, int]) -> None:
    height, width = shape
    rgba = np.random.default_rng(height).integers(0, 256, (height, width, 4), dtype=np.uint8)
    made = part("texels").texels(rgba, np.full(shape, np.inf, np.float32))
    assert made.color.dtype == np.float32
    assert np.isfinite(made.color).all()
    assert made.size == (width, height)
    assert made.place == (0, 0, width, height)
    np.testing.assert_array_equal(unpacked(made), rgba)
    assert made.depth is not None
    assert np.isinf(made.depth).all()


def test_depth_becomes_blenders_own() -> None:
    camera = part("camera")
    for ortho in (False, True):
        near, far = (0.1, 50.0) if not ortho else (-20.0, 30.0)
        window = np.eye(4)
        if ortho:
            window[2, 2:] = -2 / (far - near), -(far + near) / (far - near)
        else:
            window[2:] = [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)], [0, 0, -1, 0]
        view = np.eye(4)
        view[:3, 3] = 0.1, -0.2, -4.0
        made = camera.viewport_camera(window, view, 64, 48)
        points = np.random.default_rng(0).normal(size=(20, 3))
        clip = np.concatenate([points, np.ones((20, 1))], 1) @ (window @ view).T
        metres = (points @ made.viewmat[:3, :3].T + made.viewmat[:3, 3])[:, 2]
        a, b, c, d = camera.depth_to_ndc(window, view, made)
        np.testing.assert_allclose((a * metres + b) / (c * metres + d), clip[:, 2] / clip[:, 3], atol=1e-9)
        nearer = camera.depth_to_ndc(window, view, made, nearer=0.01)
        moved = np.array([metres + 0.01, np.ones(20)])
        np.testing.assert_allclose((nearer[:2] @ moved) / (nearer[2:] @ moved), clip[:, 2] / clip[:, 3], atol=1e-9)


def test_combined_and_depth_are_flipped_composited_and_flat() -> None:
    compose = part("compose")
    rgba = np.zeros((2, 1, 4), np.float32)
    rgba[0, 0] = 0.5, 0.25, 0.125, 0.5
    clear = compose.combined_pass(rgba, None, "Linear Rec.709")
    np.testing.assert_array_equal(clear, [0, 0, 0, 0, 0.5, 0.25, 0.125, 0.5])
    over = compose.combined_pass(rgba, np.array([1.0, 0.0, 0.5]), "Linear Rec.709")
    np.testing.assert_allclose(over, [1, 0, 0.5, 1, 1.0, 0.25, 0.375, 1])
    depth = compose.depth_pass(np.array([[1.5], [np.inf]]))
    np.testing.assert_array_equal(depth, np.array([1e10, 1.5], np.float32))


def test_shape_keys_cover_arkit_and_every_bone_is_driven_by_what_turns_it(tiny_head: HeadModel) -> None:
    layout = part("layout")
    assert layout.speaks_arkit(tiny_head)
    assert len(layout.shape_keys(tiny_head)) == 52
    driven = layout.bone_drivers(tiny_head)
    assert driven["MCH-jaw", 0] == {"jawOpen": pytest.approx(0.4)}
    assert set(driven) == {("MCH-jaw", 0), ("MCH-eye.L", 0), ("MCH-eye.L", 1), ("MCH-eye.R", 0), ("MCH-eye.R", 1)}
    grouped = layout.region_channels([key.channel for key in layout.shape_keys(tiny_head)])
    assert sum(len(names) for _, names in grouped) == 52, "every channel has a place in the panel, and only one"


def test_a_session_never_starts_what_it_was_not_told_to() -> None:
    session = part("session").Session()
    session.settings = part("session").Settings(command=("/nowhere",), start_when_needed=False)
    assert session.state == "offline"
    with pytest.raises(BackendError, match="not running"):
        session.client()
    with pytest.raises(BackendError, match="/nowhere"):
        session.client(start=True)
    assert "/nowhere" in session.last_error
    session.stop()


def test_a_remote_backend_needs_online_access(tmp_path: Any) -> None:
    from gshead_backend.protocol import Endpoint

    key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    file = tmp_path / "remote.json"
    Endpoint("tcp://192.0.2.1:5555", key, key, key).write(file)
    session = part("session").Session()
    session.settings = part("session").Settings(connection_file=str(file), online=False)
    with pytest.raises(BackendError, match="online access"):
        session.client()


def test_panoramic_cameras_are_refused() -> None:
    camera = types.SimpleNamespace(name="Dome", data=types.SimpleNamespace(type="PANO"))
    with pytest.raises(ArgumentError, match="Dome"):
        part("camera").render_camera(camera, None)


def _steps(pace: Any, seconds: Any, count: int, now: float = 0.0, every: float = 0.05) -> list[int]:
    """Rungs that a pace takes when a frame of (scale, splats) takes ``seconds(scale, splats)``."""
    rungs = []
    for i in range(count):
        scale, splats = pace.wish()
        pace.asked(i)
        pace.came(i, seconds(scale, splats), now + every * i)
        rungs.append(pace.rung)
    return rungs


def test_a_fast_machine_gets_every_pixel_and_splat_while_things_move() -> None:
    module = part("pace")
    assert _steps(module.Pace(), lambda scale, splats: 0.004, 20)[-1] == 0


def test_a_slow_machine_goes_down_until_frames_come_in_time_and_stays() -> None:
    module = part("pace")

    def seconds(scale: float, splats: int) -> float:
        return 0.008 + 0.06 * scale**2 + (splats or 150_000) * 2e-7

    rungs = _steps(module.Pace(), seconds, 60)
    scale, splats = module.LADDER[rungs[-1]]
    assert seconds(scale, splats) <= module.BUDGET
    assert len(set(rungs[10:])) == 1, "it does not swing between two rungs"


def test_a_machine_that_frees_up_is_noticed_after_a_while() -> None:
    module = part("pace")
    pace = module.Pace()
    assert _steps(pace, lambda scale, splats: 1.0, 10)[-1] == len(module.LADDER) - 1
    assert _steps(pace, lambda scale, splats: 0.002, 200, now=1.0)[-1] == 0


def test_frames_at_rest_do_not_change_the_pace() -> None:
    module = part("pace")
    pace = module.Pace()
    pace.came(7, 3.0, 0.0)
    assert pace.rung == module.START


def test_nothing_on_the_board_overlaps_or_leaves_it() -> None:
    board, strokes = part("board"), part("strokes")
    boxes = {}
    for region, texts in board.labels().items():
        for text in texts:
            points, edges = strokes.text_lines(text.text, text.at, text.height)
            assert len(edges) > 2
            assert edges.max() == len(points) - 1
            boxes[region, text.text, text.at] = points.min(0), points.max(0)
    for stick in board.joysticks():
        low, high = np.array([stick.limits(0), stick.limits(1)]).T
        boxes["stick", stick.bone] = np.array(stick.at) + low - 0.12, np.array(stick.at) + high + 0.12
    for slider in board.sliders():
        end = np.add(slider.at, (slider.direction, 0))
        boxes["slider", slider.bone] = np.minimum(slider.at, end) - 0.17, np.maximum(slider.at, end) + 0.17
    names = list(boxes)
    for i, name in enumerate(names):
        low, high = boxes[name]
        assert (low > (-board.WIDTH / 2, -0.2)).all(), name
        assert (high < (board.WIDTH / 2, board.HEIGHT)).all(), name
        for other in names[:i]:
            apart = (low >= boxes[other][1]) | (high <= boxes[other][0])
            assert apart.any(), f"{name} lies over {other}"


def test_a_small_head_is_drawn_with_as_few_splats_as_it_has_use_for() -> None:
    module = part("pace")
    pace = module.Pace(rung=0)
    near, far = (orbit_camera(0, size=(1920, 1080), focal_mm=85, distance=d) for d in (0.7, 8.0))
    matrix = np.eye(4)
    scale, close_up = pace.wish_for(near, [matrix])
    assert scale == 1.0
    assert close_up > 65_000, "a head that fills the picture"
    assert pace.wish_for(far, [matrix])[1] < 20_000
    assert pace.wish_for(far, [matrix, np.diag([12.0, 12, 12, 1])])[1] > 10 * pace.wish_for(far, [matrix])[1]
    assert module.Pace(rung=2).wish_for(near, [matrix])[1] == 20_000, "the time budget still counts"
    assert pace.wish_for(near, []) == (1.0, 1)
    disc = module.covered_pixels(near, matrix)
    K = near.K[0, 0] * module.HEAD_RADIUS / np.linalg.norm(near.viewmat[:3, 3])
    assert abs(disc / (np.pi * K * K) - 1) < 0.3


def test_lamps_give_what_their_watts_say() -> None:
    lamps = part("lamps")
    place, seen = np.array([0.0, 0.0, 0.0]), np.eye(4)
    seen[:3, 3] = 0, 0, 2  # two metres above, shining downward
    watts = np.array([4 * np.pi, 0.0, 0.0])
    for kind, given in (("POINT", 1 / 4), ("SPOT", 1 / 4), ("SUN", 4 * np.pi)):
        toward, got = lamps.arriving(lamps.Lamp(kind, seen, watts, cone=(0.9, 0.2)), place)
        np.testing.assert_allclose(toward, [[0, 0, 1]])
        np.testing.assert_allclose(got, [[given, 0, 0]], rtol=1e-6)
    area = lamps.Lamp("AREA", seen, watts, size=(0.01, 0.01))
    assert lamps.arriving(area, place)[1].sum() == pytest.approx(4 * np.pi / (np.pi * 4), rel=1e-3)  # P / (pi d²)
    away = np.diag([1.0, -1.0, -1.0, 1.0])
    away[:3, 3] = 0, 0, 2  # it shines upward
    for kind in ("AREA", "SPOT"):
        lamp = lamps.Lamp(kind, away, watts, cone=(0.9, 0.2), size=(0.5, 0.5))
        assert lamps.arriving(lamp, place)[1].max() == 0
    inside = lamps.Lamp("POINT", np.eye(4), watts)
    assert np.isfinite(lamps.arriving(inside, place)[1]).all(), "a lamp in the middle of a head"


def test_light_is_told_in_the_heads_own_axes() -> None:
    from gshead_backend.avatar.light import irradiance

    lamps, axes = part("lamps"), part("axes")
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 0, 0
    lamp = lamps.Lamp("POINT", matrix, np.ones(3))  # on the +X side of Blender's world
    nothing = np.zeros((0, 3)), np.zeros(3)
    for turn, faces in ((np.eye(4), [1, 0, 0]), (np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
                                                 [0, 0, 1])):  # fmt: skip
        sh = lamps.light_at([lamp], nothing, np.zeros(3), axes.head_to_world(turn)[:3, :3])
        ways = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
        np.testing.assert_array_equal(ways[irradiance(sh, ways)[:, 0].argmax()], faces)
    even = lamps.light_at([], (np.zeros((0, 3)), np.array([1.0, 2.0, 3.0])), np.zeros(3), np.eye(3))
    np.testing.assert_allclose(irradiance(even, np.eye(3)) / np.pi, [[1, 2, 3]] * 3, rtol=1e-5)
