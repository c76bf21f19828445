"""The launcher must work in a Python that has nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_launcher_endpoint_and_locks_need_only_the_standard_library():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "for name in ('zmq', 'msgspec', 'numpy', 'torch'):\n    sys.modules[name] = None\n"
        "from gshead_backend.protocol.launcher import connect_or_start, start_backend\n"
        "from gshead_backend.protocol import Endpoint\n"
        "print(Endpoint('tcp://h:1').local)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
