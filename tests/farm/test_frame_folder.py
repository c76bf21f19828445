"""The folder of an animation: whole frames only, one worker a frame, and nothing left by those who are killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gshead_backend.errors import ExportError
from gshead_backend.farm import frames
from gshead_backend.farm.frames import FrameFolder, job_key

ROOT = Path(__file__).parents[2]


def finished(folder: FrameFolder, frame: int, data: bytes = b"picture") -> Path:
    path = folder.scratch(frame)
    path = path.with_name(path.name + ".png")
    path.write_bytes(data)
    return folder.out / folder.finish(frame, path, 1.5, {"blender": "5.2"}).file


def test_a_finished_frame_is_valid_until_anything_of_it_changes(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, "k")
    assert not folder.valid(7)
    path = finished(folder, 7)
    assert path.name == "0007.png"
    assert folder.valid(7)
    assert not FrameFolder(tmp_path, "another job").valid(7)
    path.write_bytes(b"pictura")
    assert not folder.valid(7)
    path.write_bytes(b"picture")
    assert folder.valid(7)
    path.unlink()
    assert not folder.valid(7)


@pytest.mark.parametrize(
    "record", ["", "{", "[]", "{}", '{"frame": 7}', json.dumps({
        "frame": 7, "file": "../x.png", "sha256": "", "bytes": 7, "key": "k", "seconds": 1, "versions": {}})],
)  # fmt: skip
def test_damaged_records_mean_that_the_frame_is_rendered_again(tmp_path: Path, record: str) -> None:
    folder = FrameFolder(tmp_path, "k")
    finished(folder, 7)
    (tmp_path / ".gshead" / "0007.json").write_text(record)
    assert folder.record(7) is None
    assert not folder.valid(7)


def test_one_worker_a_frame(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, "k")
    with folder.claimed(3) as mine, folder.claimed(3) as other, folder.claimed(4) as next_one:
        assert (mine, other, next_one) == (True, False, True)
    with folder.claimed(3) as again:
        assert again
    won = []

    def race() -> None:
        with FrameFolder(tmp_path, "k").claimed(9) as mine:
            barrier.wait()
            won.append(mine)

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1


def test_a_new_claim_is_not_mistaken_for_the_void_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Two see a dead worker's claim; the first replaces it by its own before the second comes to remove it."""
    folder = FrameFolder(tmp_path, "k")
    claim = tmp_path / ".gshead" / "0002.claim"
    dead = json.dumps({"host": socket.gethostname(), "pid": 0})
    real, seen = frames._is_void, []

    def first_is_faster(path: Path) -> bool:
        void = real(path)
        if path == claim and not seen:
            seen.append(claim.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()})))
        return void

    monkeypatch.setattr(frames, "_is_void", first_is_faster)
    for second in (lambda: folder.claimed(2).__enter__(), folder.sweep):
        claim.write_text(dead)
        seen.clear()
        assert not second()
        assert json.loads(claim.read_text())["pid"] == os.getpid()
        assert [p.name for p in claim.parent.iterdir()] == [claim.name]


def test_the_claim_of_a_killed_worker_is_void_and_its_leftovers_are_swept(tmp_path: Path) -> None:
    code = (
        f"import sys, os, signal; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path;"
        "from gshead_backend.farm.frames import FrameFolder; f = FrameFolder(Path(sys.argv[1]), 'k');"
        "c = f.claimed(2); assert c.__enter__(); open(str(f.scratch(2)) + '.exr', 'wb').write(b'half');"
        "f.scratch(2).write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert len(list((tmp_path / ".gshead").iterdir())) >= 2
    folder = FrameFolder(tmp_path, "k")
    with folder.claimed(2) as mine:
        assert mine
        folder.sweep()
        assert [p.name for p in (tmp_path / ".gshead").iterdir()] == ["0002.claim"]


def test_a_claim_of_another_machine_holds_for_an_hour(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, "k")
    claim = tmp_path / ".gshead" / "0005.claim"
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with folder.claimed(5) as mine:
        assert not mine
    os.utime(claim, (0, 0))
    with folder.claimed(5) as mine:
        assert mine


def test_the_manifest_names_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, "k")
    finished(folder, 1)
    finished(FrameFolder(tmp_path, "older"), 2)
    content = json.loads(folder.write_manifest([1, 2, 3]).read_text())
    assert [f["frame"] for f in content["frames"]] == [1]
    assert content["frames"][0]["versions"] == {"blender": "5.2"}
    assert content["missing"] == [2, 3]


def test_the_key_follows_the_file_and_the_settings(tmp_path: Path) -> None:
    blend = tmp_path / "a.blend"
    blend.write_bytes(b"one")
    first = job_key(blend, engine="")
    assert job_key(blend, engine="") == first
    assert job_key(blend, engine="CYCLES") != first
    blend.write_bytes(b"two")
    assert job_key(blend, engine="") != first


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match="cannot be written"):
        FrameFolder(tmp_path / "file" / "out", "k")


def test_what_others_are_at_is_waited_for(tmp_path: Path) -> None:
    """One of them finishes its frame, the other goes without."""
    folder = FrameFolder(tmp_path, "k")
    finished(folder, 1)
    first, second = folder.claimed(2), folder.claimed(3)
    assert first.__enter__()
    assert second.__enter__()
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.extend(FrameFolder(tmp_path, "k").left_of([1, 2, 3, 4])))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    finished(folder, 2)
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    waiting.join(10)
    assert found == [3, 4]


def test_a_frame_that_takes_long_stays_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine sees a claim's age only: whoever holds one gives signs."""
    monkeypatch.setattr(frames, "SIGN", 0.05)
    folder = FrameFolder(tmp_path, "key")
    with folder.claimed(7) as mine:
        assert mine
        claim = tmp_path / ".gshead" / "0007.claim"
        os.utime(claim, (1, 1))
        end = time.monotonic() + 10
        while claim.stat().st_mtime < 1000 and time.monotonic() < end:
            time.sleep(0.01)
        assert claim.stat().st_mtime > 1000
    assert not claim.exists()
