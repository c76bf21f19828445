"""Making a head file: the default head from CC0 data, and what an imported head needs (renders, landmarks, maps).

Not light: numba and scipy here, OpenCV for the landmarks. Nothing in the product imports this at run time except
``gshead head import``.
"""
