"""``gshead warm-up``: compile now what the first head would wait for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .console import Progress, emit, parse


def main(args: Sequence[str]) -> int:
    return parse(warm_up, "warm-up", args)


def warm_up(*, json: bool = False) -> int:
    """Compile the CPU kernels of drawing, driving and fitting heads, once after an installation or an update.

    They are kept beside the package ($NUMBA_CACHE_DIR, where that is set). Without this the first backend and the
    first fit compile them: up to a minute. Called again it takes seconds.

    Args:
        json: print the result as one JSON object.
    """
    import numpy as np

    from ..camera import Camera
    from ..methods.uvfit.zbuffer import depth_map
    from ..raster.cpu import pipeline
    from ..server.engine import Engine

    began = time.perf_counter()
    progress = Progress()
    try:
        Engine("cpu").warm_up(progress)
        progress(0.5, "Compiling the fit")
        pipeline.warm_up(gradients=True)
        camera = Camera(4, 4, np.array([[4.0, 0, 2], [0, 4, 2], [0, 0, 1]]), np.eye(4))
        depth_map(np.eye(3) + np.array([0, 0, 1.0]), np.array([[0, 1, 2]], np.int32), camera)
    finally:
        progress.close()
    seconds = time.perf_counter() - began
    emit({"seconds": round(seconds, 2)}, f"Warm: {seconds:.1f} s.", as_json=json)
    return 0
