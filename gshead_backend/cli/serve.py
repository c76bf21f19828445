"""``gshead serve``: the backend that Blender starts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ..logs import configure_logs

log = logging.getLogger("gshead.upkeep")
_SWEEP_AFTER = 10.0  # seconds: the first frame comes first


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
    configure_logs(role="front")
    sweep = threading.Timer(_SWEEP_AFTER, _sweep)
    sweep.daemon = True
    sweep.start()
    serve(options)
    return 0


def _sweep() -> None:
    """Caches keep to their limits of age and size, also where Blender is not opened any more."""
    from ..upkeep.clearing import apply_limits

    try:
        removed = sum(cleared.files for cleared in apply_limits())
    except Exception:  # keeping house must not keep the backend from serving
        log.exception("Caches could not be swept")
    else:
        log.info("caches swept: %d files removed", removed)
