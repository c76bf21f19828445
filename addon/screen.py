"""Drawing a backend frame into a viewport with Blender's gpu module.

Blender takes what an engine draws as scene-linear, so the sRGB-encoded 8-bit frame is decoded in the shader.
``gpu`` uploads floats only: colour goes as one exactly representable integer (24 bits) and alpha as another, which
is a quarter of four floats and, unlike reinterpreted bytes, can never form a NaN that a driver might change.
"""

from __future__ import annotations

from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from . import compat, compose
from .text import FONT, wrap

VERTEX = "void main() { uv = position; gl_Position = vec4(position * 2.0 - 1.0, 0.0, 1.0); }"
FRAGMENT = """
vec4 texel(ivec2 at) {
  ivec2 last = textureSize(frame, 0) - 1;
  vec2 packed_value = texelFetch(frame, clamp(at, ivec2(0), last), 0).rg;
  int rgb = int(packed_value.r);
  vec3 encoded = vec3(float(rgb & 255), float((rgb >> 8) & 255), float((rgb >> 16) & 255)) / 255.0;
  vec3 linear = mix(encoded / 12.92, pow((encoded + 0.055) / 1.055, vec3(2.4)), step(vec3(0.04045), encoded));
  return vec4(linear, packed_value.g / 255.0);
}
void main() {
  if (textureSize(frame, 0) == ivec2(1)) {  // nothing has arrived yet
    fragColor = background;
    return;
  }
  vec2 at = vec2(uv.x, 1.0 - uv.y) * vec2(textureSize(frame, 0)) - 0.5;
  vec2 low = floor(at + 1e-3);
  vec2 f = max(at - low, vec2(0.0));
  ivec2 i = ivec2(low);
  vec4 color = texel(i);
  if (max(f.x, f.y) > 2e-3) {  // a half-size frame while things move; at full size one texel is the pixel
    vec4 near_row = mix(color, texel(i + ivec2(1, 0)), f.x);
    vec4 far_row = mix(texel(i + ivec2(0, 1)), texel(i + ivec2(1, 1)), f.x);
    color = mix(near_row, far_row, f.y);
  }
  color.rgb = to_working_space * color.rgb;
  fragColor = color + (1.0 - color.a) * background;
}
"""


def pack(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 to flat float32, two values a pixel: r + 256 g + 65536 b, and alpha."""
    words = np.ascontiguousarray(rgba).view("<u4").reshape(-1)
    out = np.empty((words.size, 2), np.float32)
    out[:, 0] = words & np.uint32(0xFFFFFF)
    out[:, 1] = words >> np.uint32(24)
    return out.reshape(-1)


def _shader() -> Any:
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "position")
    interface = gpu.types.GPUStageInterfaceInfo("gshead_screen")
    interface.smooth("VEC2", "uv")
    info.vertex_out(interface)
    info.sampler(0, "FLOAT_2D", "frame")
    info.push_constant("VEC4", "background")
    info.push_constant("MAT3", "to_working_space")
    info.fragment_out(0, "VEC4", "fragColor")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return gpu.shader.create_from_info(info)


class Picture:
    """The last frame as a texture; keeps being drawn until a newer one is set."""

    _shared_shader: Any = None

    def __init__(self) -> None:
        self._texture: Any = None
        self._pending: np.ndarray | None = None

    def set(self, rgba: np.ndarray) -> None:
        """A new (H, W, 4) uint8 frame: sRGB encoding of premultiplied linear, row 0 on top."""
        self._pending = rgba

    def clear(self) -> None:
        """Show nothing but the background."""
        self._texture = self._pending = None

    def draw(self, width: int, height: int, background: np.ndarray | None) -> None:
        """Fill the bound framebuffer, which is scene-linear, scaled to it; ``background`` (3,) or None for none."""
        if self._pending is not None:
            rgba, self._pending = self._pending, None
            self._texture = _upload(rgba)
        texture = self._texture or _upload(np.zeros((1, 1, 4), np.uint8))
        if Picture._shared_shader is None:
            Picture._shared_shader = _shader()
        shader = Picture._shared_shader
        corners = ((0, 0), (1, 0), (1, 1), (0, 1))
        batch = batch_for_shader(shader, "TRI_FAN", {"position": corners})
        shader.bind()
        shader.uniform_sampler("frame", texture)
        color = (0.0,) * 4 if background is None else (*(float(v) for v in background), 1.0)
        shader.uniform_float("background", color)
        shader.uniform_float("to_working_space", compose.rec709_to(compat.working_space()).T.ravel().tolist())
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("NONE")
        batch.draw(shader)
        gpu.state.blend_set("NONE")


def release() -> None:
    """Drop the shader; graphics resources must not outlive Blender's context."""
    Picture._shared_shader = None


def _upload(rgba: np.ndarray) -> Any:
    height, width = rgba.shape[:2]
    buffer = gpu.types.Buffer("FLOAT", width * height * 2, pack(rgba))
    return gpu.types.GPUTexture((width, height), format="RG32F", data=buffer)


def draw_notice(text: str, region: Any) -> None:
    """Lines of text, centred at the bottom of the region."""
    scale = bpy.context.preferences.system.ui_scale
    size, bottom = 13 * scale, 48 * scale
    lines = wrap(f"Gaussian Head: {text}", 0.8 * region.width, size)
    blf.color(FONT, 1.0, 1.0, 1.0, 0.9)
    blf.enable(FONT, blf.SHADOW)
    blf.shadow(FONT, 5, 0.0, 0.0, 0.0, 0.8)
    for row, line in enumerate(reversed(lines)):
        width, _ = blf.dimensions(FONT, line)
        blf.position(FONT, max(8, (region.width - width) / 2), bottom + 1.5 * size * row, 0)
        blf.draw(FONT, line)
    blf.disable(FONT, blf.SHADOW)
