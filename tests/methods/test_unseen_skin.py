"""What ``uvfit`` makes up for skin that no photo shows: its light, its texture, and white hair in side light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic_portrait import SKIN, Portrait, arkit_pose, make_portrait, parsed

from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.uvfit.cloud import Cloud
from gshead_backend.methods.uvfit.light import fit_light, relight, shading, to_linear, to_srgb
from gshead_backend.methods.uvfit.pipeline import Stages, build, chosen
from gshead_backend.methods.uvfit.surface import head_surface
from gshead_backend.methods.uvfit.texture import go_on
from gshead_backend.portrait.types import no_progress


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def cloud(head: HeadModel) -> Cloud:
    portrait: Portrait = make_portrait(head, arkit_pose(head))
    fit = replace(portrait.fit, parsing=parsed(portrait))
    return build(fit, head, chosen(ReconstructOptions(quality="standard")), 0, Stages(no_progress)).cloud


def directions(count: int, seed: int) -> np.ndarray:
    """(N, 3) unit normals toward the camera's half."""
    n = np.random.default_rng(seed).normal(size=(count, 3))
    n[:, 2] = np.abs(n[:, 2])
    return n / np.linalg.norm(n, axis=1, keepdims=True)


def test_a_red_shadow_stays_red_where_it_is_continued() -> None:
    n = directions(3000, 0)
    warm = np.array([1.0, 0.8, 0.7])  # light from the left is white, what is left on the right is red
    light = 0.9 + 0.5 * n[:, :1] * np.array([1.0, 1.25, 1.4])
    seen = to_srgb(to_linear(SKIN) * light * warm)
    coefficients = fit_light(n, seen, np.ones(len(n)))
    shade = shading(coefficients, n)
    even = relight(seen, shade, np.ones_like(shade))
    hue = to_linear(even)[:, 0] / to_linear(even)[:, 2]
    assert hue.std() / hue.mean() < 0.06
    assert (to_linear(seen)[:, 0] / to_linear(seen)[:, 2]).std() / hue.mean() > 0.12  # what a grey light leaves in
    assert np.abs(relight(even, np.ones_like(shade), shade) - seen).max() < 0.02


def test_skin_goes_on_with_the_texture_beside_it(head: HeadModel, cloud: Cloud) -> None:
    surface = head_surface(head)
    skin = cloud.is_part("skin") & (cloud.hair < 0.5) & (cloud.clothes < 0.5) & ~cloud.lid
    flat = replace(cloud, color=cloud.color.copy(), confidence=np.where(cloud.mean[:, 0] > 0.03, 0.0, 0.9) * skin)
    rng = np.random.default_rng(0)
    known = skin & (flat.confidence > 0.5)
    flat.color[skin] = SKIN
    flat.color[known] *= np.exp(0.06 * rng.normal(size=(known.sum(), 1)))
    before = flat.color.copy()
    go_on(surface, flat)
    cheek = skin & ~known & (cloud.mean[:, 0] < 0.06) & (surface.neck[surface.faces[cloud.triangle]].mean(1) < 0.1)
    assert cheek.sum() > 300
    assert np.array_equal(flat.color[known], before[known])  # what the photo shows stays as it is
    told, made_up = np.log(flat.color[known] / SKIN).std(), np.log(flat.color[cheek] / SKIN).std()
    assert 0.5 * told < made_up < 1.2 * told
    assert np.abs(flat.color[cheek].mean(0) - SKIN).max() < 0.02


def test_without_enough_skin_nothing_is_made_up(head: HeadModel, cloud: Cloud) -> None:
    blind = replace(cloud, color=cloud.color.copy(), confidence=np.zeros(len(cloud)))
    before = blind.color.copy()
    go_on(head_surface(head), blind)
    assert np.array_equal(blind.color, before)
