"""Python's share of Blender's redraws, measured inside a Blender of this project's environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import ROOT, Report, Row

VERSIONS = ("5.2", "5.0", "4.5")


def measure_redraw(report: Report, device: str) -> None:
    """Rows of ``redraw_times`` from the newest Blender that is set up here; says so when there is none."""
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    found = [p for v in VERSIONS if (p := ROOT / ".venvs" / f"blender-{v}" / inside).exists()]
    if not found:
        print("no Blender is set up here (python3 bootstrap.py setup): its redraws are not measured", file=sys.stderr)
        return
    from scenes import covered_head

    from gshead_backend.avatar.file import save_avatar

    built = subprocess.run(
        [sys.executable, str(ROOT / "bootstrap.py"), "build-addon"], capture_output=True, text=True, check=True
    )
    with tempfile.TemporaryDirectory(prefix="gsb-", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        avatar = Path(folder) / "head.gshead"
        save_avatar(covered_head(20_000), avatar)
        hidden = ("PYTHONPATH", "PYTHONHOME")
        environment = {
            **{k: v for k, v in os.environ.items() if k not in hidden}, "BLENDER_USER_RESOURCES": folder,
            "GSHEAD_RUNTIME_DIR": folder, "PYTHONNOUSERSITE": "1",
            "GSHEAD_BACKEND_COMMAND": json.dumps(
                [sys.executable, "-m", "gshead_backend.cli", "serve", "--device", device]
            ),
            "GSHEAD_TEST_ARGS": json.dumps({"zip": built.stdout.strip().splitlines()[-1], "avatar": str(avatar)}),
        }  # fmt: skip
        script = ROOT / "tests" / "blender" / "scripts" / "redraw_times.py"
        done = subprocess.run(
            [str(found[0]), str(script)], env=environment, cwd=folder,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"rows"')]
    if done.returncode or not lines:
        raise RuntimeError(f"Blender's redraws could not be measured:\n{(done.stdout + done.stderr)[-3000:]}")
    told = json.loads(lines[-1])
    for name, median, slow, count in told["rows"]:
        report.add(Row("redraw", name, median, "ms", slow, count, f"Blender {told['blender']}"))
