"""One Blender of each version that is installed; the others are skipped by name."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import VERSIONS, Blender, blender_python

# Where versions differ most: with these alone the one between is tested every time.
IN_EVERY_VERSION = ("test_main_job", "test_enabling", "test_api", "test_file_life", "test_render", "test_composite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.blender)
        call = getattr(item, "callspec", None)
        version = call.params.get("installed") if call else None
        if version in VERSIONS[1:-1] and item.path.stem not in IN_EVERY_VERSION:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", params=VERSIONS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(version, settings folder), once a session: the first script in it installs the zip."""
    if not blender_python(request.param).exists():
        pytest.skip(f"SKIPPED: Blender {request.param} is not set up here (python3 bootstrap.py setup)")
    return request.param, tmp_path_factory.mktemp(f"blender-{request.param}")


@pytest.fixture
def blender(installed: tuple[str, Path]) -> Iterator[Blender]:
    """A Blender with the extension, and a private place for its backend (short: Unix sockets have short paths)."""
    runtime = Path(tempfile.mkdtemp(prefix="gsh-"))
    yield Blender(*installed, runtime=runtime)
    shutil.rmtree(runtime, ignore_errors=True)
