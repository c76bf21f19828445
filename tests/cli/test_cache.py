"""``gshead cache``: what is kept is listed, cleared and limited; what runs now or lies elsewhere is left alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gshead_backend.cli import main
from gshead_backend.folders import read_limits
from gshead_backend.protocol.launcher import lock_path
from gshead_backend.protocol.locks import FileLock
from gshead_backend.upkeep import clearing
from gshead_backend.upkeep.places import Item, holding, places

DAY = 86400
pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and links of Unix")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every place of one made-up user."""
    for variable, folder in (
        ("GSHEAD_DATA_DIR", "data"), ("GSHEAD_RUNTIME_DIR", "run"), ("GSHEAD_ASSETS", "cache/assets"),
        ("BLENDER_USER_RESOURCES", "blender"),
    ):  # fmt: skip
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "run").mkdir(mode=0o700)
    frames(tmp_path).mkdir(parents=True, mode=0o700)
    return tmp_path


def frames(home: Path) -> Path:
    return home / "blender/extensions/.user/user_default/gshead/frames"


def write(path: Path, size: int, age_days: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    when = time.time() - age_days * DAY
    os.utime(path, (when, when))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict:
    assert main(["cache", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_list_names_every_place_with_size_age_and_path(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(frames(home) / "a.frame", 1000, 3)
    write(home / "data/heads/mine.safetensors", 50)
    write(home / "gshead-clip-x1/clip", 70)
    rows = {row["name"]: row for row in run(capsys, "list")["places"]}
    assert (rows["frames"]["bytes"], rows["frames"]["files"]) == (1000, 1)
    assert rows["frames"]["oldest_days"] == pytest.approx(3, abs=0.1)
    assert rows["frames"]["path"] == str(frames(home))
    assert rows["heads"]["bytes"] == 50
    assert rows["clips"]["bytes"] == 70
    assert {name for name, row in rows.items() if row["personal"]} == {"frames", "clips", "runtime"}
    assert main(["cache", "list"]) == 0
    text = capsys.readouterr().out
    assert "1.0 kB, oldest 3 days" in text
    assert str(frames(home)) in text


def test_clear_removes_what_is_personal_and_leaves_what_the_user_brought(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, clip = write(frames(home) / "a.frame", 1000), write(home / "gshead-clip-x1/clip", 70)
    ring, log = write(home / "run/dead.ring.1", 5), write(home / "run/dead.log", 5)
    model, other = write(home / "data/heads/mine.safetensors", 50), write(home / "gshead-else/file", 1)
    run(capsys, "clear")
    assert not any(path.exists() for path in (picture, clip, ring, log, clip.parent))
    assert model.exists()
    assert other.exists()
    run(capsys, "clear", "heads")
    assert not model.exists()


def test_what_a_living_backend_uses_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = [write(home / f"run/default.{end}", 3) for end in ("sock", "json", "log", "ring.4-1")]
    key = write(home / "run/gpu.keys", 3)
    dead = write(home / "run/other.ring.2-1", 3)
    clip = write(home / "gshead-clip-y/clip", 3)
    lock = FileLock(home / "run/default.lock")
    assert lock.acquire()
    try:
        rows = {row["name"]: row for row in run(capsys, "clear")["cleared"]}
    finally:
        lock.release()
    assert all(path.exists() for path in (*mine, key, clip))
    assert not dead.exists()
    assert rows["runtime"]["left"] >= 4
    run(capsys, "clear")
    assert not any(path.exists() for path in (*mine, clip))
    assert key.exists()


def test_what_a_farm_job_left_goes_and_what_it_uses_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead, alive = (write(home / f"gsh-{name}/default.ring.1", 4) for name in ("dead", "alive"))
    for folder in (dead.parent, alive.parent):
        write(folder / "default.lock", 0)
    lock = FileLock(alive.parent / "default.lock")
    assert lock.acquire()
    try:
        run(capsys, "clear")
    finally:
        lock.release()
    assert (dead.parent.exists(), alive.exists()) == (False, True)


def test_clear_by_age_follows_no_link(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(frames(home) / "old.frame", 10, 40), write(frames(home) / "new.frame", 10, 1)
    outside = write(home / "elsewhere/portrait.jpg", 10, 90)
    (frames(home) / "link").symlink_to(outside.parent)
    (home / "gshead-clip-link").symlink_to(outside.parent)
    run(capsys, "clear", "--older-than", "30")
    assert (old.exists(), new.exists(), outside.exists()) == (False, True, True)
    run(capsys, "clear")
    assert outside.exists()
    assert not new.exists()


def test_limits_of_size_and_age_are_kept_and_applied_the_longest_unused_first(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [write(frames(home) / f"{age}.frame", 1000, age) for age in (1, 2, 3, 60)]
    frames(home).chmod(0o755)
    result = run(capsys, "limit", "--size", "2kB", "--days", "45")
    assert [path.exists() for path in made] == [True, True, False, False]
    assert result["limits"] == {"bytes": 2000, "days": 45}
    assert (read_limits().bytes, read_limits().days) == (2000, 45)
    assert stat.S_IMODE(frames(home).stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
    assert run(capsys, "limit", "--size", "default")["limits"] == {"bytes": None, "days": 45}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"bytes": -1}', b'{"bytes": "x"}', b'{"days": NaN}', b"[" * 10000])
def test_a_damaged_limits_file_means_the_defaults(home: Path, content: bytes) -> None:
    (home / "data").mkdir()
    (home / "data/cache-limits.json").write_bytes(content)
    assert (read_limits().bytes, read_limits().days) == (None, 30)


@pytest.mark.parametrize(
    "arguments",
    [("clear", "fames"), ("clear", "--older-than", "-1"), ("limit", "--size", "much"), ("limit", "--days", "0")],
)
def test_wrong_arguments_are_named_and_nothing_goes(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    picture = write(frames(home) / "a.frame", 10, 400)
    assert run(capsys, *arguments, code=2)["error"]["code"] == "GSH-E100"
    assert picture.exists()


def test_folders_that_others_can_enter_are_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(frames(home) / "a.frame", 10)
    frames(home).chmod(0o755)
    assert main(["cache", "list"]) == 0
    assert "can be entered by other users" in capsys.readouterr().err


def test_sweeping_needs_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from gshead_backend.upkeep.clearing import apply_limits; apply_limits(); "
        "print(sorted({'torch', 'cv2', 'numba', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_no_backend_can_start_while_its_predecessors_files_go(home: Path) -> None:
    """It would make files of the same names, and lose them."""
    runtime = next(place for place in places() if place.name == "runtime")
    runtime.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("dead.lock", "dead.json", "dead.sock"):
        (runtime.path / name).write_bytes(b"")
    locked = []

    def wanted(item: Item) -> bool:
        locked.append(FileLock(lock_path(runtime.path, "dead")).held_elsewhere())
        return True

    assert clearing._remove(holding(runtime), wanted).files >= 2
    assert all(locked)
    assert not FileLock(lock_path(runtime.path, "dead")).held_elsewhere(), "and then it can"
