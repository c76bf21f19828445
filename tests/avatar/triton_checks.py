"""Run by ``test_drive_batch`` in a process of its own: Triton reads TRITON_INTERPRET when it is imported.

    triton_checks.py drive KIND | pack | compile CAPABILITY

Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch


def drive(kind: str) -> dict:
    """Largest differences of ``TritonBatch`` from numpy's ``drive``."""
    from batch_fixtures import avatars_of, collapsed_meshes, poses_of, worst, worst_on_meshes
    from tiny import make_tiny_head

    from gshead_backend.avatar.drive_triton import TritonBatch

    avatar = avatars_of(make_tiny_head(), 300)[kind]
    poses = poses_of(avatar.head)
    batch = TritonBatch(avatar, len(poses), torch.device("cpu"))
    batch.from_poses(torch.zeros(len(poses), avatar.head.expression_count + 18))  # what an earlier frame leaves behind
    out = {"poses": worst(batch.from_poses(vectors(poses)), avatar, poses)}
    meshes = collapsed_meshes(avatar)
    batch = TritonBatch(avatar, len(meshes), torch.device("cpu"))
    got = batch.from_vertices(torch.tensor(np.stack(meshes)), vectors([poses[1]] * len(meshes)))
    return {**out, "meshes": worst_on_meshes(got, avatar, meshes, poses[1])}


def vectors(poses: list) -> torch.Tensor:
    return torch.tensor(np.stack([pose.to_vector() for pose in poses]))


def pack() -> dict:
    """Largest differences of the fused packing from torch's, with colour in the first channels of four."""
    from gshead_backend.server import packing_torch, packing_triton

    rng = np.random.default_rng(0)
    alpha = torch.tensor(rng.random((2, 37, 41), np.float32)) ** 4
    alpha[:, :5], alpha[:, 5:9], alpha[:, 9], alpha[:, 10] = 0.0, 1.0, 1e-6, 1.0000001
    sums = torch.tensor(rng.random((2, 37, 41, 4), np.float32) * 1.3 - 0.05) * alpha[..., None]
    out = {}
    for dtype in ("uint8", "float16", "float32"):
        for color in (sums[..., :3], sums[..., :3].contiguous(), sums[:, ::2, :, :3]):
            a = alpha if color.shape[:3] == alpha.shape else alpha[:, ::2]
            got, want = packing_triton.pack_frame(color, a, dtype), packing_torch.pack_frame(color, a, dtype)
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            difference = (got.float() - want.float()).abs()
            out[dtype] = max(out.get(dtype, 0.0), float(difference.max()))
            out[f"{dtype} share"] = float((difference > 0).float().mean())
    return out


def compile_for(capability: int) -> dict:
    """Bytes of every kernel's machine code; Triton needs no GPU for that."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from gshead_backend.avatar import drive_triton
    from gshead_backend.server import packing_triton

    whole = dict.fromkeys(("expressions", "stride", "count", "vertex_count", "moving"), "i32")
    kinds = {**whole, "corners": "*i32", "rows": "*i32"}
    jobs = [
        (drive_triton._joints, {}, {}),
        (drive_triton._skin, {}, {"BLOCK": drive_triton.BLOCK}),
        *((drive_triton._place, {}, {"DYNAMIC": d, "BLOCK": drive_triton.BLOCK}) for d in (False, True)),
        *(
            (packing_triton._pack, {"out": out}, {"KIND": kind, "BLOCK": packing_triton.BLOCK})
            for kind, out in enumerate(("*i32", "*fp16", "*fp32"))
        ),
    ]
    sizes = {}
    for function, own, constants in jobs:
        signature = {
            name: "constexpr" if name in constants else own.get(name, kinds.get(name, "*fp32"))
            for name in function.arg_names
        }
        fixed = {(function.arg_names.index(name),): value for name, value in constants.items()}
        source = ASTSource(function, signature, constexprs=fixed)
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4})
        sizes[f"{function.__name__} {constants}"] = len(made.asm["cubin"])
    return sizes


if __name__ == "__main__":
    jobs = {"drive": drive, "pack": pack, "compile": lambda c: compile_for(int(c))}
    print(json.dumps(jobs[sys.argv[1]](*sys.argv[2:])))
