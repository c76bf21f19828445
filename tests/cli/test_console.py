"""Small parsers of the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from gshead_backend import errors
from gshead_backend.cli import exit_code
from gshead_backend.cli.console import bytes_text, parse_color, parse_frames, parse_size
from gshead_backend.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("7", [7]), ("1-4", [1, 2, 3, 4]), ("1-9:4", [1, 5, 9]), ("3, 5,10-12", [3, 5, 10, 11, 12]),
        ("-2-1", [-2, -1, 0, 1]), ("-5--3", [-5, -4, -3]), ("4-6,5,4", [4, 5, 6]),
    ],
)  # fmt: skip
def test_frames(text: str, frames: list[int]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "a", "1-", "5-1", "1-3:0", "1..4", "1-999999999", "1,,2"])
def test_bad_frames_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        parse_frames(text)


def test_sizes_and_colours() -> None:
    assert parse_size("640x360") == (640, 360)
    assert parse_size("512") == (512, 512)
    for text in ("0x5", "20000", "-3", "axb", "5x"):
        with pytest.raises(ArgumentError):
            parse_size(text)
    assert parse_color("transparent") is None
    assert parse_color("white") == (1, 1, 1)
    assert parse_color("#FF0000") == (1, 0, 0)
    for text in ("#fff", "red-ish", "#gg0000"):
        with pytest.raises(ArgumentError):
            parse_color(text)


def test_bytes_are_readable() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 1234567, 5e12)] == ["0 B", "999 B", "1.0 kB", "1.2 MB", "5000.0 GB"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ArgumentError, 2), (errors.FileFormatError, 3), (errors.MissingAssetError, 4), (errors.Cancelled, 130),
        (errors.HeadError, 3), (errors.UnsafePickleError, 3), (errors.NoFaceError, 3), (errors.RenderError, 4),
        (errors.OutOfMemoryError, 4), (errors.VersionError, 4), (errors.BackendDiedError, 4), (errors.ExportError, 1),
        (errors.GsheadError, 1),
    ],
)  # fmt: skip
def test_every_family_of_errors_has_its_exit_code(error: type[errors.GsheadError], code: int) -> None:
    assert exit_code(error("x")) == code


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_that_something_swallowed_ends_the_work_at_the_next_step() -> None:
    code = """
import os, signal
from gshead_backend.cli.console import Progress
progress = Progress()
progress(0.1, "working")
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("swallowed")
try:
    progress(0.2, "working")
except KeyboardInterrupt:
    print("raised again")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["swallowed", "raised again"]
