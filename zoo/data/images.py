"""Files of images -> their pixels, uint8."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError, features
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from zoo.data.conversion import AS_STORED, MOST_PIXELS, Conversion
from zoo.data.image_metadata import (
    JPEG,
    PPM,
    TIFF,
    Metadata,
    refuse_long_header,
    refuse_overlapping_tags,
    split_jpeg,
)
from zoo.errors import DataError

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM")
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""More than 8 bits a channel, which Pillow would clip rather than scale."""
DEEP_PNG = ("LA;16B", "RGB;16B", "RGBA;16B")
"""More than 8 bits a channel, of which Pillow would keep the high ones without a word."""
BITS_PER_SAMPLE = 258
MOST_BYTES = 2**28
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation."""


def decode(content: bytes, name: str, conversion: Conversion = AS_STORED) -> Tensor:
    """One image file as uint8 (C, H, W): C is 1 for a greyscale file, else 3.

    Transparency is dropped, an animation is its first frame, and a photograph is turned as its
    EXIF data say; then it is converted.

    Raises DataError that begins with ``name`` for a file that cannot be decoded, has more than
    8 bits a channel or several pages, or is too large.
    """
    try:
        pixels = _pixels(content)
        tensor = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
        return conversion.applied(tensor.contiguous().unsqueeze(0)).squeeze(0)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} cannot be read as an image: it is none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        raise DataError(f"{name} cannot be read as an image: {error}") from error


@contextmanager
def without_pillows_warnings() -> Iterator[None]:
    """What Pillow says of odd metadata, and of sizes that are refused here, is not shown.

    To be entered by one thread alone: the filters of warnings are those of the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decoder_versions() -> str:
    """What decodes: another version may read a JPEG one grey level apart."""
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    return f"Pillow {features.version('pil')} with JPEG library {jpeg}"


def _pixels(content: bytes) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3)."""
    metadata: Metadata | None = None
    if content.startswith(JPEG):
        content, metadata = split_jpeg(content)
    elif content.startswith(TIFF):
        refuse_overlapping_tags(content)
    elif content.startswith(PPM):
        refuse_long_header(content)
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _refuse(image)
        image.load()
        found = _metadata(image) if metadata is None else metadata
        turn = UPRIGHT.get(found.orientation())
        upright = image if turn is None else image.transpose(turn)
        upright.info.pop("transparency", None)  # else Pillow warns of some kinds
        mode = "L" if image.mode in GREY_MODES else "RGB"
        return np.array(upright if upright.mode == mode else upright.convert(mode))


def _refuse(image: ImageFile.ImageFile) -> None:
    """Raise DataError for what would be read as something else, or not in memory."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{width}x{height} pixels are more than {MOST_PIXELS:,}; make it smaller, or cut it up"
        )
    if _is_deep(image):
        raise DataError(
            "more than 8 bits a channel, whose lower ones would be lost; convert it to 8 bits "
            "a channel"
        )
    if isinstance(image, TiffImageFile) and image.is_animated:
        raise DataError("several pages, of which one would be used; save each to a file")


def _is_deep(image: ImageFile.ImageFile) -> bool:
    if image.mode in DEEP_MODES:
        return True
    if isinstance(image, TiffImageFile):
        return bool(max(image.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8)
    codec, *_, args = image.tile[0] if image.tile else ("", None)
    if codec in ("ppm", "ppm_plain"):
        return isinstance(args, tuple) and args[1] > 255  # (mode, largest value)
    return args in DEEP_PNG


def _metadata(image: ImageFile.ImageFile) -> Metadata:
    """Those Pillow has found; a TIFF it has already turned."""
    if image.format == "TIFF":
        return Metadata()
    exif, hexadecimal = image.info.get("exif", b""), image.info.get("Raw profile type exif")
    if not exif and hexadecimal:  # as ImageMagick writes it, after three lines of its own
        exif = bytes.fromhex("".join(hexadecimal.split("\n")[3:]))
    return Metadata(exif, image.info.get("xmp", b""))
