"""Rendered shading with the Gaussian Head engine: the heads before the world's colour, one ``LiveView`` a viewport."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gshead_backend.errors import GsheadError

from . import compat
from .camera import viewport_camera
from .final import wire_heads
from .live import LiveView
from .reading import read_heads
from .screen import draw_notice
from .world import background


class View:
    """One viewport in Rendered shading."""

    def __init__(self, engine: Any) -> None:
        reference = weakref.ref(engine)

        def redraw() -> None:
            alive = reference()
            if alive is not None:
                alive.tag_redraw()  # raises ReferenceError when Blender has freed the engine

        self.live = LiveView(redraw, depth=False)
        self._background: np.ndarray | None = None
        self._foreign: list[bool] = []
        self._notice = ""

    def update(self, context: Any, depsgraph: Any) -> None:
        """Something in the scene changed: read the heads again."""
        self._read(depsgraph, thorough=False)
        scene = depsgraph.scene_eval
        self._background = background(scene, compat.world_tree(scene.world))

    def draw(self, context: Any, depsgraph: Any) -> None:
        """Ask and draw; what goes wrong becomes text in the corner and the last frame stays."""
        region, view = context.region, context.region_data
        self.live.region = region.as_pointer()
        if self.live.resting():
            self._read(depsgraph, thorough=True)
        notice = self._notice
        try:
            camera = viewport_camera(view.window_matrix, view.view_matrix, region.width, region.height)
            notice = self.live.exchange(camera) or notice
        except GsheadError as error:
            notice = str(error)
        self.live.picture.draw_rendered(self._background)
        if notice:
            draw_notice(notice, region)

    def _read(self, depsgraph: Any, *, thorough: bool) -> None:
        try:
            heads = read_heads(depsgraph, thorough=thorough)
            self._notice = next((head.warning for head in heads if head.warning), "")
        except GsheadError as error:
            self._notice = str(error)
            heads = None
        self.live.rested = thorough
        foreign = [head.state.vertices is not None for head in heads or ()]
        if heads is not None and not (thorough and foreign == self._foreign):
            self.live.show(wire_heads(heads))
            self._foreign = foreign
