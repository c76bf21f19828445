"""Several views through one camera become one: the nearer over the farther, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gshead_backend.raster.compose import merge
from gshead_backend.raster.types import Rendered


def view(seed: int, empty: float = 0.3) -> Rendered:
    random = np.random.default_rng(seed)
    alpha = random.uniform(0.05, 1, (5, 7)) * (random.uniform(size=(5, 7)) > empty)
    color = random.uniform(size=(5, 7, 3)) * alpha[..., None]
    depth = np.where(alpha > 0, random.uniform(0.5, 3, (5, 7)), np.inf)
    return Rendered(*(torch.from_numpy(a.astype(np.float32)) for a in (color, alpha, depth)))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_merging_is_over_by_depth(count: int) -> None:
    layers = [view(n) for n in range(count)]
    merged = merge(layers)
    for y in range(5):
        for x in range(7):
            through, color, far = 1.0, np.zeros(3), 0.0
            for layer in sorted(layers, key=lambda v: float(v.depth[y, x])):
                a = float(layer.alpha[y, x])
                color = color + through * layer.color[y, x].numpy()
                far += through * a * float(layer.depth[y, x]) if a else 0.0
                through *= 1 - a
            np.testing.assert_allclose(merged.color[y, x], color, atol=1e-6)
            assert float(merged.alpha[y, x]) == pytest.approx(1 - through, abs=1e-6)
            depth = far / (1 - through) if 1 - through >= 1 / 255 else np.inf
            assert float(merged.depth[y, x]) == pytest.approx(depth, abs=1e-5)


def test_the_order_of_layers_does_not_matter() -> None:
    layers = [view(n) for n in range(3)]
    forth, back = merge(layers), merge(layers[::-1])
    torch.testing.assert_close(forth.color, back.color, rtol=0, atol=1e-6)
