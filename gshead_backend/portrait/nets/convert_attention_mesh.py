"""Makes ``portrait/data/attention_mesh.safetensors`` from MediaPipe's TFLite file; nothing else needs this module.

    pip install tflite==2.18.0
    python -m gshead_backend.portrait.nets.convert_attention_mesh face_landmark_with_attention.tflite

The file lies in the MediaPipe 0.10.21 wheel under ``mediapipe/modules/face_landmark/``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .attention_mesh import FILE, NAME, VERSION, AttentionMesh
from .weights import Header, save_weights

SHARED_MAPS = "p_re_lu_3"
CUT = "transform_tensor_bilinear_v2"
OUTPUTS = {"mouth": "conv_lips", "right_eye": "conv_left_eye", "left_eye": "conv_right_eye"}
"""Names in the file; its sides are the picture's."""


class Graph:
    """The operations of a TFLite file."""

    def __init__(self, data: bytes) -> None:
        import tflite  # pyright: ignore[reportMissingImports]

        self.model: Any = tflite.Model.GetRootAsModel(data, 0)
        self.graph: Any = self.model.Subgraphs(0)
        self.codes = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.maker = {
            int(t): self.graph.Operators(k)
            for k in range(self.graph.OperatorsLength())
            for t in self.graph.Operators(k).OutputsAsNumpy()
        }

    def kind(self, operation: Any) -> str:
        code = self.model.OperatorCodes(operation.OpcodeIndex())
        return self.codes[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]

    def named(self, name: str) -> int:
        return next(t for t in self.maker if self.graph.Tensors(t).Name().decode() == name)

    def value(self, tensor: int) -> torch.Tensor:
        """A constant, stored as float16 behind an operation that widens it."""
        if tensor in self.maker:
            tensor = int(self.maker[tensor].Inputs(0))
        entry = self.graph.Tensors(tensor)
        raw = self.model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
        array = np.frombuffer(raw, {0: np.float32, 1: np.float16}[entry.Type()])
        return torch.from_numpy(array.reshape(entry.ShapeAsNumpy()).astype(np.float32))

    def weights(self, end: int, stop: set[int]) -> list[torch.Tensor]:
        """What the operations up to ``end`` are made with, in the order in which they run."""
        found, seen = list[Any](), set[int]()

        def visit(tensor: int) -> None:
            if tensor in stop or tensor not in self.maker or tensor in seen:
                return
            seen.add(tensor)
            operation = self.maker[tensor]
            for source in operation.InputsAsNumpy():
                visit(int(source))
            found.append(operation)

        visit(end)
        out = list[torch.Tensor]()
        for operation in found:
            _, *constants = (int(t) for t in operation.InputsAsNumpy())
            match self.kind(operation):
                case "CONV_2D":
                    out += [self.value(constants[0]).permute(0, 3, 1, 2), self.value(constants[1])]
                case "DEPTHWISE_CONV_2D":
                    out += [self.value(constants[0]).permute(3, 0, 1, 2), self.value(constants[1])]
                case "PRELU":
                    out.append(self.value(constants[0]).flatten())
        return out


def convert(source: Path, target: Path) -> None:
    """Write the weights of ``AttentionMesh``. Raises ``RuntimeError`` when the file holds another network."""
    graph, net = Graph(source.read_bytes()), AttentionMesh()
    shared = graph.named(SHARED_MAPS)
    cuts = {t for t in graph.maker if graph.graph.Tensors(t).Name().decode().startswith(CUT)}
    _give(nn.ModuleList([net.stem, net.act, net.shared]), graph.weights(shared, set()))
    for name, output in OUTPUTS.items():
        _give(net.regions[name], graph.weights(graph.named(output), cuts))
    save_weights(target, Header(NAME, VERSION, {}, list(OUTPUTS)), {k: v.numpy() for k, v in net.state_dict().items()})


def _give(module: nn.Module, weights: list[torch.Tensor]) -> None:
    own = list(module.parameters())
    if [p.shape for p in own] != [w.shape for w in weights]:
        raise RuntimeError("This is not the network of MediaPipe 0.10.21.")
    with torch.no_grad():
        for parameter, weight in zip(own, weights, strict=True):
            parameter.copy_(weight)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), FILE)
