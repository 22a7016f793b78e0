"""The law of the codecs: what was encoded comes back, and a block that is not whole never passes for one."""

from __future__ import annotations

import cramjam
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.replay.codecs import CODECS
from r2d2.replay.kernels import lz4


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


@pytest.mark.parametrize("name", CODECS)
def test_the_beginning_alone(name: str) -> None:
    """A prefix of any length, exactly: rows behind the last wanted one are not decoded."""
    data = runs(1)
    encoded = CODECS[name].encode(data)
    for size in (1, 7, len(data) // 2, len(data) - 1, len(data)):
        out = np.zeros(size + 8, np.uint8)
        CODECS[name].begin(encoded, out[:size])
        np.testing.assert_array_equal(out[:size], data[:size])
        assert not out[size:].any()
    with pytest.raises(
        ValueError, match=f"{name} block holds {len(data)} bytes where {len(data) + 1} are needed"
    ):
        CODECS[name].begin(encoded, np.zeros(len(data) + 1, np.uint8))


def test_what_lies_behind_a_block_that_was_cut_off_is_not_read() -> None:
    data = np.concatenate([runs(2), runs(3), runs(2)])  # with distances of two bytes
    encoded = np.frombuffer(CODECS["lz4"].encode(data), np.uint8)
    for size in range(len(encoded)):
        out = np.zeros(len(data), np.uint8)
        found = []
        for other in (0, 255):
            block = np.append(encoded[:size], np.full(600, other, np.uint8))[:size]
            block.flags.writeable = False
            found.append(lz4.decode_prefix(block, out))
        assert found[0] == found[1] < len(data)
        np.testing.assert_array_equal(out[: found[0]], data[: found[0]])


@st.composite
def blocks(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Literals and repetitions of all lengths and distances that LZ4 writes in different ways."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    data = rng.integers(0, 256, draw(st.integers(1, 40)), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        back = draw(st.sampled_from((1, 2, 3, 7, 16, 300)) | st.integers(1, 70_000))
        length = draw(st.sampled_from((3, 4, 15, 18, 19, 20, 273, 274, 275, 600)) | st.integers(1, 2000))
        again = np.resize(data[-back:], length)
        noise = rng.integers(0, 256, draw(st.sampled_from((0, 1, 14, 15, 16, 269, 270, 271, 600))), np.uint8)
        data = np.concatenate([data, again, noise])
    return data


@settings(deadline=None)
@given(blocks(), st.data())
def test_our_lz4_decodes_as_the_library_does(data: NDArray[np.uint8], more: st.DataObject) -> None:
    encoded = np.frombuffer(CODECS["lz4"].encode(data), np.uint8)
    size = more.draw(st.integers(0, len(data)))
    out = np.zeros(size, np.uint8)
    assert lz4.decode_prefix(encoded, out) == size
    np.testing.assert_array_equal(out, data[:size])


@settings(deadline=None)
@given(blocks(), st.data())
def test_a_damaged_lz4_block_touches_nothing_else(data: NDArray[np.uint8], more: st.DataObject) -> None:
    """What it says of lengths and distances may be anything."""
    encoded = np.frombuffer(CODECS["lz4"].encode(data), np.uint8).copy()
    for _ in range(more.draw(st.integers(1, 4))):
        encoded[more.draw(st.integers(0, len(encoded) - 1))] = more.draw(st.sampled_from((0, 15, 240, 255)))
    encoded = encoded[: more.draw(st.integers(0, len(encoded)))]
    size = more.draw(st.integers(0, 2 * len(data)))
    results = []
    for other in (7, 8):
        around = np.full(size + 200, other, np.uint8)
        block = np.concatenate([encoded, around])[: len(encoded)]
        block.flags.writeable = False
        made = lz4.decode_prefix(block, around[100 : 100 + size])
        assert 0 <= made <= size
        assert (around[:100] == other).all()
        assert (around[100 + size :] == other).all()
        results.append(around[100 : 100 + made])
    np.testing.assert_array_equal(*results)  # nothing was made of what lies around
