"""``gshead serve``: the backend that Blender starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence


def main(args: Sequence[str]) -> int:
    """Run the backend until no client is left; its log goes to stderr."""
    import tyro

    from ..server import serve
    from ..server.options import ServeOptions

    options = tyro.cli(
        ServeOptions, prog="gshead serve", args=args, config=(tyro.conf.FlagCreatePairsOff,),
        description="Run the backend that Blender talks to. It listens on a private socket, writes a connection file "
        "into its runtime directory, and ends when no client is left.",
    )  # fmt: skip
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(options)
    return 0
