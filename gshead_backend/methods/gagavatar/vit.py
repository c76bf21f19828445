"""A vision transformer with the names and arithmetic of DINOv2 (Oquab et al. 2023), without registers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import Config

NORM_EPSILON = 1e-6


class PatchEmbed(nn.Module):
    """Pictures (B, 3, S, S) to tokens (B, P, width), row by row."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, c.width, c.patch, c.patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv = nn.Linear(c.width, 3 * c.width)
        self.proj = nn.Linear(c.width, c.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(c.width, NORM_EPSILON)
        self.attn = Attention(c)
        self.ls1 = LayerScale(c.width)
        self.norm2 = nn.LayerNorm(c.width, NORM_EPSILON)
        self.mlp = Mlp(c.width)
        self.ls2 = LayerScale(c.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """The encoder's trunk. Position embeddings are used as stored: the picture has the size they were made for."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + c.grid**2, c.width))
        self.patch_embed = PatchEmbed(c)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.norm = nn.LayerNorm(c.width, NORM_EPSILON)

    def forward(self, image: Tensor, last: int = 4) -> list[Tensor]:
        """Patch tokens (B, P, width) of the ``last`` blocks, each through the final norm."""
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        found = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i >= len(self.blocks) - last:
                found.append(self.norm(x)[:, 1:])
        return found
