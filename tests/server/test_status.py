"""``gshead status`` and the log: what a running backend does, told by itself, with ids that fit together."""

from __future__ import annotations

import json
import time

import pytest
from server_harness import head, make_camera, wait_until

from gshead_backend.cli import main
from gshead_backend.protocol import Client
from gshead_backend.protocol.curve import new_keypair
from gshead_backend.protocol.launcher import start_backend


def test_status_counts_sessions_jobs_frames_and_memory(backend):
    with Client(backend.endpoint, name="one") as one, Client(backend.endpoint, name="two") as two:
        avatar = one.avatar_put(b"GSa")
        for _ in range(10):
            one.render(make_camera(), [head(avatar)])
        job = one.threaded.reconstruct(b"long")
        assert wait_until(lambda: job.progress[0] > 0)
        waiting = two.threaded.reconstruct(b"photo")
        assert wait_until(lambda: len(two.status().jobs) == 2)
        found = two.status()
        sessions = {s.client: s for s in found.sessions}
        assert (sessions["one"].avatars, sessions["one"].own, sessions["two"].own) == (1, False, True)
        assert sessions["one"].fps > sessions["two"].fps == 0
        assert found.drawn == 10
        assert found.fps == pytest.approx(2.0, abs=0.01)
        assert [(j.kind, j.running, j.clients) for j in found.jobs] == [
            ("reconstruct", True, 1),
            ("reconstruct", False, 1),
        ]
        assert found.memory["avatars"] == 3
        assert min(found.memory[name] for name in ("front", "render", "jobs")) > 10 << 20
        assert {w.role: w.state for w in found.workers} == {"render": "ready", "jobs": "busy"}
        job.cancel()
        waiting.wait(20)
        assert wait_until(lambda: not two.status().jobs)


def test_clients_with_another_key_have_no_name(start):
    from dataclasses import replace

    public, secret = new_keypair()
    backend = start(endpoint="tcp://127.0.0.1:0", allow=(public,))
    other = replace(backend.endpoint, client_public=public, client_secret=secret)
    with Client(backend.endpoint, name="mine"), Client(other, name="theirs") as theirs:
        assert sorted(s.client for s in theirs.status().sessions) == ["", "theirs"]


def test_the_command_prints_it_for_people_and_programs(backend, runtime, capsys):
    with Client(backend.endpoint, name="film"):
        assert main(["status", "--runtime-dir", str(runtime)]) == 0
        text = capsys.readouterr().out
        assert "film" in text
        assert "this command" in text
        assert main(["status", "--runtime-dir", str(runtime), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["boot_id"] == backend.endpoint.boot_id


def test_without_a_backend_it_says_so_and_starts_none(runtime, capsys):
    assert main(["status", "--runtime-dir", str(runtime), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "GSH-E600"


def test_log_lines_are_objects_with_ids(runtime, tmp_path):
    command = [
        *_serve_with_logs(),
    ]
    backend = start_backend(command, directory=runtime, env={"GSHEAD_LOG": "json"})
    with Client(backend.endpoint, name="one") as client:
        client.reconstruct(b"photo")
        with pytest.raises(Exception, match="GSH-E303"):
            client.reconstruct(b"noface")
        time.sleep(0.1)
    backend.wait(10)
    lines = [json.loads(line) for line in (runtime / "default.log").read_text().splitlines()]
    assert {line["boot"] for line in lines} == {backend.endpoint.boot_id}
    opened = next(line for line in lines if "opened a session" in line["message"])
    ended = next(line for line in lines if "ended: goodbye" in line["message"])
    assert opened["session"] == ended["session"] == 1
    jobs = [line for line in lines if "job" in line]
    assert [line["job"] for line in jobs] == [1, 1, 2, 2]
    assert jobs[0]["session"] == "1"
    assert jobs[3]["code"] == "GSH-E303"
    assert all(line["time"].endswith("Z") and line["level"] and line["pid"] for line in lines)


def _serve_with_logs() -> list[str]:
    from server_harness import serve_command

    python, flag, code = serve_command()
    ours = "from gshead_backend.logs import configure_logs; configure_logs(role='front');"
    return [python, flag, code.replace("logging.basicConfig(level=logging.INFO);", ours)]
