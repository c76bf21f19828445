"""Training of ``gagavatar``: the public network's layout, from pairs of frames of one person."""
