"""drive and rasterize: milliseconds a frame, on the CPU and on CUDA, and what one would use instead."""

from __future__ import annotations

import itertools
from typing import Any

from measure import Report, timed
from scenes import SIZES, camera, covered_head, pose_at


def measure_frames(report: Report, device: str, sizes: tuple[int, ...] = SIZES) -> None:
    """Fill the report with drive, rasterize and both together at 512 x 512."""
    for splats in sizes:
        (_on_cuda if device == "cuda" else _on_cpu)(report, splats)


def _poses(avatar: Any) -> Any:
    return itertools.cycle([pose_at(avatar, f) for f in range(48)])


def _on_cpu(report: Report, splats: int) -> None:
    import torch

    from gshead_backend.avatar.drive import drive
    from gshead_backend.avatar.drive_fast import drive_fast
    from gshead_backend.avatar.drive_torch import TorchAvatar
    from gshead_backend.avatar.types import Splats
    from gshead_backend.raster import rasterize

    avatar, view = covered_head(splats), camera()
    poses, label = _poses(avatar), f"{splats // 1000}k splats"
    report.add(timed("drive cpu", f"numba (the server's), {label}", lambda: drive_fast(avatar, next(poses))))
    report.add(timed("drive cpu", f"numpy (inside Blender), {label}", lambda: drive(avatar, next(poses))))
    twin = TorchAvatar(avatar)
    with torch.inference_mode():
        report.add(timed("drive cpu", f"torch, {label}", lambda: twin.drive(next(poses)), seconds=5))
    still = drive(avatar, pose_at(avatar, 6))
    report.add(timed("raster cpu", f"512², numba, {label}", lambda: rasterize(still, view)))
    report.add(timed("frame cpu", f"512², drive + rasterize, {label}",
                     lambda: rasterize(drive_fast(avatar, next(poses)), view)))  # fmt: skip
    tensors = Splats(*(torch.tensor(getattr(still, n)) for n in Splats.__dataclass_fields__))
    if splats <= 65_000:
        with torch.inference_mode():
            report.add(timed("raster cpu", f"512², instead: vectorised torch, {label}",
                             lambda: rasterize(tensors, view, backend="reference"), count=3, warm=1))  # fmt: skip
    trained = Splats(*(getattr(tensors, n).requires_grad_() for n in Splats.__dataclass_fields__))
    parameters = [getattr(trained, n) for n in Splats.__dataclass_fields__]

    def step(backend: str) -> None:
        torch.autograd.grad(rasterize(trained, view, backend=backend).color.sum(), parameters)

    report.add(timed("raster cpu", f"512², numba, forward + backward, {label}", lambda: step("cpu")))
    if splats <= 65_000:
        report.add(timed("raster cpu", f"512², instead: torch autograd, forward + backward, {label}",
                         lambda: step("reference"), count=3, warm=1))  # fmt: skip


def _on_cuda(report: Report, splats: int) -> None:
    import torch
    from gsplat import rasterization

    from gshead_backend.avatar.drive_torch import TorchAvatar
    from gshead_backend.avatar.types import Splats
    from gshead_backend.raster import rasterize

    avatar, view = covered_head(splats), camera()
    poses, label, sync = _poses(avatar), f"{splats // 1000}k splats", torch.cuda.synchronize
    twin = TorchAvatar(avatar, "cuda")
    with torch.inference_mode():
        report.add(timed("drive cuda", f"torch, {label}", lambda: twin.drive(next(poses)), sync=sync))
        still = twin.drive(pose_at(avatar, 6))
        report.add(timed("raster cuda", f"512², gsplat + depth, {label}", lambda: rasterize(still, view), sync=sync))
        viewmat = torch.tensor(view.viewmat, dtype=torch.float32, device="cuda")[None]
        K = torch.tensor(view.K, dtype=torch.float32, device="cuda")[None]
        direct = lambda: rasterization(  # noqa: E731
            still.means, still.quats, still.scales, still.opacities, still.colors, viewmat, K, view.width, view.height,
            packed=False,
        )  # fmt: skip
        report.add(timed("raster cuda", f"512², instead: gsplat called directly, RGB, {label}", direct, sync=sync))
        frame = lambda: rasterize(twin.drive(next(poses)), view)  # noqa: E731
        report.add(timed("frame cuda", f"512², drive + rasterize, on the GPU, {label}", frame, sync=sync))
        report.add(timed("frame cuda", f"512², drive + rasterize + copy to the CPU, {label}",
                         lambda: frame().color.cpu(), sync=sync))  # fmt: skip
    trained = Splats(*(getattr(still, n).clone().requires_grad_() for n in Splats.__dataclass_fields__))
    parameters = [getattr(trained, n) for n in Splats.__dataclass_fields__]
    step = lambda: torch.autograd.grad(rasterize(trained, view).color.sum(), parameters)  # noqa: E731
    report.add(timed("raster cuda", f"512², gsplat, forward + backward, {label}", step, sync=sync))
