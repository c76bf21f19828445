"""Numbers every backend shares; they are gsplat's and the original 3D Gaussian splatting's (Kerbl et al. 2023)."""

ALPHA_MAX = 0.999
"""Opacity of one splat at one pixel is clipped here, so that gradients behind it survive."""

ALPHA_MIN = 1 / 255
"""Contributions below this are skipped; also the least coverage at which a depth is reported."""

TRANSMITTANCE_STOP = 1e-4
"""A pixel is finished before the splat that would take its transmittance to this or below."""

BLUR = 0.3
"""Square pixels added to the diagonal of every projected covariance: nothing is thinner than a pixel."""

FRUSTUM_MARGIN = 0.3
"""The Jacobian of the projection is evaluated no further outside the image than this share of its half width."""

TILE = 16
"""Pixels along the side of a tile."""
