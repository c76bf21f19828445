"""A self-hosted repository: Blender lists it, takes the zip of its own platform from it and runs that."""

from __future__ import annotations

import functools
import http.server
import io
import json
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Blender, extension_zip
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import save_avatar
from gshead_backend.head import HeadModel
from gshead_backend.packaging.extension import this_platform
from gshead_backend.packaging.repository import build_repository


def for_another_platform(data: bytes, platform: str) -> bytes:
    """The zip as if it had been built for ``platform``; nothing in it would run there."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(out, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            if name == "blender_manifest.toml":
                content = content.replace(this_platform().encode(), platform.encode())
            made.writestr(name, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the zips of two platforms and their index."""
    folder = tmp_path_factory.mktemp("repository")
    other = "windows-arm64" if this_platform() != "windows-arm64" else "linux-x64"
    (folder / f"other-{other}.zip").write_bytes(for_another_platform(extension_zip().read_bytes(), other))
    index = build_repository(ROOT, folder, (this_platform(),), print)
    assert index == folder / "index.json"
    return folder


@pytest.fixture
def served(repository: Path) -> Iterator[str]:
    """The address of a web server on this machine that serves the folder and nothing else."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(repository))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.json"
        server.shutdown()
        thread.join()


def test_the_index_lists_every_platform_of_the_version(repository: Path) -> None:
    listed = json.loads((repository / "index.json").read_text())["data"]
    version = tomllib.loads((ROOT / "blender_manifest.toml").read_text())["version"]
    assert {(entry["id"], entry["version"]) for entry in listed} == {("gshead", version)}
    assert {tuple(entry["platforms"]) for entry in listed} > {(this_platform(),)}
    for entry in listed:
        assert (repository / entry["archive_url"]).stat().st_size == entry["archive_size"]
    assert "gshead" in (repository / "index.html").read_text()


@pytest.mark.parametrize("over", ["http", "file"])
def test_blender_installs_from_it(
    blender: Blender, over: str, served: str, repository: Path, tiny_head: HeadModel, tmp_path: Path
) -> None:
    save_avatar(make_tiny_avatar(tiny_head), tmp_path / "Ada.gshead")
    url = served if over == "http" else (repository / "index.json").as_uri()
    fresh = Blender(blender.version, tmp_path / "home", blender.runtime)
    fresh.resources.mkdir()
    seen = fresh.run("repository", url=url, avatar=str(tmp_path / "Ada.gshead"))
    assert seen["synced"] == seen["installed"] == ["FINISHED"]
    assert seen["enabled"], seen["output"]
    assert seen["loaded"] == ["FINISHED"]
    assert "Ada" in seen["heads"]
