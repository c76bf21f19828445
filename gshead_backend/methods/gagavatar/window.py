"""Where the network stands to see a head that some camera sees, and its picture put into that camera's frame.

The network paints a head that fills a window through a long lens. For any other camera it is given a window of its own:
from the same eye point, turned to the head, as wide at the head as the photo's window was. Two cameras with one eye
point differ by a homography, so the picture fits into the frame exactly, perspective included (Hartley and Zisserman
2004, 8.4.2). A parallel view is painted from as far away as the photo was taken; there the homography holds at the
head's middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from ...camera import Camera
from ...raster.constants import ALPHA_MIN
from ...raster.types import Rendered
from .lifting import FOCAL, NEAR, opencv_camera

NEAREST = 0.75
"""Units between eye point and head below which nothing is drawn: the camera is inside the head."""

FRINGE = 8.0
"""How many times more than the Gaussians cover the picture may show; beyond, it is dimmed."""

MOST_ROLL = math.radians(45)
"""A head that leans further in the frame is painted leaning so far, and the picture is turned: the network knows
portraits, not heads upside down."""


@dataclass(frozen=True)
class Window:
    """A view of the network.

    Attributes:
        camera: in the network's units and the head's own space, square.
        to_window: (3, 3) homography, frame pixels to window pixels.
        distance: (3,) and offset: metres along the frame's view axis of a point at unit depth on the ray through
            window pixel (u, v) are ``depth * (distance @ [u, v, 1]) + offset``.
        offset: see ``distance``.
    """

    camera: Camera
    to_window: np.ndarray
    distance: np.ndarray
    offset: float


def window_of(frame: Camera, placed: np.ndarray, source: np.ndarray, size: int, units: float) -> Window | None:
    """The network's view of a head in a frame; None when it is not in front of the camera.

    Args:
        frame: its viewmat is not looked at. placed: (4, 4) the head's own space (metres) to camera space (metres).
        source: (3, 4) camera of the photo, see ``lifting``. size: pixels of the window. units: per metre.
    """
    photo = opencv_camera(source, size)
    axis, eye = photo.viewmat[2, :3], photo.position
    aim = eye - (axis @ eye) * axis  # the point that the photo's window is centred on
    far = float(np.linalg.norm(aim - eye))
    A, t = placed[:3, :3], units * placed[:3, 3]  # units in, camera space out, in units
    if abs(np.linalg.det(A)) < 1e-9:
        return None
    back = np.linalg.inv(A)
    forward = _unit(back[:, 2]) if frame.orthographic else _unit(aim + back @ t)
    eye = aim - far * forward if frame.orthographic else -back @ t
    distance = float(np.linalg.norm(aim - eye))
    middle = A @ aim + t
    if middle[2] <= 0 or distance < NEAREST:
        return None
    R = _upright(forward, back[:, 1], photo.viewmat[:3, :3])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ eye
    focal = FOCAL * size / 2 * distance / far
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    camera = Camera(size, size, K, viewmat, near=NEAR)
    rays = np.linalg.inv(K)  # window pixel to a point at depth one
    turn = A @ R.T  # window space to camera space, directions
    start = A @ eye + t  # the eye point in camera space: zero but for parallel views
    distance_row = turn[2] @ rays / units
    if frame.orthographic:
        # the plane through ``aim`` that faces the window; parallel views see x and y in metres
        on_plane = np.zeros((3, 3))
        on_plane[:2] = (distance * turn @ rays)[:2] / units
        on_plane[:2, 2] += start[:2] / units
        on_plane[2, 2] = 1
        to_frame = frame.K @ on_plane
    else:
        to_frame = frame.K @ turn @ rays
    return Window(camera, np.linalg.inv(to_frame), distance_row, float(start[2] / units))


def _upright(forward: np.ndarray, down: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """(3, 3) rows right, down, forward: with the frame's down as far as a head may lean against the photo's."""
    down = _unit(down - (down @ forward) * forward)
    level = photo[1] - (photo[1] @ forward) * forward  # the photo's down, seen from here
    if np.linalg.norm(level) < 1e-3:  # from right above or below there is none
        return np.stack([np.cross(down, forward), down, forward])
    level = _unit(level)
    roll = math.atan2(float(np.cross(level, down) @ forward), float(level @ down))
    if abs(roll) > MOST_ROLL:
        kept = math.copysign(MOST_ROLL, roll)
        down = math.cos(kept) * level + math.sin(kept) * np.cross(forward, level)
    return np.stack([np.cross(down, forward), down, forward])


def put(window: Window, frame: Camera, rgb: Tensor, alpha: Tensor, depth: Tensor) -> Rendered:
    """The network's picture in a frame, on its device.

    Args:
        rgb: (3, S, S) premultiplied. alpha: (S, S). depth: (S, S) units along the window's axis, +inf where nothing is.
    """
    device, size = rgb.device, rgb.shape[-1]
    rgb, alpha = covered(rgb, alpha)
    u = torch.arange(size, device=device, dtype=torch.float32) + 0.5
    row = torch.from_numpy(window.distance).to(device, torch.float32)
    metres = depth * (row[0] * u[None, :] + row[1] * u[:, None] + row[2]) + window.offset
    inside = torch.isfinite(metres) & (metres > frame.near) & (metres < frame.far)
    alpha = torch.where(inside, alpha, 0.0)
    far = torch.where(inside, metres, 0.0) * alpha
    layers = torch.cat([torch.where(inside, rgb, 0.0), alpha[None], far[None]])[None]
    height, width = frame.height, frame.width
    out = torch.zeros(5, height, width, device=device)
    box = _box(window, width, height, size)
    if box is not None:
        x0, y0, x1, y1 = box
        out[:, y0:y1, x0:x1] = _warped(layers, window.to_window, box)[0]
    cover = out[3].clamp(0, 1)
    color = out[:3].clamp(min=0).permute(1, 2, 0).contiguous()
    known = cover >= ALPHA_MIN
    distance = torch.where(known, out[4] / cover.clamp(min=ALPHA_MIN), torch.inf)
    return Rendered(torch.where(known[..., None], color, 0.0), torch.where(known, cover, 0.0), distance)


def covered(rgb: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """A picture on black and what the Gaussians cover, as premultiplied colour and its alpha.

    The network was trained without alpha. It also paints a little beside its Gaussians, and what shines on black must
    cover at least as much as it shines; else its straight colour would be brighter than white.
    """
    alpha = torch.maximum(alpha, torch.minimum(rgb.amax(0), FRINGE * alpha).clamp(max=1))
    return torch.minimum(rgb, alpha[None]), alpha


def _warped(layers: Tensor, to_window: np.ndarray, box: tuple[int, int, int, int]) -> Tensor:
    """(1, 5, h, w): colour and alpha by cubic, depth by linear interpolation; averaged before where pixels are lost."""
    x0, y0, x1, y1 = box
    size = layers.shape[-1]
    x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    places = np.stack([x, y, np.ones_like(x)], -1) @ to_window.T
    front = places[..., 2:] > 1e-9
    places = np.where(front, places[..., :2] / np.where(front, places[..., 2:], 1.0), -size)
    step = _step(to_window, x0 + x1, y0 + y1)
    if step > 1:
        pad = -size % step
        layers = avg_pool2d(torch.nn.functional.pad(layers, (0, pad, 0, pad)), step)
        size = (size + pad) // step
        places = places / step
    grid = torch.from_numpy((2 * places / size - 1).astype(np.float32)).to(layers.device)[None]
    picture = grid_sample(layers[:, :4], grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    far = grid_sample(layers[:, 3:], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    weight = far[:, :1]
    far = torch.where(weight > 0, far[:, 1:] / weight.clamp(min=1e-9), 0.0) * picture[:, 3:].clamp(0, 1)
    return torch.cat([picture, far], 1)


def _step(to_window: np.ndarray, twice_x: int, twice_y: int) -> int:
    """Window pixels that one frame pixel takes along its wider side, in the middle of the box, rounded down."""
    x, y = twice_x / 2, twice_y / 2
    a, b, c = (to_window @ np.array(p, float) for p in ((x, y, 1), (x + 1, y, 1), (x, y + 1, 1)))
    if min(a[2], b[2], c[2]) <= 1e-9:
        return 1
    reach = max(np.linalg.norm(p[:2] / p[2] - a[:2] / a[2]) for p in (b, c))
    return int(min(max(reach + 1e-6, 1), 64))


def _box(window: Window, width: int, height: int, size: int) -> tuple[int, int, int, int] | None:
    """First column and row and those after the last that the window reaches in a frame; None when it misses it."""
    to_frame = np.linalg.inv(window.to_window)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], float) @ to_frame.T
    if (corners[:, 2] <= 1e-9).any():  # a corner lies behind the camera: anything may be reached
        return 0, 0, width, height
    places = corners[:, :2] / corners[:, 2:]
    low = np.clip(np.floor(places.min(0)) - 2, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(places.max(0)) + 2, 0, (width, height)).astype(int)
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1])) if (high > low).all() else None


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
