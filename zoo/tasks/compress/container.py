"""The file: which model coded how many examples, and blocks of bits with checksums.

| bytes | what |
|---|---|
| 8 | the magic string |
| 2 | the version of the format, as all numbers with the least byte first |
| 2 | the length of the header |
| ... | the header: :class:`Header` in JSON, deflated |
| 4 | CRC-32 of all before |
| | and for each block |
| 20 | examples, words, words that are known, CRC-32 of the words, CRC-32 of the examples |
| 4 | CRC-32 of these 20 |
| ... | the words, 4 bytes each |

Nothing of a file is believed: sizes are compared with what is there before any memory is spent.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, StringConstraints

from zoo.errors import ConfigError, DataError
from zoo.settings import Settings
from zoo.tasks.compress.stack import Array

MAGIC = b"\x89ZOO\r\n\x1a\n"
VERSION = 2
MOST_EXAMPLES = 2**16
"""Of a block: what is decoded before its checksum is compared."""
MOST_HEADER = 2**14
_START, _BLOCK, _CRC = struct.Struct("<8sHH"), struct.Struct("<5I"), struct.Struct("<I")
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Text = Annotated[str, StringConstraints(max_length=256)]


class Header(Settings):
    """``model`` is the digest of the weights, ``name`` and ``sha256`` are the checkpoint's.

    ``floats`` names what decides the last digits of a network's numbers.
    """

    model: _Digest
    name: _Text | None = None
    sha256: _Digest | None = None
    shape: Annotated[tuple[int, ...], Field(max_length=8)]
    dtype: Literal["bool", "uint8", "int64", "float16", "float32", "float64"]
    count: int = Field(ge=0, lt=2**48)
    floats: _Text


class Block(NamedTuple):
    """Some examples: how many, their words, how many of these are known, their checksum."""

    examples: int
    words: Array
    seeds: int
    checksum: int


def packed(header: Header, blocks: Sequence[Block]) -> bytes:
    """The content of a file."""
    plain = header.model_dump_json(exclude_none=True).encode()
    described = zlib.compress(plain, 9)
    start = _START.pack(MAGIC, VERSION, len(described)) + described
    return b"".join([start, _crc(start), *map(_packed_block, blocks)])


def unpacked(data: bytes) -> tuple[Header, list[Block]]:
    """What :func:`packed` was given.

    Raises DataError, and nothing else, for what it cannot have written.
    """
    header, rest = _unpacked_header(data)
    blocks = list(_unpacked_blocks(rest))
    if (count := sum(block.examples for block in blocks)) != header.count:
        raise _damaged(f"it announces {header.count:,} examples and holds {count:,}")
    return header, blocks


def read_header(data: bytes) -> Header:
    """What a file says of itself; DataError as of :func:`unpacked`."""
    return _unpacked_header(data)[0]


def checksum(content: bytes) -> int:
    """CRC-32."""
    return zlib.crc32(content)


def _unpacked_header(data: bytes) -> tuple[Header, memoryview]:
    if len(data) < _START.size or not data.startswith(MAGIC):
        raise DataError(
            "these are no compressed examples: they do not begin as such files do; give what "
            "zoo.compress or zoo compress has made"
        )
    _, version, length = _START.unpack_from(data)
    end = _START.size + length
    if version != VERSION:
        raise DataError(
            f"the examples are compressed in format {version}, this zoo reads format {VERSION}: "
            "use the zoo that compressed them"
        )
    if len(data) < end + _CRC.size or data[end : end + _CRC.size] != _crc(data[:end]):
        raise _damaged("its header has another checksum")
    return _parsed(data[_START.size : end]), memoryview(data)[end + _CRC.size :]


def _parsed(described: bytes) -> Header:
    try:
        inflated = zlib.decompressobj().decompress(described, MOST_HEADER)
        return Header.parse(json.loads(inflated), "the header of the compressed examples")
    except (ConfigError, zlib.error, ValueError, TypeError, RecursionError) as error:
        raise _damaged(f"its header is none: {error}") from error


def _packed_block(block: Block) -> bytes:
    words = block.words.astype("<u4").tobytes()
    numbers = (block.examples, len(block.words), block.seeds, zlib.crc32(words), block.checksum)
    head = _BLOCK.pack(*numbers)
    return head + _crc(head) + words


def _unpacked_blocks(rest: memoryview) -> Iterator[Block]:
    while rest:
        head, crc, rest = _parted(rest, _BLOCK.size, _CRC.size)
        if bytes(crc) != _crc(head):
            raise _damaged("a block has another checksum")
        count, length, seeds, words_checksum, examples_checksum = _BLOCK.unpack(head)
        # An honest block holds a bit for each example, so no small file asks for much work.
        if not 0 < count <= min(MOST_EXAMPLES, 32 * length) or seeds > length:
            raise _damaged(f"a block announces {count:,} examples in {length:,} words")
        words, rest = _parted(rest, 4 * length)
        if zlib.crc32(words) != words_checksum or not any(words[-4:]):
            raise _damaged("a block's words have another checksum")
        array = np.frombuffer(words, "<u4").astype(np.uint32)
        yield Block(count, array, seeds, examples_checksum)


def _parted(content: memoryview, *sizes: int) -> list[memoryview]:
    """Parts of so many bytes, and the rest."""
    if sum(sizes) > len(content):
        raise _damaged("it ends too early")
    parts = []
    for size in sizes:
        parts.append(content[:size])
        content = content[size:]
    return [*parts, content]


def _crc(content: bytes | memoryview) -> bytes:
    return _CRC.pack(zlib.crc32(content))


def _damaged(what: str) -> DataError:
    return DataError(
        f"the compressed examples are damaged: {what}; copy the file again from where it came from"
    )
