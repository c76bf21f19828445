"""Reconstruction methods by name. Each is a folder with ``reconstruct(fit, head, options, progress) -> Avatar``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ..avatar.types import Avatar
from ..errors import ArgumentError, UnsupportedError
from ..head.catalog import find_head, load_head
from ..head.model import HeadModel
from ..portrait.types import PortraitFit, Progress

Quality = Literal["draft", "standard", "high"]
METHODS = ("uvfit", "rar", "sega", "gagavatar")
DEFAULT_METHOD = "uvfit"
SPLATS = (2_000, 500_000)
MAX_STEPS = 10_000
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class ReconstructOptions:
    """What a user may choose.

    Attributes:
        quality: draft (seconds, about 20k splats), standard (about 60k), high (about 150k).
        name: display name of the avatar.
        seed: same seed, input and device give the same bytes.
        device: torch device for the fit, e.g. ``"cpu"`` or ``"cuda:0"``.
        splats: about so many, whatever the quality; what a frame costs depends on this number alone. None: the
            quality's own.
        fit_steps: steps of the fit to the photo; None: the quality's own. 0 leaves the splats as they were placed,
            which tells what the fit changes.
        preview: called at most once, with the avatar as it is before the longest part of the work; same head, same
            shape, and already worth keying.
    Raises:
        ArgumentError: a number outside ``SPLATS``, ``MAX_STEPS`` or ``MAX_SEED``.
    """

    quality: Quality = "standard"
    name: str = "head"
    seed: int = 0
    device: str = "cpu"
    splats: int | None = None
    fit_steps: int | None = None
    preview: Callable[[Avatar], None] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ArgumentError(f"A seed is 0 to {MAX_SEED}, not {self.seed}.")
        if self.splats is not None and not SPLATS[0] <= self.splats <= SPLATS[1]:
            raise ArgumentError(f"An avatar has {SPLATS[0]} to {SPLATS[1]} splats, not {self.splats}.")
        if self.fit_steps is not None and not 0 <= self.fit_steps <= MAX_STEPS:
            raise ArgumentError(f"The fit takes 0 to {MAX_STEPS} steps, not {self.fit_steps}.")


class Reconstruct(Protocol):
    """The one function a method exposes."""

    def __call__(
        self, fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress
    ) -> Avatar: ...


def get_method(name: str) -> Reconstruct:
    """The method's function; importing it is what loads torch.

    Raises:
        UnsupportedError: an unknown name.
        MissingWeightsError: something that it needs is not installed; the message says what, and where to get it.
    """
    if name == "gagavatar":
        from .needs import FLAME, GAGAVATAR, network_head, require

        require(GAGAVATAR)
        if network_head() is None:
            require(FLAME)
    if name not in METHODS:
        raise UnsupportedError(f"There is no method '{name}'.", remedy=f"Use one of: {', '.join(METHODS)}.")
    return importlib.import_module(f"gshead_backend.methods.{name}").reconstruct


def head_for(method: str, head: str = "") -> HeadModel:
    """The head that a method makes avatars on: the named one (``load_head``), else the one it works best with.

    Raises ``MissingWeightsError`` where that is a FLAME head and none is imported, ``HeadError`` for an unknown name,
    and where weights of an own training want a head that is not installed.
    """
    if head in ("", "default") and method == "gagavatar":
        from .needs import FLAME, network_head, require

        trained_on = network_head()
        return load_head(require(FLAME)) if trained_on is None else find_head(trained_on)
    return load_head(head or "default")
