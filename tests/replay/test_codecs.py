"""The law of the codecs: what was encoded comes back, and a block that is not whole never passes for one."""

from __future__ import annotations

import cramjam
import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray

from r2d2.replay.codecs import CODECS


def runs(seed: int) -> NDArray[np.uint8]:
    """Bytes that compress, cut into many short sequences."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 256, 200, np.uint8), rng.integers(1, 30, 200))


@pytest.mark.parametrize("name", CODECS)
def test_a_block_that_was_cut_off_raises(name: str) -> None:
    """Wherever it ends: an lz4 block that ends after literals looks whole, and is only too short."""
    codec = CODECS[name]
    data = runs(0)
    encoded = codec.encode(data)
    out = np.zeros_like(data)
    codec.decode(encoded, out)
    np.testing.assert_array_equal(out, data)
    for size in range(len(encoded)):
        with pytest.raises((ValueError, zstandard.ZstdError, cramjam.DecompressionError)):
            codec.decode(encoded[:size], out)


def test_zstd_stops_early() -> None:
    """A prefix of any length, exactly: rows behind the last wanted one are not decoded."""
    data = runs(1)
    encoded = CODECS["zstd"].encode(data)
    for size in (1, 7, len(data) // 2, len(data) - 1):
        out = np.zeros(size + 8, np.uint8)
        CODECS["zstd"].decode(encoded, out[:size])
        np.testing.assert_array_equal(out[:size], data[:size])
        assert not out[size:].any()
