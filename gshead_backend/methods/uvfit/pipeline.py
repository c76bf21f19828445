"""``reconstruct``: the order of work."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ...avatar.types import Avatar
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from .classes import classify
from .cloud import Cloud, bind, make_cloud
from .colors import complete, observe
from .eyes import paint_eyes
from .leftovers import fade_bust, leftovers, rebind, steady_triangles
from .mouth import paint_mouth
from .optimise import FitInput, optimise
from .photo import View, decontaminate
from .presets import PRESETS
from .sampling import sample_surface, vertex_density
from .shell import build_shell
from .strands import comb, grain
from .surface import HeadSurface, head_surface


class _Stages:
    """Progress with a share of the whole per stage, and seconds per stage for the provenance."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._name, self._start = progress, "", time.monotonic()
        self.seconds: dict[str, float] = {}

    def begin(self, fraction: float, name: str) -> None:
        self.end()
        self._name, self._start = name, time.monotonic()
        self._progress(fraction, name)

    def within(self, low: float, high: float) -> Progress:
        """Progress of a part that counts from 0 to 1 itself."""
        return lambda fraction, text: self._progress(low + (high - low) * fraction, text)

    def end(self) -> None:
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._start, 3)
            self._name = ""


def reconstruct(fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress) -> Avatar:
    """Turn a fitted portrait into an avatar.

    Raises ``Cancelled`` when ``progress`` does. The same fit, head, options and device give the same avatar.
    """
    preset = PRESETS[options.quality]
    stages = _Stages(progress)
    stages.begin(0.0, "reading the head")
    surface = head_surface(head)
    person = PersonalHead.create(head, fit.betas, fit.vertex_offsets)
    rest, posed = person.rest.astype(np.float64), person.vertices(fit.pose).astype(np.float64)
    stages.begin(0.03, "sorting pixels")
    classes = classify(fit, surface, posed)
    photo = decontaminate(fit.image, fit.matte)
    stages.begin(0.06, "shaping hair")
    shell = build_shell(fit, surface, classes, rest, posed)
    stages.begin(0.1, "placing splats")
    density = vertex_density(surface)
    samples = sample_surface(surface, rest + shell.displacement, density, shell.folded, preset.splats, options.seed)
    cloud = make_cloud(surface, samples, shell, rest, posed)
    stages.begin(0.14, "reading colours")
    view = View.of(posed + shell.displacement, surface.faces, fit.camera)
    observe(fit, surface, cloud, classes, photo, view)
    complete(surface, cloud)
    comb(fit, surface, cloud, view)
    grain(cloud, surface, photo, (classes.hair > 0.8) & (fit.matte > 0.9), options.seed)
    paint_eyes(fit, surface, cloud, photo, view, rest)
    paint_mouth(surface, cloud, rest)
    _close_unseen(cloud)
    stages.begin(0.2, "adding hair and clothes")
    _steady_hair(surface, cloud, rest)
    beyond = leftovers(fit, surface, classes, photo, view, posed, preset.leftover)
    cloud = cloud if beyond is None else cloud.join(beyond)
    fade = fade_bust(fit, surface, cloud, posed)
    stages.end()
    provenance: dict[str, Any] = {
        "method": "uvfit", "quality": options.quality, "seed": options.seed, "device": options.device,
        "fit_error_px": round(float(fit.error_px), 3), "image_size": list(fit.image.shape[:2]),
        "warnings": list(fit.warnings), "seconds": stages.seconds,
    }  # fmt: skip
    avatar = bind(
        cloud, surface, rest, betas=fit.betas, vertex_offsets=fit.vertex_offsets, name=options.name,
        provenance=provenance,
    )  # fmt: skip
    stages.begin(0.25, "fitting to the photo")
    evidence = FitInput(photo, cloud.confidence, fade)
    avatar = optimise(avatar, fit, evidence, preset.iterations, options.seed, options.device, stages.within(0.25, 1.0))
    stages.end()
    progress(1.0, "done")
    return avatar


def _close_unseen(cloud: Cloud) -> None:
    """Where there is no detail to keep sharp, wider splats leave no pinholes."""
    unseen = cloud.is_part("skin") & ~cloud.lid & (cloud.confidence < 0.1)
    cloud.sigma[unseen, :2] *= 1.2


def _steady_hair(surface: HeadSurface, cloud: Cloud, rest: np.ndarray) -> None:
    """Hair that hangs over the brow must not follow the brow: bind it to the cranium."""
    moving = (cloud.hair > 0.5) & ~surface.rigid[cloud.triangle]
    rebind(cloud, surface, rest, np.flatnonzero(moving), steady_triangles(surface, bust=False))
