"""Commands of the tree that the tests lie in, whatever tree is installed: a starter hands no PYTHONPATH on."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_MAIN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gshead_backend.cli import main; sys.exit(main())"
BACKEND_COMMAND = [sys.executable, "-c", _MAIN, "serve"]
"""``gshead serve`` of this tree."""
