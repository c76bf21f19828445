"""A .blend from a stranger: nothing of it runs, names a backend, or reads and writes outside; what is wrong is said."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from harness import Blender
from test_render import read_exr

WHY = {
    "changed bytes": "claims to be", "a pickle": "GSH-E101", "a zip": "GSH-E101", "half of it": "GSH-E101",
    "a text": "not bytes", "numbers": "not bytes", "a way up": "is not opened", "an absolute path": "is not opened",
    "a link": "symbolic link", "a share": "is not opened", "a sibling": "is not opened",
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_hostile_blend_runs_nothing_and_is_refused_head_by_head(blender: Blender, tmp_path: Path) -> None:
    for folder in ("shots", "shots-too", "pictures"):
        (tmp_path / folder).mkdir()
    blender.run("hostile_blend", mode="make", folder=str(tmp_path))
    (tmp_path / "shots-too" / "secret.gshead").write_bytes((tmp_path / "secret.gshead").read_bytes())
    (tmp_path / "witness").unlink(missing_ok=True)  # the maker's own drivers may have run
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    seen = blender.run("hostile_blend", mode="open", folder=str(tmp_path))
    assert not (tmp_path / "witness").exists(), "code of the file has run"
    assert not seen["auto"], "scripts of files do not run by themselves"
    assert seen["command"], "a file names no command"
    assert seen["connection"] == seen["environment"] == "", "a file names no endpoint"
    assert set(WHY) <= set(seen["said"])
    for name, text in seen["said"].items():
        if name in WHY:
            assert WHY[name] in text, (name, text)
            assert text.startswith("GSH-E101"), (name, text)
            assert len(text) < 1500
    assert "GSH-E101" in seen["whole"], "a frame that would lack heads fails, by name"
    alpha = read_exr(tmp_path / "pictures" / "ada.exr")[0][..., 3]
    assert alpha.max() > 0.9, "the proper head beside them is drawn"
    assert np.isfinite(alpha).all()
    written = {p for p in tmp_path.rglob("*") if p.is_file() and before.get(p) != p.stat().st_mtime_ns}
    assert written == {tmp_path / "pictures" / "ada.exr"}, "nothing is written elsewhere"
