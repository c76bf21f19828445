"""The jobs of a worker: a portrait to an avatar, a clip to a take."""

from __future__ import annotations

import time
from typing import Any

from ..avatar.file import avatar_to_bytes
from ..avatar.recording import Motion
from ..methods import ReconstructOptions, get_method, head_for
from ..portrait.fit import fit_portrait
from .clips import track_clip
from .shots import Made, Preview, Progress


def reconstruct(
    portrait: bytes, method: str, quality: Any, name: str, device: str, progress: Progress, preview: Preview, *,
    seed: int = 0, splats: int = 0, head: str = "",
) -> Made:  # fmt: skip
    """Portrait bytes to ``.gshead`` bytes. ``progress`` raises ``Cancelled`` when the user asked to stop.

    ``splats``: about so many, 0 for the quality's own number. ``head``: an installed head model, "" for the method's
    own.

    ``preview`` is given the bytes of an unfinished avatar, where the method has one to show.
    """
    start = time.perf_counter()
    function = get_method(method)
    model = head_for(method, head)
    options = ReconstructOptions(
        quality=quality, name=name, seed=seed, device=device, splats=splats or None,
        preview=lambda unfinished: preview(avatar_to_bytes(unfinished)),
    )  # fmt: skip
    fit = fit_portrait(portrait, model, progress=lambda f, text: progress(0.25 * f, text))
    avatar = function(fit, model, options, lambda f, text: progress(0.25 + 0.7 * f, text))
    progress(0.96, "Packing the avatar")
    return Made(avatar_to_bytes(avatar), tuple(fit.warnings), time.perf_counter() - start)


def track(
    path: str, clip: bytes, progress: Progress, *, name: str, fps: float, smooth: float, motion: Motion, center: bool
) -> Made:
    """A clip, by its path or its bytes, to a take's JSON. ``progress`` raises ``Cancelled`` as above."""
    start = time.perf_counter()
    text, warnings = track_clip(
        path, clip, progress, name=name, fps=fps or None, smooth=smooth, motion=motion, center=center
    )
    return Made(text.encode(), warnings, time.perf_counter() - start)
