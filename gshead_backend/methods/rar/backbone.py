"""An outside image backbone: a frozen vision transformer of DINOv2's kind from a file that the user has."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from ...errors import FileFormatError, MissingWeightsError
from ..gagavatar.config import Config
from ..gagavatar.vit import VisionTransformer

VARIABLE = "GSHEAD_BACKBONE"
SIDE = 16  # patches along a side of the picture it is shown
_HEAD = 64
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """net: the transformer. channels: of its tokens. sha256: of its file."""

    net: VisionTransformer
    channels: int
    sha256: str

    @torch.no_grad()
    def tokens(self, picture: Tensor) -> Tensor:
        """(B, 6, P, P) of ``observe.Observation`` to (B, SIDE², channels), on the picture's device."""
        self.net.to(picture.device)  # it is read on the CPU, before anybody knows where it is to work
        rgb = picture[:, :3] + 0.5
        side = SIDE * self.net.patch_embed.proj.kernel_size[0]
        rgb = F.interpolate(rgb, (side, side), mode="bicubic", align_corners=False).clamp(0, 1)
        mean, std = (rgb.new_tensor(v)[:, None, None] for v in (_MEAN, _STD))
        return self.net((rgb - mean) / std, last=1)[0]


def load_backbone(path: Path) -> Backbone:
    """Read a ``.safetensors`` file with the names of DINOv2's authors (``patch_embed.proj.weight``, ``blocks.0...``).

    Raises ``FileFormatError`` when it is something else.
    """
    try:
        data = path.read_bytes()
        found = vit_weights(data)
        width, patch = found["pos_embed"].shape[2], found["patch_embed.proj.weight"].shape[-1]
        depth = 1 + max(int(name.split(".")[1]) for name in found if name.startswith("blocks."))
        config = Config(image=SIDE * patch, patch=patch, width=width, depth=depth, heads=max(1, width // _HEAD))
        net = VisionTransformer(config)
        net.load_state_dict(found)
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, RuntimeError) as error:
        raise not_a_backbone(path, error) from error
    return Backbone(net.eval().requires_grad_(False), width, hashlib.sha256(data).hexdigest())


def vit_weights(data: bytes, side: int = SIDE) -> dict[str, Tensor]:
    """The float32 entries of such a file, its position embeddings resized for ``side`` patches a side. Raises
    ``SafetensorError``, ``KeyError``."""
    found = {k: v.float() for k, v in safetensors.torch.load(data).items() if k != "mask_token"}
    found["pos_embed"] = _resized(found["pos_embed"], side)
    return found


def not_a_backbone(path: Path, error: Exception) -> FileFormatError:
    """What to say of a file that ``vit_weights`` or a transformer did not take."""
    return FileFormatError(
        f"'{path}' is no vision transformer in DINOv2's layout: {str(error).splitlines()[0]}.",
        remedy="Save the model's state_dict() under its authors' names with safetensors.torch.save_file.",
    )


def required_backbone(sha256: str) -> Backbone:
    """The backbone that weights were trained with. Raises ``MissingWeightsError``, ``FileFormatError``."""
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        raise MissingWeightsError(
            f"The weights of rar were trained on an image backbone ({sha256[:16]}) that is not part of gshead.",
            remedy=f"Set {VARIABLE} to its .safetensors file.",
        )
    backbone = load_backbone(Path(chosen))
    if backbone.sha256 != sha256:
        raise MissingWeightsError(
            f"{chosen} is another backbone ({backbone.sha256[:16]}) than these weights of rar were trained on "
            f"({sha256[:16]}).",
            remedy=f"Set {VARIABLE} to the right .safetensors file.",
        )
    return backbone


def _resized(position: Tensor, side: int) -> Tensor:
    """(1, 1 + g², C) position embeddings for ``side`` patches a side instead of g."""
    first, grid = position[:, :1], position[:, 1:]
    g = round(grid.shape[1] ** 0.5)
    if g == side:
        return position
    maps = grid.transpose(1, 2).unflatten(2, (g, g))
    maps = F.interpolate(maps, (side, side), mode="bicubic", align_corners=False)
    return torch.cat([first, maps.flatten(2).transpose(1, 2)], 1)
