"""Proper messages to start from, one of every type, and what reads them."""

from __future__ import annotations

from typing import Any

UNIT = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
CAMERA = {"width": 8, "height": 8, "K": [9.0, 0, 4, 0, 9, 4, 0, 0, 1], "viewmat": UNIT, "near": 0.01, "far": 100.0}
AVATAR = "ab" * 32


def requests(session: str = "s" * 32, avatar: str = AVATAR) -> list[dict[str, Any]]:
    """Headers of a client that change nothing for others."""
    head = {"avatar_id": avatar, "matrix": UNIT, "pose": [0.0] * 22}
    shaped = {"avatar_id": avatar, "matrix": UNIT, "vertices": 0}
    common = {"v": [1, 0], "id": 7, "session": session}
    found: list[dict[str, Any]] = [
        {"type": "hello", "client": "fuzz", "package": "0.1.0", "codecs": ["lz4", "jpeg"]},
        {"type": "goodbye"},
        {"type": "cancel", "job": 3},
        {"type": "reconstruct", "method": "uvfit", "quality": "draft", "name": "n", "preview": True},
        {"type": "batch.make", "method": "uvfit", "quality": "draft", "name": "n", "seed": 1, "splats": 2000},
        {"type": "track", "path": "", "name": "t", "fps": 24.0, "smooth": 1.0, "motion": "neck", "center": False},
        {"type": "avatar.put"},
        {"type": "avatar.get", "avatar_id": avatar},
        {"type": "avatar.drop", "avatar_id": avatar},
        {"type": "frame.render", "camera": CAMERA, "instances": [head, head], "dtype": "uint8", "depth": True},
        {"type": "frame.render", "camera": CAMERA, "instances": [shaped], "dtype": "float32", "ring": True},
        {"type": "stream.open", "dtype": "uint8", "depth": False, "ring": True},
        {"type": "stream.update", "stream": 1, "token": 2, "camera": CAMERA, "instances": [head], "scale": 0.5},
        {"type": "stream.ack", "stream": 1, "token": 2},
        {"type": "stream.close", "stream": 1},
        {"type": "status"},
        {"type": "ring.release", "path": "/tmp/x", "slot": 0, "sequence": 1},
    ]
    return [{**common, **message} for message in found]


def replies() -> list[dict[str, Any]]:
    """Headers of a backend."""
    info = {"avatar_id": AVATAR, "splats": 10, "vertices": 4, "expressions": 4, "name": "n", "method": "uvfit"}
    frame = {"width": 8, "height": 8, "dtype": "uint8", "parts": ["rgba", "depth"], "codec": "lz4"}
    ring = {"path": "/run/x", "nonce": "00" * 16, "slot": 1, "sequence": 7, "sizes": [256, 256]}
    worker = {"role": "render", "state": "ready", "device": "cpu", "pid": 1, "beat_age": 0.1}
    common = {"v": [1, 0], "id": 7, "parent": 3, "session": "s" * 32}
    found: list[dict[str, Any]] = [
        {"type": "hello.reply", "boot_id": "b", "package": "1", "pid": 1, "limits": {"parts": 32}, "methods": ["uvfit"],
         "features": ["ring"], "workers": [worker]},
        {"type": "error", "code": "GSH-E500", "message": "m", "remedy": "r", "stream": 1, "token": 2},
        {"type": "progress", "fraction": 0.5, "text": "t"},
        {"type": "reconstructed", "avatar": info, "warnings": ["w"], "seconds": 1.0, "reused": True},
        {"type": "batch.made", "warnings": ["w"], "seconds": 1.0, "worker": "pool-1", "tries": 2},
        {"type": "frame", "frame": frame, "ring": ring},
        {"type": "stream.frame", "stream": 1, "token": 2, "frame": frame, "ring": ring},
        {"type": "status.reply", "seconds": 1.0, "jobs": [], "workers": [worker], "memory": {"front": 1}, "drawn": 1,
         "fps": 2.0, "sessions": [{"number": 1, "client": "c", "own": True, "seconds": 1.0, "avatars": 1, "streams": 1,
                                   "frames": 0, "fps": 2.0}]},
        {"type": "beat", "workers": [worker], "sessions": 1, "jobs": 0, "notice": ""},
    ]  # fmt: skip
    return [{**common, **message} for message in found]
