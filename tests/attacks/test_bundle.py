"""The bug report holds nothing personal, whatever the log says; and neither log nor status holds a secret."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from server_harness import head, make_camera

from gshead_backend.anonymous import anonymous
from gshead_backend.cli import main
from gshead_backend.protocol import Client
from gshead_backend.protocol.curve import new_keypair
from gshead_backend.protocol.launcher import Backend
from gshead_backend.upkeep.bundle import write_bundle

PERSONAL = (
    "/data/ada/Portraits/ada byron.jpg", "ada byron", "D:\\ada\\heads", "/srv/secret_film/shot7", "secret_film",
    "ada@example.org", "ab" * 32, "192.168.7.31", "Ada's Blender",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GSHEAD_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(tmp_path / "blender"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


def test_a_bundle_has_what_is_needed_and_nothing_personal(
    home: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, secret = new_keypair()
    log = (
        "INFO gshead.server: client 3 (\"Ada's Blender\") opened a session [boot=0123456789abcdef session=3]\n"
        "ERROR gshead.server: '/data/ada/Portraits/ada byron.jpg' cannot be read\n"
        "ERROR File \"/srv/secret_film/shot7/engine.py\", line 12, in draw\n"
        f"see D:\\ada\\heads and mail ada@example.org from 192.168.7.31 about avatar {'ab' * 32}\n"
        f"key {secret}\n"
        "GSH-E401: There is not enough memory for 2048x2048.\n"
    )  # fmt: skip
    (runtime / "default.log").write_text(log)
    assert main(["bundle", "-o", "report.zip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"] == ["report.json", "log-1.txt"]
    text = contents(home / "report.zip")
    for personal in (*PERSONAL, secret, str(home), str(Path.home())):
        assert personal not in text, personal
    for needed in ("GSH-E401: There is not enough memory for 2048x2048.", "line 12, in draw", '"checks"', "session=3"):
        assert needed in text, needed
    with zipfile.ZipFile(home / "report.zip") as archive:
        assert json.loads(archive.read("report.json"))["gshead"]


def test_a_report_stays_json_whatever_a_finding_quotes(tmp_path: Path) -> None:
    quoted = (
        'the command "/data/ada byron/bin/gshead" and "C:\\Users\\ada\\x y.png" and \'/srv/secret_film/a b\' failed'
    )
    write_bundle(tmp_path / "r.zip", [{"name": "backend", "detail": quoted, "path": "C:\\Users\\ada\\heads"}], None)
    with zipfile.ZipFile(tmp_path / "r.zip") as archive:
        (found,) = json.loads(archive.read("report.json"))["checks"]
    assert "failed" in found["detail"]
    for personal in ("ada", "secret_film", "byron"):
        assert personal not in found["detail"] + found["path"]


@pytest.mark.parametrize("around", ["key {}\n", "key={}", "({})", "'{}'", "the key is {}.", "{}, revoked", "[{}]: no"])
def test_no_key_is_left_wherever_it_stands(around: str) -> None:
    """Every one of a thousand; one in 150 has no digit."""
    keys = [new_keypair()[1] for _ in range(999)] + ["X:[]kAZhvI[Khrz{YQEyLLJ$e]S^[}bYm-Lqcu?V"]
    left = [key for key in keys if key in anonymous(around.format(key))]
    assert not left


@pytest.mark.parametrize(
    "text",
    [
        "=" * 40,
        "tests/attacks/a-bundle.py::a-test-of-it-",
        "12:30:05",
        "0.05..1, got 2",
        "1.2.3",
        "v2.13.0+cpu",
        "a/b",
        "127.0.0.1:5555",
        "x" * 39,
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    assert anonymous(text) == text


def test_logs_and_status_of_a_running_backend_hold_no_secret(
    start: Callable[..., Backend], home: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = start(engine="fake_engine:CalmEngine", endpoint="tcp://127.0.0.1:0")
    with Client(backend.endpoint, name="Ada's Blender") as client:
        avatar = client.avatar_put(b"GSx")
        client.render(make_camera(), [head(avatar)])
        session = client.hello().session
        assert main(["status", "--json"]) == 0
        status = capsys.readouterr().out
        assert main(["bundle", "-o", "report.zip"]) == 0
        capsys.readouterr()
    found = json.loads(status)
    assert {s["client"] for s in found["sessions"]} == {"Ada's Blender", "gshead status"}
    log = (runtime / "default.log").read_text()
    assert "opened a session" in log
    secrets = (backend.endpoint.client_secret, backend.endpoint.client_public, backend.endpoint.server_key, session)
    for text in (log, status, contents(home / "report.zip")):
        for secret in secrets:
            assert secret not in text
    report = contents(home / "report.zip")
    assert "Ada's Blender" not in report
    assert '"drawn": 1' in report
    assert os.environ["GSHEAD_RUNTIME_DIR"] not in report
