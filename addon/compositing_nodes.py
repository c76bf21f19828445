"""The node group that lays heads over a render by depth, and its place in a scene's compositor.

With S the render, D its depth, H the heads (premultiplied, coverage a) and E their depth, a pixel shows

    S + v (H - a B),        v = antialiased(D >= E)

which is plain *over* where v is 1 and B is S. Where something cuts a head off, S already is a mixture of the near
thing and of what lies behind it; B, what lies behind, is then taken from the neighbours at which the head is seen,
so that no fringe of it shines along the edge.
"""

from __future__ import annotations

from typing import Any

import bpy

GROUP, RENDER = "Gaussian Heads", "Gaussian Heads Render"
TOLERANCE = 0.001  # metres by which something must be nearer than a head to hide it altogether
_BLUR_PIXELS = 4.0
_OUTLINE_PIXELS, _SPECK_PIXELS = 1.0, 2.0  # of Blender's Gauss kernels: one pixel to each side, three by three
_GRAIN_PIXELS = 9.0
_SOME, _ALONE, _BUSY = 1e-3, 0.55, 0.1
_CONTRAST = 0.01  # squared distance of two colours that is enough to tell their shares
_SURE = 0.999


class _Group:
    """Shorthand for making nodes and links."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def link(self, source: Any, socket: Any) -> None:
        """Connect an output, or set a constant."""
        if isinstance(source, (int, float)):
            socket.default_value = source
        else:
            self.tree.links.new(source, socket)

    def math(self, operation: str, *values: Any, clamp: bool = False) -> Any:
        """The output of a Math node."""
        node = self.tree.nodes.new("ShaderNodeMath")
        node.operation, node.use_clamp = operation, clamp
        for socket, value in zip(node.inputs, values, strict=False):
            self.link(value, socket)
        return node.outputs[0]

    def split(self, image: Any) -> list[Any]:
        """Red, green, blue and alpha."""
        node = self.tree.nodes.new("CompositorNodeSeparateColor")
        self.link(image, node.inputs[0])
        return list(node.outputs)

    def join(self, channels: list[Any]) -> Any:
        """Four channels as an image."""
        node = self.tree.nodes.new("CompositorNodeCombineColor")
        for socket, channel in zip(node.inputs, channels, strict=True):
            self.link(channel, socket)
        return node.outputs[0]

    def mix(self, one: Any, other: Any, share: Any) -> Any:
        """``one`` where the share is 0, ``other`` where it is 1."""
        return self.math("MULTIPLY_ADD", self.math("SUBTRACT", other, one), share, one)

    def total(self, values: list[Any]) -> Any:
        """The sum of some outputs."""
        out = values[0]
        for value in values[1:]:
            out = self.math("ADD", out, value)
        return out

    def around(self, channels: list[Any], where: Any) -> tuple[list[Any], Any]:
        """What the channels are, on the average of the neighbourhood, where a mask is 1; and whether it is anywhere."""
        masked = self.join([self.math("MULTIPLY", channel, where) for channel in channels])
        weight = self.blur(where, _BLUR_PIXELS)
        safe = self.math("MAXIMUM", weight, _SOME)
        means = [self.math("DIVIDE", channel, safe) for channel in self.split(self.blur(masked, _BLUR_PIXELS))]
        return means, self.math("GREATER_THAN", weight, _SOME)

    def blur(self, image: Any, pixels: float) -> Any:
        node = self.tree.nodes.new("CompositorNodeBlur")
        node.inputs["Size"].default_value = [pixels] * len(node.inputs["Size"].default_value)
        self.link(image, node.inputs["Image"])
        return node.outputs[0]

    def smooth(self, image: Any) -> Any:
        node = self.tree.nodes.new("CompositorNodeAntiAliasing")
        self.link(image, node.inputs["Image"])
        return node.outputs[0]


def make_group() -> Any:
    """A new node group: Image, Depth, Heads, Heads Depth in; Image and Heads Alpha out."""
    tree = bpy.data.node_groups.new(GROUP, "CompositorNodeTree")
    for name, kind in (("Image", "Color"), ("Depth", "Float"), ("Heads", "Color"), ("Heads Depth", "Float")):
        tree.interface.new_socket(name, in_out="INPUT", socket_type=f"NodeSocket{kind}")
    for name, kind in (("Image", "Color"), ("Heads Alpha", "Float")):
        tree.interface.new_socket(name, in_out="OUTPUT", socket_type=f"NodeSocket{kind}")
    source, sink = tree.nodes.new("NodeGroupInput").outputs, tree.nodes.new("NodeGroupOutput").inputs
    group = _Group(tree)
    behind = group.math("SUBTRACT", source["Depth"], source["Heads Depth"])
    raw = group.math("MULTIPLY_ADD", behind, 1 / TOLERANCE, 1.0, clamp=True)
    hard = _without_specks(group, raw)
    scene, heads = group.split(source["Image"]), group.split(source["Heads"])
    # Pixels next to the outline may be mixtures themselves and are no witnesses of either colour.
    close = group.blur(hard, _OUTLINE_PIXELS)
    far, some_far = group.around(scene, group.math("GREATER_THAN", close, _SURE))
    near, some_near = group.around(scene, group.math("LESS_THAN", close, 1 - _SURE))
    known = group.math("MULTIPLY", some_far, some_near)
    outline = group.math("LESS_THAN", group.math("ABSOLUTE", group.math("SUBTRACT", close, 0.5)), _SURE - 0.5)
    grain, density = _grain(group, raw)
    soft = group.mix(group.smooth(hard), density, grain)
    clean = group.math("SUBTRACT", 1.0, grain)
    told = group.math("MULTIPLY", group.math("MULTIPLY", outline, known), clean)
    visible = _coverage(group, soft, scene, near, far, told)
    # In an area of mixtures no pixel shows what lies behind: plain over, with the coverage that there is.
    cut = group.math("MULTIPLY", group.math("MULTIPLY", group.math("LESS_THAN", visible, _SURE), some_far), clean)
    channels = []
    for s, h, f in zip(scene, heads, far, strict=True):
        back = group.mix(s, f, cut)
        change = group.math("SUBTRACT", h, group.math("MULTIPLY", heads[3], back))
        channels.append(group.math("MAXIMUM", group.math("MULTIPLY_ADD", visible, change, s), 0.0))
    group.link(group.join(channels), sink["Image"])
    group.link(group.math("MULTIPLY", visible, heads[3]), sink["Heads Alpha"])
    _arrange(tree)
    return tree


def _without_specks(group: _Group, hard: Any) -> Any:
    """The yes and no of the depths, without pixels that differ from everything around them."""
    around = group.blur(hard, _SPECK_PIXELS)
    alone = group.math("GREATER_THAN", _distance(group, hard, around), _ALONE)
    return group.mix(hard, group.math("ROUND", around), alone)


def _grain(group: _Group, raw: Any) -> tuple[Any, Any]:
    """Where yes and no lie mixed over an area, from 0 to 1, and how often it is yes there.

    So they lie in what Cycles blurs by motion or by its lens: each pixel has the depth of one moment, or of one point
    of the lens, and only together do neighbours tell the coverage.
    """
    busy = group.blur(_distance(group, raw, group.blur(raw, _SPECK_PIXELS)), _GRAIN_PIXELS)
    grain = group.math("MULTIPLY", group.math("SUBTRACT", busy, _BUSY), 1 / _BUSY, clamp=True)
    return grain, group.blur(raw, _GRAIN_PIXELS)


def _distance(group: _Group, one: Any, other: Any) -> Any:
    return group.math("ABSOLUTE", group.math("SUBTRACT", one, other))


def _coverage(group: _Group, soft: Any, scene: list[Any], near: list[Any], far: list[Any], told: Any) -> Any:
    """How much of each pixel lies behind the heads, from 0 to 1; ``soft`` is the antialiased yes and no of the depths.

    Along an outline (``told`` is 1) the render itself tells: its pixel is a mixture of the near and the far colour,
    and the share is found by projecting on the line between them. Where the two are alike, nothing can be told.
    """
    steps = [group.math("SUBTRACT", f, n) for n, f in zip(near, far, strict=True)]
    length = group.total([group.math("MULTIPLY", step, step) for step in steps])
    along = [group.math("MULTIPLY", group.math("SUBTRACT", s, n), d)
             for s, n, d in zip(scene, near, steps, strict=True)]  # fmt: skip
    share = group.math("DIVIDE", group.total(along), group.math("MAXIMUM", length, 1e-8), clamp=True)
    trust = group.math("MULTIPLY", length, 1 / _CONTRAST, clamp=True)
    weight = group.math("MULTIPLY", trust, told)
    return group.math("MINIMUM", group.mix(soft, share, weight), 1.0, clamp=True)


def _arrange(tree: Any) -> None:
    """Columns from left to right by the longest way from the input."""
    column: dict[str, int] = {}

    def place(node: Any) -> int:
        if node.name not in column:
            links = [link for socket in node.inputs for link in socket.links]
            column[node.name] = 1 + max((place(link.from_node) for link in links), default=-1)
        return column[node.name]

    rows: dict[int, int] = {}
    for node in tree.nodes:
        x = place(node)
        rows[x] = rows.get(x, 0) + 1
        node.location = (200 * x, -170 * rows[x])


def insert(tree: Any, layers: Any, heads_scene: Any) -> None:
    """Put the heads behind a Render Layers node: whatever used its image or alpha now gets it with the heads."""
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree, group.name, group.label = make_group(), GROUP, GROUP
    heads = tree.nodes.new("CompositorNodeRLayers")
    heads.scene, heads.name, heads.label = heads_scene, RENDER, "Gaussian Heads"
    group.location = layers.location.x + 320, layers.location.y
    heads.location = layers.location.x, layers.location.y - 420
    image = layers.outputs["Image"]
    for target in [link.to_socket for link in image.links]:
        tree.links.new(group.outputs["Image"], target)
    tree.links.new(image, group.inputs["Image"])
    tree.links.new(layers.outputs["Depth"], group.inputs["Depth"])
    tree.links.new(heads.outputs["Image"], group.inputs["Heads"])
    tree.links.new(heads.outputs["Heads Depth"], group.inputs["Heads Depth"])


def take_out(tree: Any, layers: Any, heads_scene: Any) -> None:
    """The reverse of :func:`insert`, in a tree that may have changed since."""
    for node in [n for n in tree.nodes if is_group(n)]:
        if layers is not None:
            for target in [link.to_socket for link in node.outputs["Image"].links]:
                tree.links.new(layers.outputs["Image"], target)
        inner = node.node_tree
        tree.nodes.remove(node)
        if inner.users == 0:
            bpy.data.node_groups.remove(inner)
    for node in [n for n in tree.nodes if is_heads(n, heads_scene)]:
        tree.nodes.remove(node)


def is_group(node: Any) -> bool:
    """Whether a node is this module's group."""
    return node.bl_idname == "CompositorNodeGroup" and node.node_tree is not None and node.name.startswith(GROUP)


def is_heads(node: Any, heads_scene: Any) -> bool:
    """Whether a node is the Render Layers node of the heads, also when their scene is gone or another's."""
    if node.bl_idname != "CompositorNodeRLayers":
        return False
    return node.name.startswith(RENDER) or (heads_scene is not None and node.scene == heads_scene)


def connected(tree: Any, heads_scene: Any) -> bool:
    """Whether the heads still reach something in the tree."""
    rendered = any(is_heads(n, heads_scene) and n.scene == heads_scene and not n.mute for n in tree.nodes)
    groups = [n for n in tree.nodes if is_group(n) and not n.mute]
    return rendered and any(output.is_linked for n in groups for output in n.outputs)
