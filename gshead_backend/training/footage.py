"""A folder of prepared footage: every frame of every person, and pairs of frames that show the same person.

``gshead dataset prepare`` fills ``FOLDER/footage`` with shards (``footage_shard``). Shards are opened one by one, their
pictures are decoded when they are asked for, and a ``Footage`` can be sent to the processes of a data loader.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import ArgumentError
from .footage_shard import Frame, Shard, shard_files

__all__ = ["SHARDS", "Footage", "Frame", "split_of"]

SHARDS = "footage"
"""The folder of the shards inside the prepared folder."""
APART = 0.5
"""Seconds between source and target of a pair, where the clip is long enough."""
FACING = 55.0
"""Degrees off the face's own axis up to which a frame can stand for a portrait."""
SHARE = 0.1
"""Of the sources that are for validation."""


def split_of(source: str, share: float = SHARE) -> str:
    """ "train" or "validation", by a source's hash alone: the same on every machine, whatever else there is."""
    at = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") / 2**64
    return "validation" if at < share else "train"


class Footage:
    """All frames of one split, numbered from 0: persons one after the other, each in the order of time and view.

    Attributes:
        split: "train", "validation" or None for both. head, head_sha256: the head model that was fitted to all frames.
    """

    def __init__(self, folder: str | Path, split: str | None = None) -> None:
        """Open every shard of ``folder`` and check its form, without decoding a picture.

        Raises:
            ArgumentError: no shards, none of this split, or shards fitted with different heads.
            FileFormatError: a file that is no shard, or a damaged one; the message names it.
        """
        self.folder, self.split = Path(folder), split
        paths = shard_files(self.folder / SHARDS)
        shards = [s for s in map(Shard, paths) if split in (None, s.about.split)]
        if not shards:
            what = f"no footage of the split '{split}'" if paths else "no prepared footage"
            raise ArgumentError(
                f"There is {what} in '{self.folder}'.",
                remedy="Make it with 'gshead dataset prepare VIDEO… -o FOLDER', or of "
                "synthetic people with 'gshead train clips --data FOLDER'.",
            )
        heads = {(s.about.head, s.about.head_sha256) for s in shards}
        if len(heads) > 1:
            raise ArgumentError(
                f"The footage in '{self.folder}' was fitted with different heads: "
                f"{', '.join(sorted(name for name, _ in heads))}.", remedy="Prepare each in a folder of its own.",
            )  # fmt: skip
        self.head, self.head_sha256 = heads.pop()
        self.shards = sorted(shards, key=lambda s: (s.about.person, s.path.name))
        self._ends = np.cumsum([s.count for s in self.shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The persons' hashes, in the order of their frames."""
        return tuple(dict.fromkeys(s.about.person for s in self.shards))

    def frames_of(self, person: str) -> np.ndarray:
        """Numbers of a person's frames. Raises ``ArgumentError`` for somebody else."""
        if person not in self._frames:
            raise ArgumentError(f"There is no person '{person}' in '{self.folder}'.")
        return self._frames[person]

    def person_of(self, index: int) -> str:
        """Whose frame ``index`` is."""
        return self._place(index)[0].about.person

    def __getitem__(self, index: int) -> Frame:
        """Frame ``index``, decoded. Raises ``IndexError``, ``FileFormatError``."""
        shard, i = self._place(index)
        return shard.frame(i)

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Frame, Frame]:
        """(source, target): frame ``index`` is the target, the picture to be made; the source, which plays the
        portrait, is drawn from the same person's frames that face the camera (``FACING``), ``APART`` seconds away or
        more, or from another camera. Where there are none, the rule about time goes first, then that about facing."""
        return self[self.source_of(index, rng)], self[index]

    def source_of(self, index: int, rng: np.random.Generator) -> int:
        """The number of the source frame that ``pair`` would draw for the target ``index``."""
        mine = self.frames_of(self.person_of(index))
        apart = np.abs(self.times[mine] - self.times[index]) >= APART
        apart |= self.views[mine] != self.views[index]
        fronts, other = self.angles[mine] <= FACING, mine != index
        for allowed in (fronts & apart, fronts & other, fronts, other, np.ones(mine.size, bool)):
            if allowed.any():
                return int(rng.choice(mine[allowed]))
        raise AssertionError

    @cached_property
    def times(self) -> np.ndarray:
        """(n,) seconds."""
        return np.concatenate([s.arrays["time"] for s in self.shards])

    @cached_property
    def views(self) -> np.ndarray:
        """(n,) cameras."""
        return np.concatenate([s.arrays["view"] for s in self.shards])

    @cached_property
    def angles(self) -> np.ndarray:
        """(n,) degrees between where the face looks and where the camera stands."""
        viewmat = np.concatenate([s.arrays["viewmat"] for s in self.shards]).astype(np.float64)
        eye = -np.einsum("nji,nj->ni", viewmat[:, :3, :3], viewmat[:, :3, 3])
        cosine = eye[:, 2] / np.maximum(np.linalg.norm(eye, axis=1), 1e-9)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    @cached_property
    def _frames(self) -> dict[str, np.ndarray]:
        starts = self._ends - [s.count for s in self.shards]
        out: dict[str, list[np.ndarray]] = {}
        for shard, start in zip(self.shards, starts, strict=True):
            out.setdefault(shard.about.person, []).append(np.arange(start, start + shard.count))
        return {person: np.concatenate(parts) for person, parts in out.items()}

    def _place(self, index: int) -> tuple[Shard, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        k = int(np.searchsorted(self._ends, index, side="right"))
        return self.shards[k], int(index - (self._ends[k - 1] if k else 0))
