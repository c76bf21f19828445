"""ARKit channels as complete morph targets: each shape alone does what the channel does, joints included. numpy only.

In the rig jawOpen and eyeLook* turn joints, and their shapes hold only the rest. Programs that know blend shapes but
not this rig (ARKit players, avatars in games) expect one shape a channel; these are that.
"""

from __future__ import annotations

import numpy as np

from ..head import ARKIT_NAMES, PersonalHead, pose_from_arkit


def complete_morphs(head: PersonalHead) -> np.ndarray:
    """(52, V, 3) float32 metres, head space, in ``ARKIT_NAMES`` order: the mesh at each channel's 1, minus at rest.

    At 1 a channel alone is exact; in between, what a joint turns moves along the chord instead of the arc (jawOpen at
    one half: within about 2.5 mm at the chin), and several channels at once add up.
    """
    model = head.model
    rest = head.vertices(pose_from_arkit(model, np.zeros(len(ARKIT_NAMES))))
    return np.stack([head.vertices(pose_from_arkit(model, row)) - rest for row in np.eye(len(ARKIT_NAMES))])
