"""What the kernels agree on: columns of their arrays and compiler flags.

Kernels and the helpers they inline share a file on purpose: numba's cache notices only changes of a kernel's own file.
The exception is ``pixels``, which two rooms need: whoever changes it clears numba's cache (``__pycache__/*.nb*``).
"""

from __future__ import annotations

# No "nnan": NaN must compare false, so that bad splats are skipped.
FAST = {"contract", "reassoc", "arcp", "nsz"}

# Columns of a projected splat, float32: pixel mean, coefficients of dx², dx dy, dy² in the exponent of 2, opacity and
# camera depth in metres.
MX, MY, QXX, QXY, QYY, OPACITY, DEPTH = range(7)
GEOMETRY_WIDTH = 8

# Columns of its extent, int32: first and last pixel column and row. Only valid where it touches a tile.
PX0, PX1, PY0, PY1 = range(4)

# Columns of a (tile, splat) pair's gradient before those of the colours: sums over pixels of v, v dx, v dy, v dx²,
# v dx dy, v dy² with v = dL/d(natural exponent), and of weight times dL/d(depth sum).
MOMENTS = 7
