"""Fixtures shared by all rooms."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from side_by_side import plugins
from skip_budget import SkipBudget
from tiny import make_tiny_head

from gshead_backend.head import HeadModel


@pytest.fixture(scope="session")
def tiny_head() -> HeadModel:
    """A made-up head: a few hundred vertices, 6 identity components, the 52 ARKit expressions, subdivision present."""
    return make_tiny_head()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch adds up in one thread, in one order: what a network learns is the same every time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs for hours runs when it is named only."""
    if "soak" in (config.option.markexpr or ""):
        return
    hours = [item for item in items if item.get_closest_marker("soak")]
    if hours:
        items[:] = [item for item in items if item not in hours]
        config.hook.pytest_deselected(items=hours)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # one of several processes: the first one counts
        config.pluginmanager.register(SkipBudget(), "skip-budget")
    for plugin in plugins(config):
        config.pluginmanager.register(plugin, "side-by-side")
