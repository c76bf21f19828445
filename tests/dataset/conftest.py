"""The networks, the default head, and footage that is prepared once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from footage_of_people import BLURRED, GREY, OTHERS, SETTINGS, Shown, performance, somebody, write_video

from gshead_backend.dataset.prepare import Outcome, prepare
from gshead_backend.head import HeadModel, default_head
from gshead_backend.portrait import missing_assets


@pytest.fixture(scope="session", autouse=True)
def networks() -> None:
    """Without the networks these tests would say nothing: they fail, they are not skipped."""
    if names := missing_assets():
        pytest.fail(f"The portrait networks are missing ({', '.join(names)}): run 'gshead assets fetch'.")


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="session")
def shown(head: HeadModel) -> list[Shown]:
    """Nine frames of the person whom the clip is about."""
    return performance(somebody(head, 3), 9)


@pytest.fixture(scope="session")
def clip(shown: list[Shown], head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those nine frames, one of them out of focus; two grey ones; and a cut to five of somebody else."""
    images = [s.image for s in shown]
    images[BLURRED] = cv2.GaussianBlur(images[BLURRED], (0, 0), 6)
    images += [np.full_like(images[0], 128)] * GREY
    images += [s.image for s in performance(somebody(head, 8), OTHERS)]
    return write_video(tmp_path_factory.mktemp("footage") / "Jane Doe.avi", images)


@pytest.fixture(scope="session")
def prepared(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("prepared") / "set"
    return folder, prepare([clip], folder, SETTINGS)
