"""A data folder with GAGAvatar installed from a file of the released layout, by the commands that a user gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from small_flame import write_small_flame

from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.layout import released_shapes


def install_released(home: Path, gshead: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Random weights of the recipe's set 1 and a fabricated FLAME head, imported into ``home``."""
    model = {name: torch.from_numpy(recipe.weight(name, shape, 1)) for name, shape in released_shapes().items()}
    torch.save({"meta_cfg": {}, "model": model}, home / "GAGAvatar.pt")
    del model
    write_small_flame(home / "flame.pkl")
    for arguments in (
        ("weights", "import", "gagavatar", home / "GAGAvatar.pt"),
        ("head", "import", home / "flame.pkl"),
    ):
        done = gshead(*arguments[:-1], home / arguments[-1])
        assert done.returncode == 0, done.stderr
    (home / "GAGAvatar.pt").unlink()
