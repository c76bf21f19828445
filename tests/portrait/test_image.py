"""Photos as strangers send them: the right upright picture, or an error that says what to do."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from gshead_backend.errors import ImageError, ImageTooLargeError, PortraitError
from gshead_backend.portrait import decode_image, decode_photo
from gshead_backend.portrait.image import FILM_DIAGONAL_MM


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(48, 64, 3): smooth, with four different corners, so that every flip and turn shows."""
    y, x = np.mgrid[:48, :64] / 64.0
    return (np.stack([x, y, 0.5 + 0.4 * np.sin(3 * x + 5 * y)], -1) * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_come_back_exactly(picture: np.ndarray, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_image(encode(Image.fromarray(picture), kind, **options)), picture)


def test_jpeg_comes_back_closely(picture: np.ndarray) -> None:
    decoded = decode_image(encode(Image.fromarray(picture), "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - picture).mean() < 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_image(picture: np.ndarray, kind: str, orientation: int) -> None:
    stored = {
        1: picture, 2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1], 5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1), 7: picture[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(picture, 3),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
    decoded = decode_image(encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).max() <= (12 if kind == "JPEG" else 0)


def test_grayscale_becomes_rgb(picture: np.ndarray) -> None:
    decoded = decode_image(encode(Image.fromarray(picture[..., 0]), "PNG"))
    assert np.array_equal(decoded, np.repeat(picture[..., :1], 3, 2))


def test_sixteen_bit_gray_keeps_its_brightness() -> None:
    values = np.linspace(0, 65535, 64 * 32).reshape(32, 64).astype(np.uint16)
    decoded = decode_image(encode(Image.fromarray(values), "PNG"))
    assert np.abs(decoded[..., 0].astype(float) - values / 257.0).max() <= 0.6


def test_sixteen_bit_color_png_keeps_its_brightness(picture: np.ndarray) -> None:
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0)
    assert np.abs(decode_image(png(header, zlib.compress(rows))).astype(int) - picture).max() <= 1


def test_palette_with_alpha_is_composited_over_white() -> None:
    image = Image.new("P", (40, 30))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.paste(1, (0, 0, 20, 30))
    photo = decode_photo(encode(image, "PNG", transparency=bytes([0, 255, 128])))
    assert photo.image[5, 5].tolist() == [0, 255, 0]
    assert photo.image[5, 30].tolist() == [255, 255, 255]
    assert photo.alpha is not None
    assert (photo.alpha[5, 5], photo.alpha[5, 30]) == (255, 0)


def test_partly_transparent_pixels_are_mixed_with_white() -> None:
    photo = decode_photo(encode(Image.new("RGBA", (20, 20), (0, 0, 0, 128)), "PNG"))
    assert np.abs(photo.image.astype(int) - 127).max() <= 1
    assert any("transparent" in note for note in photo.notes)


def test_opaque_alpha_is_forgotten() -> None:
    photo = decode_photo(encode(Image.new("RGBA", (20, 20), (10, 20, 30, 255)), "PNG"))
    assert photo.alpha is None
    assert photo.notes == ()


def test_cmyk_jpeg_has_its_colors(picture: np.ndarray) -> None:
    decoded = decode_image(encode(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - picture).mean() < 4


def test_color_profile_is_converted_to_srgb() -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    color = Image.new("RGB", (16, 16), (200, 120, 80))
    as_lab = ImageCms.profileToProfile(color, srgb, lab, outputMode="LAB")
    assert as_lab is not None
    decoded = decode_image(encode(as_lab, "TIFF"))
    assert np.abs(decoded.astype(int) - [200, 120, 80]).max() <= 3


def test_a_profile_that_swaps_meaning_changes_the_pixels() -> None:
    gray = Image.new("L", (16, 16), 128)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = decode_photo(encode(gray, "PNG", icc_profile=profile))  # an RGB profile on a gray image
    assert photo.image[0, 0].tolist() == [128, 128, 128]
    assert any("profile" in note for note in photo.notes)


def png(header: bytes, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 12_000, 40_000])
def test_a_huge_png_is_refused_before_it_is_decoded(side: int) -> None:
    rows = zlib.compress(bytes(side * 3 + 1) * 64)
    data = png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), rows)
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError, match=f"{side}x{side}|too large") as caught:
        decode_image(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert caught.value.code == "GSH-E302"
    assert "Scale it down" in caught.value.remedy


def test_a_huge_webp_is_refused_by_its_header() -> None:
    body = b"\0" * 4 + (16_000).to_bytes(3, "little") * 2 + bytes(64)
    data = b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<I", 10) + body
    with pytest.raises(ImageTooLargeError, match="16001x16001"):
        decode_image(data)


HOSTILE = {
    "empty": b"",
    "text named .jpg": b"This is no photo, whatever its name says.\n" * 20,
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "only a JPEG marker": b"\xff\xd8\xff\xe0" + bytes(200),
    "only a PNG signature": b"\x89PNG\r\n\x1a\n",
    "only a TIFF header": b"II*\0\x08\0\0\0",
    "tiff with endless tags": b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 600,
    "gif": b"GIF89a" + bytes(100),
    "zeros": bytes(4096),
    "png with negative size": png(struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0), zlib.compress(b"")),
    "png that ends early": png(struct.pack(">IIBBBBB", 500, 500, 8, 2, 0, 0, 0), zlib.compress(bytes(9999))[:20]),
    "png with broken zlib": png(struct.pack(">IIBBBBB", 50, 50, 8, 2, 0, 0, 0), b"nonsense" * 30),
    "bmp header": b"BM" + bytes(60),
    "webp header": b"RIFF\x10\0\0\0WEBPVP8 " + bytes(30),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_image_gets_a_clear_error(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(HOSTILE[name])
    assert caught.value.code == "GSH-E301"
    assert caught.value.remedy
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_truncated_file_is_damaged(picture: np.ndarray, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match=r"damaged|not a JPEG"):
        decode_image(data[: int(len(data) * share)])


def test_random_damage_never_escapes_the_hierarchy(picture: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP"):
        options = {} if kind == "BMP" else {"exif": exif}
        data = encode(Image.fromarray(picture), kind, **options)
        for _ in range(120):
            damaged = bytearray(data)
            for place in rng.integers(0, len(data), 6):
                damaged[place] = int(rng.integers(256))
            with contextlib.suppress(PortraitError):
                image = decode_image(bytes(damaged))
                assert (image.dtype, image.ndim) == (np.uint8, 3)


def test_two_hundred_bad_files_leave_no_memory_behind(picture: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    whole = encode(Image.fromarray(noise), "JPEG")
    bad = [whole[: len(whole) // 2], *HOSTILE.values()]

    def round_trip(count: int) -> None:
        for i in range(count):
            with pytest.raises(ImageError):
                decode_image(bad[i % len(bad)])

    round_trip(2 * len(bad))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    round_trip(200)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 300_000


def with_focal(size: tuple[int, int], **tags: float) -> bytes:
    exif = Image.Exif()
    ifd = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in tags.items():
        ifd[ExifTags.Base[name]] = value
    return encode(Image.new("RGB", size), "JPEG", exif=exif)


def test_focal_length_comes_from_the_35_mm_equivalent() -> None:
    photo = decode_photo(with_focal((600, 400), FocalLengthIn35mmFilm=85))
    assert photo.focal_35mm == 85
    assert photo.focal_px == pytest.approx(85 / FILM_DIAGONAL_MM * np.hypot(600, 400))
    assert photo.focal_px == pytest.approx(85 / 36 * 600)  # 3:2 is the film's own shape


def test_focal_length_comes_from_the_sensor_otherwise() -> None:
    tags = {"FocalLength": 50.0, "FocalPlaneXResolution": 600 / 23.5 * 10, "FocalPlaneResolutionUnit": 3}
    photo = decode_photo(with_focal((600, 400), ExifImageWidth=600, ExifImageHeight=400, **tags))
    assert photo.focal_35mm == pytest.approx(50 * 36 / 23.5, rel=0.01)


@pytest.mark.parametrize("size", [(500, 500), (600, 300)])
def test_focal_length_of_a_cropped_photo_is_not_believed(size: tuple[int, int]) -> None:
    assert decode_photo(with_focal(size, FocalLengthIn35mmFilm=85)).focal_35mm is None
    assert decode_photo(with_focal((600, 400), FocalLengthIn35mmFilm=0)).focal_35mm is None
