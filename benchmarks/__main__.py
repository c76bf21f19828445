"""``python -m benchmarks run`` measures; ``check`` compares ratios with a kept run, ``publish`` adds a
run to RESULTS.md."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the scripts import each other by name, as gpu_run.sh runs them


def main() -> int:
    """Dispatch to ``run.py``, ``check.py`` or ``publish.py``; each has ``--help``."""
    verb, rest = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if verb == "run":
        import run

        run.main(rest)
        return 0
    if verb == "check":
        import check

        return check.main(rest)
    if verb == "publish":
        import publish

        return publish.main(rest)
    print(__doc__, file=sys.stderr)
    return 0 if verb in ("-h", "--help") else 2


sys.exit(main())
