"""No dependency without a listed, acceptable licence; the wheels of the extension are pinned by their hashes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gshead_backend.packaging import licences, wheels


def test_every_pinned_package_has_a_listed_and_acceptable_licence(root: Path) -> None:
    assert len(licences.packages(root)) > 50
    assert licences.problems(root) == []


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """The lock files and the table, to be changed."""
    shutil.copytree(root / "requirements", tmp_path / "requirements")
    (tmp_path / "LICENSES").mkdir()
    shutil.copy(root / licences.TABLE, tmp_path / licences.TABLE)
    return tmp_path


def _pin(copy: Path, lock: str, line: str) -> None:
    path = copy / "requirements" / lock
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")


def _list(copy: Path, row: str) -> None:
    path = copy / licences.TABLE
    path.write_text(path.read_text("utf-8") + row + "\n", "utf-8")


def test_an_unlisted_package_fails(copy: Path) -> None:
    _pin(copy, "backend.lock.txt", "left-pad==1.0")
    assert licences.problems(copy, {}) == ["left-pad is pinned but not listed in LICENSES/dependencies.md."]


def test_a_package_that_went_away_fails(copy: Path) -> None:
    _list(copy, "| left-pad | MIT | backend | |")
    assert licences.problems(copy, {}) == ["left-pad is listed in LICENSES/dependencies.md but no longer pinned."]


@pytest.mark.parametrize(
    ("lock", "licence", "acceptable"),
    [
        ("backend.lock.txt", "AGPL-3.0-only", False), ("backend.lock.txt", "GPL-3.0-or-later", False),
        ("backend.lock.txt", "MIT AND CC-BY-NC-4.0", False), ("backend.lock.txt", "MIT OR Apache-2.0", True),
        ("dev.lock.txt", "GPL-3.0-or-later", True), ("addon-wheels.lock.txt", "LicenseRef-TOST-1.0", False),
    ],
)  # fmt: skip
def test_what_a_licence_allows_depends_on_the_use(copy: Path, lock: str, licence: str, acceptable: bool) -> None:
    _pin(copy, lock, "left-pad==1.0")
    _list(copy, f"| left-pad | {licence} | | |")
    assert (licences.problems(copy, {}) == []) is acceptable


@pytest.mark.parametrize(
    ("said", "fits"),
    [("MIT License", True), ("", True), ("GPL-3.0-only", False), ("Other/Proprietary License", False), ("BSD", False)],
)
def test_a_package_that_changes_its_licence_is_noticed(copy: Path, said: str, fits: bool) -> None:
    assert (licences.problems(copy, {"tyro": said}) == []) is fits


def test_what_the_packages_here_say_is_read() -> None:
    said = licences.installed()
    assert said["pytest"] == "MIT"
    assert "BSD" in said["pyzmq"]


def test_every_wheel_of_the_extension_is_pinned_by_hash_for_every_platform(root: Path) -> None:
    text = re.sub(r"\\\n", " ", (root / "requirements" / wheels.LOCK).read_text("utf-8"))
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})(?!\S)", line)
        assert len(hashes) == len(set(hashes)) >= len(wheels.PLATFORMS), line[:40]
        assert len(hashes) == line.count("--hash")
