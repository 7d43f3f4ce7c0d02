"""Which way up a photograph is, and whether what is written beside its pixels can be read at all.

Pillow copies the value of every tag of EXIF and TIFF data, and values may overlap: 100 kB of tags
can ask for gigabytes. So a JPEG is given to it without its metadata, and a TIFF once its tags are
known to fit into the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

JPEG = b"\xff\xd8\xff"
PPM = b"P"
GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
PPM_HEADER = re.compile(rb"P(?:[14](?:%b\d+){2}|[2356](?:%b\d+){3})\s" % (GAP, GAP))
LONGEST_HEADER = 4096
BIG_TIFF = (b"II\x2b\x00", b"MM\x00\x2b")
TIFF = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x00\x2a", b"MM\x2a\x00", *BIG_TIFF)
ORIENTATION = 0x0112
VALUE_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
"""Bytes of one value of each type of tag, by the type's number."""
EXIF_MARK, XMP_MARK = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
MOST_SCANS, MOST_SEGMENTS = 50, 10_000
"""Of a JPEG; each scan costs as much as the whole picture, and programs write about ten."""
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd9]")
"""Of a segment that says its length, unlike padding, restarts, start and end."""
START_OF_SCAN, APPLICATION, COMMENT = 0xDA, range(0xE0, 0xF0), 0xFE
COLOURS = (0xE0, 0xEE)
"""The application segments that say what colours mean, of JFIF and of Adobe."""


class Metadata(NamedTuple):
    """EXIF data (in TIFF's form) and XMP data (XML); each empty where a file has none."""

    exif: bytes = b""
    xmp: bytes = b""

    def orientation(self) -> int:
        """1 to 8 as EXIF numbers them, 1 for upright or unknown. Raises ValueError."""
        for tag in tags(self.exif):
            if tag.number == ORIENTATION:
                return tag.value
        found = XMP_ORIENTATION.search(self.xmp)
        return int(found[1]) if found else 1


class Tag(NamedTuple):
    """One entry of a TIFF directory: its number, its value if that is short, the bytes it needs."""

    number: int
    value: int
    size: int


def tags(data: bytes) -> Iterator[Tag]:
    """The first directory of TIFF data, which EXIF data are too. Raises ValueError if damaged."""
    data = data.removeprefix(EXIF_MARK)
    if not data:
        return
    if data[:2] not in (b"II", b"MM"):
        raise ValueError("its EXIF data have no byte order; save it without them")
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    code = "<" if order == "little" else ">"
    try:
        (start,) = struct.unpack_from(f"{code}I", data, 4)
        (count,) = struct.unpack_from(f"{code}H", data, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            number, kind, values, raw = struct.unpack_from(f"{code}HHI4s", data, place)
            size = VALUE_SIZES[kind] if kind < len(VALUE_SIZES) else 0
            yield Tag(number, int.from_bytes(raw[:size], order), size * values)
    except struct.error as error:
        raise ValueError("its EXIF or TIFF tags end early; save it without them") from error


def refuse_long_header(content: bytes) -> None:
    """Raise ValueError for a PPM whose header, which Pillow reads byte by byte, does not end."""
    if not PPM_HEADER.match(content[:LONGEST_HEADER]):
        raise ValueError(f"it has no header of PPM in its first {LONGEST_HEADER:,} bytes")


def refuse_overlapping_tags(content: bytes) -> None:
    """Raise ValueError for a TIFF whose tags would take more memory than the file holds."""
    if content.startswith(BIG_TIFF):
        raise ValueError("it is a BigTIFF; save it as a TIFF")
    needed = sum(tag.size for tag in tags(content))
    if needed > len(content):
        raise ValueError(f"its tags announce {needed:,} bytes, the file has {len(content):,}")


def split_jpeg(content: bytes) -> tuple[bytes, Metadata]:
    """A JPEG without metadata, its pixels unchanged, and the metadata. Raises ValueError."""
    kept, exif, xmp = [content[:2]], b"", b""
    for marker, segment in _segments(content):
        body = segment[4:]
        if marker not in APPLICATION and marker != COMMENT or marker in COLOURS:
            kept.append(segment)
        elif body.startswith(EXIF_MARK):
            exif += body[len(EXIF_MARK) :] if exif else body
        elif body.startswith(XMP_MARK):
            xmp = body
    if kept[-1].count(bytes((0xFF, START_OF_SCAN))) > MOST_SCANS:
        raise ValueError(f"it has more than {MOST_SCANS} scans")
    return b"".join(kept), Metadata(exif, xmp)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each segment and its marker; the last is the first scan with all that follows."""
    place = 2
    for _ in range(MOST_SEGMENTS):
        found = MARKER.search(content, place)
        if found is None or found.end() + 2 > len(content):
            raise ValueError("it ends before its pixels")
        place, marker = found.start(), content[found.start() + 1]
        if marker == START_OF_SCAN:
            yield marker, content[place:]
            return
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        yield marker, content[place : place + 2 + length]
        place += 2 + max(length, 2)
    raise ValueError(f"it has more than {MOST_SEGMENTS:,} segments")
