"""The whole way from bytes to a fitted head: on the NASA portrait, and on renders whose truth is known."""

from __future__ import annotations

import dataclasses
import io
import itertools

import numpy as np
import pytest
from PIL import ExifTags, Image
from rendered_subjects import Subject, png_bytes, render_subject

from gshead_backend.errors import Cancelled, NoFaceError, PortraitError, ProfileViewError
from gshead_backend.head import ARKIT_INDEX, HeadModel, HeadPose, PersonalHead
from gshead_backend.head.rotation import axis_angle_to_matrix
from gshead_backend.portrait import PortraitFit, fit_portrait
from gshead_backend.portrait.angles import head_angles
from gshead_backend.portrait.fit import landmark_error


@pytest.fixture(scope="module")
def fit(astronaut_bytes: bytes, head: HeadModel) -> PortraitFit:
    return fit_portrait(astronaut_bytes, head)


def angles(camera_view: np.ndarray) -> np.ndarray:
    """(3,) yaw, pitch, roll in degrees."""
    return np.degrees(head_angles(camera_view[:3, :3]))


def channel(fit: PortraitFit, name: str) -> float:
    return float(fit.pose.expression[ARKIT_INDEX[name]])


def test_the_astronaut_is_fitted_to_less_than_a_pixel(fit: PortraitFit, head: HeadModel) -> None:
    personal = PersonalHead.create(head, fit.betas, fit.vertex_offsets)
    assert fit.error_px < 0.85
    assert fit.error_px == pytest.approx(landmark_error(personal, fit.pose, fit.camera, fit.landmarks), rel=1e-3)


def test_the_fit_has_the_promised_shapes(fit: PortraitFit, head: HeadModel) -> None:
    size = fit.image.shape[0]
    assert fit.image.shape == (size, size, 3)
    assert 512 <= size <= 1024
    assert (fit.camera.width, fit.camera.height) == (size, size)
    assert (fit.matte.shape, fit.matte.dtype) == ((size, size), np.float32)
    assert (fit.landmarks.shape, fit.landmarks.dtype) == ((478, 2), np.float32)
    assert fit.betas.shape == (head.identity_count,)
    assert fit.vertex_offsets.shape == (head.vertex_count, 3)
    for rigid in (fit.pose.global_orient, fit.pose.neck_pose, fit.pose.translation):
        assert not rigid.any()
    assert not fit.focal_known
    assert fit.warnings == ()


def test_the_astronaut_smiles_at_us(fit: PortraitFit) -> None:
    assert min(channel(fit, "mouthSmileLeft"), channel(fit, "mouthSmileRight")) > 0.5
    for name in ("mouthDimpleLeft", "mouthStretchRight", "cheekPuff", "mouthFrownLeft", "eyeBlinkLeft", "jawLeft"):
        assert channel(fit, name) < 0.2, name
    yaw, pitch, roll = angles(fit.camera.viewmat)
    assert abs(yaw) < 6
    assert abs(pitch) < 15
    assert 0 < roll < 7


def test_irises_of_the_mesh_lie_on_those_of_the_photo(fit: PortraitFit, head: HeadModel) -> None:
    personal = PersonalHead.create(head, fit.betas, fit.vertex_offsets)
    vertices = personal.vertices(fit.pose)
    for eye, (name, center) in enumerate((("eye_left", 473), ("eye_right", 468))):
        middle = personal.joints[3 + eye]
        radius = np.median(np.linalg.norm(vertices[head.region_mask(name)] - middle, axis=1))
        forward = axis_angle_to_matrix(fit.pose.eye_pose[3 * eye : 3 * eye + 3])[:, 2]
        pixel = fit.camera.project((middle + radius * forward)[None])[0, :2]
        assert np.linalg.norm(pixel - fit.landmarks[center]) < 3


def test_the_warp_is_small_and_smooth(fit: PortraitFit, head: HeadModel) -> None:
    length = np.linalg.norm(fit.vertex_offsets, axis=1) * 1000
    assert 0.05 < length.mean() < 1.5
    assert length.max() <= 6.01
    edges = head.faces[:, [0, 1]]
    rest = PersonalHead.create(head, fit.betas).rest
    spacing = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
    stretch = np.linalg.norm(fit.vertex_offsets[edges[:, 0]] - fit.vertex_offsets[edges[:, 1]], axis=1)
    assert (stretch < 0.5 * spacing + 2e-4).mean() > 0.999


def test_the_jaw_of_the_mesh_ends_where_the_matte_ends(fit: PortraitFit, head: HeadModel) -> None:
    """Along the cheeks, where the wall is behind her, mesh and matte must part by no more than a few pixels."""
    vertices = PersonalHead.create(head, fit.betas, fit.vertex_offsets).vertices(fit.pose)
    pixels = fit.camera.project(vertices[head.region_mask("skin", "ear")])
    height = fit.landmarks[[61, 291], 1].mean()  # the corners of the mouth: below the ears, above the collar
    row = pixels[np.abs(pixels[:, 1] - height) < 1.5]
    inside = np.flatnonzero(fit.matte[int(height)] > 0.5)
    assert abs(row[:, 0].min() - inside[0]) < 4
    assert abs(row[:, 0].max() - inside[-1]) < 4


def test_the_same_bytes_give_the_same_fit(fit: PortraitFit, astronaut_bytes: bytes, head: HeadModel) -> None:
    again = fit_portrait(astronaut_bytes, head)
    assert np.array_equal(again.betas, fit.betas)
    assert np.array_equal(again.vertex_offsets, fit.vertex_offsets)
    assert np.array_equal(again.matte, fit.matte)
    assert np.array_equal(again.camera.viewmat, fit.camera.viewmat)


@pytest.mark.parametrize(
    ("turn", "most"),
    [({}, 4), ({"yaw": 20}, 6), ({"yaw": -40}, 7), ({"roll": 30}, 4), ({"roll": -30}, 4), ({"pitch": 12}, 7)],
)
def test_head_pose_of_a_render_is_recovered(head: HeadModel, turn: dict[str, float], most: float) -> None:
    subject = render_subject(head, seed=4, **turn)
    fit = fit_portrait(subject.data, head)
    assert np.abs(angles(fit.camera.viewmat) - angles(subject.camera.viewmat)).max() < most
    assert fit.error_px < 1.6
    assert bool(fit.warnings) == (abs(turn.get("yaw", 0)) > 35)


def test_a_strong_turn_is_used_with_a_warning(head: HeadModel) -> None:
    fit = fit_portrait(render_subject(head, seed=4, yaw=45).data, head)
    assert any("turned" in w and "degrees" in w for w in fit.warnings)


@pytest.mark.parametrize("yaw", [-68, 70])
def test_a_profile_is_refused(head: HeadModel, yaw: float) -> None:
    with pytest.raises((ProfileViewError, NoFaceError)) as caught:
        fit_portrait(render_subject(head, seed=4, yaw=yaw).data, head)
    assert caught.value.remedy


def neutral_shape_error(fit: PortraitFit, subject: Subject) -> float:
    """Mean millimetres between landmarks of the neutral faces after similarity alignment."""
    head = subject.personal.model

    def landmarks(rest: np.ndarray) -> np.ndarray:
        points = (rest[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1)
        return points - points.mean(0)

    true, got = landmarks(subject.personal.rest), landmarks(PersonalHead.create(head, fit.betas).rest)
    u, s, vt = np.linalg.svd(got.T @ true)
    return float(np.linalg.norm(s.sum() / (got * got).sum() * got @ (u @ vt) - true, axis=1).mean() * 1000)


def test_identity_is_nearer_than_a_stranger(head: HeadModel) -> None:
    subjects = [render_subject(head, seed=s, identity=1.3) for s in (11, 12, 13)]
    fits = [fit_portrait(s.data, head) for s in subjects]
    errors = np.array([[neutral_shape_error(f, s) for s in subjects] for f in fits])
    matched = {order: sum(errors[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(3))}
    assert min(matched, key=lambda order: matched[order]) == (0, 1, 2), errors
    average = dataclasses.replace(fits[0], betas=np.zeros(head.identity_count, np.float32))
    assert matched[0, 1, 2] < 0.95 * sum(neutral_shape_error(average, s) for s in subjects)


def test_an_open_mouth_and_a_smile_are_told_apart(head: HeadModel) -> None:
    closed, opened, smiling = (
        fit_portrait(render_subject(head, seed=2, expression=e).data, head)
        for e in ({}, {"jawOpen": 0.5}, {"mouthSmile": 0.8})
    )
    angle = float(np.linalg.norm(head.arkit_jaw[ARKIT_INDEX["jawOpen"]]))
    assert channel(closed, "jawOpen") < 0.15
    assert channel(opened, "jawOpen") == pytest.approx(0.5, abs=0.2)
    assert np.linalg.norm(opened.pose.jaw_pose) == pytest.approx(angle * channel(opened, "jawOpen"), rel=0.05)
    assert channel(smiling, "mouthSmileLeft") > 0.3 > channel(closed, "mouthSmileLeft")
    assert channel(opened, "mouthSmileLeft") < 0.3


def test_gaze_follows_the_irises(head: HeadModel) -> None:
    def look(gaze: tuple[float, float]) -> np.ndarray:
        fit = fit_portrait(render_subject(head, seed=2, gaze=gaze).data, head)
        return axis_angle_to_matrix(fit.pose.eye_pose.reshape(2, 3))[:, :, 2].mean(0)

    ahead, left, right = look((0, 0)), look((0, 0.35)), look((0, -0.35))
    assert left[0] - ahead[0] == pytest.approx(np.sin(0.35), abs=0.12)
    assert right[0] - ahead[0] == pytest.approx(-np.sin(0.35), abs=0.12)


def jpeg_with_focal(image: np.ndarray, focal: int, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def test_focal_length_from_exif_places_the_camera(head: HeadModel) -> None:
    subject = render_subject(head, seed=5, focal_35mm=35, size=(900, 600), face=0.6)
    known = fit_portrait(jpeg_with_focal(subject.image, 35), head)
    unknown = fit_portrait(subject.data, head)
    assert known.focal_known
    assert not unknown.focal_known

    def off(fit: PortraitFit) -> float:
        return abs(np.log(fit.camera.viewmat[2, 3] / subject.camera.viewmat[2, 3]))

    assert off(known) < 0.12 < off(unknown)


def test_orientation_does_not_change_the_fit(head: HeadModel) -> None:
    subject = render_subject(head, seed=5, size=(900, 600), face=0.6)
    plain = fit_portrait(jpeg_with_focal(subject.image, 70), head)
    turned = fit_portrait(jpeg_with_focal(np.ascontiguousarray(np.rot90(subject.image)), 70, orientation=6), head)
    assert np.abs(angles(plain.camera.viewmat) - angles(turned.camera.viewmat)).max() < 0.5
    assert turned.camera.K[0, 0] == pytest.approx(plain.camera.K[0, 0], rel=0.02)


def test_transparency_of_a_cut_out_limits_the_matte(astronaut: np.ndarray, head: HeadModel) -> None:
    alpha = np.zeros(astronaut.shape[:2], np.uint8)
    alpha[:, :215] = 255
    fit = fit_portrait(png_bytes(np.dstack([astronaut, np.full_like(alpha, 255)])), head)
    assert fit.warnings == ()
    alpha[:, 215:] = 255
    alpha[:40] = 0  # the top of the hair was cut away
    cut = fit_portrait(png_bytes(np.dstack([astronaut, alpha])), head)
    gone = int(cut.camera.height * 0.1)
    assert fit.matte[:gone].max() > 0.9
    assert cut.matte[:gone].max() == 0
    assert any("transparent" in w for w in cut.warnings)


def test_a_head_without_arkit_channels_is_fitted_by_its_own_expressions(
    astronaut_bytes: bytes, head: HeadModel
) -> None:
    bare = dataclasses.replace(
        head,
        name="bare",
        arkit_expression=np.zeros_like(head.arkit_expression),
        arkit_jaw=np.zeros_like(head.arkit_jaw),
    )
    fit = fit_portrait(astronaut_bytes, bare)
    assert fit.error_px < 1.0
    assert np.abs(fit.pose.jaw_pose).max() < 0.6


def test_progress_runs_forward_and_can_stop_the_work(astronaut_bytes: bytes, head: HeadModel) -> None:
    seen: list[float] = []
    fit_portrait(astronaut_bytes, head, progress=lambda fraction, text: seen.append(fraction))
    assert seen == sorted(seen)
    assert len(seen) >= 4
    assert 0 <= seen[0] <= seen[-1] <= 1

    def stop(fraction: float, text: str) -> None:
        if fraction > 0.3:
            raise Cancelled("Stopped by the user.")

    with pytest.raises(Cancelled):
        fit_portrait(astronaut_bytes, head, progress=stop)


def test_a_photo_without_a_face_is_refused_by_the_whole_chain(head: HeadModel) -> None:
    with pytest.raises(PortraitError):
        fit_portrait(png_bytes(np.full((300, 300, 3), 90, np.uint8)), head)


def test_a_fit_can_be_posed(fit: PortraitFit, head: HeadModel) -> None:
    personal = PersonalHead.create(head, fit.betas, fit.vertex_offsets)
    turned = dataclasses.replace(HeadPose.neutral(head.expression_count), neck_pose=np.array([0, 0.5, 0]))
    assert np.isfinite(personal.vertices(turned)).all()


@pytest.mark.parametrize(("yaw", "pitch"), [(80.0, 0.0), (-80.0, 0.0), (0.0, 70.0)])
def test_a_face_turned_away_is_a_profile_whatever_was_found_of_it(yaw: float, pitch: float) -> None:
    from types import SimpleNamespace

    from gshead_backend.portrait.fit import _view_warnings

    frontal = np.diag([1.0, -1.0, -1.0])
    y, x = np.radians(yaw), np.radians(pitch)
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    assert _view_warnings(SimpleNamespace(R=frontal)) == ()
    with pytest.raises(ProfileViewError, match="degrees"):
        _view_warnings(SimpleNamespace(R=frontal @ turn @ nod))
