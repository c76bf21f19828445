"""Batches of portraits: names, the report, resuming, failures that stop nobody, and whole files only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from this_tree import ROOT

from gshead_backend.avatar import load_avatar
from gshead_backend.cli import main
from gshead_backend.cli.reconstruct_folder import _exit_code
from gshead_backend.errors import ArgumentError, ExportError
from gshead_backend.farm.batch import only_one
from gshead_backend.farm.portraits import Batch, avatar_names, photos_in

HERE = Path(__file__).parent
_PATHS = f"sys.path[:0] = {[str(p) for p in (ROOT, HERE, HERE.parent, HERE.parent / 'server')]!r}"
_SERVE = (
    f"import sys; {_PATHS}; import gshead_backend.server.backend as b; "
    "b.serve.__kwdefaults__['engine'] = 'portrait_engine:PortraitEngine'; "
    "from gshead_backend.cli import main; sys.exit(main())"
)
SERVE = [sys.executable, "-c", _SERVE, "serve"]
_RUN = (
    f"import sys; {_PATHS}; import gshead_backend.farm.batch as b; "
    "real = b.pool_client; b.pool_client = lambda *a, **k: real(*a, **{**k, 'command': " + repr(SERVE) + "}); "
    "from gshead_backend.cli import main; sys.exit(main())"
)
SETTINGS = {"method": "uvfit", "quality": "draft", "seed": 0, "splats": 0}


def _command(*args: object) -> list[str]:
    return [sys.executable, "-c", _RUN, "reconstruct", *map(str, args)]


def _run(*args: object, **env: str) -> tuple[int, dict, str]:
    done = subprocess.run(
        _command(*args, "--json"), capture_output=True, text=True, timeout=120, env={**os.environ, **env}, check=False
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def _photos(folder: Path, **contents: bytes) -> Path:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def _report(out: Path) -> dict[str, dict]:
    return {item["photo"]: item for item in json.loads((out / "batch.json").read_text())["items"]}


def test_a_folder_becomes_avatars_and_again_keeps_them(tmp_path):
    photos = _photos(tmp_path / "in", a_jpg=b"one", a_png=b"two!", b_jpeg=b"noface", c_TIFF=b"three", notes_txt=b"x")
    (photos / "deeper").mkdir()
    (photos / "deeper" / "d.jpg").write_bytes(b"four")
    out, begun = tmp_path / "out", str(tmp_path / "begun")
    code, result, errors = _run(photos, "-o", out, "--workers", 2, GSHEAD_TEST_BEGUN=begun)
    assert (code, result["made"], result["kept"], result["failed"]) == (3, 3, 0, 1)
    assert "2 other files and folders" in errors
    assert "b.jpeg: GSH-E303" in errors
    assert sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) == [
        "a.jpg.gshead", "a.png.gshead", "batch.json", "c.gshead",
    ]  # fmt: skip
    assert load_avatar(out / "c.gshead").name == "c"
    report = _report(out)
    assert report["a.jpg"]["state"] == "made"
    assert report["a.jpg"]["warnings"] == ["a warning"]
    assert report["b.jpeg"]["error"] == {
        "code": "GSH-E303", "message": "There is no face in the photo.", "remedy": "Use another photo.",
    }  # fmt: skip
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.gshead")}
    (photos / "b.jpeg").write_bytes(b"a face")  # better now
    (out / "c.gshead").write_bytes(b"cut off")
    code, result, _ = _run(photos, "-o", out, "--workers", 1, GSHEAD_TEST_BEGUN=begun)
    assert (code, result["made"], result["kept"], result["failed"]) == (0, 2, 2, 0)
    assert {p.name for p in out.glob("*.gshead") if before.get(p.name) != p.stat().st_mtime_ns} == {
        "b.gshead", "c.gshead",
    }  # fmt: skip
    names = [line.split()[1] for line in Path(begun).read_text().splitlines()]
    assert sorted(names) == ["a", "a", "b", "b", "c", "c"]
    code, result, _ = _run(photos, "-o", out, "--quality", "high", GSHEAD_TEST_BEGUN=begun)
    assert (code, result["made"]) == (0, 4), "other settings, other avatars"


def test_ctrl_c_leaves_whole_files_and_again_goes_on(tmp_path):
    photos = _photos(tmp_path / "in", **{f"p{i}_jpg": b"slow %d" % i for i in range(6)})
    out = tmp_path / "out"
    run = subprocess.Popen(
        _command(photos, "-o", out, "--workers", 2), stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    _until(lambda: _whole(out))
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=40)
    assert (run.returncode, b"GSH-E103" in errors) == (130, True)
    made = _whole(out)
    assert 0 < len(made) < 6
    assert all(load_avatar(out / name) for name in made)
    noted = {item["photo"].replace("jpg", "gshead") for item in _report(out).values() if item["state"] == "made"}
    assert made <= noted
    assert len(noted - made) <= 1, "the one that was about to be written"
    code, result, _ = _run(photos, "-o", out, "--workers", 2)
    assert (code, result["kept"], result["made"]) == (0, len(made), 6 - len(made))


def test_sigkill_of_the_runner_leaves_no_process_and_again_goes_on(tmp_path):
    photos = _photos(tmp_path / "in", **{f"p{i}_jpg": b"slow %d" % i for i in range(5)})
    out = tmp_path / "out"
    run = subprocess.Popen(_command(photos, "-o", out, "--workers", 2), stderr=subprocess.DEVNULL)
    _until(lambda: _whole(out))
    family = psutil.Process(run.pid).children(recursive=True)
    assert len(family) >= 3, "a backend and two workers"
    run.kill()
    run.wait()
    _until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family), 10.0)
    kept = len(_whole(out))
    code, result, _ = _run(photos, "-o", out, "--workers", 2)
    assert (code, result["kept"] + result["made"]) == (0, 5)
    assert result["kept"] >= kept - 2, "an avatar that was written a moment before its note is made again"


def test_a_killed_worker_is_replaced_and_nothing_is_made_twice(tmp_path):
    photos = _photos(tmp_path / "in", **{f"p{i}_jpg": b"slow %d" % i for i in range(5)})
    out, begun = tmp_path / "out", tmp_path / "begun"
    run = subprocess.Popen(
        _command(photos, "-o", out, "--workers", 2, "--json"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "GSHEAD_TEST_BEGUN": str(begun)},
    )  # fmt: skip
    _until(lambda: begun.exists() and len(begun.read_text().splitlines()) >= 2)
    os.kill(int(begun.read_text().split()[0]), signal.SIGKILL)
    output, _ = run.communicate(timeout=90)
    assert run.returncode == 0
    assert sorted(item["tries"] for item in json.loads(output)["items"]) == [1, 1, 1, 1, 2]
    assert len(begun.read_text().splitlines()) == 6
    assert len(list(out.glob("*.gshead"))) == 5


def test_a_second_runner_of_a_folder_is_refused(tmp_path):
    with only_one(tmp_path), pytest.raises(ExportError, match="at work"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_names_of_avatars_do_not_collide():
    photos = ["A.jpg", "a.png", "b.jpg", "a.jpg.webp", "x.jpg"]
    names = avatar_names(photos, {"x.jpg": "b.gshead"})
    assert names["x.jpg"] == "b.gshead", "a name that was given stays"
    assert names["b.jpg"] == "b.jpg.gshead"
    assert names["A.jpg"] == "A.jpg.gshead"
    assert names["a.png"] == "a.png.gshead"
    assert len({name.casefold() for name in names.values()}) == len(photos)


def test_a_photo_with_the_longest_name_does_not_stop_the_batch(tmp_path):
    photos = ["ü" * 125 + end for end in ("1.png", "2.png", "3.jpg")] + ["a.png"]  # 255 bytes
    _photos(tmp_path / "in", **{p.replace(".", "_"): b"photo" for p in photos})
    code, result, said = _run(tmp_path / "in", "-o", tmp_path / "out", "--workers", 1)
    assert (code, result["made"]) == (0, 4), said
    assert len(list((tmp_path / "out").glob("*.gshead"))) == 4


def test_without_pictures_nothing_is_made(tmp_path):
    code, _, said = _run(_photos(tmp_path / "in", notes_txt=b"x"), "-o", tmp_path / "out")
    assert (code, "There is no picture in" in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_odd_names_of_photos(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    odd = [b"100% m\xc3\xbcller.jpg", b"\xff\xfe.jpg", b"[bold].png", b".hidden.jpg", b"new\nline.png"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    code, result, _ = _run(folder, "-o", tmp_path / "out", "--workers", 1)
    assert (code, result["made"]) == (0, 4)
    assert len(list((tmp_path / "out").glob("*.gshead"))) == 4
    assert _run(folder, "-o", tmp_path / "out", "--workers", 1)[1]["kept"] == 4


def test_an_edited_report_names_no_file_outside_the_folder(tmp_path):
    photos = _photos(tmp_path / "in", a_jpg=b"one")
    out = tmp_path / "out"
    out.mkdir()
    entry = {"photo": "a.jpg", "file": "../../victim.gshead", "state": "made"}
    for report in ({"version": 1, "items": [entry]}, {"version": 1, "items": [{**entry, "file": 3}]}, [], "x" * 100):
        (out / "batch.json").write_text(json.dumps(report))
        assert [item.file for item in Batch(photos, out, SETTINGS).items] == ["a.gshead"]


def test_what_cannot_be_a_batch_is_refused(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    with pytest.raises(ArgumentError, match="no picture"):
        photos_in(tmp_path / "in")
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    assert main(["reconstruct", str(photo), "-o", str(tmp_path / "a.gshead"), "--workers", "2"]) == 2
    photos = _photos(tmp_path / "b", a_jpg=b"x")
    assert main(["reconstruct", str(photos), "-o", str(tmp_path / "o"), "--head", "flame"]) == 2
    assert main(["reconstruct", str(photos), "-o", str(tmp_path / "o"), "--pool", "moon"]) == 2
    assert main(["reconstruct", str(photos), "-o", str(photo)]) == 1
    capsys.readouterr()


def test_the_exit_code_tells_whose_fault_it_was():
    assert _exit_code([]) == 0
    assert _exit_code(["GSH-E303", "GSH-E301"]) == 3
    assert _exit_code(["GSH-E303", "GSH-E601"]) == 4
    assert _exit_code(["GSH-E103"]) == 4


def _whole(out: Path) -> set[str]:
    """Names of the avatars that are there, without hidden files, which are being written."""
    return {path.name for path in out.glob("[!.]*.gshead")}


def _until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
