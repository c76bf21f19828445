"""Synthetic people as footage: the same again from the same seed, with cameras and heads that fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.cli import main
from gshead_backend.errors import ArgumentError
from gshead_backend.head import PersonalHead, default_head
from gshead_backend.methods.gagavatar.person import head_marks
from gshead_backend.training.footage import Footage
from gshead_backend.training.gagavatar.pairs import view_of
from gshead_backend.training.gagavatar.start import config_from
from gshead_backend.training.synthetic import clips as clips_module
from gshead_backend.training.synthetic.people import make_person
from gshead_backend.training.synthetic.sample import Drawing

SIZE = 96


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    folder = tmp_path_factory.mktemp("clips")
    light = make_person(2000, splats=8_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips_module, "_person", lambda seed, how: light)
        for name in ("a", "b"):  # twice the same person, in two files
            path = folder / "footage" / f"train-{name}.safetensors"
            assert clips_module.make_clip("", [8 * 2000], str(path), Drawing(size=SIZE), frames=3) == (3, 0)
    files = sorted((folder / "footage").iterdir())
    assert files[0].read_bytes() == files[1].read_bytes()
    files[1].unlink()
    return Footage(folder, "train")


def test_frames_show_the_head_that_they_say(footage: Footage) -> None:
    head = default_head()
    assert (len(footage), footage.head_sha256, len(footage.people)) == (3, head.sha256, 1)
    frames = [footage[i] for i in range(3)]
    for frame in frames:
        assert (frame.matte > 128).mean() > 0.1
        assert frame.image[frame.matte > 200].mean() > 10
        assert frame.known.all()
        personal = PersonalHead.create(head, frame.betas, frame.vertex_offsets)
        seen = frame.camera.project(head_marks(head, personal.vertices(frame.pose)))[:, :2]
        assert ((seen > 0) & (seen < SIZE)).all()
        x, y = seen.astype(int).T
        assert (frame.matte[y, x] > 100).mean() > 0.9
    assert not np.array_equal(frames[0].camera.viewmat, frames[1].camera.viewmat)
    assert not np.array_equal(frames[0].pose.expression, frames[1].pose.expression)
    assert [f.time for f in frames] == [0.0, 1.0, 2.0]


def test_the_networks_window_shows_what_the_driving_vertices_say(footage: Footage) -> None:
    head = default_head()
    config = dataclasses.replace(config_from({}, 18311), image=70, size=64)
    view = view_of(footage[0], head, config, 64)
    shown = view.picture.max(2) > 5
    assert 0.15 < shown.mean() < 0.8
    left, top, right, bottom = view.box
    assert shown[top:bottom, left:right].mean() > 0.8
    assert (right - left) * (bottom - top) < 0.5 * 64 * 64
    assert view.points.shape == (18311, 3)


def test_the_command_refuses_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for flags in (("--frames", "1"), ("--size", "10"), ("--people", "0")):
        assert main(["train", "clips", "--data", str(tmp_path), *flags]) != 0
        assert ArgumentError.code in capsys.readouterr().err
    assert not (tmp_path / "footage").exists()
