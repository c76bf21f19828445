"""The task that a configuration names."""

from __future__ import annotations

from collections.abc import Callable

from .config import TrainConfig
from .gagavatar.task import GagavatarTask
from .lids_task import LidsTask
from .loop import Task
from .parser_task import ParserTask
from .rar_task import RarTask
from .regressor_task import RegressorTask
from .sega.decoders_task import DecodersTask
from .sega.identity_task import IdentityTask
from .sega.motion_task import MotionTask


def make_task(config: TrainConfig) -> Task:
    """A new task; one belongs to one training."""
    kinds: dict[str, Callable[[TrainConfig], Task]] = {
        "parser": ParserTask, "regressor": RegressorTask, "lids": LidsTask, "sega_identity": IdentityTask,
        "sega_motion": MotionTask, "sega_decoders": DecodersTask, "rar": RarTask,
        "gagavatar": GagavatarTask,
    }  # fmt: skip
    return kinds[config.network](config)
