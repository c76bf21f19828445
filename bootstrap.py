#!/usr/bin/env python3
"""Set gshead up, show it and test it, with nothing but a Python interpreter.

python3 bootstrap.py demo          the main job for real: portrait -> rigged head in Blender -> frames, USD
python3 bootstrap.py test          every check, and the tests but for those that take long
python3 bootstrap.py setup         only the environments, the portrait networks and the extension zip
python3 bootstrap.py build-addon   only the extension zip, for this platform or another one
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_GIB = 8
TESTS_FAILED, NO_TESTS = 1, 5
"""Exit codes of pytest."""


def reexecute_with_newer_python():
    """Hand over to a Python that can run the rest, when this one is too old; this file stays readable for any 3.7."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which("python3.{}".format(minor))  # noqa: UP032
        if found:
            sys.exit(subprocess.call([found, str(ROOT / "bootstrap.py"), *sys.argv[1:]]))
    sys.exit(
        "gshead needs Python 3.11, 3.12 or 3.13; this is {}.{} and no newer one is on PATH.\n"
        "Install one (Debian/Ubuntu: apt-get install python3.11 python3.11-venv) and run this again.".format(
            *sys.version_info[:2]
        )
    )


if sys.version_info < OLDEST:
    reexecute_with_newer_python()

sys.path.insert(0, str(ROOT))
from gshead_backend.packaging import demo, extension, repository, system_libraries  # noqa: E402
from gshead_backend.packaging.environments import (  # noqa: E402
    BACKEND,
    BLENDERS,
    Environment,
    SetupError,
    ensure,
    exclusive,
    installed_torch,
    run,
    with_tests,
    with_torch,
)
from gshead_backend.packaging.pythons import Python, find_python  # noqa: E402
from gshead_backend.packaging.wheels import PLATFORMS  # noqa: E402

STARTED = time.monotonic()


def say(text: str) -> None:
    """One line of progress on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def choose_python(environment: Environment) -> Python | None:
    """The interpreter for an environment: the running one when it fits, otherwise the first one found."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    for minor in sorted(environment.pythons, key=lambda minor: minor != running):
        python, reasons = find_python(minor)
        for reason in reasons:
            say(f"{environment.name}: {reason}")
        if python:
            return python
    return None


def plan(blenders: tuple[str, ...] | None) -> list[tuple[Environment, Python]]:
    """Which Blender environments can be made here; what is left out is said.

    Args:
        blenders: versions that were asked for by name and must be possible, or None for all that are.
    """
    chosen = []
    for environment in BLENDERS:
        version = environment.name.removeprefix("blender-")
        if blenders is not None and version not in blenders:
            continue
        if python := choose_python(environment):
            chosen.append((environment, python))
            continue
        text = f"Blender {version} needs Python {environment.pythons[0]}, which is not installed"
        if blenders is not None:
            raise SetupError(
                f"{text}. Install it, or name it in GSHEAD_PYTHON_{environment.pythons[0].replace('.', '_')}."
            )
        say(f"SKIPPED: {text}: nothing will be tested with it")
    if not chosen:
        raise SetupError("No Blender can be set up: install Python 3.11 (Blender 4.5, 5.0) or 3.13 (Blender 5.2).")
    return chosen


def check_machine(fresh: bool) -> None:
    """Room on the disk and the libraries Blender's wheel loads, before anything is downloaded."""
    free = shutil.disk_usage(ROOT).free / 2**30
    if fresh and free < NEEDED_GIB:
        raise SetupError(f"{ROOT} has {free:.1f} GiB free; the environments need about {NEEDED_GIB} GiB.")
    missing = system_libraries.missing_libraries()
    if not missing:
        return
    if not system_libraries.may_install():
        command = system_libraries.install_command(missing)
        raise SetupError(
            f"Blender's wheel needs {', '.join(missing)}. Install them, then run this again:\n\n    {command}\n"
        )
    say(f"installing the packages with {', '.join(missing)}")
    if system_libraries.install(missing) != 0 or system_libraries.missing_libraries():
        raise SetupError(f"apt-get could not install the packages with {', '.join(missing)}.")


def set_up(arguments: argparse.Namespace, *, tests: bool, blenders: tuple[str, ...] | None) -> list[Environment]:
    """Everything that `demo` and `test` need; returns the Blender environments that are ready."""
    chosen = plan(blenders)
    python = choose_python(BACKEND)
    if python is None:
        raise SetupError("The backend needs Python 3.11, 3.12 or 3.13. Install one and run this again.")
    torch = arguments.torch or installed_torch(ROOT)
    backend = with_torch(BACKEND, torch)
    backend = with_tests(backend) if tests else backend
    check_machine(fresh=not BACKEND.exists(ROOT))
    jobs = [(environment, ROOT, interpreter) for environment, interpreter in ((backend, python), *chosen)]
    with exclusive(ROOT, say):
        with ThreadPoolExecutor(2) as pool:  # one waits for the network while the other unpacks
            for done in [pool.submit(ensure, *job, torch=torch, say=say) for job in jobs]:
                done.result()
        assets = [str(BACKEND.script(ROOT, "gshead")), "assets", "fetch"]
        assets += ["--from", str(arguments.assets)] if arguments.assets else []
        run(assets, cwd=ROOT, what="Fetching the portrait networks", quiet=True)
        warm_up = [str(BACKEND.script(ROOT, "gshead")), "warm-up"]
        run(warm_up, cwd=ROOT, what="Compiling the kernels", quiet=True)
        zip_path = extension.build_extension(ROOT, extension.this_platform(), say)
        say(f"{zip_path.relative_to(ROOT)}: {extension.validate_extension(ROOT, zip_path)}")
    return [environment for environment, _ in chosen]


def run_setup(arguments: argparse.Namespace) -> int:
    """`setup`"""
    ready = set_up(arguments, tests=arguments.dev, blenders=tuple(arguments.blender) if arguments.blender else None)
    say(f"ready: backend, {', '.join(environment.name for environment in ready)}")
    command = json.dumps([str(BACKEND.script(ROOT, "gshead")), "serve"])
    print(f"""
In Blender: Edit > Preferences > Get Extensions > Install from Disk:
    {extension.zip_path(ROOT, extension.this_platform())}
then Add-ons > Gaussian Head > Backend Command:
    {command}""")
    return 0


def run_demo(arguments: argparse.Namespace) -> int:
    """`demo`"""
    version = arguments.blender
    if version is None:
        version = "5.2" if find_python("3.13")[0] else "5.0"
        say(f"Blender {version} ({'the newest' if version == '5.2' else '5.2 would need Python 3.13'})")
    (environment,) = set_up(arguments, tests=False, blenders=(version,))
    return demo.run_demo(ROOT, environment, arguments.portrait, arguments.quality, arguments.out, say)


def run_test(arguments: argparse.Namespace) -> int:
    """`test`: formatting and lint first, which take a second; then pytest, with the types as one of its tests."""
    set_up(arguments, tests=True, blenders=None)
    for what, *options in (("ruff check", "check", "."), ("ruff format --check", "format", "--check", ".")):
        say(what)
        run([str(BACKEND.script(ROOT, "ruff")), *options], cwd=ROOT, what=what)
    say("pytest")
    pytest = [str(BACKEND.python(ROOT)), "-m", "pytest"]
    lanes = [] if names_lanes(arguments.pytest) else side_by_side()
    code = subprocess.call([*pytest, *lanes, *arguments.pytest], cwd=ROOT)
    if not lanes or code != TESTS_FAILED:
        return code
    say("pytest: what failed, again and by itself: beside others a test may fail for want of time alone")
    again = subprocess.call([*pytest, "--last-failed", "--last-failed-no-failures=none", *arguments.pytest], cwd=ROOT)
    return code if again == NO_TESTS else again  # nothing failed but the whole: too much was skipped


def names_lanes(options: list[str]) -> bool:
    """The caller says how tests are spread, or wants to look at single ones while they run."""
    return any(re.match(r"-n|--numprocesses|--dist|--pdb$|-s$|--capture|-p$", option) for option in options)


def side_by_side() -> list[str]:
    """pytest's options for as many processes as the machine has cores, four at most: each test takes up to 4 GiB.

    A module's tests stay together; those marked ``alone`` run by themselves (tests/side_by_side.py; not on Windows).
    """
    lanes = min(os.cpu_count() or 1, 4)
    return ["-n", str(lanes), "--dist", "loadfile", "--no-loadscope-reorder"] if lanes > 1 and os.name != "nt" else []


def run_build_addon(arguments: argparse.Namespace) -> int:
    """`build-addon`"""
    everywhere = arguments.all or arguments.platform == "all"
    names = tuple(PLATFORMS) if everywhere else (arguments.platform or extension.this_platform(),)
    with exclusive(ROOT, say):
        if arguments.repository:
            print(repository.build_repository(ROOT, arguments.repository, names, say))
            return 0
        for name in names:
            path = extension.build_extension(ROOT, name, say)
            say(extension.validate_extension(ROOT, path))
            print(path)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], epilog="Run `python3 bootstrap.py COMMAND --help` for its options."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--torch",
        metavar="BUILD",
        help="which torch build: 'default' (what pip finds), or 'cpu', 'cu126', 'cu130' from PyTorch's own index; "
        "a CUDA build brings the CUDA rasterizer. Kept until another one is named",
    )
    shared.add_argument(
        "--assets",
        type=Path,
        metavar="FILE",
        help="mediapipe wheel to take the portrait networks from, without internet",
    )
    versions = [environment.name.removeprefix("blender-") for environment in BLENDERS]

    command = commands.add_parser("demo", parents=[shared], help="portrait -> rigged head in Blender -> frames and USD")
    command.add_argument("--quality", choices=("draft", "standard", "high"), default="standard")
    command.add_argument("--portrait", type=Path, default=ROOT / "samples" / "astronaut.png", help="your own photo")
    command.add_argument("--blender", choices=versions, help="default: the newest that this machine's Pythons allow")
    command.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="default: out/demo")
    command.set_defaults(action=run_demo)

    command = commands.add_parser(
        "test",
        parents=[shared],
        help="every check and test but those that take long (test -m slow); more arguments go to pytest",
    )
    command.set_defaults(action=run_test)

    command = commands.add_parser("setup", parents=[shared], help="environments, portrait networks, extension zip")
    command.add_argument("--dev", action="store_true", help="also what the tests need")
    command.add_argument("--blender", choices=versions, action="append", help="only this one (may be repeated)")
    command.set_defaults(action=run_setup)

    command = commands.add_parser("build-addon", help="the extension zip in dist/")
    chosen = command.add_mutually_exclusive_group()
    chosen.add_argument("--platform", choices=(*PLATFORMS, "all"), help="default: this machine's")
    chosen.add_argument("--all", action="store_true", help="every platform")
    command.add_argument(
        "--repository",
        type=Path,
        metavar="DIR",
        help="put the zips into this folder instead, with the index.json that makes it an extension repository",
    )
    command.set_defaults(action=run_build_addon)
    return top


def main() -> int:
    """Run one command; 0 success, 1 a check or test failed, 2 wrong usage, 3 set-up cannot go on."""
    arguments, rest = parser().parse_known_args()
    if rest and arguments.command != "test":
        parser().error(f"unknown arguments: {' '.join(rest)}")
    arguments.pytest = [part for part in rest if part != "--"]
    os.chdir(ROOT)
    try:
        return arguments.action(arguments)
    except SetupError as error:
        print(f"\nbootstrap.py: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nbootstrap.py: stopped; running it again continues", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
