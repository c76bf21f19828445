"""Our projection against gsplat's own torch implementation: a third opinion that needs no GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_fixtures import random_splats

from gshead_backend.avatar.drive_torch import quat_to_matrix
from gshead_backend.avatar.types import Splats
from gshead_backend.camera import orbit_camera
from gshead_backend.raster.reference import project

oracle = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")


@pytest.mark.parametrize("model", ["pinhole", "ortho"])
def test_projection_equals_gsplats(model):
    camera = orbit_camera(25, 10, size=(75, 61), focal_mm=100, distance=0.7)
    K = camera.K.copy()
    K[0, 2] += 9
    if model == "ortho":
        K[0, 0], K[1, 1] = 280, 260
    camera = replace(camera, K=K, orthographic=model == "ortho")
    splats = random_splats(500, radius=0.3)
    t = Splats(*(torch.tensor(getattr(splats, f), dtype=torch.float64) for f in Splats.__dataclass_fields__))
    M = quat_to_matrix(t.quats) * t.scales[:, None, :]
    radii, means2d, depths, conics, _ = oracle._fully_fused_projection(
        t.means, M @ M.transpose(1, 2), torch.tensor(camera.viewmat)[None], torch.tensor(camera.K)[None],
        camera.width, camera.height, near_plane=camera.near, far_plane=camera.far, camera_model=model,
    )  # fmt: skip
    ours = project(t, camera)
    drawn = np.zeros(500, bool)
    drawn[ours.index] = True
    visible = (radii[0] > 0).all(1).numpy() & (t.opacities.numpy() >= 1 / 255)
    assert visible.sum() > 100
    assert drawn[visible].all()
    for mine, theirs in ((ours.means2d, means2d), (ours.conics, conics), (ours.depths, depths)):
        np.testing.assert_allclose(mine, theirs[0][ours.index], rtol=1e-9, atol=1e-9)
    # gsplat's box (3.33 sigma) is never smaller than the region where alpha reaches 1/255
    inside = torch.isin(ours.index, torch.tensor(np.flatnonzero(visible)))
    assert (ours.radii[inside] <= radii[0][ours.index[inside]] + 1e-9).all()
