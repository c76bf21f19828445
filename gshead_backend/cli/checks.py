"""The checks of ``gshead doctor``. Each is a function that returns findings; one that raises is itself a finding."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import GsheadError
from .checks_compute import check_gpu, check_numba, check_torch
from .finding import INSTALL, ROOT, Finding, is_writable, output_of, version_of

_PACKAGES = {
    "numpy": "numpy", "scipy": "scipy", "numba": "numba", "pillow": "PIL", "pyzmq": "zmq", "msgspec": "msgspec",
    "safetensors": "safetensors", "tyro": "tyro", "platformdirs": "platformdirs", "usd-core": "pxr.Usd",
    "OpenEXR": "OpenEXR", "lz4": "lz4", "simplejpeg": "simplejpeg",
}  # fmt: skip


def run_checks() -> list[Finding]:
    """Every finding, most basic first."""
    findings: list[Finding] = []
    for check in (
        _python,
        _packages,
        _opencv,
        _usd,
        check_torch,
        check_gpu,
        check_numba,
        _assets,
        _heads,
        _folders,
        _backend,
        _blender,
    ):
        findings += _guarded(check)
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    name = check.__name__.removeprefix("check_").strip("_")
    try:
        found.extend(check())
    except GsheadError as error:
        found.append(Finding(name, "missing", error.message, error.remedy))
    except Exception as error:
        found.append(
            Finding(
                check.__name__.removeprefix("check_").strip("_"), "missing", f"{type(error).__name__}: {error}", INSTALL
            )
        )
    return found


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    fix = "" if good else "Use Python 3.11, 3.12 or 3.13."
    yield Finding("gshead", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("Python", "ok" if good else "warning", f"{version} ({sys.executable})", fix)
    memory = _memory_bytes()
    text = f"{platform.platform()}, {len(_cores())} cores" + (f", {memory / 2**30:.0f} GiB memory" if memory else "")
    small = memory is not None and memory < 6 * 2**30
    fix = "Use --quality draft, and close other programs while reconstructing." if small else ""
    yield Finding("machine", "warning" if small else "ok", text, fix)


def _packages() -> Iterator[Finding]:
    versions = []
    for distribution, module in _PACKAGES.items():
        try:
            importlib.import_module(module)
        except Exception as error:
            yield Finding(distribution, "missing", f"cannot be imported: {error}", INSTALL)
        else:
            versions.append(f"{distribution} {version_of(distribution)}")
    yield Finding("packages", "ok" if len(versions) == len(_PACKAGES) else "warning", ", ".join(versions))


def _opencv() -> Iterator[Finding]:
    flavours = sorted(
        {
            f"{name} {d.version}"
            for d in importlib.metadata.distributions()
            if (name := (d.metadata["Name"] or "").lower()).startswith("opencv-")
        }
    )
    fix = "pip uninstall every opencv package, then: pip install 'opencv-python-headless>=4.12,<5'"
    try:
        import cv2

        version = cv2.__version__
    except ImportError as error:
        yield Finding("OpenCV", "missing", f"cannot be imported: {error}", fix)
        return
    if len(flavours) > 1:
        yield Finding("OpenCV", "warning", f"{', '.join(flavours)} are installed over one another", fix)
    elif not version.startswith("4."):
        yield Finding("OpenCV", "missing", f"{version}: version 5 no longer reads the portrait networks", fix)
    else:
        yield Finding("OpenCV", "ok", ", ".join(flavours) or version)


def _usd() -> Iterator[Finding]:
    Usd: Any = importlib.import_module("pxr.Usd")
    has_schema = Usd.SchemaRegistry().FindConcretePrimDefinition("ParticleField3DGaussianSplat") is not None
    text = ".".join(map(str, Usd.GetVersion()[1:])) + (" with" if has_schema else " without") + " the splat schema"
    fix = "" if has_schema else "pip install 'usd-core>=26.3'; files are written all the same."
    yield Finding("OpenUSD", "ok" if has_schema else "warning", text, fix)


def _assets() -> Iterator[Finding]:
    from ..portrait.assets import ASSETS, assets_folder, missing_assets

    missing = missing_assets()
    if missing:
        fix = "gshead assets fetch (or: gshead assets fetch --from WHEEL without internet)"
        yield Finding("portrait networks", "missing", f"{', '.join(missing)} not in {assets_folder()}", fix)
    else:
        yield Finding("portrait networks", "ok", f"{len(ASSETS)} in {assets_folder()}")


def _heads() -> Iterator[Finding]:
    from ..head import default_head, installed_heads

    head = default_head()
    detail = f"{head.vertex_count} vertices, {head.identity_count} identity, {head.expression_count} expressions"
    yield Finding("default head", "ok", f"{head.name} ({head.license}): {detail}")
    others = [name for name in installed_heads() if name != head.name]
    if others:
        yield Finding("imported heads", "ok", ", ".join(others))


def _folders() -> Iterator[Finding]:
    from ..head import heads_folder
    from ..portrait.assets import assets_folder
    from ..protocol.endpoint import runtime_dir

    for name, folder in (("data folder", heads_folder()), ("cache folder", assets_folder())):
        writable = is_writable(folder)
        there = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(there).free
        fix = f"Give yourself write permission on {there}." if not writable else ""
        if writable and free < 2**30:
            fix = f"Free some space on the disk of {there}."
        detail = f"{folder}, {free / 2**30:.1f} GiB free" + ("" if writable else ", not writable")
        yield Finding(name, "warning" if fix else "ok", detail, fix)
    yield Finding("runtime folder", "ok", f"{runtime_dir()}, private")


def _backend() -> Iterator[Finding]:
    from ..protocol import Client
    from ..protocol.launcher import live_endpoint

    endpoint = live_endpoint()
    if endpoint is None:
        yield Finding("backend", "ok", "none is running; Blender starts it when needed")
        return
    try:
        with Client(endpoint, name="doctor", timeout=3.0) as client:
            hello = client.hello()
    except GsheadError as error:
        fix = f"End process {endpoint.pid} and start again from Blender."
        yield Finding("backend", "warning", f"process {endpoint.pid} does not answer: {error.message}", fix)
        return
    workers = ", ".join(f"{w.role} {w.state} {w.device}".strip() for w in hello.workers)
    yield Finding("backend", "ok", f"gshead {hello.package}, process {hello.pid}: {workers}")


def _blender() -> Iterator[Finding]:
    found = [(path, output_of([path, "--version"]).splitlines()[:1]) for path in _blender_programs()]
    for path, lines in found:
        yield Finding("Blender", "ok", f"{lines[0] if lines else 'version unknown'} ({path})")
    wheels = sorted(p.parent.name for p in (ROOT / ".venvs").glob("blender-*/pyvenv.cfg"))
    if wheels:
        yield Finding("Blender wheels", "ok", ", ".join(wheels) + f" in {ROOT / '.venvs'}")
    if not found and not wheels:
        fix = "Install Blender 4.5 or newer (blender.org) and the gshead extension; the command line works without."
        yield Finding("Blender", "warning", "not found on PATH or in the usual places", fix)


def _blender_programs() -> list[str]:
    places = [shutil.which("blender"), "/Applications/Blender.app/Contents/MacOS/Blender"]
    if sys.platform == "win32":
        base = Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / "Blender Foundation"
        places += [str(p) for p in sorted(base.glob("Blender */blender.exe"))]
    return list(dict.fromkeys(str(Path(p)) for p in places if p and Path(p).is_file()))


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
