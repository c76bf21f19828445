"""USD files of strangers: nothing they name is opened, no number is believed, and no nesting ends the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pxr
import pytest
from pxr import Sdf, Usd
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import FileFormatError, HeadError
from gshead_backend.export.usd import export_usd
from gshead_backend.export.usd_nesting import MOST, nesting
from gshead_backend.export.usd_read import import_usd
from gshead_backend.head import HeadModel, HeadPose

ROOT = Path(__file__).parents[2]
HOLDS = 'def ParticleField3DGaussianSplat "S" {\n custom int primvars:gshead:schemaVersion = 1\n }'


@pytest.fixture(scope="module")
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 60)


def proper(folder: Path, avatar: Avatar, ending: str = "usda") -> Path:
    poses = [HeadPose.neutral(avatar.head.expression_count)] * 2
    return export_usd(folder / f"proper.{ending}", avatar, poses, pxr=pxr, texture=False)


def refusal(file: Path) -> str:
    """What a process says that reads a file. One that opens a pipe to which nobody writes never ends."""
    code = (
        "import pxr\nfrom gshead_backend.errors import GsheadError\n"
        "from gshead_backend.export.usd_read import import_usd\nfrom pathlib import Path\n"
        f"try: import_usd(Path({str(file)!r}), pxr=pxr)\nexcept GsheadError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)  # fmt: skip
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-500:]}"
    return done.stdout


REFERENCES = {
    "a reference": '(references = @{there}/outside.usda@</Avatar>)',
    "a payload with an absolute path": '(payload = @{there}/outside.usda@</Avatar>)',
    "a payload of the system": '(payload = @/etc/passwd@)',
    "a way up": '(references = @../there/outside.usda@</Avatar>)',
    "a sibling whose name begins alike": '(references = @../here-too/outside.usda@</Avatar>)',
    "a variant": '(\n variants = {{ string v = "a" }}\n prepend variantSets = "v"\n) {{\n variantSet "v" = {{\n '
    '"a" (payload = @{there}/outside.usda@) {{\n }}\n }}\n',
    "clips": '(clips = {{ dictionary default = {{ asset[] assetPaths = [@{there}/outside.usda@] }} }})',
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.parametrize("kind", REFERENCES)
def test_what_a_file_refers_to_is_named_and_not_opened(tmp_path: Path, kind: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there, tmp_path / "here-too"):
        folder.mkdir()
        os.mkfifo(folder / "outside.usda")
    text = REFERENCES[kind].format(there=there)
    body = "" if kind == "a variant" else "{\n"
    (here / "hostile.usda").write_text(f'#usda 1.0\ndef "Avatar" {text} {body}{HOLDS}\n}}\n')
    said = refusal(here / "hostile.usda")
    assert "GSH-E101" in said
    assert "put together from other files" in said or kind == "clips", "clips are values: nothing reads them"


def test_cycles_and_sublayers_are_refused(tmp_path: Path) -> None:
    for name, text in {
        "itself": f"#usda 1.0\n(subLayers = [@./itself.usda@])\n{HOLDS}\n",
        "circle": f'#usda 1.0\ndef "A" (references = @./circle.usda@</A>) {{\n {HOLDS}\n }}\n',
        "inner": f'#usda 1.0\ndef "A" (references = </A/B>) {{\n def "B" (references = </A>) {{\n {HOLDS}\n }}\n }}\n',
        "inherits": f'#usda 1.0\ndef "A" (inherits = </A>) {{\n {HOLDS}\n }}\n',
    }.items():
        (tmp_path / f"{name}.usda").write_text(text)
        with pytest.raises(FileFormatError):
            import_usd(tmp_path / f"{name}.usda", pxr=pxr)


NESTED = {
    "prims": 'def "a" {' * 30_000 + "}" * 30_000,
    "arrays": 'def "a" { custom int[] x = ' + "[" * 200_000 + "]" * 200_000 + "}",
    "dictionaries": "(customLayerData = " + "{ dictionary a = " * 50_000 + "{}" + "}" * 50_000 + ")",
    "prims that comments seem to end": 'def "a" { # }\n' * 30_000,
    "prims that strings seem to end": 'def "a" { string s = "}"\n' * 30_000,
    "prims that paths seem to end": 'def "a" { asset s = @}@\n' * 30_000,
}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("ending", ["usda", "usd", "usdz"])
def test_deep_nesting_is_refused_before_it_overflows_the_stack(tmp_path: Path, kind: str, ending: str) -> None:
    text, path = b"#usda 1.0\n" + NESTED[kind].encode(), tmp_path / f"deep.{ending}"
    if ending == "usdz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("deep.usda", text)
    else:
        path.write_bytes(text)
    with pytest.raises(FileFormatError, match="levels deep"):
        import_usd(path, pxr=pxr)


def test_brackets_in_strings_are_no_nesting(tmp_path: Path, avatar: Avatar) -> None:
    assert nesting(b'#usda 1.0\ndef "a" (doc = """' + b"{" * 5000 + b'""") { string s = "\\"[[[" # (((\n}') == 1
    whole = proper(tmp_path, avatar).read_bytes()
    assert 2 < nesting(whole) < MOST // 4
    assert len(import_usd(tmp_path / "proper.usda", pxr=pxr, heads=[avatar.head])) == 1


def test_archives_that_lie_are_refused(tmp_path: Path, avatar: Avatar) -> None:
    layer = proper(tmp_path, avatar).read_bytes()
    files: dict[str, Callable[[zipfile.ZipFile], object]] = {
        "bomb": lambda z: z.writestr("a.usda", b"#usda 1.0\n" + b" " * (64 << 20), zipfile.ZIP_DEFLATED),
        "slip": lambda z: z.writestr("../../slipped.usda", layer),
        "absolute": lambda z: z.writestr("/tmp/slipped.usda", layer),
        "nothing": lambda z: None,
    }
    for name, fill in files.items():
        with zipfile.ZipFile(tmp_path / f"{name}.usdz", "w") as archive:
            fill(archive)
        before = sorted(p.name for p in tmp_path.parent.rglob("*"))
        try:
            import_usd(tmp_path / f"{name}.usdz", pxr=pxr, heads=[avatar.head])
        except FileFormatError:
            pass
        else:
            assert name in ("slip", "absolute"), "an entry's name is never used as a path"
        assert sorted(p.name for p in tmp_path.parent.rglob("*")) == before, f"{name}: nothing is unpacked"
    (tmp_path / "cut.usdz").write_bytes((tmp_path / "slip.usdz").read_bytes()[:2000])
    with pytest.raises(FileFormatError):
        import_usd(tmp_path / "cut.usdz", pxr=pxr)


HOSTILE_VALUES = [
    ("positions count", "triangle", np.zeros(5_000_000, np.int32)), ("negative triangles", "triangle", [-1] * 60),
    ("infinite colours", "color", [(float("inf"), 0, 0)] * 60), ("minus infinity", "logScale", [(-1e38, 0, 0)] * 60),
    ("no splats", "triangle", []), ("NaN weights", "barycentric", [(float("nan"), 0.5)] * 60),
    ("a head that is a path", "headSha256", "../../../etc/passwd"), ("a long name", "name", "A" * 5_000_000),
    ("another method", "method", "os.system"), ("NaN opacity", "opacityLogit", [float("nan")] * 60),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "value"), HOSTILE_VALUES, ids=[row[0] for row in HOSTILE_VALUES])
def test_no_number_of_a_file_is_believed(tmp_path: Path, avatar: Avatar, kind: str, name: str, value: object) -> None:
    path = proper(tmp_path, avatar, "usdc")
    stage = Usd.Stage.Open(str(path))
    stage.GetPrimAtPath("/Avatar/Splats").GetAttribute(f"primvars:gshead:{name}").Set(value)
    stage.GetRootLayer().Export(str(tmp_path / "hostile.usdc"))
    began = time.monotonic()
    if name == "method":  # a word by which nothing is called
        assert import_usd(tmp_path / "hostile.usdc", pxr=pxr, heads=[avatar.head])[0].avatar.method == "os.system"
        return
    with pytest.raises((FileFormatError, HeadError)) as caught:
        import_usd(tmp_path / "hostile.usdc", pxr=pxr, heads=[avatar.head])
    assert len(str(caught.value)) < 5000
    assert time.monotonic() - began < 20


def test_many_heads_and_names_that_are_no_paths(tmp_path: Path) -> None:
    layer = Sdf.Layer.CreateNew(str(tmp_path / "many.usda"))
    layer.ImportFromString("#usda 1.0\n" + "\n".join(HOLDS.replace('"S"', f'"S{i}"') for i in range(2000)))
    layer.Save()
    with pytest.raises(FileFormatError, match="2000 heads"):
        import_usd(tmp_path / "many.usda", pxr=pxr)
