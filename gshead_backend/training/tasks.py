"""The task that a configuration names."""

from __future__ import annotations

from .config import TrainConfig
from .loop import Task
from .parser_task import ParserTask
from .regressor_task import RegressorTask


def make_task(config: TrainConfig) -> Task:
    """A new task; one belongs to one training."""
    if config.network == "rar":
        from .rar_task import RarTask

        return RarTask(config)
    return ParserTask(config) if config.network == "parser" else RegressorTask(config)
