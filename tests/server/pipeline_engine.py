"""The engine as it works on a GPU — batches, tickets, memory that is used again — on torch's CPU device."""

from __future__ import annotations

from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.server.engine import Engine
from gshead_backend.server.frames_cuda import FramePipeline


class PipelineEngine(Engine):
    def __init__(self, device: str) -> None:
        super().__init__("cpu")
        self._pipeline, self.batch = FramePipeline("cpu"), 8

    def _ready(self, avatar):
        return TorchAvatar(avatar, "cpu")
