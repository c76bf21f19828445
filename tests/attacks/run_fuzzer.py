"""Coverage-guided fuzzing with atheris, which is no dependency of the project: it wants an environment of its own.

    python3.11 -m venv out/fuzz && out/fuzz/bin/pip install atheris==3.0.0
    PYTHONPATH=.:.venvs/backend/lib/python3.11/site-packages out/fuzz/bin/python tests/attacks/run_fuzzer.py take 75

The arguments are a target of ``fuzz_targets.py`` and seconds. What it finds stays in out/fuzz-corpus/TARGET; a crash is
written beside it. ``keep`` in place of a target copies the smallest of them into the corpus.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "out" / "fuzz-corpus"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "attacks")]
KEPT_BYTES, KEPT_FILES, KEPT_LONGEST = 32_000, 40, 6_500
"""Of each target in the repository."""


def fuzz(name: str, seconds: int) -> None:
    """Runs until the time is over or something is found; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["gshead_backend"]):
        import fuzz_targets
    target = fuzz_targets.TARGETS[name]
    corpus = WORK / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    for kept in sorted((fuzz_targets.CORPUS / name).glob("*")):
        shutil.copy(kept, corpus / kept.name)
    arguments = [
        sys.argv[0], f"-max_len={target.longest}", "-timeout=20", "-rss_limit_mb=3000", f"-max_total_time={seconds}",
        f"-artifact_prefix={WORK}/{name}-", "-reduce_inputs=1", "-print_final_stats=1", str(corpus),
    ]  # fmt: skip
    atheris.Setup(arguments, lambda data: fuzz_targets.survives(target, data))
    atheris.Fuzz()


def keep() -> None:
    """Of what covered something new the smallest, within the bounds above."""
    from fuzz_targets import CORPUS, TARGETS

    for name in TARGETS:
        place, size = CORPUS / name, 0
        place.mkdir(parents=True, exist_ok=True)
        for path in sorted((WORK / name).glob("*"), key=lambda p: (p.stat().st_size, p.name))[:KEPT_FILES]:
            size += path.stat().st_size
            if size > KEPT_BYTES or path.stat().st_size > KEPT_LONGEST:
                break
            shutil.copy(path, place / path.name[:16])


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep()
    else:
        fuzz(sys.argv[1], int(sys.argv[2]))
