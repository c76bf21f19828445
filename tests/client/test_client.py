"""gshead outside Blender over a real backend: the examples of its page, and what it does with what is wrong."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import api_examples
import numpy as np
import pytest
from example_files import make_example_files
from PIL import Image
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import load_take, take_from_table
from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.light import lamp
from gshead_backend.client import Connection, connect, connect_or_start, connection, srgb8
from gshead_backend.errors import ArgumentError, BackendError, Cancelled, FileFormatError, GsheadError
from gshead_backend.head import HeadModel
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import rasterize

ROOT = Path(__file__).parents[2]
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gshead_backend.cli import main; "
COMMAND = (sys.executable, "-c", SERVE + "sys.exit(main(['serve', '--device', 'cpu', *sys.argv[1:]]))")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A real backend on the CPU in a place of its own; one for the module, because it compiles when it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSHEAD_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
        patch.setattr(connection, "COMMAND", COMMAND)
        with connect_or_start() as made:
            yield made
        assert made._backend is not None
        made._backend.wait(10)


def test_the_examples_of_the_page_run(backend: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_example_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    api_examples.run("Outside Blender")
    picture = np.asarray(Image.open(tmp_path / "talking.png"))
    assert picture.shape == (384, 384, 3)
    assert picture[2, 2].tolist() == [51, 51, 56]
    assert picture.std() > 20
    assert load_take(tmp_path / "talk.json").frame_count == 12


def test_a_frame_is_what_the_rooms_compute(backend: Connection, tiny_head: HeadModel) -> None:
    head = backend.put(make_tiny_avatar(tiny_head))
    channels = {"jawOpen": 0.7, "neckRotation": (0, 20, 0)}
    frame = head.render(channels, size=(96, 80), yaw=30, depth=True)
    image = rasterize(drive(head.avatar, head.pose(channels)), head.camera((96, 80), yaw=30))
    wanted = pack_frame(np.asarray(image.color), np.asarray(image.alpha), "float32")
    assert wanted[..., 3].max() > 0.9
    np.testing.assert_allclose(frame.rgba, wanted, atol=2e-3)
    lit = head.render(channels, size=(96, 80), yaw=30, light=lamp(80, 0, soft=0))
    assert np.abs(lit.rgba - frame.rgba).max() > 0.1
    with pytest.raises(ArgumentError, match="27 finite numbers"):
        head.render(light=np.zeros(9))
    assert frame.depth is not None
    assert np.isfinite(frame.depth).any()
    still = head.render(size=(96, 80), yaw=30)
    assert np.abs(still.rgba - frame.rgba).max() > 0.1
    pixels = srgb8(frame, (1, 0, 0))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    seen = np.asarray(image.alpha)[..., None]
    blended = np.asarray(image.color) + (1 - seen) * np.array([1, 0, 0])
    np.testing.assert_allclose(pixels, blended * 255, atol=1.01)


def test_frames_of_a_take_come_in_order_and_stop_when_asked(backend: Connection, tiny_head: HeadModel) -> None:
    head = backend.put(make_tiny_avatar(tiny_head))
    take = take_from_table({"jawOpen": [(1, 0), (10, 1)]}, fps=24)
    told: list[float] = []
    drawn = list(head.render_take(take, size=(48, 48), on_progress=lambda f, _: told.append(f)))
    assert [number for number, _ in drawn] == list(range(1, 11))
    assert told == [k / 10 for k in range(1, 11)]
    np.testing.assert_array_equal(drawn[9][1].rgba, head.render({"jawOpen": 1.0}, size=(48, 48)).rgba)
    assert np.abs(drawn[0][1].rgba - drawn[9][1].rgba).max() > 0.05
    stop = threading.Event()
    frames = head.render_take(take, size=(48, 48), cancel=stop)
    assert [next(frames)[0], next(frames)[0]] == [1, 2]
    stop.set()
    with pytest.raises(Cancelled, match="after 2 of 10"):
        next(frames)


def test_what_is_wrong_is_said_before_anything_is_sent(
    backend: Connection, tiny_head: HeadModel, tmp_path: Path
) -> None:
    head = backend.put(make_tiny_avatar(tiny_head))
    with pytest.raises(ArgumentError, match="jawOpn") as error:
        head.render({"jawOpn": 1.0})
    assert "jawOpen" in error.value.remedy
    with pytest.raises(ArgumentError, match="both"):
        head.render({"jawOpen": 1.0}, pose=head.pose())
    with pytest.raises(FileFormatError, match="nowhere"):
        backend.load(tmp_path / "nowhere.gshead")
    with pytest.raises(FileFormatError):
        backend.put(b"no avatar")
    with pytest.raises(BackendError):
        connect(tmp_path / "none.json")
    head.drop()
    with pytest.raises(GsheadError):
        head.render(size=(32, 32))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "no channels"), ({"jawOpen": []}, "empty"), ({"jawOpen": [[1, 2, 3]]}, "shape"),
        ({"neckRotation": [(1, 0.5)]}, "shape"), ({"jawOpen": [(1, 0), (1, 1)]}, "must increase"),
        ({"jawOpen": [(1, float("nan"))]}, "NaN"), ({"jawOpen": ["a"]}, "numbers"), ({"jawOpen": [(1, 50)]}, "percent"),
        ({"smile": [0.5]}, "no channel 'smile'"),
    ],
)  # fmt: skip
def test_tables_that_are_no_animation_are_refused(table: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        take_from_table(table, fps=24)


def test_every_form_of_a_table_says_the_same() -> None:
    dense = take_from_table({"jawOpen": np.linspace(0, 1, 5), "neckRotation": np.eye(3)[[0, 1]]}, fps=30, start=3)
    rows = take_from_table(
        {
            "jawOpen": np.stack([np.arange(3, 8), np.linspace(0, 1, 5)], 1),
            "neckRotation": [(3, (1, 0, 0)), (4, 0, 1, 0)],
        },
        fps=30,
    )
    assert (dense.start, dense.end) == (rows.start, rows.end) == (3, 7)
    for name in ("jawOpen", "neckRotation"):
        np.testing.assert_array_equal(dense.sample(name), rows.sample(name))
