"""``gshead relight``: the same avatar in another light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import bytes_text, emit, parse


def main(args: Sequence[str]) -> int:
    return parse(relight, "relight", args)


def relight(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *, yaw: float = 45.0,
    pitch: float = 30.0, soft: float = 0.35, strength: float = 1.0, power: float = 1.0,
    color: tuple[float, float, float] = (1.0, 1.0, 1.0), json: bool = False,
) -> int:  # fmt: skip
    """Write an avatar as it looks in the light of one lamp; the photo's own light is taken out first.

    For programs that show splats as they are: Blender lights a head by its scene, 'gshead render --lamp' a picture.

    Args:
        avatar: a .gshead file.
        out: the .gshead file to write.
        yaw: degrees from which the lamp shines: 0 from the front, 90 from the person's left.
        pitch: degrees upward.
        soft: share of even light from all sides, 0 to 1.
        strength: 0 changes nothing, 1 is the new light alone.
        power: 1 shows a white card that faces the lamp as just white.
        color: linear red, green and blue of the lamp.
        json: print the result as one JSON object.
    """
    if out.suffix.lower() != ".gshead":
        raise ArgumentError(f"'{out.name}' must end in .gshead.")
    if not 0 <= strength <= 1:
        raise ArgumentError(f"--strength lies in 0..1, not {strength}.")
    check_writable(out)
    from ..avatar import load_avatar, save_avatar
    from ..avatar.light import lamp
    from ..avatar.shading import relit

    light = lamp(yaw, pitch, soft=soft, color=color, power=power)
    size = save_avatar(relit(load_avatar(avatar), light, strength), out)
    told = {"file": str(out), "yaw": yaw, "pitch": pitch, "soft": soft, "strength": strength, "bytes": size}
    emit(told, f"{out}: lamp at {yaw:g}°, {pitch:g}° up, {bytes_text(size)}", as_json=json)
    return 0
