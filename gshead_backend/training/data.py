"""Crops from disk, and batches in an order that depends on nothing but the seed and the step."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from ..errors import ArgumentError, FileFormatError

_DTYPES = {"U8": np.uint8, "F16": np.float16, "F32": np.float32, "I32": np.int32, "I64": np.int64}


class Chunk:
    """One memory-mapped chunk file; opened when it is first read, so that it can be handed to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > 1_000_000:
                    raise ValueError("its header is too long")
                self._header: dict[str, Any] = json.loads(file.read(length))
            self._start = 8 + length
            self.count = int(self._header["seed"]["shape"][0])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise FileFormatError(
                f"{path} is not a chunk of training crops: {error}.", remedy="Remove it and prepare it again."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_bytes"}

    @cached_property
    def _bytes(self) -> np.ndarray:
        return np.memmap(self.path, np.uint8, "r")

    def array(self, key: str) -> np.ndarray:
        """A read-only view of all samples' values."""
        entry = self._header[key]
        low, high = (self._start + int(o) for o in entry["data_offsets"])
        return np.frombuffer(self._bytes[low:high], _DTYPES[entry["dtype"]]).reshape(entry["shape"])


class Crops:
    """All samples of one split of a folder made by ``crops.prepare``.

    Raises:
        ArgumentError: the folder holds none. FileFormatError: a chunk is damaged.
    """

    def __init__(self, folder: Path, split: str, limit: int | None = None) -> None:
        files = sorted(p for p in (folder / split).glob("*.safetensors") if p.name[0] != ".")  # that: half-written
        chunks = [Chunk(p) for p in files]
        self._places = [(chunk, i) for chunk in chunks for i in range(chunk.count)][:limit]
        if not self._places:
            raise ArgumentError(
                f"There are no training crops in {folder / split}.",
                remedy="Make them with 'gshead train heads --data FOLDER' for rar and sega's decoders, with "
                "'gshead train data --data FOLDER' for the others.",
            )

    def mixed(self, other: Crops, share: float) -> Crops:
        """These samples and so many of ``other``, repeated as often as needed, that they are ``share`` (0..1) of all.

        Of a share of 1 or 0 only the one or the other.
        """
        mixed = copy.copy(self)
        count = round(share / (1 - share) * len(self)) if share < 1 else len(other)
        mine = self._places if share < 1 else []
        mixed._places = mine + [other._places[k % len(other)] for k in range(count)]
        return mixed

    def need(self, key: str, who: str) -> None:
        """Raises ArgumentError when a chunk was made without ``key``, which ``who`` learns from."""
        for chunk in dict.fromkeys(chunk for chunk, _ in self._places):
            if key not in chunk._header:
                raise ArgumentError(
                    f"{chunk.path} holds no '{key}', which {who} learns from.",
                    remedy="'gshead train data --faces' makes crops for the regressor alone; keep others in a folder "
                    "of their own.",
                )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        chunk, i = self._places[index]
        return {key: chunk.array(key)[i] for key in chunk._header if key != "__metadata__"}

    def column(self, key: str) -> np.ndarray:
        """One value of every sample, stacked: for small arrays."""
        return np.stack([chunk.array(key)[i] for chunk, i in self._places])


MakeItem = Callable[[Crops, int, np.random.Generator], dict[str, np.ndarray]]


class Stream(Dataset):
    """Augmented items numbered through the whole training: item k of a seed is always the same."""

    def __init__(self, crops: Crops, make: MakeItem, seed: int) -> None:
        self.crops, self.make, self.seed = crops, make, seed
        self._epoch = (-1, np.zeros(0, int))

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(number, len(self.crops))
        if self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.crops))
        return self.make(self.crops, int(self._epoch[1][place]), np.random.default_rng((self.seed, 2, number)))


def batches(stream: Stream, batch: int, first_step: int, steps: int, workers: int, *, pin: bool) -> DataLoader:
    """Batches of the steps ``first_step`` .. ``steps`` - 1."""
    return DataLoader(
        stream, batch_size=batch, sampler=range(first_step * batch, steps * batch), num_workers=workers, pin_memory=pin,
        drop_last=True, prefetch_factor=4 if workers else None, multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip
