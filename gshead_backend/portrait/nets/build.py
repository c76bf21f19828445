"""A network made from a weight file, ready to run."""

from __future__ import annotations

import torch
from torch import nn

from ...errors import FileFormatError
from .weights import Weights

MAX_WIDTH = 1024


def build(kind: type[nn.Module], weights: Weights) -> nn.Module:
    """The network of this shape with these numbers, to be run. Raises ``FileFormatError`` if they do not fit."""
    shape = weights.header.shape
    if not all(8 <= value <= MAX_WIDTH for value in shape.values()):
        raise FileFormatError(f"A weight file asks for a network of the shape {shape}.")
    try:
        net = kind(**shape)
        net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(f"A weight file does not fit its network: {str(error).splitlines()[0]}") from error
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
