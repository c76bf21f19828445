"""The extension starts quickly and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

from harness import Blender
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import save_avatar
from gshead_backend.head import HeadModel


def test_enabling_loads_no_backend_packages_and_disabling_leaves_nothing(
    blender: Blender, tiny_head: HeadModel, tmp_path: Path
) -> None:
    save_avatar(make_tiny_avatar(tiny_head), tmp_path / "head.gshead")
    seen = blender.run("enabling", avatar=str(tmp_path / "head.gshead"))
    assert seen["loaded"] == [], "enabling must not load what only a head or a backend needs"
    assert seen["used"] == ["FINISHED"]
    assert seen["changed"] == [], seen["details"]
    assert seen["left"] == []
    assert seen["hooks"] == [[], 0, True, True]
    assert seen["same"], "every enabling registers the same"
    assert seen["enabled"][0] > 15
    assert seen["enabled"][1] > 5
