"""A face over time: video or pictures to expression, gaze and head motion, frame by frame."""

from .clip import Clip, open_clip, open_video
from .store import forget
from .tracker import Track, track

__all__ = ["Clip", "Track", "forget", "open_clip", "open_video", "track"]
