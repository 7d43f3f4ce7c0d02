"""Damaged and hostile data files, and what reading each one costs.

As a script it writes them into a folder, reads each, and prints for each a line of JSON: which
error, after what CPU time, and how far memory grew meanwhile.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from zoo.data.conversion import Conversion
from zoo.data.folder import read_folder
from zoo.data.idx import read_idx
from zoo.data.text import Corpus, load_text_file
from zoo.data.torchvision_sets import _read_omniglot
from zoo.errors import DataError
from zoo.modalities.tokenizer import Tokenizer

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
FORMATS = {"png": "png", "jpg": "jpeg", "gif": "gif", "tif": "tiff", "webp": "webp", "bmp": "bmp",
           "ppm": "ppm"}  # fmt: skip


SOUND = ("junk.ppm", "exif.png", "exif.jpg", "pages.jpg")
"""Pictures whose metadata are never parsed: they are read, and are too few."""


class Case(NamedTuple):
    """A file by its name, and its content."""

    name: str
    content: bytes


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(PICTURE)).save(buffer, form, **options)
    return buffer.getvalue()


# Pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """Announced of a size, with a little of its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(10_000))[:-4])
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + chunk(b"IEND", b"")


def overlapping_tags(count: int, size: int) -> bytes:
    """TIFF data that ask for ``count`` times ``size`` bytes and have ``size``."""
    entries = (struct.pack("<HHII", 1 + n, 7, size - 8, 8) for n in range(count))
    directory = struct.pack("<H", count) + b"".join(entries) + bytes(4)
    values = bytes(size)
    return b"II\x2a\0" + struct.pack("<I", 8 + size) + values + directory


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg_with(*segments: bytes) -> bytes:
    whole = encoded("jpeg")
    return whole[:2] + b"".join(segments) + whole[2:]


def exif_segments(data: bytes) -> Iterator[bytes]:
    """Pillow joins EXIF data of several segments."""
    for start in range(0, len(data), 65_000):
        yield segment(0xE1, b"Exif\0\0" + data[start : start + 65_000])


def many_scans() -> bytes:
    whole = encoded("jpeg", Image.new("L", (4000, 4000)), progressive=True)
    start = whole.rindex(b"\xff\xda")
    return whole[:start] + whole[start:-2] * 20_000 + whole[-2:]


def pictures() -> Iterator[Case]:
    for suffix, form in FORMATS.items():
        whole = encoded(form)
        for end in (0, 3, 8, 20, 40, len(whole) // 2):
            yield Case(f"cut-{end}.{suffix}", whole[:end])
        yield Case(f"junk.{suffix}", whole[:16] + RNG.bytes(5000))
    yield Case("huge.png", png(100_000, 100_000))
    yield Case("bomb.png", png(12_000, 12_000, colour=2))  # Pillow warns of this one
    yield Case("wide.png", encoded("png", Image.new("L", (3_000_000, 1))))
    yield Case("tall.png", encoded("png", Image.new("L", (1, 3_000_000))))
    yield Case("large.png", png(8000, 8000, colour=6))
    yield Case("no-pixels.png", png(0, 0))
    yield Case("deep.png", png(40, 40, depth=16, colour=2))
    bomb = b"x\0\0" + zlib.compress(bytes(10**8), 1)
    for kind in (b"zTXt", b"iCCP"):
        yield Case(f"{kind.decode()}.png", png(40, 40, chunk(kind, bomb)))
    yield Case(
        "texts.png", png(40, 40, *[chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20)))] * 200)
    )
    yield Case("exif.webp", encoded("webp", exif=b"Exif\0\0" + overlapping_tags(3, 100)[:-9]))
    yield Case("exif.png", png(40, 40, chunk(b"eXIf", overlapping_tags(65_000, 10**6))))
    yield Case("exif.jpg", jpeg_with(*exif_segments(overlapping_tags(65_000, 10**6))))
    yield Case("exif-order.jpg", jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(99))))
    yield Case("exif-short.jpg", jpeg_with(segment(0xE1, b"Exif\0\0II\x2a\0\x08\0\0\0\xff\xff")))
    yield Case("exif-far.jpg", jpeg_with(segment(0xE1, b"Exif\0\0II\x2a\0\xff\xff\xff\xff")))
    yield Case(
        "pages.jpg", jpeg_with(segment(0xE2, b"MPF\0" + overlapping_tags(2000, 30_000)))[:900_000]
    )
    yield Case("segments.jpg", b"\xff\xd8" + segment(0xE5, bytes(60_000)) * 200)
    yield Case("many-segments.jpg", b"\xff\xd8" + segment(0xE5, b"") * 2_000_000)
    yield Case("restarts.jpg", b"\xff\xd8" + b"\xff\xd0" * 5_000_000)
    yield Case("markers.jpg", b"\xff\xd8" + b"\xff" * 10**7)
    yield Case("scans.jpg", many_scans())
    size = encoded("jpeg").index(b"\xff\xc0") + 5
    yield Case(
        "huge.jpg", encoded("jpeg")[:size] + b"\xff\xdc\xff\xdc" + encoded("jpeg")[size + 4 :]
    )
    yield Case("tags.tif", overlapping_tags(65_000, 10**6))
    yield Case("big.tif", encoded("tiff", big_tiff=True))
    yield Case("loop.tif", b"II\x2a\0\x08\0\0\0" + struct.pack("<HI", 0, 8))
    yield Case(
        "huge.gif",
        b"GIF89a\xff\xff\xff\xff\xf0\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02",
    )
    yield Case(
        "huge.webp",
        b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f\0\x07\x10\x11\x11\x88\x88\xfe\x07",
    )
    yield Case("huge.ppm", b"P6 1000000000 1000000000 255 " + bytes(100))
    yield Case("digits.ppm", b"P6 " + b"9" * 10**6 + b" 1 255 ")
    yield Case("plain.ppm", b"P3 8000 8000 255 " + b"1 " * 10**5)
    yield Case("spaces.ppm", b"P6 " + b" " * 10**7 + b"1")
    yield Case("comment.ppm", b"P6 #" + b"x" * 10**7)
    yield Case(
        "huge.bmp", encoded("bmp")[:18] + struct.pack("<ii", 2**31 - 1, -(2**31)) + bytes(40)
    )
    yield Case("other.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    yield Case("zeros.png", bytes(10**7))


# Files of public sets


def idx(*shape: int, content: bytes = b"") -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + content


def idx_files() -> Iterator[Case]:
    yield Case("empty", b"")
    yield Case("header", idx(5, 4, 4)[:7])
    yield Case("dimensions", idx(*[1] * 200))
    yield Case("overflow", idx(2**31, 2**31, 4))
    yield Case("huge", idx(2**32 - 1, 2**32 - 1, 2**32 - 1))
    yield Case("none", idx(0, 28, 28))
    yield Case("late", idx(5, 4, 4, content=bytes(90)))
    yield Case("late.gz", gzip.compress(idx(1000, 28, 28, content=bytes(5 * 10**7)), 1))
    yield Case("early.gz", gzip.compress(idx(600_000, 28, 28, content=bytes(15 * 10**7)), 1))
    yield Case("announced.gz", gzip.compress(idx(2**30, 1, 1)))
    yield Case("checksum.gz", gzip.compress(idx(5, 4, 4, content=bytes(80)))[:-8] + bytes(8))
    yield Case("junk.gz", RNG.bytes(1000))


def zipped(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.png", content)
    return buffer.getvalue()


def zip_files() -> Iterator[Case]:
    drawing = encoded("png", Image.new("1", (105, 105)))
    yield Case("empty.zip", zipped())
    yield Case("junk.zip", b"PK\3\4" + RNG.bytes(1000))
    yield Case("bomb.zip", zipped(a=bytes(10**8)))
    yield Case("lzma.zip", zipped(zipfile.ZIP_LZMA, a=drawing))
    yield Case("cut.zip", zipped(a=drawing, b=drawing)[:-30])
    yield Case("colours.zip", zipped(a=encoded("png", Image.new("RGB", (9, 9)))))
    encrypted = bytearray(zipped(a=drawing))
    for start in (encrypted.index(b"PK\3\4") + 6, encrypted.index(b"PK\1\2") + 8):
        encrypted[start] |= 1
    yield Case("encrypted.zip", bytes(encrypted))
    other = bytearray(zipped(a=drawing))
    for start in (other.index(b"PK\3\4") + 8, other.index(b"PK\1\2") + 10):
        other[start] = 9  # Deflate64
    yield Case("deflate64.zip", bytes(other))
    damaged = zipped(zipfile.ZIP_STORED, a=drawing)
    yield Case("checksum.zip", damaged.replace(b"IDAT", b"IDAX"))


# Text


def tokenizers() -> Iterator[Case]:
    own = json.loads(Tokenizer.learn(["a b", "c d"], "words").json)
    replace = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 30}
    sequence = {"type": "Sequence", "normalizers": [replace] * 400}
    yield Case("normalizers", json.dumps({**own, "normalizer": sequence}).encode())
    yield Case("lists", b"[" + b"[]," * 1_390_000 + b"[]]")
    yield Case("objects", b"[" + b"{}," * 1_390_000 + b"{}]")
    yield Case("deep", b'{"model":' * 400_000)
    vocabulary = {f"{n}": n for n in range(140_000)}
    yield Case("many", json.dumps({**own, "model": {**own["model"], "vocab": vocabulary}}).encode())
    whole = {f"{n:020}": n for n in range(120_000)}
    yield Case("large", json.dumps({**own, "model": {**own["model"], "vocab": whole}}).encode())
    yield Case(
        "long",
        json.dumps({**own, "model": {**own["model"], "unk_token": "x" * 4_000_000}}).encode(),
    )
    pieces = json.loads(Tokenizer.learn(["a b", "c d"], "bpe").json)
    merges = [["x" * 1000, "y" * 1000]] * 2000
    yield Case(
        "merges", json.dumps({**pieces, "model": {**pieces["model"], "merges": merges}}).encode()
    )
    yield Case("cut", json.dumps(own).encode()[:-5])


def corpora() -> Iterator[Case]:
    yield Case("binary.txt", RNG.bytes(10**6))
    yield Case("utf16.txt", "one\ntwo\n".encode("utf-16"))
    yield Case("lines.txt", b"\n" * 10**6)
    yield Case("padding.txt", b"\xe5\xa4\xa9" * 10**5 + b"\n" + b"\xe5\xa4\xa9\n" * 10**5)


def read_picture(path: Path) -> None:
    read_folder(path.parent, Conversion((28, 28)))


def read_tokenizer(path: Path) -> None:
    Tokenizer(path.read_text())


def cut_corpus(path: Path) -> None:
    Corpus.cut(load_text_file(path), None)


CORPUS: dict[str, tuple[Callable[[], Iterator[Case]], Callable[[Path], object]]] = {
    "pictures": (pictures, read_picture),
    "idx": (idx_files, lambda path: read_idx(path, 3)),
    "zip": (zip_files, lambda path: _read_omniglot(path, 28, {})),
    "tokenizers": (tokenizers, read_tokenizer),
    "corpora": (corpora, cut_corpus),
}


def megabytes(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field))


def cost(read: Callable[[Path], object], path: Path) -> dict[str, Any]:
    """What came of reading, CPU seconds, and by how many megabytes memory grew at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from now on
    before, started = megabytes("VmRSS"), time.process_time()
    try:
        read(path)
        kind, message = "none", ""
    except DataError as error:
        kind, message = "DataError", str(error)
    except BaseException as error:
        kind, message = type(error).__name__, str(error)
    seconds = time.process_time() - started
    growth = megabytes("VmHWM") - before
    return {"error": kind, "said": message[:500], "seconds": seconds, "megabytes": growth}


def main(folder: Path) -> None:
    warnings.simplefilter("error")  # nothing but the error is said
    for part, (make, read) in CORPUS.items():
        for number, case in enumerate(make()):
            path = folder / f"{part}-{number}" / case.name
            path.parent.mkdir()
            path.write_bytes(case.content)
            print(json.dumps({"part": part, "file": case.name, **cost(read, path)}), flush=True)
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
