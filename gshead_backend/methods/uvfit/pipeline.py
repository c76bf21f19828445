"""``reconstruct``: the order of work, in two parts that other methods use as well: ``build`` and ``personalise``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ...avatar.shading import with_light
from ...avatar.types import Avatar
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from ...portrait.labels import LABEL_INDEX
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from .bust import fade_bust, rebind, steady_triangles, tuck_in
from .classes import PixelClasses, classify
from .cloud import Cloud, bind, make_cloud
from .colors import complete, observe
from .eyes import paint_eyes
from .glasses import GLASSES_RIM, Glasses, find_glasses, glasses_splats
from .hanging import find_hanging
from .leftovers import leftovers
from .mouth import lengthen_teeth, paint_mouth
from .optimise import FitInput, optimise
from .photo import View, decontaminate, disc, sample, unit_scale
from .presets import Preset, chosen
from .sampling import Samples, sample_surface, vertex_density
from .shell import Shell, build_shell
from .strands import comb, grain
from .surface import HeadSurface, head_surface
from .texture import go_on
from .underside import underside

_GLASSES = 0.3  # share of the splats beyond the mesh that glasses may have
_BELOW = 0.2  # share of the splats beyond the mesh that close the bust from below
_log = logging.getLogger(__name__)


class Stages:
    """Progress with a share of the whole per stage, and seconds per stage for the log."""

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

    def done(self) -> None:
        self.end()
        self._progress(1.0, "done")

    def end(self) -> None:
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._start, 3)
            self._name = ""


def reconstruct(fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress) -> Avatar:
    """Turn a fitted portrait into an avatar.

    Raises ``Cancelled`` when ``progress`` does. The same fit, head, options and device give the same avatar.
    """
    preset, stages = chosen(options), Stages(progress)
    built = build(fit, head, preset, options.seed, stages)
    return personalise(built, built.cloud, options, preset, stages, method="uvfit")


@dataclass(frozen=True)
class Built:
    """A portrait's splats before the fit to the photo.

    Attributes:
        scene: what every stage looks at. cloud: all splats; the first ``on_mesh`` of them are those of the head's mesh
            in the order of their samples, the others hang beyond it.
        view: the outer surface as the camera sees it. shell: that surface. samples: where the splats on the mesh were
            placed; hair is then bound to triangles nearby that do not move.
    """

    scene: Scene
    cloud: Cloud
    view: View
    shell: Shell
    samples: Samples
    on_mesh: int


def build(
    fit: PortraitFit, head: HeadModel, preset: Preset, seed: int, stages: Stages,
    at: Callable[[np.ndarray], Samples] | None = None,
) -> Built:  # fmt: skip
    """Splats with their places and colours; what every method starts from.

    Args:
        at: from the outer surface's vertices (V, 3) at rest to the places of the splats on it; None: as the preset
            says, denser where a face needs detail.
    """
    stages.begin(0.0, "reading the head")
    surface = head_surface(head)
    person = PersonalHead.create(head, fit.betas, fit.vertex_offsets)
    rest, posed = person.rest.astype(np.float64), person.vertices(fit.pose).astype(np.float64)
    stages.begin(0.03, "sorting pixels")
    classes = classify(fit, surface, posed)
    photo = decontaminate(fit.image, fit.matte, classes.hair)
    scene = Scene(fit, surface, classes, photo, rest, posed, find_glasses(fit, surface, posed))
    stages.begin(0.06, "shaping hair")
    hanging = find_hanging(fit, surface, classes, posed)
    shell = build_shell(fit, surface, classes, rest, posed, hanging)
    cloud, view, samples, outer = _place(scene, shell, preset, seed, stages, at)
    _paint(scene, cloud, view, seed, stages)
    stages.begin(0.23, "adding hair and clothes")
    _steady_hair(surface, cloud, rest)
    on_mesh = len(cloud)
    below = underside(fit, surface, cloud, outer, round(_BELOW * preset.leftover))
    room = preset.leftover - (0 if below is None else len(below))
    worn = None
    if scene.glasses is not None:
        worn = glasses_splats(fit, surface, photo, scene.glasses, posed, round(_GLASSES * preset.leftover))
        room -= len(worn)
    beyond = leftovers(fit, surface, classes, photo, view, shell, cloud, posed, hanging, max(room, 1), seed)
    for more in (below, beyond, worn):
        cloud = cloud if more is None else cloud.join(more)
    tuck_in(fit, surface, cloud, posed)
    return Built(scene, cloud, view, shell, samples, on_mesh)


def personalise(
    built: Built, cloud: Cloud, options: ReconstructOptions, preset: Preset, stages: Stages, *, method: str,
    notes: dict[str, Any] | None = None, finish: Callable[[Avatar], Avatar] = lambda avatar: avatar,
) -> Avatar:  # fmt: skip
    """The same fit to the photo for every method, so that their priors can be compared.

    Args:
        cloud: ``built.cloud``, or what a method made of it. notes: more for the avatar's provenance.
        finish: adds what the fit leaves alone, a dynamic residual say, before the preview and before the result.
    """
    scene, fit, surface = built.scene, built.scene.fit, built.scene.surface
    fade = fade_bust(fit, surface, cloud, scene.posed)
    avatar = bind(
        cloud, surface, scene.rest, betas=fit.betas, vertex_offsets=fit.vertex_offsets, name=options.name,
        method=method, provenance={**_provenance(fit, options, method), **(notes or {})},
    )  # fmt: skip
    if options.preview is not None and preset.iterations > 0:
        options.preview(finish(avatar))
    stages.begin(0.25, "fitting to the photo")
    evidence = FitInput(scene.photo, *_gates(scene, cloud, built.view), fade, preset.pixels)
    avatar = optimise(avatar, fit, evidence, preset.iterations, options.seed, options.device, stages.within(0.25, 1.0))
    stages.end()
    _log.info("%s %s: %s", method, options.quality, ", ".join(f"{k} {v:.2f} s" for k, v in stages.seconds.items()))
    stages.done()
    return with_light(finish(avatar))


@dataclass(frozen=True)
class Scene:
    """What every stage looks at. photo: (H, W, 3) clean colours. rest, posed: (V, 3). glasses: None without any."""

    fit: PortraitFit
    surface: HeadSurface
    classes: PixelClasses
    photo: np.ndarray
    rest: np.ndarray
    posed: np.ndarray
    glasses: Glasses | None = None


def _place(
    scene: Scene, shell: Shell, preset: Preset, seed: int, stages: Stages, at: Callable[[np.ndarray], Samples] | None
) -> tuple[Cloud, View, Samples, np.ndarray]:
    """Splats on the portrait's outer surface, that surface as the camera sees it, their places, its posed vertices."""
    fit, surface, rest, posed = scene.fit, scene.surface, scene.rest, scene.posed
    stages.begin(0.1, "placing splats")
    outer = rest + shell.displacement
    if at is not None:
        samples = at(outer)
    else:
        samples = sample_surface(surface, outer, vertex_density(surface), shell.folded, preset.splats, seed)
    cloud = make_cloud(surface, samples, shell, rest, posed)
    lengthen_teeth(fit, surface, cloud)
    outer = posed + shell.displacement
    return cloud, View.of(outer, surface.faces, fit.camera), samples, outer


def _paint(scene: Scene, cloud: Cloud, view: View, seed: int, stages: Stages) -> None:
    """Colours: read, completed, then hair, eyes and mouth."""
    fit, surface, classes, photo = scene.fit, scene.surface, scene.classes, scene.photo
    stages.begin(0.14, "reading colours")
    hidden = None if scene.glasses is None else scene.glasses.behind
    observe(fit, surface, cloud, classes, photo, view, hidden)
    stages.begin(0.16, "filling what the photo hides")
    complete(surface, cloud)
    go_on(surface, cloud)
    stages.begin(0.19, "combing hair")
    comb(fit, surface, cloud, view)
    grain(cloud, surface, photo, (classes.hair > 0.8) & (fit.matte > 0.9), seed)
    stages.begin(0.21, "painting eyes and mouth")
    paint_eyes(fit, surface, cloud, photo, view, scene.rest)
    paint_mouth(surface, cloud, scene.rest)
    _close_unseen(cloud)


def _provenance(fit: PortraitFit, options: ReconstructOptions, method: str) -> dict[str, Any]:
    """No times in it: the same input must give the same file."""
    return {
        "method": method, "quality": options.quality, "seed": options.seed, "device": options.device,
        "fit_error_px": round(float(fit.error_px), 3), "focal_known": bool(fit.focal_known),
        "image_size": list(fit.image.shape[:2]), "warnings": list(fit.warnings),
    }  # fmt: skip


def _gates(scene: Scene, cloud: Cloud, view: View) -> tuple[np.ndarray, np.ndarray]:
    """(N,) how far the photo fit may go with a splat's colour, and with its shape.

    A fit that is one pixel wrong would bake teeth into lips and lashes into lids, so both stay near what was read. So
    does what is called glasses without being any that could stand before the face (``find_glasses``).
    """
    fit, surface = scene.fit, scene.surface
    delicate = surface.lip_distance[surface.faces[cloud.triangle]].mean(1) < 0.007 * surface.scale
    delicate = (delicate & (cloud.hair < 0.5) & (cloud.clothes < 0.5)) | ~cloud.is_part("skin")
    color = np.where(delicate, np.minimum(cloud.confidence, 0.09), cloud.confidence)
    if fit.parsing is not None and scene.glasses is None:
        worn = fit.parsing[LABEL_INDEX["glasses"]].astype(np.float32)
        worn = cv2.dilate(worn, disc(GLASSES_RIM * unit_scale(fit.image)))
        behind = sample(worn, view.pixels(cloud.posed)[0]) > 0.4
        color = np.where(behind, np.minimum(color, 0.05), color)
        delicate = delicate | behind
    return color, np.where(delicate, 0.0, cloud.confidence)


def _close_unseen(cloud: Cloud) -> None:
    """Where there is no detail to keep sharp, wider splats leave no pinholes."""
    unseen = cloud.is_part("skin") & ~cloud.lid & (cloud.confidence < 0.1)
    cloud.sigma[unseen, :2] *= 1.2


def _steady_hair(surface: HeadSurface, cloud: Cloud, rest: np.ndarray) -> None:
    """Hair that hangs over the brow must not follow the brow: bind it to the cranium."""
    moving = (cloud.hair > 0.5) & ~surface.rigid[cloud.triangle]
    rebind(cloud, surface, rest, np.flatnonzero(moving), steady_triangles(surface, bust=False))
