"""glTF: what the document says, evaluated by glTF's own rules, is the head that the project computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from readers import Glb
from three_splats import assert_same, three_splats
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take
from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import ArgumentError
from gshead_backend.export.gltf import export_glb
from gshead_backend.export.texture import texture_png
from gshead_backend.head import ARKIT_INDEX, ARKIT_NAMES, HeadModel, HeadPose, pose_from_arkit
from gshead_backend.head.rotation import quat_to_matrix


@pytest.fixture
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, 120)


class Player:
    """A glTF file's animation, frame by frame, after the specification's chapters on morph targets and skins."""

    def __init__(self, path: Path) -> None:
        self.glb = glb = Glb(path)
        self.nodes = glb.json["nodes"]
        (node,) = (n for n in self.nodes if "skin" in n)
        self.skin = glb.json["skins"][node["skin"]]
        self.mesh = glb.json["meshes"][node["mesh"]]
        self.primitive = self.mesh["primitives"][0]
        self.targets = np.stack([glb.accessor(t["POSITION"]) for t in self.primitive["targets"]])
        self.names = self.mesh["extras"]["targetNames"]
        get = {name: glb.accessor(i) for name, i in self.primitive["attributes"].items()}
        self.rest, self.joints, self.weights = get["POSITION"].astype(float), get["JOINTS_0"], get["WEIGHTS_0"]
        self.inverse = glb.accessor(self.skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        self.tracks = {}
        for animation in glb.json.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                self.times = glb.accessor(sampler["input"])
                key = channel["target"].get("node"), channel["target"]["path"]
                self.tracks[key] = glb.accessor(sampler["output"]).reshape(len(self.times), -1)
        self.node = self.nodes.index(node)

    def frame(self, i: int) -> np.ndarray:
        """(n, 3) vertices of frame ``i``."""
        weights = self.tracks.get((self.node, "weights"), np.array([self.mesh["weights"]]))[i]
        return self.skinned(self.rest + np.tensordot(weights, self.targets, 1), i)

    def skinned(self, points: np.ndarray, i: int) -> np.ndarray:
        world: dict[int, np.ndarray] = {}

        def visit(node: int, parent: np.ndarray) -> None:
            local = np.eye(4)
            default = self.nodes[node].get("rotation", [0, 0, 0, 1])
            x, y, z, w = self.tracks[node, "rotation"][i] if (node, "rotation") in self.tracks else default
            local[:3, :3] = quat_to_matrix(np.array([w, x, y, z]))
            place = self.nodes[node].get("translation", [0, 0, 0])
            local[:3, 3] = self.tracks[node, "translation"][i] if (node, "translation") in self.tracks else place
            world[node] = parent @ local
            for child in self.nodes[node].get("children", []):
                visit(child, world[node])

        visit(self.skin["joints"][0], np.eye(4))
        matrices = np.stack([world[j] @ b for j, b in zip(self.skin["joints"], self.inverse, strict=True)])
        moved = np.einsum("jab,nb->nja", matrices[:, :3], np.column_stack([points, np.ones(len(points))]))
        return (np.take_along_axis(moved, self.joints[:, :, None].astype(int), 1) * self.weights[:, :, None]).sum(1)


def vertex_of(player: Player, avatar: Avatar) -> np.ndarray:
    """(n,) which of the head's vertices each vertex of the file is, by its place at rest."""
    distance = np.linalg.norm(player.rest[:, None] - avatar.personal.rest[None], axis=2)
    assert distance.min(1).max() < 1e-6
    return distance.argmin(1)


@pytest.mark.parametrize("correctives", [False, True])
def test_the_rigs_morphs_and_joints_play_the_head_exactly(
    tiny_head: HeadModel, tmp_path: Path, correctives: bool
) -> None:
    if correctives:
        rng = np.random.default_rng(5)
        dirs = (rng.normal(size=(tiny_head.vertex_count, 3, 36)) * 2e-3).astype(np.float32)
        tiny_head = replace(tiny_head, pose_correctives=dirs)
    avatar, take = make_tiny_avatar(tiny_head, 30), demo_take()
    rng = np.random.default_rng(4)
    poses = [take.pose(tiny_head, f) for f in (1, 15, 30)]
    poses += [HeadPose.from_vector(rng.normal(size=tiny_head.expression_count + 18) * 0.3) for _ in range(3)]
    export_glb(tmp_path / "a.glb", avatar, poses, morphs="rig", fps=25)
    player = Player(tmp_path / "a.glb")
    assert np.allclose(player.times, np.arange(6) / 25)
    vertex = vertex_of(player, avatar)
    for i, pose in enumerate(poses):
        error = np.linalg.norm(player.frame(i) - avatar.personal.vertices(pose)[vertex], axis=1).max()
        assert error < 5e-6, f"pose {i}: {error * 1000:.4f} mm"


@pytest.mark.parametrize("name", ["jawOpen", "eyeLookUpLeft", "eyeLookOutRight", "mouthSmileLeft"])
def test_each_arkit_morph_alone_does_what_its_channel_does(avatar: Avatar, tmp_path: Path, name: str) -> None:
    export_glb(tmp_path / "a.glb", avatar)
    player = Player(tmp_path / "a.glb")
    assert player.names == list(ARKIT_NAMES)
    vertex = vertex_of(player, avatar)
    pose = pose_from_arkit(avatar.head, np.eye(52)[ARKIT_INDEX[name]])
    want = avatar.personal.vertices(pose)[vertex]
    assert np.abs(want - player.rest).max() > 1e-3, "the channel moves something"
    assert np.abs(player.rest + player.targets[player.names.index(name)] - want).max() < 1e-6


def test_arkit_takes_play_near_the_rig(avatar: Avatar, tmp_path: Path) -> None:
    channels = np.zeros((3, 52))
    channels[1, ARKIT_INDEX["jawOpen"]] = 1
    channels[2, ARKIT_INDEX["jawOpen"]] = 0.5
    turn = np.array([0.1, 0.4, -0.1])
    poses = [pose_from_arkit(avatar.head, c, neck_rotation=turn, head_rotation=turn / 2) for c in channels]
    export_glb(tmp_path / "a.glb", avatar, poses)
    player = Player(tmp_path / "a.glb")
    vertex = vertex_of(player, avatar)
    errors = [np.abs(player.frame(i) - avatar.personal.vertices(p)[vertex]).max() for i, p in enumerate(poses)]
    assert errors[0] < 1e-5
    assert errors[2] < 3e-3, "half-way the morph moves along the chord"
    # Morphs come before the skin, so what the jaw's own rotation moves is turned by the neck with the neck's weights.
    assert errors[1] < 4e-3


def test_splats_are_those_of_the_first_pose_or_at_rest(avatar: Avatar, tmp_path: Path) -> None:
    pose = demo_take().pose(avatar.head, 15)
    for poses, want in (([], HeadPose.neutral(avatar.head.expression_count)), ([pose], pose)):
        export_glb(tmp_path / "a.glb", avatar, poses)
        glb = Glb(tmp_path / "a.glb")
        assert_same(glb.splats(), drive(avatar, want), shape=1e-4)
        assert "animations" not in glb.json
    export_glb(tmp_path / "a.glb", avatar, splats=three_splats(), with_mesh=False)
    assert_same(Glb(tmp_path / "a.glb").splats(), three_splats())


def test_the_texture_lies_inside_and_uv_runs_downwards(avatar: Avatar, tmp_path: Path) -> None:
    export_glb(tmp_path / "a.glb", avatar)
    glb = Glb(tmp_path / "a.glb")
    (image,) = glb.json["images"]
    assert glb.view(image["bufferView"]) == texture_png(avatar)
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    corners = glb.accessor(glb.json["meshes"][0]["primitives"][0]["indices"])
    uv = glb.accessor(attributes["TEXCOORD_0"])[corners]
    want = avatar.head.uv[avatar.head.uv_faces.reshape(-1)]
    assert np.allclose(uv[:, 0], want[:, 0])
    assert np.allclose(1 - uv[:, 1], want[:, 1], atol=1e-6)
    points = glb.accessor(attributes["POSITION"])[corners]
    assert np.allclose(points, avatar.personal.rest[avatar.head.faces.reshape(-1)])


def test_bounds_of_a_shape_that_moves_everything_are_its_own() -> None:
    """A validator compares them with the values; no vertex stays, so zero is not among them."""
    from gshead_backend.export.gltf_file import Gltf

    gltf, moved = Gltf("test"), np.array([[1, 2, 3], [2, 3, 4]], np.float32)
    first, second = gltf.sparse(np.arange(2), moved, 2), gltf.sparse(np.arange(2), moved, 3)
    entry = gltf.json["accessors"][first]
    assert (entry["min"], entry["max"]) == ([1, 2, 3], [2, 3, 4])
    entry = gltf.json["accessors"][second]
    assert (entry["min"], entry["max"]) == ([0, 0, 0], [2, 3, 4])


def test_the_same_avatar_gives_the_same_bytes_and_nonsense_is_refused(avatar: Avatar, tmp_path: Path) -> None:
    assert export_glb(tmp_path / "a.glb", avatar) == (tmp_path / "a.glb").stat().st_size
    export_glb(tmp_path / "b.glb", avatar)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    (tmp_path / "b.glb").unlink()
    broken = replace(three_splats(), means=np.full((3, 3), np.nan))
    for message, more in (
        ("the splats, the mesh, or both", {"with_mesh": False, "with_splats": False}),
        ("morphs", {"morphs": "all"}), ("fps", {"fps": 0}), ("NaN", {"splats": broken}),
        ("expression values", {"poses": [HeadPose.neutral(3)]}),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            export_glb(**({"path": tmp_path / "b.glb", "avatar": avatar} | more))
    assert not (tmp_path / "b.glb").exists()
