"""Documents agree with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import gshead_backend
from gshead_backend import errors
from gshead_backend.packaging.environments import BLENDERS
from gshead_backend.packaging.wheels import PLATFORMS


def _codes() -> dict[str, str]:
    return {code: cls.__name__ for code, cls in errors._all(errors.GsheadError).items()}


def test_every_error_code_is_documented_with_its_class(root: Path) -> None:
    text = (root / "docs" / "errors.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(GSH-E\d{3})` \| `(\w+)` \|", text, re.MULTILINE))
    assert documented == _codes()


def test_every_error_code_is_made_by_the_product_and_provoked_by_a_test(root: Path) -> None:
    def text(*folders: str) -> str:
        files = [p for f in folders for p in sorted((root / f).rglob("*.py")) if p.name != "errors.py"]
        return "\n".join(path.read_text(encoding="utf-8") for path in files)

    product, tests = text("gshead_backend", "addon"), text("tests")
    for code, name in _codes().items():
        assert re.search(rf"\b{name}\(", product), f"nothing raises {name}"
        provoked = rf"raises\([^\n]*\b{name}\b"
        assert re.search(provoked, tests), f"no test provokes {code}"


def test_error_codes_are_not_shared() -> None:
    def classes(cls: type[errors.GsheadError]) -> list[type[errors.GsheadError]]:
        return [cls, *(found for sub in cls.__subclasses__() for found in classes(sub))]

    own = [cls for cls in classes(errors.GsheadError) if cls.__module__.startswith("gshead_backend")]
    assert len(own) == len({cls.code for cls in own})


def test_versions_agree(root: Path) -> None:
    manifest = tomllib.loads((root / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert manifest["version"] == gshead_backend.__version__
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d\S*)", changes, re.MULTILINE)[0] == gshead_backend.__version__


@pytest.mark.parametrize(
    "path",
    ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "samples/README.md", "tests", "docs", "LICENSES"],
)
def test_links_inside_the_repository_lead_somewhere(root: Path, path: str) -> None:
    files = sorted((root / path).rglob("*.md")) if (root / path).is_dir() else [root / path]
    assert files
    for file in files:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_readme_names_every_supported_blender_and_built_platform(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for environment in BLENDERS:
        assert environment.name.removeprefix("blender-") in text
    for platform in PLATFORMS:
        assert platform in text


def test_nothing_speaks_of_a_particular_machine(root: Path) -> None:
    private = re.compile(r"/root/|/home/\w+/|/Users/\w+/|/work/|C:\\Users\\\w+")
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".sh", ".yaml"}
    tops = [path for path in root.iterdir() if path.name not in {".venvs", ".git", "out", "build", "dist"}]
    found = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    files = [path for path in found if path.suffix in suffixes]
    assert len(files) > 50
    own = Path(__file__)
    assert [str(p) for p in files if p != own and private.search(p.read_text(encoding="utf-8"))] == []
