"""One photograph of a synthetic person with everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...camera import Camera
from ...head.catalog import load_head
from ...head.model import HeadModel
from ...head.pose import HeadPose

if TYPE_CHECKING:
    from .people import Person

SHOTS = 8
"""Photographs of one person; sample ``seed`` is shot ``seed % SHOTS`` of person ``seed // SHOTS``."""
FIRST_PERSON = {"test": 0, "validation": 1_000, "train": 2_000}
"""First person of each split; splits share nobody."""


@dataclass(frozen=True)
class Sample:
    """A photograph, S by S pixels. Light and directions in head space; metres, radians, linear unless said otherwise.

    Attributes:
        seed, shot_seed: of the person, of the photograph.
        image: (S, S, 3) uint8 sRGB. matte: (S, S) float32 0..1. labels: (S, S) uint8 index into ``LABELS``.
        albedo: (S, S, 3) float32 linear, premultiplied by nothing; zero outside the matte. Without ``Drawing.maps``
            labels and albedo are empty, (0, 0) and (0, 0, 3).
        camera: pixels from head space; the viewmat carries the head's place and turn. pose: expression and eyes.
        arkit: (52,). gaze: (2, 2) rows left, right eye; columns yaw (positive to +X), pitch (positive up).
        betas: (B,). light: (9, 3) SH radiance. sun: ((3,) unit toward it, (3,) irradiance).
        landmarks: (478, 2) float32 pixels: 468 of the embedding, then right and left iris.
        about: plain facts for the balance report.
    """

    seed: int
    shot_seed: int
    image: np.ndarray
    matte: np.ndarray
    labels: np.ndarray
    albedo: np.ndarray
    camera: Camera
    pose: HeadPose
    arkit: np.ndarray
    gaze: np.ndarray
    betas: np.ndarray
    light: np.ndarray
    sun: tuple[np.ndarray, np.ndarray]
    landmarks: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn, beside the seed.

    Attributes:
        size: pixels of a photograph. device: "cpu" or "cuda". head: name of an installed head; the default head when
            empty. hair_meshes: folder of OBJ hair that half of the people with hair then wear; none when empty.
        maps: labels and albedo are rendered, too; without them a photograph takes half the time and is the same.
        kind: of expression, one of ``expression.KINDS``; any when empty.
    """

    size: int = 512
    device: str = "cpu"
    head: str = ""
    hair_meshes: str = ""
    maps: bool = True
    kind: str = ""


USUAL = Drawing()


def draw(seed: int, how: Drawing = USUAL) -> Sample:
    """The sample of this seed. Neighbouring seeds share a person, which is then made once."""
    from .photograph import photograph

    person = _person(seed // SHOTS, how.head, how.hair_meshes)
    return photograph(person, seed % SHOTS, how.size, device=how.device, maps=how.maps, kind=how.kind)


@lru_cache(maxsize=1)
def _person(seed: int, head: str, hair_meshes: str) -> Person:
    from .hair_meshes import hair_mesh_files
    from .people import make_person

    return make_person(seed, _head(head), hair_meshes=hair_mesh_files(hair_meshes) if hair_meshes else ())


@lru_cache(maxsize=2)
def _head(name: str) -> HeadModel:
    return load_head(name or "default")
