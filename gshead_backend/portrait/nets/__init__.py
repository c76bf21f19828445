"""The project's own small networks: what a pixel shows (``parser``), what a face does (``regressor``).

Trained on synthetic people (``gshead train``); their weights lie in ``gshead_backend/weights``. Where these are
absent, ``parse`` and ``read_face`` raise ``MissingWeightsError`` and the callers use their classical ways.
"""
