"""``gshead doctor``: what is installed, what is missing, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence

from .console import emit, parse


def main(args: Sequence[str]) -> int:
    return parse(doctor, "doctor", args)


def doctor(*, json: bool = False) -> int:
    """Look at this installation and this machine; the exit code is 1 only when something necessary is missing.

    A GPU, Blender and a running backend are not necessary: everything works on the CPU, and without Blender there is
    still the command line.

    Args:
        json: print the findings as one JSON object.
    """
    from .checks import run_checks

    findings = run_checks()
    missing = sum(f.status == "missing" for f in findings)
    warnings = sum(f.status == "warning" for f in findings)
    width = max(len(f.name) for f in findings)
    lines = []
    for f in findings:
        lines.append(f"{f.status:<7}  {f.name:<{width}}  {f.detail}")
        if f.fix:
            lines.append(f"{'':<7}  {'':<{width}}  -> {f.fix}")
    lines.append(f"{missing} missing, {warnings} warnings." if missing or warnings else "Everything is in place.")
    result = {"ok": not missing, "checks": [f._asdict() for f in findings]}
    emit(result, "\n".join(lines), as_json=json)
    return 1 if missing else 0
