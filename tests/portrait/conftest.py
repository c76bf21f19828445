"""The networks, the sample photo and the default head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gshead_backend.head import HeadModel, default_head
from gshead_backend.portrait import decode_image, missing_assets

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="session", autouse=True)
def networks() -> None:
    """Without the networks these tests would say nothing: they fail, they are not skipped."""
    if names := missing_assets():
        pytest.fail(f"The portrait networks are missing ({', '.join(names)}): run 'gshead assets fetch'.")


@pytest.fixture(scope="session")
def astronaut_bytes() -> bytes:
    return (SAMPLES / "astronaut.png").read_bytes()


@pytest.fixture(scope="session")
def astronaut(astronaut_bytes: bytes) -> np.ndarray:
    return decode_image(astronaut_bytes)


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return default_head()
