"""What stands on the face board and where: sliders, joysticks, labels. No bpy here.

Board units: a control that is moved by 1 turns its channel up by 1, so keys of every head read 0..1 and poses fit heads
of any size; the board's own bone makes a unit a few millimetres. x runs to the viewer's right, which is the person's
left, y up; the origin is the middle of the board's lower edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from gshead_backend.head import ARKIT_NAMES

from .layout import REGIONS

# Rows of the two tables of sliders, in reading order: (label, channel or its stem before Left and Right).
TABLES: tuple[tuple[tuple[str, tuple[tuple[str, str], ...]], ...], ...] = (
    (
        ("Brows", (("inner up", "browInnerUp"), ("outer up", "browOuterUp"), ("down", "browDown"))),
        ("Eyes", (("blink", "eyeBlink"), ("wide", "eyeWide"), ("squint", "eyeSquint"))),
        ("Gaze", (
            ("look up", "eyeLookUp"), ("look down", "eyeLookDown"), ("look in", "eyeLookIn"),
            ("look out", "eyeLookOut"),
        )),
        ("Cheeks and Nose", (("puff", "cheekPuff"), ("squint", "cheekSquint"), ("sneer", "noseSneer"))),
    ),
    (
        ("Mouth", (
            ("smile", "mouthSmile"), ("frown", "mouthFrown"), ("stretch", "mouthStretch"), ("dimple", "mouthDimple"),
            ("press", "mouthPress"), ("upper up", "mouthUpperUp"), ("lower down", "mouthLowerDown"),
            ("side", "mouth"), ("close", "mouthClose"), ("funnel", "mouthFunnel"), ("pucker", "mouthPucker"),
            ("roll upper", "mouthRollUpper"), ("roll lower", "mouthRollLower"),
            ("shrug upper", "mouthShrugUpper"), ("shrug lower", "mouthShrugLower"),
        )),
        ("Jaw and Tongue", (
            ("open", "jawOpen"), ("forward", "jawForward"), ("side", "jaw"), ("tongue", "tongueOut"),
        )),
    ),
)  # fmt: skip
SIDES = {"Left": "L", "Right": "R"}
JOYSTICK_PREFIX = "CTL-"
STATIC_PREFIX = "BRD-"
FACE_X, TABLE_X = -6.3, (1.5, 7.9)
WIDTH, HEIGHT = 21.6, 13.2
ROW, TITLE_GAP = 0.6, 0.3
TRACK_START = 1.55
TEXT, TITLE_TEXT = 0.3, 0.36


@dataclass(frozen=True)
class Slider:
    """A bone whose y location, 0..1, is one channel.

    Attributes:
        bone, channel, region: names. at: its zero. direction: +1 or -1, which way along x the bone points.
        side: "L", "R" or "" for the middle.
    """

    bone: str
    channel: str
    region: str
    at: tuple[float, float]
    direction: int
    side: str


@dataclass(frozen=True)
class Joystick:
    """A bone that moves in a plane and adds to the channels of its directions.

    Attributes:
        bone, label, region: names. at: its zero. side: "L", "R" or "".
        adds: (axis 0 or 1, sign) to the channel that this direction adds 1 to at 1.
    """

    bone: str
    label: str
    region: str
    at: tuple[float, float]
    side: str
    adds: dict[tuple[int, int], str]

    def limits(self, axis: int) -> tuple[float, float]:
        """Lowest and highest location along an axis; both are 0 where it does not move."""
        return (-1.0 if (axis, -1) in self.adds else 0.0), (1.0 if (axis, 1) in self.adds else 0.0)


@dataclass(frozen=True)
class Text:
    """A label: its middle, its height, and whether it heads a region."""

    text: str
    at: tuple[float, float]
    height: float = TEXT


def slider_bone(channel: str) -> str:
    """The bone of an ARKit channel: ``eyeBlinkLeft`` is ``eyeBlink.L``, so that Blender can mirror it."""
    for word, letter in SIDES.items():
        if channel.endswith(word):
            stem = channel.removesuffix(word)
            return f"{stem}Side.{letter}" if stem in ("jaw", "mouth") else f"{stem}.{letter}"
    return channel


SLIDER_BONES: dict[str, str] = {channel: slider_bone(channel) for channel in ARKIT_NAMES}


def sliders() -> list[Slider]:
    """All 52 sliders, in the order of the tables; pairs stand on both sides of their label and move outward."""
    found = []
    for x, table in zip(TABLE_X, TABLES, strict=True):
        for region, rows, y in _regions(table):
            for k, (_, stem) in enumerate(rows):
                at = y - (k + 1) * ROW
                if stem in SLIDER_BONES:
                    found.append(Slider(stem, stem, region, (x + TRACK_START, at), 1, ""))
                    continue
                for word, letter, sign in (("Right", "R", -1), ("Left", "L", 1)):
                    channel = stem + word
                    found.append(Slider(slider_bone(channel), channel, region, (x + sign * TRACK_START, at), sign,
                                        letter))  # fmt: skip
    return found


def labels() -> dict[str, list[Text]]:
    """Region to the labels of its rows and its own title; the joysticks' labels are under "Face"."""
    found: dict[str, list[Text]] = {}
    for x, table in zip(TABLE_X, TABLES, strict=True):
        for region, rows, y in _regions(table):
            found[region] = [Text(region.upper(), (x, y), TITLE_TEXT)]
            found[region] += [Text(text.upper(), (x, y - (k + 1) * ROW)) for k, (text, _) in enumerate(rows)]
    found["Face"] = []
    for stick in joysticks():
        x = stick.at[0] + sum(stick.limits(0)) / 2
        found["Face"].append(Text(stick.label.upper(), (x, stick.at[1] + stick.limits(1)[0] - 0.42)))
    return found


def joysticks() -> list[Joystick]:
    """The joysticks, laid out like a face seen from the front."""
    found = [
        _stick("brow_inner", "inner", 0, 10.3, {(1, 1): "browInnerUp"}),
        _stick("mouth", "mouth", 0, 3.6, {(0, 1): "mouthLeft", (0, -1): "mouthRight", (1, 1): "mouthPucker",
                                          (1, -1): "mouthFunnel"}),
        _stick("jaw", "jaw", 0, 1.75, {(0, 1): "jawLeft", (0, -1): "jawRight", (1, -1): "jawOpen"}),
    ]  # fmt: skip
    for word, letter, sign in (("Right", "R", -1), ("Left", "L", 1)):
        found += [
            _stick("brow", "brow", sign * 2.3, 11.4, {(1, 1): f"browOuterUp{word}",
                                                      (1, -1): f"browDown{word}"}, letter),
            _stick("lid", "lid", sign * 2.0, 8.6, {(1, 1): f"eyeWide{word}", (1, -1): f"eyeBlink{word}"}, letter),
            _stick("nose", "nose", sign * 0.7, 7.5, {(1, 1): f"noseSneer{word}"}, letter),
            _stick("cheek", "cheek", sign * 3.1, 6.1, {(1, 1): f"cheekSquint{word}"}, letter),
            _stick("lip_upper", "upper", sign * 1.0, 5.5, {(1, 1): f"mouthUpperUp{word}"}, letter),
            _stick("lip_lower", "lower", sign * 2.0, 1.75, {(1, -1): f"mouthLowerDown{word}"}, letter),
            _stick("corner", "corner", sign * 2.2, 3.6, {(1, 1): f"mouthSmile{word}", (1, -1): f"mouthFrown{word}",
                                                        (0, sign): f"mouthStretch{word}"}, letter),
        ]  # fmt: skip
    return found


def additions() -> dict[str, list[tuple[str, int, int]]]:
    """Channel to the (joystick bone, axis, sign) that add to its slider."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for stick in joysticks():
        for (axis, sign), channel in stick.adds.items():
            found.setdefault(channel, []).append((stick.bone, axis, sign))
    return found


def _stick(name: str, label: str, x: float, y: float, adds: dict[tuple[int, int], str], side: str = "") -> Joystick:
    first = next(iter(adds.values()))
    region = next(title for title, prefixes in REGIONS if first.startswith(prefixes))
    bone = f"{JOYSTICK_PREFIX}{name}.{side}" if side else JOYSTICK_PREFIX + name
    return Joystick(bone, label, region, (FACE_X + x, y), side, adds)


def _regions(table: tuple) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    """(region, rows, y of the title) from the top of the board down."""
    found, y = [], HEIGHT - 0.7
    for region, rows in table:
        found.append((region, rows, y))
        y -= (len(rows) + 1) * ROW + TITLE_GAP
    return found
