"""Drawing a backend frame into a viewport with Blender's gpu module.

Both places take scene-linear values: what an engine draws goes through the view transform, and the overlay's buffer
encodes them for the display. So the sRGB-encoded 8-bit frame is decoded in the shader.
"""

from __future__ import annotations

from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from . import compat, compose
from .camera import SEEN_EVERYWHERE
from .texels import Texels
from .text import FONT, wrap

VERTEX = "void main() { uv = position; gl_Position = vec4(position * 2.0 - 1.0, 0.0, 1.0); }"
TEXEL = """
vec4 texel(ivec2 at) {
  at = clamp(at, ivec2(0), size - 1) - place.xy;
  if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, place.zw))) return vec4(0.0);
  int rgb = int(texelFetch(frame, at, 0).r);
  int alphas = int(texelFetch(frame, ivec2(at.x, place.w + at.y / 3), 0).r);
  vec3 encoded = vec3(float(rgb & 255), float((rgb >> 8) & 255), float((rgb >> 16) & 255)) / 255.0;
  vec3 linear = mix(encoded / 12.92, pow((encoded + 0.055) / 1.055, vec3(2.4)), step(vec3(0.04045), encoded));
  return vec4(linear, float((alphas >> (8 * (at.y % 3))) & 255) / 255.0);
}
"""
RENDERED = (
    TEXEL
    + """
void main() {
  vec2 at = vec2(uv.x, 1.0 - uv.y) * vec2(size) - 0.5;
  vec2 low = floor(at + 1e-3);
  vec2 f = max(at - low, vec2(0.0));
  ivec2 i = ivec2(low);
  vec4 color = texel(i);
  if (max(f.x, f.y) > 2e-3) {  // a smaller frame while things move; at full size one texel is the pixel
    vec4 near_row = mix(color, texel(i + ivec2(1, 0)), f.x);
    vec4 far_row = mix(texel(i + ivec2(0, 1)), texel(i + ivec2(1, 1)), f.x);
    color = mix(near_row, far_row, f.y);
  }
  color.rgb = to_working_space * color.rgb;
  fragColor = color + (1.0 - color.a) * background;
}
"""
)
OVERLAY = (
    TEXEL
    + """
vec4 color_sum;
vec2 depth_sum;
void tap(ivec2 at, float weight) {
  vec4 color = weight * texel(at);
  if (color.a <= 0.0) return;  // outside of the textures, too
  color_sum += color;
  float metres = texelFetch(depths, clamp(at, ivec2(0), size - 1) - place.xy, 0).r;
  if (metres < 1e30) depth_sum += color.a * vec2(metres, 1.0);
}
void main() {
  vec2 at = vec2(uv.x, 1.0 - uv.y) * vec2(size) - 0.5;
  vec2 low = floor(at + 1e-3);
  vec2 f = max(at - low, vec2(0.0));
  ivec2 i = ivec2(low);
  color_sum = vec4(0.0);
  depth_sum = vec2(0.0);
  if (max(f.x, f.y) > 2e-3) {
    tap(i, (1.0 - f.x) * (1.0 - f.y));
    tap(i + ivec2(1, 0), f.x * (1.0 - f.y));
    tap(i + ivec2(0, 1), (1.0 - f.x) * f.y);
    tap(i + ivec2(1, 1), f.x * f.y);
  } else {
    tap(i, 1.0);
  }
  if (depth_sum.y <= 0.0) discard;
  float metres = depth_sum.x / depth_sum.y;
  vec3 spot = vec3((to_ndc.z != 0.0 ? metres : 1.0) * vec2(uv.x, 1.0 - uv.y), metres);
  for (int k = 0; k < 4; k++) {
    if (dot(clip[k].xyz, spot) + clip[k].w < 0.0) discard;
  }
  float ndc = (to_ndc.x * metres + to_ndc.y) / (to_ndc.z * metres + to_ndc.w);
  gl_FragDepth = clamp(0.5 * ndc + 0.5, 0.0, 1.0);
  fragColor = color_sum;
}
"""
)


def _shader(name: str, fragment: str, constants: dict[str, str], *, depth: bool) -> Any:
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "position")
    interface = gpu.types.GPUStageInterfaceInfo(name)
    interface.smooth("VEC2", "uv")
    info.vertex_out(interface)
    info.sampler(0, "FLOAT_2D", "frame")
    if depth:
        info.sampler(1, "FLOAT_2D", "depths")
        info.depth_write("ANY")
    for constant, kind in {"size": "IVEC2", "place": "IVEC4", **constants}.items():
        info.push_constant(kind, constant)
    info.fragment_out(0, "VEC4", "fragColor")
    info.vertex_source(VERTEX)
    info.fragment_source(fragment)
    shader = gpu.shader.create_from_info(info)
    batch = batch_for_shader(shader, "TRI_FAN", {"position": ((0, 0), (1, 0), (1, 1), (0, 1))})
    return shader, batch


_programs: dict[str, Any] = {}


def _program(name: str) -> Any:
    """(shader, batch) by name, made when first drawn with."""
    if name not in _programs:
        if name == "rendered":
            constants = {"background": "VEC4", "to_working_space": "MAT3"}
            _programs[name] = _shader("gshead_rendered", RENDERED, constants, depth=False)
        else:
            _programs[name] = _shader("gshead_overlay", OVERLAY, {"to_ndc": "VEC4", "clip": "MAT4"}, depth=True)
    return _programs[name]


class Picture:
    """The last frame as textures; keeps being drawn until a newer one is set."""

    def __init__(self) -> None:
        self._size, self._place = (1, 1), (0, 0, 1, 1)
        self._color: Any = None
        self._depth: Any = None
        self._pending: Texels | None = None
        self.shown: Texels | None = None  # what the textures hold

    def set(self, frame: Texels) -> None:
        """A new frame: sRGB encoding of premultiplied linear."""
        self._pending = frame

    def clear(self) -> None:
        """Show nothing but the background."""
        self._color = self._depth = self._pending = self.shown = None

    def draw_rendered(self, background: np.ndarray | None) -> None:
        """Fill the bound framebuffer, which is scene-linear, scaled to it; ``background`` (3,) or None for none."""
        color = (0.0,) * 4 if background is None else (*(float(v) for v in background), 1.0)
        self._upload()
        if self._color is None:
            if background is None:
                return
            gpu.state.active_framebuffer_get().clear(color=color)
            return
        shader, batch = _program("rendered")
        shader.bind()
        shader.uniform_sampler("frame", self._color)
        shader.uniform_int("size", self._size)
        shader.uniform_int("place", self._place)
        shader.uniform_float("background", color)
        shader.uniform_float("to_working_space", compose.rec709_to(compat.working_space()).T.ravel().tolist())
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("NONE")
        batch.draw(shader)
        gpu.state.blend_set("NONE")

    def draw_overlay(self, to_ndc: tuple[float, ...], clip: np.ndarray = SEEN_EVERYWHERE) -> bool:
        """Blend over the bound framebuffer where its depth lets the heads through; whether there was anything to draw.

        Args:
            to_ndc: ``camera.depth_to_ndc``. clip: ``camera.clip_planes``.
        """
        self._upload()
        if self._color is None or self._depth is None:
            return False
        shader, batch = _program("overlay")
        shader.bind()
        shader.uniform_sampler("frame", self._color)
        shader.uniform_sampler("depths", self._depth)
        shader.uniform_int("size", self._size)
        shader.uniform_int("place", self._place)
        shader.uniform_float("to_ndc", to_ndc)
        shader.uniform_float("clip", clip.ravel().tolist())
        depth_test, mask = gpu.state.depth_test_get(), gpu.state.depth_mask_get()
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("LESS_EQUAL")
        gpu.state.depth_mask_set(False)
        batch.draw(shader)
        gpu.state.depth_mask_set(mask)
        gpu.state.depth_test_set(depth_test)
        gpu.state.blend_set("NONE")
        return True

    def _upload(self) -> None:
        if self._pending is not None:
            self.shown, self._pending = self._pending, None
            frame = self.shown
            self._size, self._place = frame.size, frame.place
            self._color = _texture(frame.color)
            self._depth = None if frame.depth is None else _texture(frame.depth)


def release() -> None:
    """Drop the shaders; graphics resources must not outlive Blender's context."""
    _programs.clear()


def _texture(values: np.ndarray) -> Any:
    height, width = values.shape
    buffer = gpu.types.Buffer("FLOAT", width * height, values.reshape(-1))  # shares the memory
    return gpu.types.GPUTexture((width, height), format="R32F", data=buffer)


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
        blf.position(FONT, max(8 * scale, (region.width - width) / 2), bottom + 1.5 * size * row, 0)
        blf.draw(FONT, line)
    blf.disable(FONT, blf.SHADOW)
