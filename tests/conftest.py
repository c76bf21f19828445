"""Fixtures shared by all rooms."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from side_by_side import plugins
from skip_budget import NAMED_ONLY, SkipBudget
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


@pytest.hookimpl(trylast=True)  # other hooks mark tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs for long runs when it is named only; side by side, the modules of few (and long) tests come first."""
    named = config.option.markexpr or ""
    long = [item for item in items if any(item.get_closest_marker(m) and m not in named for m in NAMED_ONLY)]
    if long:
        left = set(long)
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=long)
    if hasattr(config, "workerinput"):
        sizes = Counter(item.path for item in items)
        items.sort(key=lambda item: (sizes[item.path], item.path))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # one of several processes: the first one counts
        config.pluginmanager.register(SkipBudget(), "skip-budget")
    for plugin in plugins(config):
        config.pluginmanager.register(plugin, "side-by-side")
