"""The ring file: right bytes, checked sequence, privacy, and refusal of anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.errors import BackendError, ProtocolError
from gshead_backend.protocol.ring import Ring


@pytest.fixture
def ring(tmp_path):
    made = Ring.create(tmp_path / "r", slots=3, slot_bytes=100_000)
    yield made
    made.close()


def test_slots_hold_what_was_written_and_only_under_their_sequence(ring):
    reader = Ring.open(ring.path, ring.nonce)
    a, b = np.arange(1000, dtype=np.float32), np.arange(60_000, dtype=np.uint8)
    sizes = ring.write(0, 1, [a, b])
    assert ring.write(2, 2, [b]) == [60_000]
    got = reader.read(0, 1, sizes)
    assert np.array_equal(got[0].view(np.float32), a)
    assert np.array_equal(got[1], b)
    assert got[0].flags.writeable
    with pytest.raises(ProtocolError, match="held frame 1"):
        reader.read(0, 2, sizes)
    with pytest.raises(ProtocolError, match="held frame 0"):
        reader.read(1, 1, sizes)
    ring.write(0, 5, [b])
    with pytest.raises(ProtocolError):
        reader.read(0, 1, sizes)
    reader.close()
    reader.close()


def test_a_slot_overwritten_during_the_copy_is_noticed(ring):
    reader = Ring.open(ring.path, ring.nonce)
    stop = threading.Event()
    torn, whole, refused = 0, 0, 0

    def overwrite() -> None:
        sequence = 1
        while not stop.is_set():
            ring.write(0, sequence, [np.full(100_000, sequence % 251, np.uint8)])
            sequence += 1

    thread = threading.Thread(target=overwrite)
    thread.start()
    for i in range(3000):
        try:
            data = reader.read(0, i + 1, [100_000])[0]
        except ProtocolError:
            refused += 1
            continue
        whole += 1
        torn += int(data.min() != data.max())
    stop.set()
    thread.join()
    reader.close()
    assert torn == 0
    assert whole + refused == 3000
    assert refused > 0


def test_the_file_is_private_and_reserved(ring):
    assert ring.path.stat().st_mode & 0o777 == 0o600
    assert ring.path.stat().st_blocks * 512 >= 3 * 100_000


def test_bad_slots_and_sizes(ring):
    with pytest.raises(ProtocolError, match="no slot 3"):
        ring.write(3, 1, [np.zeros(1)])
    with pytest.raises(ProtocolError, match="do not fit"):
        ring.write(0, 1, [np.zeros(200_000, np.uint8)])
    with pytest.raises(ProtocolError, match="do not fit"):
        ring.read(0, 1, [200_000])
    with pytest.raises(ProtocolError, match="do not fit"):
        ring.read(0, 1, [-5])


def test_a_ring_that_is_cut_off_is_an_error_and_not_the_end_of_the_process(ring):
    writer, reader = ring, Ring.open(ring.path, ring.nonce)
    try:
        sizes = writer.write(1, 5, [np.arange(1000, dtype=np.uint8)])
        assert reader.read(1, 5, sizes)
        for size in (8192, 4096, 0):
            os.truncate(ring.path, size)
            with pytest.raises(ProtocolError, match="cut off"):
                reader.read(1, 5, sizes)
    finally:
        reader.close()


def test_only_the_named_ring_opens(ring, tmp_path):
    with pytest.raises(ProtocolError, match="another session"):
        Ring.open(ring.path, "00" * 16)
    with pytest.raises(ProtocolError, match="cannot be opened"):
        Ring.open(tmp_path / "missing", ring.nonce)
    link = tmp_path / "link"
    link.symlink_to(ring.path)
    with pytest.raises(ProtocolError, match="cannot be opened"):
        Ring.open(link, ring.nonce)
    with pytest.raises(BackendError):
        Ring.create(ring.path, slots=1, slot_bytes=1)
    for content in (b"", b"x" * 8192, ring.path.read_bytes()[:-4096]):
        broken = tmp_path / f"broken{len(content)}"
        broken.write_bytes(content)
        with pytest.raises(ProtocolError):
            Ring.open(broken, ring.nonce)


def test_no_space_is_an_error_not_a_crash(tmp_path):
    with pytest.raises(BackendError, match="No ring"):
        Ring.create(tmp_path / "huge", slots=3, slot_bytes=1 << 50)
    assert not (tmp_path / "huge").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as a second user")
def test_a_ring_is_out_of_reach_for_a_second_user_and_one_of_his_is_not_opened():
    """He can neither read the file nor have one of his taken for it: another uid, and a file that changed hands."""
    code = (
        "import os, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "os.stat(sys.argv[1])\n"
        "try: open(sys.argv[1], 'rb')\n"
        "except PermissionError: print('refused')\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)  # as if the folder were open: the file's own mode has to do
        ring = Ring.create(Path(folder) / "r", slots=1, slot_bytes=4096)
        try:
            command = [sys.executable, "-c", code, str(ring.path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert done.stdout.strip() == "refused", done.stderr
            os.chown(ring.path, 65534, 65534)
            with pytest.raises(ProtocolError, match="belongs to another user"):
                Ring.open(ring.path, ring.nonce)
        finally:
            ring.close()
