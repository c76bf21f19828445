"""Bytes from strangers to an upright sRGB photo.

The size is checked before a single pixel is decoded, only five formats are tried, and whatever the decoder raises
comes out as an ``ImageError`` that says what to do.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from ..errors import GsheadError, ImageError, ImageTooLargeError

MAX_PIXELS = 64_000_000
MAX_SIDE = 32_000  # OpenCV addresses pixels of a source image with 16-bit integers
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
CAMERA_ASPECTS = (4 / 3, 3 / 2, 16 / 9)

_SAVE_AGAIN = "Save the photo again as JPEG or PNG with 8 bits per channel."
_SMALLER = f"Scale it down below {MAX_PIXELS // 1_000_000} megapixels; the face itself needs no more than 1000 pixels."


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        image: (H, W, 3) uint8 sRGB, upright. Transparent pixels are composited over white.
        alpha: (H, W) uint8 of a cut-out image, None when every pixel is opaque.
        focal_35mm: 35 mm equivalent focal length from EXIF, None when absent or when the photo was cropped.
        notes: sentences about what was done to it.
    """

    image: np.ndarray
    alpha: np.ndarray | None = None
    focal_35mm: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def focal_px(self) -> float | None:
        """Focal length in pixels; the 35 mm equivalent compares diagonals (CIPA DCG-001)."""
        if self.focal_35mm is None:
            return None
        return self.focal_35mm / FILM_DIAGONAL_MM * math.hypot(*self.image.shape[:2])

    def turned(self, quarter_turns: int, note: str) -> Photo:
        """The photo turned counter-clockwise by quarter turns."""
        image = np.ascontiguousarray(np.rot90(self.image, quarter_turns))
        alpha = None if self.alpha is None else np.ascontiguousarray(np.rot90(self.alpha, quarter_turns))
        return replace(self, image=image, alpha=alpha, notes=(*self.notes, note))


def decode_image(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 upright sRGB; see :func:`decode_photo`."""
    return decode_photo(data).image


def decode_photo(data: bytes) -> Photo:
    """Decode and validate a JPEG, PNG, WebP, TIFF or BMP file.

    Raises:
        ImageError: not an image, an unknown format, or damaged. ImageTooLargeError: over ``MAX_PIXELS``.
    """
    if not data:
        raise ImageError("The image file is empty (0 bytes).", remedy="Choose another file or copy it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow only warns about bombs and broken EXIF; both are handled here
            if (size := _webp_size(data)) is not None:
                _check_size(*size)  # the WebP plugin sets up its canvas while opening
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                _check_size(*opened.size)
                return _convert(opened)
    except GsheadError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(f"The image is too large: {error}", remedy=_SMALLER) from None
    except Image.UnidentifiedImageError:
        head = data[:12]
        raise ImageError(
            f"The file is not a JPEG, PNG, WebP, TIFF or BMP image (it starts with {head!r}).", remedy=_SAVE_AGAIN
        ) from None
    except MemoryError:
        raise ImageTooLargeError("There is not enough memory to decode the image.", remedy=_SMALLER) from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ValueError, zlib.error ...
        raise ImageError(f"The image file is damaged or incomplete: {error}.", remedy=_SAVE_AGAIN) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(
            f"The image has {width}x{height} pixels; the limit is {MAX_PIXELS // 1_000_000} megapixels "
            f"and {MAX_SIDE} a side.",
            remedy=_SMALLER,
        )
    if width < 1 or height < 1:
        raise ImageError(f"The image has {width}x{height} pixels.", remedy=_SAVE_AGAIN)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Canvas size from a WebP header (RFC 9649), None for other files."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def _convert(opened: Image.Image) -> Photo:
    notes: list[str] = []
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # an MPO is a photo with its own preview or depth beside it
        notes.append(f"The file holds {frames} pictures; the first is used.")
    profile = opened.info.get("icc_profile")
    opened.load()  # before EXIF is asked for: a PNG loads itself then, and its failure would pass for missing EXIF
    focal = _focal_35mm(opened)
    upright = ImageOps.exif_transpose(opened)
    color, alpha = _split_alpha(upright)
    rgb = _to_srgb(color, profile, notes)
    image = np.asarray(rgb, np.uint8)
    opacity = None if alpha is None else np.asarray(alpha, np.uint8)
    if opacity is not None and opacity.min() == 255:
        opacity = None
    if opacity is not None:
        notes.append("The image is partly transparent; its transparency is taken as part of the cut-out.")
        a = opacity[..., None].astype(np.uint16)
        image = ((image * a + 255 * (255 - a) + 127) // 255).astype(np.uint8)
    return Photo(np.ascontiguousarray(image), opacity, focal, tuple(notes))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour without alpha in a plain mode, and alpha as "L" (or None)."""
    if image.mode in ("P", "PA", "RGBa", "La") or (image.mode in ("L", "RGB", "1") and "transparency" in image.info):
        transparent = "transparency" in image.info or image.mode in ("PA", "RGBa", "La")
        image = image.convert("RGBA" if transparent else "RGB")
    if image.mode in ("RGBA", "LA"):
        return image.convert("RGB" if image.mode == "RGBA" else "L"), image.getchannel("A")
    if image.mode.startswith("I"):
        high = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((high + 128) // 257).astype(np.uint8)), None
    if image.mode == "1":
        return image.convert("L"), None
    if image.mode not in ("L", "RGB", "CMYK", "YCbCr", "LAB"):
        raise ImageError(f"Images with pixels of type '{image.mode}' are not supported.", remedy=_SAVE_AGAIN)
    return image, None


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Through the embedded ICC profile when there is one that fits, else by the mode's plain meaning."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _transformed(image, lab, srgb)
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if not (image.mode == "RGB" and _is_srgb(source)):
                return _transformed(image, source, ImageCms.createProfile("sRGB"))
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            notes.append(f"The embedded color profile could not be used ({error}); sRGB is assumed.")
    return image if image.mode == "RGB" else image.convert("RGB")


def _transformed(image: Image.Image, source: object, target: object) -> Image.Image:
    result = ImageCms.profileToProfile(image, source, target, outputMode="RGB")  # type: ignore[arg-type]
    if result is None:
        raise ImageError("The color conversion gave no image.", remedy=_SAVE_AGAIN)
    return result


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    name = ImageCms.getProfileDescription(profile).strip().lower()
    return name.startswith("srgb") and "linear" not in name


def _focal_35mm(image: Image.Image) -> float | None:
    """EXIF's 35 mm equivalent, or the focal length over the sensor's size; None when unusable.

    Editors keep the tag when they crop. A crop is noticed by a size other than EXIF's own, or by an aspect ratio
    that cameras do not produce.
    """
    try:
        exif = image.getexif()
        ifd = exif.get_ifd(ExifTags.IFD.Exif)
        width, height = image.size
        aspect = max(width, height) / min(width, height)
        shot = (float(ifd.get(ExifTags.Base.ExifImageWidth, 0)), float(ifd.get(ExifTags.Base.ExifImageHeight, 0)))
        if min(shot) > 0 and abs(max(shot) / min(shot) / aspect - 1) > 0.02:
            return None
        if min(abs(aspect / a - 1) for a in CAMERA_ASPECTS) > 0.02:
            return None
        focal = float(ifd.get(ExifTags.Base.FocalLengthIn35mmFilm, 0) or 0)
        if focal <= 0:
            focal = _focal_from_sensor(ifd, max(shot), aspect)
    except Exception:  # EXIF is optional and often broken; a photo without it is a photo
        return None
    return focal if math.isfinite(focal) and 10 <= focal <= 800 else None


def _focal_from_sensor(ifd: dict, pixels: float, aspect: float) -> float:
    """Focal length in mm times film diagonal over sensor diagonal, from the focal plane resolution tags."""
    focal = float(ifd.get(ExifTags.Base.FocalLength, 0) or 0)
    per_unit = float(ifd.get(ExifTags.Base.FocalPlaneXResolution, 0) or 0)
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(int(ifd.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)), 25.4)
    if focal <= 0 or per_unit <= 0 or pixels <= 0:
        return 0.0
    long_side = pixels / per_unit * unit_mm
    return focal * FILM_DIAGONAL_MM / math.hypot(long_side, long_side / aspect)
