"""One person: splats bound to a head, their file, and takes that animate them. Only numpy and safetensors."""

from .file import avatar_from_bytes, avatar_to_bytes, describe_avatar, load_avatar, save_avatar
from .take import Take, load_take, save_take
from .types import REGIONS, Avatar, DynamicResidual, Splats

__all__ = [
    "REGIONS",
    "Avatar",
    "DynamicResidual",
    "Splats",
    "Take",
    "avatar_from_bytes",
    "avatar_to_bytes",
    "describe_avatar",
    "load_avatar",
    "load_take",
    "save_avatar",
    "save_take",
]
