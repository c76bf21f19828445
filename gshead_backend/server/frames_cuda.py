"""``FramePipeline``: wishes for frames to finished pixels on the host, several frames at once, copies beside kernels.

::

    pipeline = FramePipeline("cuda:0")
    first = pipeline.submit(wishes, "uint8")           # queued; the kernels of this batch run
    second = pipeline.submit(more, "uint8")            # its kernels run beside the first batch's copies
    with first as pictures:                            # waits for the first batch only
        for rgba, depth in pictures: ...               # arrays in pinned memory, good until the block ends

One pipeline belongs to one thread. On a CPU it does the same, one thing after another, which is how it is tested.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from ..avatar.device_torch import Device, Done, Upload, device_of
from ..avatar.drive_graph import GraphDriver, driver_of
from ..avatar.drive_torch import TorchAvatar
from ..avatar.shading import harmonics
from ..avatar.shading_torch import lit_torch
from ..avatar.splats import concatenate, transform_splats
from ..avatar.types import Splats
from ..camera import Camera
from ..errors import ArgumentError
from ..head.pose import HeadPose
from ..protocol.messages import Dtype
from ..raster import Rendered, rasterize, rasterize_many
from ..raster.compose import merge
from ..raster.gsplat_backend import device_memory, views_array, views_of
from .frame_wishes import BATCHES, FrameWish, HeadWish, drawn_together, kind_of
from .packing_torch import pack_frame

KEPT = 6
"""Free pinned buffers that are kept for the next frames of their size."""
TYPES = {"uint8": torch.uint8, "float16": torch.float16, "float32": torch.float32}
Pack = Callable[[Tensor, Tensor, Dtype], Tensor]
Picture = tuple[np.ndarray, np.ndarray | None]
log = logging.getLogger("gshead.worker")


class Ticket:
    """Frames on their way; made by :meth:`FramePipeline.submit`."""

    def __init__(self, parts: list[tuple[Done, Tensor, Tensor | None]], give_back: Callable[[Tensor], None]) -> None:
        self._parts, self._give_back = parts, give_back

    def result(self) -> list[Picture]:
        """Wait for the frames: per wish, in order, (H, W, 4) pixels and (H, W) float32 depth in metres (or None).

        The arrays lie in memory that is used again after :meth:`release`; without a release they stay good for ever.
        """
        pictures: list[Picture] = []
        for done, rgba, depth in self._parts:
            done.synchronize()
            depths = [None] * len(rgba) if depth is None else list(depth.numpy())
            pictures.extend(zip(rgba.numpy(), depths, strict=True))
        return pictures

    def release(self) -> None:
        """Give the memory back: what :meth:`result` returned must not be used any more. May be called again."""
        parts, self._parts = self._parts, []
        for done, *buffers in parts:
            done.synchronize()  # a buffer that is still being written must not go to another ticket
            for buffer in buffers:
                if buffer is not None:
                    self._give_back(buffer)

    def __enter__(self) -> list[Picture]:
        return self.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class FramePipeline:
    """See the module. ``device``: a torch device; ``queue`` stands in for its streams and memory in tests."""

    def __init__(self, device: str | torch.device, queue: Device | None = None) -> None:
        self._queue = queue or device_of(device)
        self._views: dict[int, Upload] = {}
        self._lights: dict[int, Upload] = {}
        self._free: list[Tensor] = []

    def prepare(self, avatar: TorchAvatar, most: int = 1) -> None:
        """Compile and record what frames of this avatar need (seconds, once), for up to ``most`` at once."""
        for size in BATCHES:
            self._driver(avatar, size)
            if size >= most:
                break

    def submit(
        self, wishes: Sequence[FrameWish], dtype: Dtype, depth: bool = True, *, repeatable: bool = False
    ) -> Ticket:
        """Queue frames. Neighbouring wishes for the same avatar, alone in frames of the same size, are drawn at once.

        ``repeatable``: equal wishes give equal bytes, whatever they are drawn together with: they are always driven by
        the largest batch, because a product of another shape rounds otherwise.

        Returns before the pixels are there. gsplat waits inside for the device to count what it draws, so the call
        takes about as long as all but the last kernels; the copies to the host run beside the next call.

        Raises:
            ArgumentError, RenderError: a wish cannot be drawn. OutOfMemoryError: too much for the device at once.
        """
        parts: list[tuple[Done, Tensor, Tensor | None]] = []
        with self._queue.active():
            for group in drawn_together(wishes):
                camera = group[0].camera
                with device_memory(f"{len(group)} frames at {camera.width}x{camera.height}"):
                    drawn = self._draw(group, BATCHES[-1] if repeatable else len(group))
                    rgba = self._pack(drawn.color.float(), drawn.alpha.float(), dtype)
                    pairs = [(rgba, self._room(rgba.shape, rgba.dtype))]
                    if depth:
                        pairs.append((drawn.depth.float().contiguous(), self._room(drawn.depth.shape, torch.float32)))
                    done = self._queue.read_back(pairs)
                parts.append((done, pairs[0][1], pairs[1][1] if depth else None))
        return Ticket(parts, self._take_back)

    @functools.cached_property
    def _pack(self) -> Pack:
        return packer_of(self._queue.device)

    def _draw(self, group: list[FrameWish], batch: int) -> Rendered:
        if kind_of(group[0]) is None:
            (wish,) = group
            layers = [other() for other in wish.others]
            if wish.heads or not layers:
                layers.append(self._draw_heads(wish) if wish.heads else _empty(wish.camera, self._queue.device))
            rendered = merge(layers)
            return Rendered(rendered.color[None], rendered.alpha[None], rendered.depth[None])
        heads = [wish.heads[0] for wish in group]
        cameras = [replace(w.camera, viewmat=w.camera.viewmat @ h.matrix) for w, h in zip(group, heads, strict=True)]
        splats = self._light(self._drive(heads, batch), heads)
        return rasterize_many(splats, cameras, views=self._upload(cameras))

    def _draw_heads(self, wish: FrameWish) -> Rendered:
        def moved(head: HeadWish) -> Splats:
            if head.vertices is not None:
                splats = head.avatar.drive_vertices(head.vertices, head.pose)
            else:
                splats = head.avatar.drive(_pose(head))
            return transform_splats(self._light(splats, [head]), head.matrix)

        return rasterize(concatenate([moved(head) for head in wish.heads]), wish.camera)

    def _drive(self, heads: list[HeadWish], batch: int) -> Splats:
        driver = self._driver(heads[0].avatar, batch)
        if heads[0].vertices is not None:
            meshes = [head.vertices for head in heads if head.vertices is not None]
            return driver.drive_vertices(meshes, [head.pose for head in heads])
        return driver.drive([_pose(head) for head in heads])

    def _light(self, splats: Splats, heads: list[HeadWish]) -> Splats:
        """The heads' splats, (N, ...) of one or (B, N, ...), in their lights and shadows; as they are without any."""
        if heads[0].light is None and heads[0].shadow is None:
            return splats
        size = next(s for s in BATCHES if s >= len(heads))
        if size not in self._lights:
            self._lights[size] = Upload(self._queue, (size, 28))
        room = self._lights[size].array()
        for i, head in enumerate(heads):
            room[i] = 0  # of strength 0: the photo's light
            if head.light is not None:
                room[i, :27], room[i, 27] = harmonics(head.light).ravel(), head.light_strength
        sent = self._lights[size].send()[: len(heads)]
        if splats.means.dim() == 2:
            (sent,) = sent
        shadows = [heads[0].avatar.splat_shadow(head.shadow) for head in heads if head.shadow is not None]
        fallen = None if not shadows else torch.stack(shadows) if splats.means.dim() == 3 else shadows[0]
        return lit_torch(splats, *heads[0].avatar.shading, sent[..., :27].unflatten(-1, (9, 3)), sent[..., 27], fallen)

    def _driver(self, avatar: TorchAvatar, count: int) -> GraphDriver:
        return driver_of(avatar, next(size for size in BATCHES if size >= count), self._queue)

    def _upload(self, cameras: list[Camera]) -> tuple[Tensor, Tensor]:
        size = next(s for s in BATCHES if s >= len(cameras))
        if size not in self._views:
            self._views[size] = Upload(self._queue, (size, 25))
        upload = self._views[size]
        upload.array()[: len(cameras)] = views_array(cameras)
        return views_of(upload.send()[: len(cameras)])

    def _room(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        for i, buffer in enumerate(self._free):
            if buffer.shape == torch.Size(shape) and buffer.dtype == dtype:
                return self._free.pop(i)
        return self._queue.host_tensor(shape, dtype)

    def _take_back(self, buffer: Tensor) -> None:
        self._free = [*self._free, buffer][-KEPT:]


def _pose(head: HeadWish) -> HeadPose:
    if head.pose is None:
        raise ArgumentError("A head needs a pose, vertices, or both; this one has neither.")
    return head.pose


def _empty(camera: Camera, device: torch.device) -> Rendered:
    alpha = torch.zeros(camera.height, camera.width, device=device)
    return Rendered(alpha[..., None].expand(-1, -1, 3), alpha, torch.full_like(alpha, torch.inf))


def packer_of(device: torch.device) -> Pack:
    """The fastest packing that gives the right pixels on this device."""
    if device.type != "cuda" or os.environ.get("GSHEAD_DRIVE", "triton") != "triton":
        return pack_frame
    try:
        from .packing_triton import pack_frame as fused

        check_packing(fused, device)
    except Exception as error:  # without Triton, or where it does not work
        log.warning("Frames are packed without Triton on %s: %s: %s", device, type(error).__name__, error)
        return pack_frame
    return fused


def check_packing(fused: Pack, device: torch.device) -> None:
    """Compare a packing with torch's on made-up pixels; raises ``RuntimeError`` where they differ."""
    ramp = torch.linspace(0, 1, 4 * 1021, device=device)
    alpha = (ramp * 1.01).view(1021, 4)
    sums = torch.stack([ramp, ramp.flip(0), ramp.sqrt() * 1.1, ramp], -1).view(1021, 4, 4) * alpha[..., None]
    for dtype in TYPES:
        got, wanted = (f(sums[..., :3], alpha, dtype).float() for f in (fused, pack_frame))  # type: ignore[arg-type]
        room = 1.0 if dtype == "uint8" else 1e-3
        if not bool(((got - wanted).abs() <= room).all()):
            raise RuntimeError(f"{dtype} frames differ by {float((got - wanted).abs().max()):g}")
