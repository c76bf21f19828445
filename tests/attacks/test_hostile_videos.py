"""Video files of strangers: cut off, empty, of absurd sizes, of another kind, or lists of other files."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mutate import damaged

from gshead_backend.errors import ArgumentError, GsheadError, NoFaceError
from gshead_backend.head import default_head
from gshead_backend.portrait.tracking import open_clip, track

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "good.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 24, (64, 48))
    for i in range(8):
        writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    writer.release()
    return path


def frames(path: Path) -> int:
    """How many pictures come; each of them small."""
    count = 0
    for _, seconds, image in open_clip(path).frames():
        assert np.isfinite(seconds)
        assert image is None or max(image.shape[:2]) <= 1280
        count += 1
        assert count < 10_000, "a clip that never ends"
    return count


LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile secret.avi\n",
    "concat.avi": "ffconcat version 1.0\nfile '{folder}/secret.avi'\n",
    "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.avi\n#EXT-X-ENDLIST\n",
    "playlist.mov": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{folder}/secret.avi\n#EXT-X-ENDLIST\n",
    "manifest.mpd": '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>secret.avi</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 26\n",
    "numbers%03d.avi": "nothing",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_other_files_is_no_video(tmp_path: Path, video: Path, name: str) -> None:
    """What it names is a proper video, so that a reader which follows it would get frames."""
    (tmp_path / "secret.avi").write_bytes(video.read_bytes())
    for i in range(3):
        (tmp_path / f"numbers{i:03d}.avi").write_bytes(video.read_bytes())
    (tmp_path / name).write_text(LISTS[name].format(folder=tmp_path))
    with pytest.raises(ArgumentError, match="is not a video that can be read"):
        open_clip(tmp_path / name)


def test_other_kinds_of_files_under_a_videos_name_are_refused(tmp_path: Path, video: Path) -> None:
    picture = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    contents = {
        "picture.mp4": picture, "picture1.avi": picture, "empty.mp4": b"", "zeros.mov": bytes(5000),
        "archive.mp4": b"PK\3\4" + bytes(500),
        "program.mkv": b"\x7fELF" + bytes(500), "page.webm": b"<html><video src=secret.avi></html>",
        "noise.avi": random.Random(3).randbytes(20_000), "cut.avi": video.read_bytes()[:60],
    }  # fmt: skip
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArgumentError, match=name):
            open_clip(tmp_path / name)
    (tmp_path / "video.txt").write_bytes(video.read_bytes())
    assert frames(tmp_path / "video.txt") == 8, "what counts is what is in it"


def test_a_video_of_no_frames_has_no_face(tmp_path: Path, video: Path) -> None:
    data = video.read_bytes()
    (tmp_path / "none.avi").write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises((ArgumentError, NoFaceError)):
        track(open_clip(tmp_path / "none.avi"), default_head(), workers=1)


def test_sizes_that_a_header_claims_are_not_believed(tmp_path: Path, video: Path) -> None:
    """Width and height of 2³¹ − 1 and of 0: refused, or read as the small pictures that are there."""
    data = video.read_bytes()
    at = data.index(b"strf") + 8 + 4  # BITMAPINFOHEADER: width and height follow its size
    for width, height in ((2**31 - 1, 2**31 - 1), (65_500, 65_500), (0, 0), (-64, -48), (1, 2**31 - 1)):
        (tmp_path / "lies.avi").write_bytes(data[:at] + struct.pack("<ii", width, height) + data[at + 8 :])
        code = (
            "import resource, sys; from pathlib import Path; from gshead_backend.errors import GsheadError\n"
            "from gshead_backend.portrait.tracking import open_clip\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            f"try: print(sum(1 for _ in open_clip(Path({str(tmp_path / 'lies.avi')!r})).frames()))\n"
            "except GsheadError as error: print(error.code)\n"
            "print('grown', (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr[-800:]
        assert int(done.stdout.split("grown")[1]) < 600, (width, height, done.stdout)


def test_damaged_videos_are_read_or_refused(tmp_path: Path, video: Path) -> None:
    data, seen = video.read_bytes(), {"read": 0, "refused": 0}
    head = data[:600]
    mutants = [*damaged(head, 40, 11), *(data[:cut] for cut in range(100, len(data), len(data) // 20))]
    for number, mutant in enumerate(mutants):
        path = tmp_path / "damaged.avi"
        path.write_bytes(mutant + data[600:] if number < 40 else mutant)
        try:
            frames(path)
            seen["read"] += 1
        except GsheadError:
            seen["refused"] += 1
    assert seen["read"] > 3, seen
    assert seen["refused"] > 3, seen
