"""Numbered files, one a frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from readers import read_ply, read_spz
from three_splats import RDF, assert_same
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take
from gshead_backend.errors import ArgumentError
from gshead_backend.export.sequence import export_sequence, frame_path
from gshead_backend.head import HeadModel


@pytest.mark.parametrize("ending", ["ply", "spz"])
def test_every_frame_is_a_file_with_that_frames_splats(tiny_head: HeadModel, tmp_path: Path, ending: str) -> None:
    avatar, take = make_tiny_avatar(tiny_head, 60), demo_take()
    frames = {number: drive(avatar, take.pose(tiny_head, number)) for number in (8, 9, 10)}
    written = export_sequence(tmp_path / "sub" / f"ada.{ending}", frames.items())
    assert [p.name for p in written] == [f"ada.{n:04d}.{ending}" for n in frames]
    for path, splats in zip(written, frames.values(), strict=True):
        if ending == "ply":
            assert_same(read_ply(path), splats, turn=RDF, shape=1e-4)
        else:
            assert_same(read_spz(path), splats, place=1e-6, shape=0.14, opacity=0.003, color=0.005)


def test_a_frame_that_fails_leaves_those_before_it(tiny_head: HeadModel, tmp_path: Path) -> None:
    avatar = make_tiny_avatar(tiny_head, 60)
    good = drive(avatar, demo_take().pose(tiny_head, 1))

    def frames():  # type: ignore[no-untyped-def]
        yield 1, good
        raise ArgumentError("stopped")

    with pytest.raises(ArgumentError, match="stopped"):
        export_sequence(tmp_path / "a.ply", frames())
    assert [p.name for p in tmp_path.iterdir()] == [frame_path("a.ply", 1).name] == ["a.0001.ply"]
