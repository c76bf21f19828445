"""Inside Blender: enabling the extension, and a 1080p timeline against an engine that returns a constant buffer."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from measure import ROOT, Report, Row
from scenes import covered_head

SCRIPT = "addon_times"


def measure_blender(report: Report, device: str, sizes: tuple[int, ...], frames: int) -> None:
    """Every installed Blender: seconds to enable the extension; seconds a frame of a 1080p timeline of ``frames``."""
    from gshead_backend.avatar.file import save_avatar

    harness = load_harness()
    for version in harness.VERSIONS:
        if not harness.blender_python(version).exists():
            continue
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory(prefix="gsb-") as runtime:
            blender = harness.Blender(version, Path(home), Path(runtime))
            label = f"Blender {version}"
            warm = blender.run(SCRIPT, what="enable")["warm"]
            blender.run(SCRIPT, what="enable_cold")  # compiles what was just unpacked
            cold = [blender.run(SCRIPT, what="enable_cold")["cold"] for _ in range(5)]
            note = f"again in the same Blender: {1e3 * warm:.0f} ms"
            name = f"enabling the extension, {label}"
            report.add(Row("blender", name, 1e3 * statistics.median(cold), "ms", 1e3 * max(cold), len(cold), note))
            for splats in sizes:
                avatar = Path(home) / "head.gshead"
                save_avatar(covered_head(splats), avatar)
                seen = blender.run(
                    SCRIPT, what="timeline", timeout=900, avatar=str(avatar), frames=frames, out=home,
                    take=str(ROOT / "samples" / "take_demo.json"),
                )  # fmt: skip
                for kind in ("PNG", "OPEN_EXR_MULTILAYER"):
                    ours, floor = (seen["seconds"][f"{kind} {e}"] for e in ("GSHEAD", "GSHEAD_BENCHMARK_CONSTANT"))
                    note = f"an engine with a constant buffer: {1e3 * floor:.0f} ms; {ours / floor:.2f} times that"
                    name = f"a 1080p frame of the timeline, {kind}, {splats // 1000}k splats, {device}, {label}"
                    report.add(Row("blender", name, 1e3 * ours, "ms", None, frames, note))


def load_harness() -> ModuleType:
    """The tests' way of running scripts in Blender."""
    sys.path[:0] = [str(ROOT / "tests" / "blender"), str(ROOT / "tests")]
    import harness

    return harness
