"""Heads that a network draws, in a worker: one network for all of them, read when the first is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..avatar.types import Avatar
from ..camera import Camera
from ..raster.types import Rendered
from .shots import HeadInstance

if TYPE_CHECKING:
    from ..methods.gagavatar.painter import Painter, Subject


class Studio:
    """``note`` is told what goes on between the steps of long work."""

    def __init__(self, device: str, note: Callable[[str], None] = lambda text: None) -> None:
        self.note = note
        self._device = device
        self._painter: Painter | None = None
        self._subjects: dict[str, Subject] = {}

    @property
    def slow(self) -> bool:
        """Pictures take seconds: too long for what moves."""
        return self._device == "cpu"

    @staticmethod
    def check() -> None:
        """Raise ``MissingWeightsError`` unless the network's weights are installed."""
        from ..methods.needs import GAGAVATAR, require

        require(GAGAVATAR)

    def draw(self, avatar: Avatar, head: HeadInstance, view: Camera, *, exact: bool) -> Rendered:
        """One head in a frame, as torch tensors on the device; ``exact`` as in ``Painter.draw``."""
        painter = self._opened()
        subject = self._subjects.get(head.avatar_id)
        if subject is None:
            subject = self._subjects[head.avatar_id] = painter.subject(avatar)
        return painter.draw(subject, view, head.matrix, head.pose, head.vertices, exact=exact)

    def forget(self, avatar_id: str) -> None:
        """The avatar is gone; with the last one the network goes too."""
        if self._subjects.pop(avatar_id, None) is not None and not self._subjects:
            self._painter = None

    def _opened(self) -> Painter:
        if self._painter is None:
            from ..methods.gagavatar.painter import Painter
            from ..methods.needs import GAGAVATAR, require

            self._painter = Painter.from_file(require(GAGAVATAR), self._device, lambda text: self.note(text))
        return self._painter
