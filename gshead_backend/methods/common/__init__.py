"""What learned heads share: the UV lattice, observations on it, edits of splats, personalisation."""
