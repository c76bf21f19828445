"""The checks of ``gshead doctor``. Each is a function that returns findings; one that raises is itself a finding."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import __version__
from ..errors import GsheadError

Status = Literal["ok", "warning", "missing"]
_ROOT = Path(__file__).parents[2]
_INSTALL = "Make the environment anew: python3 bootstrap.py setup, in the folder of gshead's source"
_PACKAGES = {
    "numpy": "numpy", "scipy": "scipy", "numba": "numba", "pillow": "PIL", "pyzmq": "zmq", "msgspec": "msgspec",
    "safetensors": "safetensors", "tyro": "tyro", "platformdirs": "platformdirs", "usd-core": "pxr.Usd",
    "OpenEXR": "OpenEXR", "lz4": "lz4", "simplejpeg": "simplejpeg",
}  # fmt: skip


class Finding(NamedTuple):
    """One line of the report: ``missing`` is something gshead cannot do its work without."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def run_checks() -> list[Finding]:
    """Every finding, most basic first."""
    findings: list[Finding] = []
    for check in (
        _python,
        _packages,
        _opencv,
        _usd,
        _torch,
        _gpu,
        _numba,
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
    try:
        found.extend(check())
    except GsheadError as error:
        found.append(Finding(check.__name__.strip("_"), "missing", error.message, error.remedy))
    except Exception as error:
        found.append(Finding(check.__name__.strip("_"), "missing", f"{type(error).__name__}: {error}", _INSTALL))
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
            yield Finding(distribution, "missing", f"cannot be imported: {error}", _INSTALL)
        else:
            versions.append(f"{distribution} {_version(distribution)}")
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


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:
        yield Finding("torch", "missing", f"cannot be imported: {error}", _INSTALL)
        return
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Finding("torch", "ok", f"{torch.__version__} ({built}), {torch.get_num_threads()} threads")


def _gpu() -> Iterator[Finding]:
    import torch

    driver = _output(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    if not torch.cuda.is_available():
        if driver:
            wanted = "https://pytorch.org/get-started/locally/"
            problem = "this torch has no CUDA" if torch.version.cuda is None else "torch cannot use it"
            fix = (
                f"In a checkout: python3 bootstrap.py setup --torch cu130. Elsewhere install torch with CUDA: {wanted}"
            )
            yield Finding("GPU", "warning", f"{driver.splitlines()[0]}, but {problem}; the CPU is used", fix)
        else:
            yield Finding("GPU", "ok", "none with CUDA; the CPU is used")
        return
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        capability = f"sm_{properties.major}{properties.minor}"
        memory = properties.total_memory / 2**30
        yield Finding(f"GPU {i}", "ok", f"{properties.name}, {memory:.0f} GiB, {capability}, cuda:{i}")
    if driver:
        yield Finding("driver", "ok", driver.splitlines()[0])
    yield _gsplat()


def _gsplat() -> Finding:
    """gsplat compiles its kernels on first use, so it needs nvcc of torch's CUDA version once."""
    install = "pip install gsplat==1.5.3; without it a GPU is not used for rendering."
    if importlib.util.find_spec("gsplat") is None:
        return Finding("gsplat", "warning", "not installed", install)
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=str(Path(home) / "bin"))
    version = _version("gsplat")
    if nvcc is None:
        fix = "Install the CUDA toolkit and set CUDA_HOME; it compiles the kernels once, about a minute."
        return Finding("gsplat", "warning", f"{version}; nvcc is not found, so it cannot compile", fix)
    release = next((line for line in _output([nvcc, "--version"]).splitlines() if "release" in line), "").strip()
    return Finding("gsplat", "ok", f"{version}; {nvcc} ({release})")


def _numba() -> Iterator[Finding]:
    import numba

    cache = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(cache) if cache else _ROOT / "gshead_backend" / "raster"
    writable = _is_writable(folder)
    fix = "" if writable else "Set NUMBA_CACHE_DIR to a folder you may write to: compiling takes seconds at each start."
    where = f"{numba.get_num_threads()} threads, cache {'in' if writable else 'cannot be written in'} {folder}"
    yield Finding("CPU rasterizer", "ok" if writable else "warning", where, fix)


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
        writable = _is_writable(folder)
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
    found = [(path, _output([path, "--version"]).splitlines()[:1]) for path in _blender_programs()]
    for path, lines in found:
        yield Finding("Blender", "ok", f"{lines[0] if lines else 'version unknown'} ({path})")
    wheels = sorted(p.parent.name for p in (_ROOT / ".venvs").glob("blender-*/pyvenv.cfg"))
    if wheels:
        yield Finding("Blender wheels", "ok", ", ".join(wheels) + f" in {_ROOT / '.venvs'}")
    if not found and not wheels:
        fix = "Install Blender 4.5 or newer (blender.org) and the gshead extension; the command line works without."
        yield Finding("Blender", "warning", "not found on PATH or in the usual places", fix)


def _blender_programs() -> list[str]:
    places = [shutil.which("blender"), "/Applications/Blender.app/Contents/MacOS/Blender"]
    if sys.platform == "win32":
        base = Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / "Blender Foundation"
        places += [str(p) for p in sorted(base.glob("Blender */blender.exe"))]
    return list(dict.fromkeys(str(Path(p)) for p in places if p and Path(p).is_file()))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown)"


def _output(command: list[str]) -> str:
    """What a program prints; empty when it is not there, fails or takes more than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _is_writable(folder: Path) -> bool:
    """A file can be made in the folder or, while it does not exist, in the nearest parent that does."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
