"""The adapter from the wire to the project's mathematics; lives in worker processes only.

Everything heavy is imported here, on use. One engine owns one device, its avatars and the compiled kernels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from ..avatar.types import Avatar, Splats
from ..camera import Camera
from ..errors import LimitError, RenderError
from ..protocol.messages import AvatarInfo, Motion
from .devices import resolve_device
from .levels import Levels
from .shots import HeadInstance, Made, Picture, Preview, Progress, Shot, camera_of, check_fit, empty_frame, frame_info
from .studio import Studio

if TYPE_CHECKING:
    from ..avatar.last_frame_fast import LastFrame
    from ..raster.types import Rendered
    from .frames_cuda import FramePipeline, Ticket


class Engine:
    """The real engine. ``device``: ``auto``, ``cpu`` or a CUDA device such as ``cuda:0``."""

    def __init__(self, device: str) -> None:
        self.device = resolve_device(device)
        self.batch = 1
        self._last: LastFrame | None = None
        self._pipeline: FramePipeline | None = None
        if self.device != "cpu":
            from .frame_wishes import BATCHES
            from .frames_cuda import FramePipeline

            self._pipeline, self.batch = FramePipeline(self.device), BATCHES[-1]
        self._avatars: dict[str, Levels] = {}
        self._studio = Studio(self.device)

    def attend(self, note: Callable[[str], None]) -> None:
        """``note`` is told, many times a second, what long work is doing."""
        self._studio.note = note

    def warm_up(self, progress: Progress) -> None:
        """Draws two splats (the columns of one are compiled otherwise) into a tiny frame: that compiles, or loads,
        everything a frame needs."""
        from ..avatar import file  # noqa: F401  imported now, so that the first avatar does not wait
        from ..raster import rasterize

        progress(0.0, "Compiling the rasterizer")
        eye, one = np.eye(3), np.ones(1)
        camera = Camera(20, 20, np.array([[20.0, 0, 10], [0, 20, 10], [0, 0, 1]]), np.eye(4))
        arrays = (eye[2:], np.eye(4)[:1], np.full((1, 3), 0.1), one, np.ones((1, 3)))
        splats = Splats(*(self._on_device(np.repeat(a, 2, 0).astype(np.float32)) for a in arrays))
        rasterize(splats, camera)
        if self.device == "cpu":
            from ..avatar import drive_fast, last_frame_fast, shading_fast
            from . import packing_cpu

            self._last = last_frame_fast.LastFrame()
            drive_fast.warm_up()
            shading_fast.warm_up()
            packing_cpu.warm_up()

    def _on_device(self, array: np.ndarray) -> Any:
        if self.device == "cpu":
            return array
        import torch

        return torch.from_numpy(array).to(self.device)

    def load(self, avatar_id: str, data: bytes, limit_splats: int) -> AvatarInfo:
        """Validates ``.gshead`` bytes like a stranger's file and keeps the avatar on the device."""
        from ..avatar.file import avatar_from_bytes

        avatar = avatar_from_bytes(data)
        if len(avatar) > limit_splats:
            raise LimitError(f"The avatar has {len(avatar)} splats; the limit is {limit_splats}.")
        if avatar.portrait is not None:
            self._studio.check()
        self._avatars[avatar_id] = levels = Levels(avatar, self._ready)
        if self._pipeline is not None:
            self._pipeline.prepare(levels.whole)
        return AvatarInfo(
            avatar_id, len(avatar), avatar.head.vertex_count, avatar.head.expression_count, avatar.name, avatar.method
        )

    def _ready(self, avatar: Avatar) -> Any:
        """The avatar as it is driven."""
        if self._pipeline is None:
            return avatar
        from ..avatar.drive_torch import TorchAvatar

        return TorchAvatar(avatar, self.device)

    def unload(self, avatar_id: str) -> None:
        """Forgets an avatar."""
        self._studio.forget(avatar_id)
        levels = self._avatars.pop(avatar_id, None)
        if levels is not None and self._pipeline is not None:
            levels.let_go()

    def draw(
        self, shots: Sequence[Shot], free: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[list[Picture]]:
        """Frames, at most ``batch``: drive every head, place it, rasterize all splats together, convert to ``dtype``.

        ``free`` is called when the device could begin the next. On a GPU entering the result waits for the pixels; they
        are good until it is left, and more may be drawn before it is entered.
        """
        if self._pipeline is not None:
            return self._draw_on_gpu(self._pipeline, shots, free)
        last = len(shots) - 1
        return nullcontext([self._draw(shot, free if i == last else lambda: None) for i, shot in enumerate(shots)])

    def _draw(self, shot: Shot, free: Callable[[], None]) -> Picture:
        start = time.perf_counter()
        view, heads, dtype = camera_of(shot.camera, shot.scale), shot.heads, shot.dtype
        if not heads:
            parts = empty_frame(view, dtype)
        else:
            parts = self._draw_on_cpu(view, shot, free)
        parts = parts if shot.depth else parts[:1]
        return frame_info(shot, view, time.perf_counter() - start), parts

    def _draw_on_cpu(self, view: Camera, shot: Shot, free: Callable[[], None]) -> list[np.ndarray]:
        from ..raster import rasterize
        from .packing_cpu import draw_frame, pack_frame

        if any(self._is_painted(head, shot) for head in shot.heads):
            rendered = self._draw_painted(view, shot)
            free()
            return [pack_frame(rendered.color, rendered.alpha, shot.dtype), np.ascontiguousarray(rendered.depth, "<f4")]
        splats, view = self._placed(view, shot)
        if shot.dtype == "uint8":
            parts = list(draw_frame(splats, view, depth=shot.depth))
            free()
            return parts
        rendered = rasterize(splats, view)
        free()
        return [pack_frame(rendered.color, rendered.alpha, shot.dtype), np.ascontiguousarray(rendered.depth, "<f4")]

    def _is_painted(self, head: HeadInstance, shot: Shot) -> bool:
        """A network draws it; but where that takes seconds, a moving picture shows its splats."""
        moving = shot.splats > 0 and not shot.final
        return self._levels(head).avatar.portrait is not None and not (moving and self._studio.slow)

    def _painted(self, view: Camera, head: HeadInstance, shot: Shot) -> Rendered:
        avatar = self._levels(head).avatar
        check_fit(head, avatar.head.expression_count, avatar.head.vertex_count)
        return self._studio.draw(avatar, head, view, exact=shot.final)

    def _draw_painted(self, view: Camera, shot: Shot) -> Rendered:
        """Heads that a network draws, with the others, as numpy arrays."""
        import torch

        from ..raster import rasterize
        from ..raster.compose import merge
        from ..raster.types import Rendered

        painted = [head for head in shot.heads if self._is_painted(head, shot)]
        layers = [self._painted(view, head, shot) for head in painted]
        if others := [head for head in shot.heads if not self._is_painted(head, shot)]:
            seen = rasterize(*self._placed(view, replace(shot, heads=others)))
            layers.append(Rendered(*(torch.from_numpy(a) for a in (seen.color, seen.alpha, seen.depth))))
        drawn = merge(layers)
        return Rendered(drawn.color.numpy(), drawn.alpha.numpy(), drawn.depth.numpy())

    def _draw_on_gpu(
        self, pipeline: FramePipeline, shots: Sequence[Shot], free: Callable[[], None]
    ) -> AbstractContextManager[list[Picture]]:
        from .frame_wishes import FrameWish, HeadWish

        start = time.perf_counter()
        views = [camera_of(shot.camera, shot.scale) for shot in shots]
        tickets: list[Ticket] = []
        kind = lambda s: (s[0].dtype, s[0].depth, s[0].final)  # noqa: E731
        for (dtype, depth, final), group in groupby(zip(shots, views, strict=True), kind):
            wishes = [
                FrameWish(
                    view,
                    tuple(
                        HeadWish(self._avatar(h, s.splats), h.matrix, h.pose, h.vertices, *_light(h, self._levels(h)))
                        for h in s.heads
                        if not self._is_painted(h, s)
                    ),
                    tuple(partial(self._painted, view, h, s) for h in s.heads if self._is_painted(h, s)),
                )
                for s, view in group
            ]
            tickets.append(pipeline.submit(wishes, dtype, depth, repeatable=final))
        free()

        @contextmanager
        def collected() -> Iterator[list[Picture]]:
            try:
                frames = [frame for ticket in tickets for frame in ticket.result()]
                seconds = (time.perf_counter() - start) / len(shots)
                yield [
                    (frame_info(shot, view, seconds), [a for a in frame if a is not None])
                    for shot, view, frame in zip(shots, views, frames, strict=True)
                ]
            finally:
                for ticket in tickets:
                    ticket.release()

        return collected()

    def _placed(self, view: Camera, shot: Shot) -> tuple[Splats, Camera]:
        """All splats of a frame, and the camera that sees them where they are."""
        from ..avatar.splats import concatenate, transform_splats

        if len(shot.heads) == 1:  # the rasterizer takes any affine view: no need to move the splats
            head = shot.heads[0]
            splats = self._drive(head, shot.splats, self._last)
            return splats, replace(view, viewmat=view.viewmat @ head.matrix)
        return concatenate([transform_splats(self._drive(h, shot.splats), h.matrix) for h in shot.heads]), view

    def _avatar(self, head: HeadInstance, splats: int) -> Any:
        levels = self._levels(head)
        avatar, model = levels.pick(splats), levels.avatar.head
        check_fit(head, model.expression_count, model.vertex_count)
        return avatar

    def _levels(self, head: HeadInstance) -> Levels:
        levels = self._avatars.get(head.avatar_id)
        if levels is None:
            raise RenderError(f"The avatar {head.avatar_id[:12]}… is not in the worker's memory.")
        return levels

    def _drive(self, head: HeadInstance, splats: int, last: LastFrame | None = None) -> Splats:
        from ..avatar.drive_fast import drive_fast, drive_vertices_fast
        from ..avatar.shading import shading_of, splat_shadow
        from ..avatar.shading_fast import lit_fast

        avatar = self._avatar(head, splats)
        if head.vertices is not None:
            driven = drive_vertices_fast(avatar, head.vertices, head.pose, last)
        else:
            assert head.pose is not None
            driven = drive_fast(avatar, head.pose, last)
        light, strength, shadow = _light(head, self._levels(head))
        if light is None and shadow is None:
            return driven
        fallen = None if shadow is None else splat_shadow(avatar, shadow)
        return lit_fast(driven, shading_of(avatar), light, strength, fallen)

    def reconstruct(
        self, portrait: bytes, method: str, quality: str, name: str, progress: Progress, preview: Preview, *,
        seed: int = 0, splats: int = 0, head: str = "",
    ) -> Made:  # fmt: skip
        """See ``making.reconstruct``."""
        from .making import reconstruct

        return reconstruct(
            portrait, method, quality, name, self.device, progress, preview, seed=seed, splats=splats, head=head
        )

    def track(
        self, path: str, clip: bytes, progress: Progress, *, name: str, fps: float, smooth: float, motion: Motion,
        center: bool,
    ) -> Made:  # fmt: skip
        """See ``making.track``."""
        from .making import track

        return track(path, clip, progress, name=name, fps=fps, smooth=smooth, motion=motion, center=center)

    def free_memory(self) -> None:
        """After an out-of-memory error: gives cached device memory back."""
        import gc

        gc.collect()
        if self.device != "cpu":
            import torch

            torch.cuda.empty_cache()


def _light(head: HeadInstance, levels: Levels) -> tuple[np.ndarray | None, float, np.ndarray | None]:
    """What lights a head's splats; nothing but the photo where they only stand in for a network's picture."""
    if levels.avatar.portrait is not None:
        return None, 1.0, None
    return head.light, head.light_strength, head.shadow
