"""The interface: names and tooltips as Blender's own, panels in the order of the work, errors, registering often."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Blender
from test_pure import part

from gshead_backend.anonymous import without_places
from gshead_backend.errors import BackendError

DOCTOR = "import sys; sys.path.insert(0, {!r}); from gshead_backend.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def seen(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``ui`` saw, once per version."""
    command = [sys.executable, "-c", DOCTOR.format(str(ROOT)), "serve"]
    blender = Blender(
        *installed, runtime=tmp_path_factory.mktemp("r", numbered=True),
        environment={"GSHEAD_BACKEND_COMMAND": json.dumps(command)},
    )  # fmt: skip
    return blender.run("ui", out=str(tmp_path_factory.mktemp("ui")))


def test_names_and_tooltips_read_like_blenders_own(seen: dict[str, Any]) -> None:
    assert seen["operators"] > 25
    assert not seen["wrong"], "\n".join(seen["wrong"])


def test_panels_are_in_the_order_of_the_work(seen: dict[str, Any]) -> None:
    assert seen["panels"] == ["Portrait", "Head", "Animate", "View", "Render and Export"]


def test_photos_and_takes_can_be_dropped(seen: dict[str, Any]) -> None:
    operator, endings = seen["dropped"]["GSHEAD_FH_portrait"]
    assert operator == "gshead.reconstruct"
    assert {".jpg", ".png", ".webp"} <= set(endings.split(";"))
    assert seen["dropped"]["GSHEAD_FH_take"][0] == "gshead.import_take"


def test_an_error_is_kept_whole_and_its_details_name_nobody(seen: dict[str, Any]) -> None:
    told = seen["errors"]
    assert "GSH-E101" in told["said"]
    assert told["kept"] == ["GSH-E101", "Reconstruct from Portrait"]
    assert told["dismissed"]
    for wanted in ("GSH-E101", "Reconstruct from Portrait", "Blender: ", "System: ", "Backend: offline"):
        assert wanted in told["details"]
    assert "Some One" not in told["details"]
    assert ".jpg" in told["details"]


def test_check_installation_lists_what_doctor_finds(seen: dict[str, Any]) -> None:
    told = seen["checkup"]
    assert ["gshead", "ok"] in told["good"]
    assert len(told["good"]) > 8
    missing, no_serve, chatter = told["failures"]
    assert "cannot be started" in missing
    assert "no word 'serve'" in no_serve
    assert "ended with status 0" in chatter
    assert told["missing"]


def test_registering_twenty_times_leaves_nothing(seen: dict[str, Any]) -> None:
    first, off, last = (seen["registered"][key] for key in ("first", "off", "last"))
    assert first == last
    assert off["classes"] == []
    assert not off["scene"]
    assert not off["bone"]
    assert off["engines"] == off["threads"] == 0
    for name, count in off["handlers"].items():
        assert count <= first["handlers"][name]
    assert sum(off["handlers"].values()) < sum(first["handlers"].values()), "the test sees handlers that come and go"
    assert off["popover"] == first["popover"] - 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("'/data/ada/Some Photos/me.jpg' cannot be read.", "'<path>/*.jpg' cannot be read."),
        ("run /data/ada/venv/bin/gshead serve.", "run <path>/gshead serve."),
        (r"'C:\Photos\Ada Byron\x.png' is no image", "'<path>/*.png' is no image"),
        (r"see \\server\share\x.log,", "see <path>/*.log,"),
        ("see ~/heads/a.gshead", "see <path>/*.gshead"),
        ("1/2 of ipc:///run/user/ada/sock and 3 / 4", "1/2 of ipc://<path> and 3 / 4"),
        ("GSH-E100: 0.05..1, got 2.", "GSH-E100: 0.05..1, got 2."),
    ],
)
def test_paths_are_cut_down_to_what_names_nobody(text: str, wanted: str) -> None:
    assert without_places(text) == wanted


def test_user_names_do_not_leave_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "adalovelace")
    assert part("problem").without_places("adalovelace's adalovelaces") == "<user>'s adalovelaces"


def test_a_report_that_is_none_is_refused() -> None:
    checkup = part("checkup")
    assert checkup.read_report('noise\n{"checks": [{"name": "a", "status": "odd", "detail": 3}]}') == [
        checkup.Check("a", "warning", "3")
    ]
    for text in ("", "{", "[]", '{"checks": 3}', '{"checks": ["x"]}', "{}"):
        with pytest.raises(BackendError, match="something else than a report"):
            checkup.read_report(text)
