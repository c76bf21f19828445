"""Headers from strangers: whatever the bytes, the answer is a message or a ``ProtocolError``."""

from __future__ import annotations

import contextlib
import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gshead_backend.errors import ArgumentError, LimitError, ProtocolError, UnsupportedError, VersionError
from gshead_backend.protocol import Instance, camera_spec
from gshead_backend.protocol import messages as m
from gshead_backend.protocol.framing import REPLY_TYPES, REQUEST_TYPES, decode_reply, decode_request, encode
from gshead_backend.protocol.limits import camera_bytes, check_camera, check_instances, check_size, frame_sizes
from gshead_backend.protocol.values import pack_instances

CAMERA = camera_spec(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), np.eye(4))
ID = "ab" * 32


def _frame() -> m.RenderFrame:
    instance = m.InstanceSpec(ID, np.eye(4).ravel().tolist(), [0.25] * 22)
    return m.RenderFrame(id=3, session="s" * 32, camera=CAMERA, instances=[instance])


def test_every_request_and_reply_round_trips():
    info = m.FrameInfo(640, 480, "uint8", "srgb", parts=["rgba"])
    ring = m.RingRef("/run/x", "00" * 16, 1, 7, [640 * 480 * 4])
    avatar = m.AvatarInfo(ID, 10, 20, 30, "n", "uvfit")
    requests = [
        m.Hello(client="c"), m.Goodbye(), m.Cancel(job=4), m.Reconstruct(), m.BatchMake(), m.Track(path="/x"),
        m.AvatarPut(),
        m.AvatarGet(avatar_id=ID),
        m.AvatarDrop(avatar_id=ID), _frame(), m.StreamOpen(),
        m.StreamUpdate(stream=1, token=2, camera=CAMERA, instances=[]),
        m.StreamAck(stream=1, token=2), m.StreamClose(stream=1), m.RingRelease(path="p", slot=1, sequence=2),
        m.RestartWorker(), m.Shutdown(), m.Status(),
    ]  # fmt: skip
    replies = [
        m.HelloReply(boot_id="b", package="1", pid=1, limits=m.LimitsInfo(), methods=[], features=[], workers=[]),
        m.Done(), m.Error(code="GSH-E500", message="m"), m.Progress(fraction=0.5, text="t"), m.Preview(),
        m.Reconstructed(avatar=avatar), m.BatchMade(), m.Tracked(),
        m.AvatarStored(avatar=avatar), m.AvatarData(avatar_id=ID),
        m.FrameReply(frame=info, ring=ring), m.StreamOpened(stream=1), m.StreamFrame(stream=1, token=2, frame=info),
        m.StatusReply(seconds=1.0, sessions=[], jobs=[], workers=[], memory={"front": 1}, drawn=1, fps=0.0),
        m.Beat(workers=[m.WorkerInfo("render", "busy")]),
    ]  # fmt: skip
    assert [decode_request(encode(r)) for r in requests] == requests
    assert [decode_reply(encode(r)) for r in replies] == replies
    assert len(REQUEST_TYPES) == len(requests)
    assert len(REPLY_TYPES) == len(replies)


def test_versions_extra_fields_and_unknown_types():
    newer = json.loads(encode(m.Goodbye(id=5)))
    assert decode_request(json.dumps({**newer, "v": [1, 7], "later": [1, {"a": None}]}).encode()).id == 5
    with pytest.raises(VersionError, match=r"1\.\d+, the client 2\.3") as caught:
        decode_request(json.dumps({**newer, "v": [2, 3]}).encode())
    assert caught.value.sender_id == 5
    assert caught.value.remedy
    with pytest.raises(UnsupportedError):
        decode_request(json.dumps({**newer, "type": "avatar.paint"}).encode())
    with pytest.raises(UnsupportedError):
        decode_request(encode(m.Done()))
    with pytest.raises(VersionError):
        decode_request(b"{}")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_protocol_errors(data):
    for decode in (decode_request, decode_reply):
        with pytest.raises(ProtocolError):
            decode(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_headers_decode_to_something_checked_or_raise_protocol_errors(data):
    header = json.loads(encode(_frame()))
    target = header
    for _ in range(data.draw(st.integers(0, 2))):
        nested = [k for k, v in target.items() if isinstance(v, dict)]
        target = target[data.draw(st.sampled_from(nested))] if nested else target
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(_json)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    try:
        message = decode_request(text)
        if isinstance(message, m.RenderFrame):
            check_camera(message.camera, m.LimitsInfo())
            check_instances(message.instances, [], m.LimitsInfo())
            camera = message.camera
            assert camera_bytes(camera, message.dtype, message.depth) <= 7680 * 4320 * 20
    except ProtocolError:
        pass


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_flipped_bytes(position, value):
    data = bytearray(encode(_frame()))
    data[position % len(data)] = value
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode_request(bytes(data)), m.Message)


@pytest.mark.parametrize(
    "header", [b"[" * 200_000, b'{"v":' * 100_000, b'{"type":"hello","v":[1,0],"x":' + b"[" * 100_000]
)
def test_deep_nesting_is_a_protocol_error(header):
    with pytest.raises(ProtocolError):
        decode_request(header)


@pytest.mark.parametrize(
    ("camera", "error"),
    [
        ({"width": 16384, "height": 16384}, LimitError),
        ({"near": 0.0}, ProtocolError),
        ({"near": -1.0}, ProtocolError),
        ({"near": 2.0, "far": 1.0}, ProtocolError),
        ({"far": float("inf")}, ProtocolError),
        ({"K": [float("nan"), *CAMERA.K[1:]]}, ProtocolError),
        ({"K": [-5.0, *CAMERA.K[1:]]}, ProtocolError),
        ({"viewmat": [1e12, *CAMERA.viewmat[1:]]}, ProtocolError),
        ({"viewmat": [*CAMERA.viewmat[:15], 2.0]}, ProtocolError),
    ],
)
def test_impossible_cameras_are_refused(camera, error):
    spec = msgspec.structs.replace(CAMERA, **camera)
    with pytest.raises(error):
        check_camera(spec, m.LimitsInfo())


def test_instances_must_fit_their_payload():
    unit = np.eye(4).ravel().tolist()
    limits = m.LimitsInfo(instances=2, vertices=10)
    ok = [m.InstanceSpec(ID, unit, None, 1), m.InstanceSpec(ID, unit, [0.0] * 18, 0)]
    check_instances(ok, [120, 36], limits)
    check_instances([m.InstanceSpec(ID, unit, None, 0, shadow=1)], [120, 60], limits)
    cases: list[tuple[list[m.InstanceSpec], list[int], type[ProtocolError]]] = [
        (ok, [120], ProtocolError),
        (ok, [120, 36, 12], ProtocolError),
        (ok, [120, 37], ProtocolError),
        (ok, [132, 12], LimitError),
        ([ok[0], ok[0]], [12, 12], ProtocolError),
        ([*ok, ok[0]], [12, 12], LimitError),
        ([m.InstanceSpec(ID, unit)], [], ProtocolError),
        ([m.InstanceSpec(ID, [*unit[:15], 0.0], [0.0] * 18)], [], ProtocolError),
        ([m.InstanceSpec(ID, unit, [0.0] * 18, light=[float("nan"), *[0.0] * 26])], [], ProtocolError),
        ([m.InstanceSpec(ID, unit, [0.0] * 18, light=[1e7] * 27)], [], ProtocolError),
        ([m.InstanceSpec(ID, unit, [0.0] * 18, shadow=0)], [7], ProtocolError),
        ([m.InstanceSpec(ID, unit, [0.0] * 18, shadow=0)], [66], LimitError),
        ([m.InstanceSpec(ID, unit, [0.0] * 18, shadow=1)], [6], ProtocolError),
        ([m.InstanceSpec(ID, unit, None, 0, shadow=0)], [12], ProtocolError),
    ]
    for specs, sizes, error in cases:
        with pytest.raises(error):
            check_instances(specs, sizes, limits)


def test_packing_instances_checks_what_the_user_gave():
    vertices = np.arange(12.0).reshape(4, 3)
    specs, parts = pack_instances([Instance(ID, np.eye(4), vertices=vertices), Instance(ID, np.eye(4), np.zeros(20))])
    assert (specs[0].vertices, specs[1].vertices) == (0, -1)
    assert np.array_equal(np.frombuffer(parts[0], "<f4").reshape(-1, 3), vertices)
    both = Instance(ID, np.eye(4), vertices=vertices, shadow=vertices / 16)
    (spec,), parts = pack_instances([both])
    assert (spec.vertices, spec.shadow) == (0, 1)
    assert np.array_equal(np.frombuffer(parts[1], "<f2").reshape(-1, 3), (vertices / 16).astype(np.float16))
    for bad in (
        Instance(ID, np.eye(4), np.zeros(20), shadow=np.full((4, 3), 1.5)),
        Instance(ID, np.eye(4), np.zeros(20), shadow=np.full((4, 3), np.nan)),
        Instance(ID, np.eye(4), np.zeros(20), shadow=np.ones(4)),
        Instance(ID, np.eye(3), np.zeros(20)),
        Instance(ID, np.eye(4)),
        Instance(ID, np.eye(4), [float("inf")] * 20),
        Instance(ID, np.eye(4), vertices=np.zeros((4, 2))),
        Instance(ID, np.eye(4), vertices=np.full((4, 3), np.nan)),
    ):
        with pytest.raises(ArgumentError):
            pack_instances([bad])


def test_sizes():
    assert frame_sizes(m.FrameInfo(4, 3, "float16", parts=["rgba", "depth"])) == [4 * 3 * 8, 4 * 3 * 4]
    with pytest.raises(ProtocolError):
        frame_sizes(m.FrameInfo(4, 3, "float16", parts=["rgba", "velocity"]))
    with pytest.raises(ProtocolError, match="0 bytes"):
        check_size(0, 10, "The portrait")
    with pytest.raises(LimitError):
        check_size(11, 10, "The portrait")
    assert camera_bytes(CAMERA, "uint8", True, 0.5) == 320 * 240 * 8


@pytest.mark.parametrize("change", [{"light": [0.0] * 26}, {"light": "bright"}, {"light_strength": 1.5}])
def test_a_light_that_is_none_is_refused(change):
    message = msgspec.json.decode(encode(_frame()))
    message["instances"][0].update({"light": [0.5] * 27, "light_strength": 0.25})
    frame = decode_request(msgspec.json.encode(message))
    assert isinstance(frame, m.RenderFrame)
    assert frame.instances[0].light == [0.5] * 27
    assert frame.instances[0].light_strength == 0.25
    message["instances"][0].update(change)
    with pytest.raises(ProtocolError):
        decode_request(msgspec.json.encode(message))


def test_a_frame_of_an_earlier_client_has_the_photos_light():
    message = msgspec.json.decode(encode(_frame()))
    for name in ("light", "light_strength"):
        message["instances"][0].pop(name, None)
    frame = decode_request(msgspec.json.encode(message))
    assert isinstance(frame, m.RenderFrame)
    assert frame.instances[0].light is None


@pytest.mark.parametrize(
    "change", [{"light": np.zeros(26)}, {"light": np.full((9, 3), np.inf)}, {"light_strength": -0.1}]
)
def test_a_client_names_a_light_that_is_none(change):
    instance = Instance(ID, np.eye(4), pose=np.zeros(20), **{"light": np.zeros((9, 3)), **change})
    with pytest.raises(ArgumentError, match="light"):
        pack_instances([instance])
