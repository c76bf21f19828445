"""GAGAvatar: what a frame costs and where, with random weights (a network's time does not depend on them)."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import numpy as np
import torch
from measure import Report, Row, timed
from torch.utils.flop_counter import FlopCounterMode

from gshead_backend.camera import Camera
from gshead_backend.head import HeadPose, PersonalHead, default_head
from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.config import RELEASED
from gshead_backend.methods.gagavatar.fast import FastUpsampler
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.network import Identity, Network
from gshead_backend.methods.gagavatar.person import UNITS
from gshead_backend.methods.gagavatar.raster import rasterize_features
from gshead_backend.methods.gagavatar.stages import Weights
from gshead_backend.methods.gagavatar.window import Window, put

GROUP = "gagavatar"
PAPER = "the paper: 67 FPS on its authors' GPU"


def _giga_flops(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9


def measure_gagavatar(report: Report, device: str) -> None:
    """Rows of group ``gagavatar``: parameters, arithmetic, the photo once, a frame whole and in parts, memory."""
    network = Network.with_weights(Weights(used_shapes(), 1, RELEASED).used).to(device)
    given = recipe.inputs(1)
    image, points = torch.from_numpy(given.image).to(device), torch.from_numpy(given.points1).to(device)
    sync = torch.cuda.synchronize if device.startswith("cuda") else None
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count))
    moving = HeadPose.neutral(head.expression_count)
    moving.expression[:8] = 0.3

    def time_it(name: str, call: Callable[[], object], note: str = "") -> None:
        report.add(timed(GROUP, f"{name}, {device}", call, count=200, seconds=20.0, warm=1, sync=sync, note=note))

    def count(name: str, value: float, unit: str) -> None:
        report.add(Row(GROUP, name, value, unit))

    with torch.inference_mode():
        identity = network.identity(image, given.source)
        camera = opencv_camera(given.driven, RELEASED.size)
        raster = _raster(identity, points, camera)
        count("parameters and stored noise", sum(v.numel() for v in network.state_dict().values()) / 1e6, "million")
        count("photo to Gaussians", _giga_flops(lambda: network.identity(image, given.source)), "GFLOP")
        count("neural renderer", _giga_flops(lambda: network.upsampler(raster[None])), "GFLOP")
        time_it("photo to Gaussians, once a person", lambda: network.identity(image, given.source))
        time_it("a frame, 512²", lambda: network.frame(identity, points, camera), PAPER)
        time_it("of it: drive, on the default head", lambda: person.vertices(moving))
        time_it("of it: raster, 180,255 splats, 32 channels", lambda: _raster(identity, points, camera))
        time_it("of it: neural renderer", lambda: network.upsampler(raster[None]))
        frame = network.frame(identity, points, camera)
        window = Window(camera, np.diag([0.5, 0.5, 1.0]), np.array([0, 0, 1 / UNITS]), 0.0)
        view = Camera(1024, 1024, camera.K, np.eye(4))
        time_it("put into a frame of 1024²", lambda: put(window, view, frame.rgb, frame.alpha, frame.depth))
        _faster(network, identity, points, camera, raster, device, time_it, count)
    if device.startswith("cuda"):
        count("peak memory on the device", torch.cuda.max_memory_allocated() / 2**20, "MiB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count("peak memory of the process", peak / (2**20 if sys.platform == "darwin" else 1024), "MiB")


def _faster(
    network: Network, identity: Identity, points: torch.Tensor, camera: Camera, raster: torch.Tensor, device: str,
    time_it: Callable[..., None], count: Callable[[str, float, str], None],
) -> None:  # fmt: skip
    """Half precision: as one CUDA graph, which is what streams use; torch.compile beside it."""
    if not device.startswith("cuda"):
        return
    fast = FastUpsampler(network)
    error = float((fast(raster[None]) - network.upsampler(raster[None])).abs().max())
    count("largest difference of half precision", error, "of 1")
    time_it("neural renderer, half precision, one graph", lambda: fast(raster[None]))
    time_it("a frame, 512², half precision, one graph",
            lambda: network.frame(identity, points, camera, upsampler=fast), PAPER)  # fmt: skip
    try:
        compiled = torch.compile(network.upsampler, dynamic=False)
        with torch.autocast("cuda", torch.float16):
            compiled(raster[None])
            time_it("neural renderer, half precision, torch.compile", lambda: compiled(raster[None]))
    except Exception as error:  # needs a compiler on the machine
        print(f"torch.compile: {type(error).__name__}: {error}", file=sys.stderr)


def _raster(identity: Identity, points: torch.Tensor, camera: Camera) -> torch.Tensor:
    drawn = rasterize_features(identity.placed(points, unit=points.is_cuda), camera)
    return drawn.color.permute(2, 0, 1).contiguous()
