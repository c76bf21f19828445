"""Backends with a fake engine, as the tests of the server have them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SERVER = Path(__file__).parents[1] / "server"
sys.path.insert(0, str(SERVER))

_spec = importlib.util.spec_from_file_location("server_fixtures_of_faults", SERVER / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
runtime, start, backend, client = _fixtures.runtime, _fixtures.start, _fixtures.backend, _fixtures.client
nothing_left = _fixtures.nothing_left
