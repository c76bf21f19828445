"""A network of the same build as the released one, small enough for every clone, and the recorder of its goldens.

``python tests/methods/gagavatar/small.py`` writes ``small.npz`` anew. Do that only when the full-size parity command
passes: the file says nothing but that the network still computes what it did then.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from gshead_backend.avatar.types import Avatar, NetworkPortrait
from gshead_backend.head import HeadModel
from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.checkpoint import save_converted
from gshead_backend.methods.gagavatar.compare import cut_of, parse_cut
from gshead_backend.methods.gagavatar.config import Config
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.person import PARTS
from gshead_backend.methods.gagavatar.stages import Weights, stages

SMALL = Config(
    image=70, width=48, depth=5, heads=4, levels=(16, 24, 32, 32), fused=16, points=300, embedding=16, features=8,
    lift_hidden=16, point_hidden=16, size=64, style=32, unet_most=16, unet_total=512,
)  # fmt: skip
FILE = Path(__file__).with_name("small.npz")
NUMBER = 20
KEPT = 700
"""About so many values of each tensor are kept."""


def small_weights(number: int = NUMBER) -> Weights:
    return Weights(used_shapes(SMALL), number, SMALL)


def small_network(number: int = NUMBER) -> Network:
    return Network.with_weights(small_weights(number).used, SMALL)


def config_for(head: HeadModel) -> Config:
    """The small network, driven by a head's own vertices."""
    names = [name for name in PARTS if name in head.region_names]
    return replace(SMALL, points=int(np.flatnonzero(~head.region_mask(*names))[-1]) + 1)


def install(folder: Path, head: HeadModel, number: int = NUMBER) -> Path:
    """A data folder (``$GSHEAD_DATA_DIR``) with random weights of a small network for a head."""
    config = config_for(head)
    path = folder / "weights" / "gagavatar.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_converted(Weights(used_shapes(config), number, config).used, path, {"origin": "made up"}, config)
    return folder


def with_portrait(avatar: Avatar, number: int = NUMBER) -> Avatar:
    """The avatar as if the network drew it, from a made-up picture."""
    given = recipe.inputs(number, SMALL.image, 10)
    image = np.ascontiguousarray((given.image.transpose(1, 2, 0) * 255).round().astype(np.uint8))
    return replace(avatar, portrait=NetworkPortrait(image, given.source.astype(np.float32)), method="gagavatar")


def _cut(shape: tuple[int, ...]) -> str:
    step = max(1, math.prod(shape) // KEPT)
    if len(shape) == 3:
        root = max(1, round(math.sqrt(step)))
        return f"[:, ::{root}, ::{root}]"
    return f"[::{step}]"


def record(path: Path) -> None:
    """Write the goldens of the small network."""
    weights = small_weights()
    arrays: dict[str, np.ndarray] = {"w.all|sum_abssum": weights.probes["all"]}
    cuts = {}
    for name, value in stages(Network.with_weights(weights.used, SMALL), NUMBER):
        cuts[name] = _cut(value.shape)
        arrays[f"{name}|slice"] = value[parse_cut(cuts[name])]
        arrays[f"{name}|stats"] = cut_of(value, "stats", np.empty(5), ())
        if name.endswith((".raster", ".rgb")):
            side = value.shape[1] // 8
            arrays[f"{name}|pool"] = cut_of(value, "pool", np.empty((value.shape[0], side, side)), ())
    meta = json.dumps({"S": NUMBER, "config": asdict(SMALL), "slices": cuts})
    np.savez_compressed(path, meta=np.array(meta), **{k: v.astype(v.dtype) for k, v in arrays.items()})


if __name__ == "__main__":
    record(FILE)
