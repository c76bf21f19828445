"""Actions as strips of the nonlinear animation."""

from __future__ import annotations

from typing import Any


def push_down(obj: Any) -> Any:
    """Put the current action of ``obj`` on a new track of its own, at its own frames; returns the strip.

    The object has no current action afterwards, so the strip plays. It holds its last values; before it begins, the
    tracks below show through.
    """
    animation = obj.animation_data
    action, slot = animation.action, animation.action_slot
    first = animation.nla_tracks[0] if animation.nla_tracks else None
    start = float(action.frame_range[0])
    animation.action = None
    track = animation.nla_tracks.new()
    track.name = action.name
    strip = track.strips.new(action.name, int(start), action)
    strip.action_slot = slot
    strip.extrapolation = "HOLD" if first is None else "HOLD_FORWARD"
    strip.frame_start = start  # ``new`` takes whole frames only
    return strip
