"""A user's own footage becomes training material: clips and calibrated captures to tracked, cropped, private shards."""
