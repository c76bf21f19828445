"""Feature maps in other styles, so that a network does not learn how our renderings look to the landmark networks."""

from __future__ import annotations

import torch

MIX = 0.3
"""Both parameters of the Beta distribution of how much of a sample's own statistics stays."""
GAIN = 0.8
"""Standard deviation of the logarithm of a channel's gain."""


def restyled(maps: torch.Tensor, share: float) -> torch.Tensor:
    """Maps (B, ..., C, H, W), a ``share`` of them with mean and spread of their channels mixed with those of another
    sample (Zhou et al. 2021, "Domain Generalization with MixStyle") and channels made stronger or weaker at random."""
    batch = maps.shape[0]
    one = [batch, *[1] * (maps.ndim - 1)]
    mean = maps.mean((-2, -1), keepdim=True)
    spread = maps.std((-2, -1), keepdim=True) + 1e-4
    own = torch.distributions.Beta(MIX, MIX).sample((batch,)).to(maps.device).reshape(one)
    other = torch.randperm(batch, device=maps.device)
    mixed = (maps - mean) / spread * torch.lerp(spread[other], spread, own) + torch.lerp(mean[other], mean, own)
    channels = [batch, *[1] * (maps.ndim - 4), maps.shape[-3], 1, 1]  # alike in both eyes, in all regions
    mixed = mixed * torch.exp(GAIN * torch.randn(channels, device=maps.device))
    return torch.where(torch.rand(one, device=maps.device) < share, mixed, maps)
