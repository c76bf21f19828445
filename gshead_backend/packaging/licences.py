"""The licence of every pinned package: listed in ``LICENSES/dependencies.md``, acceptable, and what the package says.

``python3 -m gshead_backend.packaging.licences`` prints the list and fails for a package that is missing from it, that
is no longer pinned, whose licence its use forbids, or that says something else about itself.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path("LICENSES") / "dependencies.md"
EXTENSION, BACKEND, TESTS = "extension", "backend", "tests"
USES = {
    "addon-wheels.lock.txt": EXTENSION, "backend.lock.txt": BACKEND, "cuda.lock.txt": BACKEND, "ray.lock.txt": BACKEND,
    "dev.lock.txt": TESTS,
    "blender-4.5.lock.txt": TESTS, "blender-5.0.lock.txt": TESTS, "blender-5.2.lock.txt": TESTS,
}  # fmt: skip
_FREE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "IJG", "ISC", "MIT", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Zlib",
}  # fmt: skip
_EXCEPTED = {"Apache-2.0 WITH LLVM-exception", "GPL-3.0-or-later WITH GCC-exception-3.1"}
ACCEPTED = {
    # becomes part of a GPL-3.0-or-later work that is handed on
    EXTENSION: _FREE,
    # installed by pip beside it, linked to nothing of the GPL's
    BACKEND: _FREE | _EXCEPTED | {"LicenseRef-TOST-1.0", "LGPL-2.1-or-later"},
    # run by developers, part of nothing
    TESTS: _FREE | _EXCEPTED | {"GPL-3.0-or-later", "LicenseRef-smplx-noncommercial"},
}
_FAMILIES = {
    "0BSD": r"\b0BSD\b", "APACHE": r"apache", "BSD": r"\bBSD", "MIT": r"\bMIT\b", "MPL": r"MPL|mozilla public",
    "GPL": r"\b[AL]?GPL|general public", "PSF": r"\bPSF|python software", "TOST": r"TOST", "ISC": r"\bISC\b",
    "OTHER": r"proprietary|non-?commercial|CC-BY-NC|SSPL|BUSL",
}  # fmt: skip


@dataclass(frozen=True)
class Package:
    """One pinned package. ``licence`` is an SPDX expression from the table, empty when it is not listed."""

    name: str
    versions: tuple[str, ...]
    uses: frozenset[str]
    licence: str


def packages(root: Path) -> list[Package]:
    """Everything that the lock files pin, by name."""
    table = listed(root)
    found: dict[str, tuple[set[str], set[str]]] = {}
    for lock, use in USES.items():
        for name, version in pins(root / "requirements" / lock).items():
            versions, uses = found.setdefault(name, (set(), set()))
            versions.add(version)
            uses.add(use)
    return [
        Package(name, tuple(sorted(versions)), frozenset(uses), table.get(name, ""))
        for name, (versions, uses) in sorted(found.items())
    ]


def pins(lock: Path) -> dict[str, str]:
    """Name to version of a lock file."""
    return {_canonical(n): v for n, v in re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text("utf-8"), re.MULTILINE)}


def listed(root: Path) -> dict[str, str]:
    """Name to SPDX expression, as the table says."""
    rows = re.findall(r"^\| ([\w.-]+) \| ([^|]+?) \|", (root / TABLE).read_text("utf-8"), re.MULTILINE)
    return {_canonical(name): licence for name, licence in rows if name != "package"}


def problems(root: Path, said: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong, a sentence each; empty when all is well.

    Args:
        said: what packages say about themselves, by name; None asks those that are installed here.
    """
    pinned = packages(root)
    said = installed() if said is None else said
    found = [f"{name} is listed in {TABLE} but no longer pinned." for name in _stale(root, pinned)]
    for package in pinned:
        if not package.licence:
            found.append(f"{package.name} is pinned but not listed in {TABLE}.")
            continue
        for use in sorted(package.uses):
            if strange := _terms(package.licence) - ACCEPTED[use]:
                found.append(f"{package.name}: {', '.join(sorted(strange))} is not acceptable for use '{use}'.")
        own, told = _families(package.licence), _families(said.get(package.name, ""))
        if told and not told <= own:
            found.append(
                f"{package.name} is listed as '{package.licence}' but says '{said[package.name]}': read its licence."
            )
    return found


def installed() -> dict[str, str]:
    """What every package of this environment says about its licence, by name."""
    found = {}
    for distribution in importlib.metadata.distributions():
        data: Any = distribution.metadata
        kinds = [k.split("::")[-1] for k in data.get_all("Classifier") or [] if k.startswith("License ::")]
        free = (data.get("License") or "").strip().splitlines()
        text = data.get("License-Expression") or "; ".join(kinds) or (free[0] if free else "")
        found[_canonical(data["Name"])] = text
    return found


def _stale(root: Path, pinned: list[Package]) -> list[str]:
    return sorted(set(listed(root)) - {package.name for package in pinned})


def _terms(licence: str) -> set[str]:
    return set(re.split(r" AND | OR ", licence))


def _families(text: str) -> set[str]:
    return {family for family, pattern in _FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)} - {"0BSD"}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Print the table; 1 when something is wrong."""
    root = Path(__file__).parents[2]
    for package in packages(root):
        versions, uses = ", ".join(package.versions), "/".join(sorted(package.uses))
        print(f"{package.name:<24} {versions:<22} {uses:<18} {package.licence}")
    wrong = problems(root)
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
