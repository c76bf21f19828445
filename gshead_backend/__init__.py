"""gshead: one portrait photo becomes an animatable 3D Gaussian head."""

__version__ = "0.1.0"
