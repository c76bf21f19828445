"""What ``gshead doctor`` says of torch, the GPU, gsplat and the CPU rasterizer."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .finding import INSTALL, ROOT, Finding, is_writable, output_of, version_of


def check_torch() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:
        yield Finding("torch", "missing", f"cannot be imported: {error}", INSTALL)
        return
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Finding("torch", "ok", f"{torch.__version__} ({built}), {torch.get_num_threads()} threads")


def check_gpu() -> Iterator[Finding]:
    import torch

    driver = output_of(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
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
    version = version_of("gsplat")
    if nvcc is None:
        fix = "Install the CUDA toolkit and set CUDA_HOME; it compiles the kernels once, about a minute."
        return Finding("gsplat", "warning", f"{version}; nvcc is not found, so it cannot compile", fix)
    release = next((line for line in output_of([nvcc, "--version"]).splitlines() if "release" in line), "").strip()
    return Finding("gsplat", "ok", f"{version}; {nvcc} ({release})")


def check_numba() -> Iterator[Finding]:
    import numba

    cache = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(cache) if cache else ROOT / "gshead_backend" / "raster"
    writable = is_writable(folder)
    fix = "" if writable else "Set NUMBA_CACHE_DIR to a folder you may write to: compiling takes seconds at each start."
    where = f"{numba.get_num_threads()} threads, cache {'in' if writable else 'cannot be written in'} {folder}"
    yield Finding("CPU rasterizer", "ok" if writable else "warning", where, fix)
