"""Live views of a real backend, without a window: what they hand over, give back and say."""

from __future__ import annotations

import pytest
from harness import Blender


def test_live_views_hand_over_once_say_what_failed_and_leave_nothing_behind(blender: Blender) -> None:
    seen = blender.run("live_view")
    assert seen["puts"] == 1, "two views of one head"
    assert "The device failed." in seen["told"]
    assert seen["still_told"] == seen["told"], "until it is tried again"
    assert not seen["spins"], "no redraws meanwhile"
    assert seen["after"] == "", "asked for again, although nothing moved"
    assert "Too large." in seen["refused"]
    assert seen["after_refused"] == ""
    assert seen["streams"] == 0
    assert seen["empty"] == [False, True]
    assert seen["held"]
    assert seen["dropped"] is True


@pytest.mark.parametrize("count", [4000])
def test_the_state_of_a_key_costs_no_more_in_a_long_take(blender: Blender, count: int) -> None:
    """The panel asks for every slider at every redraw."""
    seen = blender.run("key_states", count=count)
    assert seen["states"] == [True, False, True, True, False]
    assert seen["looked_at"] < 60, f"of {count} keys"
