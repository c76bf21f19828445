"""Takes made stronger, calmer, or of another rate. Each function returns a new take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import ArgumentError
from ..head import ARKIT_INDEX, ARKIT_NAMES
from ..head.smoothing import HEAD_SECONDS, QUICK_SECONDS, smooth_channels, smoothed
from .live_link import MAX_SCALE
from .take import MAX_FRAMES, ROTATIONS, Channel, Take

MAX_SMOOTH = 5.0


def scaled(take: Take, factor: float) -> Take:
    """Every value times ``factor``, 0..10; ARKit channels stay in 0..1 (or in what the take itself goes beyond it)."""
    if not 0 <= factor <= MAX_SCALE:
        raise ArgumentError(f"A take is scaled by 0 to {MAX_SCALE:g}, not {factor:g}.")
    if factor == 1:
        return take
    channels = {}
    for name, channel in take.channels.items():
        values = channel.values * factor
        if name in ROTATIONS:
            values = np.clip(values, -720, 720)
        else:
            values = np.clip(values, min(0.0, channel.values.min()), max(1.0, channel.values.max()))
        channels[name] = replace(channel, values=values)
    return replace(take, channels=channels)


def smoothed_take(take: Take, strength: float) -> Take:
    """Calmer in time, without lag, as ``gshead track --smooth`` does; 0 leaves it alone, 1 is usual, at most 5.

    Blinks stay as they are. The result has one key a frame.
    """
    if not 0 <= strength <= MAX_SMOOTH:
        raise ArgumentError(f"A take is smoothed by 0 to {MAX_SMOOTH:g}, not {strength:g}.")
    if strength == 0 or not take.channels:
        return take
    frames = np.arange(take.start, take.end + 1, dtype=np.float64)
    arkit = np.stack([take.sample(name) for name in ARKIT_NAMES], 1)
    calm = smooth_channels(arkit, take.fps, strength)
    channels = {}
    for name in take.channels:
        if name in ROTATIONS:
            seconds = HEAD_SECONDS if name in ROTATIONS[:2] else QUICK_SECONDS
            values = np.clip(smoothed(take.sample(name), take.fps, seconds * strength), -720, 720)
        else:
            values = calm[:, ARKIT_INDEX[name]]
        channels[name] = Channel(frames, values)
    return replace(take, channels=channels)


def at_rate(take: Take, fps: float) -> Take:
    """The same motion at another rate: what has a key on every frame gets one on every new frame (values in between
    are on a straight line); sparse keys are moved, fractions of frames included."""
    if not 0 < fps <= 1000:
        raise ArgumentError(f"A take has 1 to 1000 frames per second, got {fps:g}.")
    if abs(fps - take.fps) < 1e-9:
        return take
    factor = fps / take.fps
    count = round((take.frame_count - 1) * factor) + 1
    if count > MAX_FRAMES:
        raise ArgumentError(f"The take would have {count} frames at {fps:g} a second; {MAX_FRAMES} are the most.")
    frames = np.arange(take.start, take.start + count, dtype=np.float64)
    channels = {}
    for name, channel in take.channels.items():
        if dense(take, channel):
            channels[name] = Channel(frames, channel.at(take.start + (frames - take.start) / factor))
        else:
            channels[name] = replace(channel, frames=take.start + (channel.frames - take.start) * factor)
    return Take(fps, count, channels, take.start, take.name)


def shifted(take: Take, frames: int) -> Take:
    """Everything so many frames later, earlier when negative."""
    channels = {name: replace(channel, frames=channel.frames + frames) for name, channel in take.channels.items()}
    return Take(take.fps, take.frame_count, channels, take.start + frames, take.name)


def dense(take: Take, channel: Channel) -> bool:
    """A channel with a key on every whole frame of the take, and nothing else."""
    every = np.arange(take.start, take.end + 1)
    return channel.interpolation == "linear" and np.array_equal(channel.frames, every)
