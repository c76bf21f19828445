"""Feature maps keep what they show and change how it looks."""

from __future__ import annotations

import pytest
import torch

from gshead_backend.training.restyle import restyled

SHAPES = [(6, 16, 12, 12), (6, 2, 8, 8, 8)]


def maps(shape: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(shape) * torch.rand(shape[0], *shape[1:-2], 1, 1) + torch.randn(*shape[:-2], 1, 1)


def standard(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean((-2, -1), keepdim=True)) / x.std((-2, -1), keepdim=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pattern_of_a_channel_stays_and_its_style_changes(shape: tuple[int, ...]) -> None:
    before = maps(shape)
    torch.manual_seed(1)
    after = restyled(before, 1.0)
    torch.testing.assert_close(standard(after), standard(before), rtol=1e-2, atol=1e-2)
    assert ((after - before).abs().amax((-3, -2, -1)) > 0.1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_only_a_share_of_the_samples_changes_and_the_seed_says_which(shape: tuple[int, ...]) -> None:
    before = maps((64, *shape[1:]))
    torch.manual_seed(2)
    once = restyled(before, 0.5)
    torch.manual_seed(2)
    assert torch.equal(once, restyled(before, 0.5))
    same = (once == before).flatten(1).all(1)
    assert 16 < int(same.sum()) < 48
    assert torch.equal(restyled(before, 0.0), before)


def test_a_channel_is_made_stronger_alike_in_both_eyes() -> None:
    """Where all samples look alike only the gains are left."""
    before = maps((1, 2, 8, 8, 8)).expand(4, -1, -1, -1, -1).contiguous()
    torch.manual_seed(3)
    ratio = (restyled(before, 1.0) / before).flatten(3).median(-1).values
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1], rtol=1e-3, atol=1e-3)
    assert (ratio > 0).all()
    assert ratio.log().std() > 0.4
