"""Rendered frames as a video, by an ffmpeg that is installed beside gshead: the optional extra ``video`` brings one.

ffmpeg runs as a program of its own and is handed raw frames; nothing of it is linked or shipped.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import ArgumentError, ExportError, MissingEncoderError
from ..files import atomic_path
from ..protocol.transfer import unpremultiply

_COLORS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1", "-color_range", "tv")
_SCALE = ("-vf", "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd")


@dataclass(frozen=True)
class _Kind:
    transparent: bool
    arguments: tuple[str, ...]


KINDS = {
    ".mp4": _Kind(False, ("-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-movflags", "+faststart")),
    ".webm": _Kind(True, ("-c:v", "libvpx-vp9", "-crf", "18", "-b:v", "0", "-pix_fmt", "yuva420p", "-row-mt", "1")),
    ".mov": _Kind(True, ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")),
}
"""By ending: H.264 (opaque), VP9 and ProRes 4444 (with alpha)."""


def find_encoder() -> str:
    """The ffmpeg to run: ``$GSHEAD_FFMPEG``, that on the path, or that of the ``video`` extra.

    Raises ``MissingEncoderError``.
    """
    if chosen := os.environ.get("GSHEAD_FFMPEG") or shutil.which("ffmpeg"):
        return chosen
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        try:
            return importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
        except RuntimeError as error:
            raise _missing(f"{error}") from error
    raise _missing("There is no ffmpeg on this machine.")


@contextlib.contextmanager
def video_writer(
    path: str | Path, size: tuple[int, int], fps: float, *, transparent: bool = False, comment: str = ""
) -> Iterator[Callable[..., None]]:
    """``with video_writer(…) as write: write(color, alpha)``: the file appears when the block ends well, else nothing.

    ``write`` takes one frame: (H, W, 3) sRGB-encoded, premultiplied by (H, W) alpha if the video is transparent.

    Args:
        path: its ending chooses the kind: .mp4, .webm or .mov. size: (width, height), even for .mp4 and .webm.
        fps: frames per second. transparent: whether frames bring alpha; .mp4 has none.
        comment: kept in the file, where players show it.
    Raises:
        ArgumentError: an ending or size that cannot be. MissingEncoderError: no ffmpeg. ExportError: it failed.
    """
    path = Path(path)
    command = [find_encoder(), *_arguments(path, size, fps, transparent)]
    command += ["-metadata", f"comment={comment}"] if comment else []
    with atomic_path(path) as temporary, tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                [*command, str(temporary.absolute())],  # a relative name with a colon would be a protocol
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        except OSError as error:
            raise _missing(f"'{command[0]}' cannot be run: {error.strerror or error}.") from error
        assert process.stdin is not None
        pipe, written = process.stdin, 0

        def write(color: np.ndarray, alpha: np.ndarray | None = None) -> None:
            nonlocal written
            pipe.write(_pixels(color, alpha, size, transparent))
            written += 1

        try:
            yield write
            if not written:
                raise ArgumentError(f"The video '{path.name}' got not one frame.")
            pipe.close()
        except OSError as error:  # it has gone, and said why
            process.wait()
            raise _failure(path, process, log) from error
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(OSError):
                pipe.close()
            process.wait()
        if process.returncode != 0:
            raise _failure(path, process, log)


def _arguments(path: Path, size: tuple[int, int], fps: float, transparent: bool) -> list[str]:
    ending = path.suffix.lower()
    if ending not in KINDS:
        raise ArgumentError(f"'{path.name}' must end in {', '.join(KINDS)}.")
    if transparent and not KINDS[ending].transparent:
        raise ArgumentError(
            f"'{path.name}' cannot be transparent.", remedy="Give a background colour, or write .webm or .mov."
        )
    if ending != ".mov" and (size[0] % 2 or size[1] % 2):
        raise ArgumentError(f"A {ending} video has an even width and height, not {size[0]}x{size[1]}.")
    if not 0 < fps <= 1000:
        raise ArgumentError(f"fps must lie in 0..1000, got {fps}.")
    layout = [
        "-pix_fmt",
        "rgba" if transparent else "rgb24",
        "-s",
        f"{size[0]}x{size[1]}",
        "-r",
        str(Fraction(fps).limit_denominator(1001)),
    ]
    return [
        *("-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", *layout, "-i", "-"),
        *(*_SCALE, *KINDS[ending].arguments, *_COLORS),
    ]


def _pixels(color: np.ndarray, alpha: np.ndarray | None, size: tuple[int, int], transparent: bool) -> bytes:
    if color.shape != (size[1], size[0], 3) or (alpha is None) == transparent:
        raise ArgumentError(f"A frame of shape {color.shape} does not fit a video of {size[0]}x{size[1]}.")
    if alpha is not None:
        color = np.concatenate([unpremultiply(color, alpha), alpha[..., None]], 2)
    return np.round(np.clip(color, 0, 1) * 255).astype(np.uint8).tobytes()


def _failure(path: Path, process: subprocess.Popen[bytes], log: IO[bytes]) -> ExportError:
    log.seek(0)
    said = log.read().decode("utf-8", "replace").strip().splitlines()
    text = said[-1] if said else f"exit code {process.returncode}"
    if any("Unknown encoder" in line for line in said):
        return _missing(f"The ffmpeg on this machine cannot write {path.suffix}: {text}.")
    return ExportError(f"'{path}' could not be written; ffmpeg said: {text}.")


def _missing(what: str) -> MissingEncoderError:
    return MissingEncoderError(
        what, remedy='Install ffmpeg, or: pip install "gshead-backend[video]". Pictures need none: give a folder.'
    )
