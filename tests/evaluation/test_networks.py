"""``gshead evaluate networks``: what parser and regressor say by themselves, against the truth of folders."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gshead_backend.cli import main
from gshead_backend.evaluation.truth import ACTIVE, LOOKS
from gshead_backend.head import ARKIT_NAMES
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.training.synthetic.sample import FIRST_PERSON, SHOTS, Drawing, Sample, draw

PERSON = 6  # looks surprised


def write_person(folder: Path, sample: Sample, labels: np.ndarray, image: np.ndarray) -> None:
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "view.png"), image[..., ::-1])
    cv2.imwrite(str(folder / "labels.png"), labels)
    frame = {
        "arkit": {n: float(v) for n, v in zip(ARKIT_NAMES, sample.arkit, strict=True) if v > 0},
        "gaze_deg": {side: np.degrees(g).tolist() for side, g in zip(("left", "right"), sample.gaze, strict=True)},
    }
    view = {"image": "view.png", "labels": "labels.png", "frame": "only", "K": sample.camera.K.tolist(),
            "viewmat": sample.camera.viewmat.tolist()}  # fmt: skip
    document = {"format": "gshead-multiview", "version": 1, "name": folder.name, "license": "CC0-1.0",
                "frames": {"only": frame}, "views": [view], "source": 0}  # fmt: skip
    (folder / "scene.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sample]:
    """One synthetic person three times: as they are, with eyes that nobody sees, and with nobody in the picture."""
    root = tmp_path_factory.mktemp("people")
    sample = draw((FIRST_PERSON["test"] + PERSON) * SHOTS, Drawing(size=384))
    write_person(root / "plain", sample, sample.labels, sample.image)
    hidden = np.where(sample.labels == LABEL_INDEX["eyes"], LABEL_INDEX["glasses"], sample.labels)
    write_person(root / "shades", sample, hidden, sample.image)
    write_person(root / "void", sample, sample.labels, np.full_like(sample.image, 90))
    return root, sample


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, float]]:
    assert main(["evaluate", "networks", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_person_and_all_of_them(people: tuple[Path, Sample], capsys: pytest.CaptureFixture[str]) -> None:
    root, sample = people
    told = measured(capsys, "--people", str(root))
    assert list(told) == ["plain", "shades", "void", "all", "eyes visible"]
    active = (sample.arkit > ACTIVE) & ~LOOKS
    assert active.any()
    for name in ("plain", "all"):
        row = told[name]
        assert row["zero_mae"] == pytest.approx(sample.arkit[active].mean(), abs=1e-3)
        assert 0 < row["regressor_mae"] < row["zero_mae"]
        assert row["parser_iou_skin"] > 0.6
        assert row["parser_iou_background"] > 0.9
        assert row["regressor_yaw_deg"] < 10
    assert [told[n]["faces"] for n in told] == [1, 1, 0, 2, 1]
    assert [told[n]["missed"] for n in told] == [0, 0, 1, 1, 1]
    # Where nobody sees the eyes, the person counts for "all" alone; no face, no pixels.
    assert told["eyes visible"]["parser_miou"] == told["plain"]["parser_miou"]
    assert told["all"]["parser_miou"] < told["plain"]["parser_miou"]


def test_the_table_names_columns_and_classes(people: tuple[Path, Sample], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "networks", "--people", str(people[0])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["mIoU", "error"]
    assert lines[1].startswith("plain")
    assert any(line.startswith("facial_hair") for line in lines)


def test_nobody_to_measure(people: tuple[Path, Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one").mkdir()
    assert main(["evaluate", "networks", "--people", str(tmp_path / "one")]) != 0
    assert "no test people" in capsys.readouterr().err
    (tmp_path / "two").symlink_to(people[0] / "void")
    assert main(["evaluate", "networks", "--people", str(tmp_path)]) != 0
    assert "No face was found" in capsys.readouterr().err
