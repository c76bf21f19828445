"""The demo: Blender with the built extension does the whole job on a real photograph."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .environments import BACKEND, Environment, Say, SetupError, run
from .extension import this_platform, zip_path


def blender_environment(resources: str) -> dict[str, str]:
    """Environment variables for a Blender and a backend apart from those the user may have running.

    Args:
        resources: a folder that takes the place of the user's Blender settings and extensions.
    """
    hidden = ("PYTHONPATH", "PYTHONHOME", "GSHEAD_BACKEND_COMMAND", "GSHEAD_CONNECTION_FILE")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {"BLENDER_USER_RESOURCES": resources, "GSHEAD_RUNTIME_DIR": os.path.join(resources, "run")}
    return {**kept, **own, "PYTHONNOUSERSITE": "1"}


def run_demo(root: Path, blender: Environment, portrait: Path, quality: str, out: Path, say: Say) -> int:
    """Run the demo and print its summary; returns an exit status.

    Args:
        root: the repository, set up.
        blender: the environment with the Blender to use.
        portrait: the photograph.
        quality: of the reconstruction, ``"draft"``, ``"standard"`` or ``"high"``.
        out: folder for everything the demo writes; what an earlier demo left there is replaced.
        say: gets one line of progress at a time.
    """
    if not portrait.is_file():
        raise SetupError(f"There is no photo at {portrait}.")
    out = out.resolve()
    shutil.rmtree(out / "frames", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "extension": str(zip_path(root, this_platform())),
        "backend": [str(BACKEND.script(root, "gshead")), "serve"],
        "portrait": str(portrait.resolve()),
        "take": str(root / "samples" / "take_demo.json"),
        "quality": quality,
        "out": str(out),
    }
    with tempfile.TemporaryDirectory(prefix="gshead-", ignore_cleanup_errors=True) as resources:
        say(f"{blender.name}: portrait, rig, take, timeline, export")
        command = [str(blender.python(root)), str(root / "samples" / "demo_scene.py"), json.dumps(job)]
        with (out / "blender.log").open("w", encoding="utf-8") as log:
            status = subprocess.call(command, env=blender_environment(resources), cwd=root, stdout=log)
    if status != 0:
        raise SetupError(f"The demo stopped in Blender (exit status {status}); the lines above say why.")
    command = [str(BACKEND.python(root)), str(root / "samples" / "contact_sheet.py"), str(out)]
    run(command, cwd=root, what="Making the contact sheet")
    print(summary(out))
    return 0


def summary(out: Path) -> str:
    """What the demo made, with sizes and times, for a reader who has just waited for it."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    seconds: dict[str, float] = report["seconds"]
    frames = sorted((out / "frames").glob("*.png"))
    made = {
        "contact_sheet.png": "look at this one first",
        f"frames/{frames[0].name} … {frames[-1].name}": f"{len(frames)} frames from Blender's timeline",
        "head.gshead": "the avatar: load it in any Blender with the extension",
        "head.usdc": "splats with time samples, rigged mesh, camera",
        "head.blend": "the scene; the avatar is packed inside",
    }
    lines = [f"Blender {report['blender']}, {report['quality']} quality, {sum(seconds.values()):.1f} s:", ""]
    lines += [f"  {name:<28} {value:8.2f} s" for name, value in seconds.items()]
    render = next(value for name, value in seconds.items() if name.startswith("render "))
    lines += [f"  {'a frame, file and all':<28} {1000 * render / len(frames):8.0f} ms", "", f"In {out}:", ""]
    for name, what in made.items():
        path = out / name
        size = f"{path.stat().st_size / 1e6:7.1f} MB" if path.is_file() else " " * 10
        lines.append(f"  {name:<28} {size}  {what}")
    return "\n".join(lines)
