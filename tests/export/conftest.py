"""A small avatar, and poses of every kind, for the tests of several formats."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.take import demo_take
from gshead_backend.avatar.types import Avatar
from gshead_backend.head import HeadModel, HeadPose


@pytest.fixture
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 120)


@pytest.fixture
def poses(avatar: Avatar) -> list[HeadPose]:
    """Every kind of motion, some at once."""
    take = demo_take()
    found = [take.pose(avatar.head, f) for f in (1, 6, 15, 25, 35, 39)]
    rng = np.random.default_rng(4)
    e = avatar.head.expression_count
    return [*found, *(HeadPose.from_vector(rng.normal(size=e + 18) * 0.3) for _ in range(3))]
