"""A virtual screen whose pixels can be read without any screenshot tool."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

WIDTH, HEIGHT = 1280, 800


@contextlib.contextmanager
def virtual_screen(directory: Path) -> Iterator[tuple[str, Path]]:
    """An X server of its own for the block; yields its display name and the file that mirrors its pixels."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(directory)]
    server = subprocess.Popen(
        [*command, "+extension", "GLX", "-nolisten", "tcp"], pass_fds=[write_end], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write_end)
    try:
        with open(read_end, encoding="ascii") as pipe:
            number = pipe.readline().strip()
        assert number, f"Xvfb ended with exit status {server.wait()}"
        yield f":{number}", directory / "Xvfb_screen0"
    finally:
        server.terminate()
        server.wait(10)
