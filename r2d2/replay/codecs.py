"""How blocks of rows are compressed.

Forty consecutive Atari frames compressed as one block shrink 25 to 190 times, single frames only 8 to 13
times: the block is the unit of compression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cramjam
import numpy as np
import zstandard
from numpy.typing import NDArray

from r2d2.replay.kernels import lz4

Bytes = bytes | bytearray | memoryview
Room = NDArray[np.uint8] | memoryview  # that is filled


@dataclass(frozen=True)
class Codec:
    """`encode` takes bytes [n] (uint8) and is lossless; `decode` fills an array of bytes with what was encoded.

    An array that is shorter gets the beginning, from `begin`. That is faster than to decode all of it up to the
    share `worth` of what was encoded.
    """

    encode: Callable[[NDArray], bytes]
    decode: Callable[[Bytes, Room], None]
    begin: Callable[[Bytes, Room], None]
    worth: float


def _check(name: str, got: int, out: Room) -> None:
    if got != len(out):
        raise ValueError(f"{name} block holds {got} bytes where {len(out)} are needed: the replay is damaged")


def _lz4_encode(data: NDArray) -> bytes:
    return bytes(cramjam.lz4.compress_block(data, store_size=False))


def _lz4_decode(data: Bytes, out: Room) -> None:
    _check("an lz4", cramjam.lz4.decompress_block_into(data, out), out)


def _lz4_begin(data: Bytes, out: Room) -> None:
    encoded = np.frombuffer(data, np.uint8)
    encoded.flags.writeable = False  # as those of bytes are: the loop is compiled for one kind
    _check("an lz4", lz4.decode_prefix(encoded, np.asarray(out)), out)


def _zstd_encode(data: NDArray) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=False).compress(data.data)


def _zstd_decode(data: Bytes, out: Room) -> None:
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        _check("a zstd", reader.readinto(out), out)


CODECS = {
    # The library has no way to stop; ours takes 1.7 times as long for all of a block of Atari frames.
    "lz4": Codec(_lz4_encode, _lz4_decode, _lz4_begin, worth=0.5),
    "zstd": Codec(_zstd_encode, _zstd_decode, _zstd_decode, worth=1.0),
}
