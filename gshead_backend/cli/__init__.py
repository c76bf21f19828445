"""The ``gshead`` command. Each verb is one module, imported only when it is used (``docs/cli.md``)."""

from __future__ import annotations

import difflib
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence

from ..errors import Cancelled, ExportError, FileFormatError, GsheadError
from .console import was_interrupted

VERBS = {
    "reconstruct": "a portrait photo becomes an avatar (.gshead)",
    "render": "an avatar becomes frames (PNG or OpenEXR)",
    "render-blend": "frames of a .blend with heads, in a headless Blender; run again, it goes on",
    "farm": "an animation on all devices of this machine, or as a job for a farm's manager",
    "reduce": "the same avatar with fewer splats: smaller files, faster frames",
    "export": "an avatar becomes USD, glTF, PLY or SPZ",
    "import-usd": "a USD file that gshead wrote becomes an avatar and a take again",
    "relight": "an avatar in another light: one lamp, from where you say",
    "track": "a video of a face becomes a take that drives any avatar",
    "take": "a Live Link Face recording becomes a take, and a take a recording",
    "serve": "run the backend that Blender talks to",
    "head": "import head models (FLAME and others), list them",
    "assets": "fetch the small networks that read portraits, list them",
    "weights": "what each method needs, present or missing; import published weights",
    "synthetic": "seeded synthetic people: pictures with known truth, tables, timing",
    "dataset": "your own videos and multi-view folders become training material",
    "train": "train the project's own portrait networks on synthetic people",
    "evaluate": "say how good a method is: benchmarks, a report, a comparison",
    "status": "what a running backend is doing: sessions, jobs, frames a second, memory",
    "cache": "what is kept on this machine: list it, clear it, limit it",
    "warm-up": "compile the CPU's kernels now, once after installing, so that no head waits for them",
    "doctor": "say what is installed, what is missing and how to fix it",
    "bundle": "what a bug report needs, without personal data",
    "version": "print versions",
}

OK, FAILED, USAGE, BAD_INPUT, UNABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
_EXIT_BY_CODE = {
    "GSH-E100": USAGE, "GSH-E101": BAD_INPUT, "GSH-E102": UNABLE, "GSH-E103": INTERRUPTED,
    "GSH-E104": UNABLE,
    "GSH-E2": BAD_INPUT, "GSH-E3": BAD_INPUT, "GSH-E4": UNABLE, "GSH-E5": UNABLE, "GSH-E6": UNABLE,
    "GSH-E8": BAD_INPUT,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``gshead``; returns the exit code (``docs/cli.md`` lists them)."""
    # Before numpy is imported, and for the workers too: OpenBLAS gains nothing on our small matrices, and its waiting
    # threads take the cores from the kernels (benchmarks/RESULTS.md).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # OpenMP threads that wait in a loop fight whatever else runs (Blender, say) for the cores: a fit beside one busy
    # process took 190 s instead of 20 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in args or bool(os.environ.get("GSHEAD_DEBUG"))
    args = [a for a in args if a != "--debug"]
    try:
        code = _run(args, debug)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of our output has gone, e.g. ``gshead doctor | head -1``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(args: Sequence[str], debug: bool) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage(), file=sys.stdout if args else sys.stderr)
        return OK if args else USAGE
    verb = {"--version": "version", "-V": "version"}.get(args[0], args[0])
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        print(f"gshead: there is no command '{verb}'.{hint}\n\n{usage()}", file=sys.stderr)
        return USAGE
    try:
        return importlib.import_module(f"{__name__}.{verb.replace('-', '_')}").main(args[1:])
    except SystemExit as leaving:  # tyro has printed help (0) or what is wrong with the arguments (2)
        return leaving.code if isinstance(leaving.code, int) else OK if leaving.code is None else USAGE
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _report(Cancelled("Interrupted."), args, debug)
    except GsheadError as error:
        return _report(error, args, debug)
    except OSError as error:
        told = _of_system(error)
        told.__cause__ = error  # for --debug
        return _report(told, args, debug)
    except Exception as error:
        if was_interrupted():  # it may have torn a lock's own bookkeeping: "cannot release un-acquired lock"
            return _report(Cancelled("Interrupted."), args, debug)
        if debug:
            raise
        what = f"{type(error).__name__}: {error}".strip()
        internal = GsheadError(f"Internal error: {what}.", remedy="Run again with --debug and report the traceback.")
        return _report(internal, args, debug)


def _of_system(error: OSError) -> GsheadError:
    """What the system refused, where nothing nearer knew what to say of it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        where = f"'{error.filename}'" if error.filename else "A file"
        return ExportError(
            f"{where} cannot be written: {error.strerror}.", remedy="Make room, or choose another place."
        )
    if error.filename and error.strerror:
        return FileFormatError(
            f"'{error.filename}' cannot be used: {error.strerror}.",
            remedy="Check the name, and whether you may read and write there.",
        )
    what = f"{type(error).__name__}: {error}".strip()
    return GsheadError(f"Internal error: {what}.", remedy="Run again with --debug and report the traceback.")


def exit_code(error: GsheadError) -> int:
    """The exit code of an error: by its own code, else by its family."""
    return _EXIT_BY_CODE.get(error.code, _EXIT_BY_CODE.get(error.code[:6], FAILED))


def usage() -> str:
    """The help text of ``gshead`` itself."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return (
        f"usage: gshead COMMAND ...\n\n{verbs}\n\n"
        "'gshead COMMAND --help' explains one. --debug shows tracebacks. Results go to stdout, progress to stderr."
    )


def _report(error: GsheadError, args: Sequence[str], debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    else:
        print(str(error), file=sys.stderr)
    if "--json" in args:
        print(json.dumps({"error": {"code": error.code, "message": error.message, "remedy": error.remedy}}))
    return exit_code(error)
