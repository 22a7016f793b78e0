"""The arrays that the loops of a replay hold: their addresses and sizes in one record.

A call that is passed thirty arrays spends more time on taking them out of their Python objects than on a small
batch, above all where the processor's caches hold something else by then. So the loops that a replay calls all
the time are passed the address of a `HELD` record. `r2d2.replay.frame` fills it, and keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from r2d2.replay.kernels.kernel import inner

ARRAY = np.dtype([(name, "i8") for name in ("address", "first", "second", "third")])  # and its axes

BLOCKS = (
    "refs", "following", "open_stream", "serial", "filled", "cursor", "held", "closed", "began", "recent", "free",
    "counters", "pinned",
)  # fmt: skip
CUTTER = ("episode_row", "next_item", "pending")
ITEMS = ("table", "core", "spare", "numbers")
PARTS = ("ring", "ends", "tree", "leaves", "dense", "index", "count")  # of remover and selector
ROWS = ("records", "staged", "floats")
RESULTS = ("at", "full", "new", "ids", "report")  # of a write
NUMBERS = (
    "block", "lead", "aligned", "burn_in", "unroll", "n_step", "period", "context", "capacity", "most_rows",
    "reserve", "selector", "stratified",
)  # fmt: skip
ARRAYS = BLOCKS + CUTTER + ITEMS + PARTS + ROWS + RESULTS
HELD = np.dtype([(name, ARRAY) for name in ARRAYS] + [(name, "i8") for name in NUMBERS])


def _pointer(context, address):
    """The pointer of an address."""

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


def _copy_bytes(context, to, source, size):
    """Copy `size` bytes from one address to another."""

    def code(context, builder, signature, arguments):
        to, source = (builder.inttoptr(address, cgutils.voidptr_t) for address in arguments[:2])
        cgutils.raw_memcpy(builder, to, source, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


def _copy_16(context, to, source):
    """Copy 16 bytes from one address to another. They are read before any is written."""

    def code(context, builder, signature, arguments):
        kind = ir.VectorType(ir.IntType(8), 16).as_pointer()
        to, source = (builder.inttoptr(address, kind) for address in arguments)
        builder.store(builder.load(source, align=1), to, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


def _prefetch(context, address):
    """Bring the cache line at an address nearer, while the program goes on."""

    def code(context, builder, signature, arguments):
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        how = [number(0), number(3), number(1)]  # to be read, kept in all caches, data
        builder.call(call, [builder.inttoptr(arguments[0], cgutils.voidptr_t), *how])
        return context.get_dummy_value()

    return types.void(types.int64), code


pointer: Any = intrinsic(_pointer)
copy_bytes: Any = intrinsic(_copy_bytes)
prefetch: Any = intrinsic(_prefetch)
copy_16: Any = intrinsic(_copy_16)


@inner
def held(address):
    """The record at an address."""
    return carray(pointer(address), 1, HELD)[0]


@inner
def vector(array, dtype):
    return carray(pointer(array.address), (array.first,), dtype)


@inner
def part(array, length, dtype):
    """The first of a vector."""
    return carray(pointer(array.address), (length,), dtype)


@inner
def matrix(array, dtype):
    return carray(pointer(array.address), (array.first, array.second), dtype)


@inner
def cube(array, dtype):
    return carray(pointer(array.address), (array.first, array.second, array.third), dtype)
