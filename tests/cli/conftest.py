"""A small avatar in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import save_avatar
from gshead_backend.head import HeadModel


@pytest.fixture(scope="module")
def avatar_file(tiny_head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("avatar") / "tiny.gshead"
    save_avatar(make_tiny_avatar(tiny_head, 800), path)
    return path
