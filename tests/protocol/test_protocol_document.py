"""docs/protocol.md is the specification: it names every message, field, limit and default, and its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from gshead_backend.protocol import messages as m

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
ENVELOPE = {"v", "id", "parent", "session"}


def _row(name: str) -> str:
    found = re.findall(rf"^\| `{re.escape(name)}` \|.*$", TEXT, re.MULTILINE)
    assert len(found) == 1, f"{name} needs exactly one row"
    return found[0]


def test_version_is_the_documented_one():
    assert f"# Wire protocol, version {m.PROTOCOL_VERSION[0]}.{m.PROTOCOL_VERSION[1]}" in TEXT


def test_every_message_and_field_is_documented():
    for kind in (*m.Request.__args__, *m.Reply.__args__):
        row = _row(kind.__struct_config__.tag)
        for field in set(kind.__struct_fields__) - ENVELOPE:
            assert f"`{field}`" in row, f"{kind.__name__}.{field}"


def test_every_value_field_is_documented():
    for kind in (m.CameraSpec, m.InstanceSpec, m.AvatarInfo, m.FrameInfo, m.RingRef, m.WorkerInfo):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in TEXT, f"{kind.__name__}.{field}"


def test_limits_are_documented_with_their_defaults():
    units = {"MiB": 1 << 20, "GiB": 1 << 30}
    for field in msgspec.structs.fields(m.LimitsInfo):
        number, unit = re.match(r"\| `\w+` \| ([\d ]+)(MiB|GiB)? \|", _row(field.name)).groups()
        assert int(number.replace(" ", "")) * units.get(unit, 1) == field.default, field.name


def test_the_example_runs(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "server"))
    from server_harness import serve_command

    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "portrait.png").write_bytes(b"any photo")
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    code = example.replace('["gshead", "serve"]', f"{serve_command()!r}, directory={str(run)!r}")
    assert code != example
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "(512, 512, 4) float32 linear-rec709"
