"""What the repository's own tests share: the tree, and the extension zip built from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gshead_backend.packaging.extension import build_extension, this_platform

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def extension_zip() -> Path:
    """The extension for this machine, built from the tree as it is; its wheels come from the set-up's cache."""
    return build_extension(ROOT, this_platform(), print)
