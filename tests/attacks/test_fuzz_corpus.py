"""What coverage-guided fuzzing found worth keeping, read again: no find of the past comes back."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from fuzz_targets import CORPUS, TARGETS, survives


@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzers_corpus_is_read_or_refused(name: str) -> None:
    files = sorted((CORPUS / name).glob("*"))
    assert len(files) >= 5
    target, seen = TARGETS[name], set()
    for path in files:
        began = time.monotonic()
        seen.add(survives(target, path.read_bytes()))
        assert time.monotonic() - began < 5, path.name
    assert seen, name


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_fuzzer_starts_from_is_proper(name: str) -> None:
    seen = {survives(TARGETS[name], seed) for seed in TARGETS[name].seeds()}
    assert ("read" in seen) != (name == "avatar"), "that one begins with a part of a file: the rest is noise to it"


def test_no_input_of_the_corpus_takes_much_memory() -> None:
    for name, target in TARGETS.items():
        target.seeds()
        tracemalloc.start()
        try:
            for path in sorted((CORPUS / name).glob("*")):
                survives(target, path.read_bytes())
            assert tracemalloc.get_traced_memory()[1] < 64 << 20, name
        finally:
            tracemalloc.stop()


def test_the_corpus_stays_small() -> None:
    sizes = [path.stat().st_size for path in Path(__file__).parent.joinpath("corpus").rglob("*") if path.is_file()]
    assert sum(sizes) < 300_000
