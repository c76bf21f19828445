"""Three heads, two viewports, 250 frames: no frame of one ends up in another, and memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from blender_window import Session, painted_avatar, window_session

from gshead_backend.avatar.file import save_avatar
from gshead_backend.export.frames import write_png

COLORS = np.array([[0.85, 0.2, 0.2], [0.2, 0.75, 0.2], [0.25, 0.3, 0.9]], np.float32)


@pytest.fixture(scope="module")
def session(blender_gui: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    out = tmp_path_factory.mktemp("crowd")
    avatar, _, _ = painted_avatar(8000)
    files = []
    for k, color in enumerate(COLORS):
        one = replace(
            avatar, color=np.tile(color, (len(avatar), 1)), log_scale=avatar.log_scale + 0.4, name=f"Head {k}"
        )
        files.append(str(out / f"{k}.gshead"))
        save_avatar(one, files[-1])
    with window_session(blender_gui, "crowd", out, avatars=files) as ended:
        yield ended


def test_every_head_is_itself_in_both_viewports_at_every_frame(session: Session) -> None:
    assert [shot["frame"] for shot in session.report["shots"]] == list(range(25, 251, 25))
    for shot in session.report["shots"]:
        picture = np.load(session.out / f"crowd_{shot['frame']}.npy")
        write_png(session.out / f"crowd_{shot['frame']}.png", picture / 255)
        assert len(shot["tokens"]) == 2
        assert all(shown == sent > 0 for shown, sent in shot["tokens"])
        for viewport, heads in enumerate(shot["marks"]):
            for head, marks in enumerate(heads):
                for x, y in (np.round(mark).astype(int) for mark in marks):
                    color = picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0) / 255
                    where = f"frame {shot['frame']}, viewport {viewport}, head {head}: {color} at {x}, {y}"
                    assert np.abs(color - COLORS[head]).max() < 0.06, where


def test_memory_stays_flat(session: Session) -> None:
    """From the second shot on, when everything is there: Blender's process and the render worker."""
    memory = np.array(session.report["memory"])
    print(f"\n  MiB of Blender and the render worker, every 25 frames: {memory.round().astype(int).tolist()}")
    assert (memory[-1] < 1.05 * memory[1] + 8).all()
