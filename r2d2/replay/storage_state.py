"""The state of a Storage: what its checkpoint holds, and how it is checked and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs, RowBlobs
from r2d2.replay.codecs import Bytes
from r2d2.replay.kernels.blocks import FREE
from r2d2.replay.saved import Saved

if TYPE_CHECKING:
    from r2d2.replay.storage import Storage

Ints = NDArray[np.int64]

# In a state: what each name there is called in `kernels.blocks.Blocks`.
_SLOTS = {name: name for name in ("refs", "following", "open_stream", "serial")} | {"count": "filled"}
_STREAMS = ("cursor", "held", "closed", "began", "recent")


def state_of(storage: Storage) -> dict[str, Any]:
    """Everything. Full blocks are blobs, open ones are copied."""
    index = storage.blocks
    used = np.flatnonzero(index.refs > 0)
    full, filling = full_and_filling(storage, used)
    keys = index.serial[full]
    raw = _raw_blocks(storage)
    return {
        **{name: getattr(index, field)[used].copy() for name, field in _SLOTS.items()},
        **{name: getattr(index, name).copy() for name in _STREAMS},
        "used": used,
        "free": index.free[: storage.free_slots].copy(),
        "counters": index.counters.copy(),
        **({"reserve": storage.reserve} if storage.reserve else {}),
        "compressed": {
            name: {"full": Blobs(keys, column.blocks(full)), "filling": column.filling()}
            for name, column in storage.compressed.items()
        },
        "raw": {
            "full": Blobs(keys, RowBlobs(raw, full)),
            "filling": [array[filling] for array in raw],
        },
    }


def check_state(storage: Storage, saved: Saved) -> None:
    """Raise ValueError if this is not the state of a storage like this one."""
    index, streams, most = storage.blocks, len(storage.blocks.cursor), storage.slots
    used = saved.places("used", most)
    # Replays had no reserve once.
    slots = most if "reserve" in saved else most - storage.reserve
    if "reserve" in saved and saved.count("reserve", least=0) != storage.reserve:
        raise saved.refuse("reserve", f"must be {storage.reserve}, got {saved['reserve']}")
    free = saved.different("free", np.int32, slots - len(used), slots)
    if np.intersect1d(used, free).size:
        raise saved.refuse("free", "contradicts the slots in use")
    bounds = {
        "refs": (1, None),
        "following": (-1, most - 1),
        "open_stream": (-1, streams - 1),
        "serial": (0, None),
        "count": (1, storage.block),
        "recent": (0, most - 1),
    }
    for name in (*_SLOTS, *_STREAMS):
        array: NDArray = getattr(index, _SLOTS.get(name, name))
        low, high = bounds.get(name, (0, None)) if array.dtype != np.bool_ else (None, None)
        shape = (len(used),) if name in _SLOTS else array.shape
        saved.array(name, array.dtype, shape, low=low, high=high)
    counters = saved.array("counters", np.int64, index.counters.shape, low=0)
    if counters[FREE] != len(free):
        raise saved.refuse("counters", f"must begin with the {len(free)} free slots, got {counters}")
    order = np.argsort(saved["serial"])
    full = order[saved["open_stream"][order] < 0]
    raw, blocks = saved.part("raw"), _raw_blocks(storage)
    raw.blobs("full", len(full), sum(array.shape[1] for array in blocks))
    raw.arrays("filling", [(np.uint8, (len(used) - len(full), array.shape[1])) for array in blocks])
    compressed = saved.part("compressed")
    compressed.exactly(storage.compressed)
    for name, column in storage.compressed.items():
        column.check_state(compressed.part(name), saved["count"][full].astype(np.int64))


def load_state(storage: Storage, state: dict[str, Any]) -> None:
    """Go on as when `state_of` was called."""
    check_state(storage, Saved(state, "storage"))
    load_index(storage, state)
    full, _ = full_and_filling(storage, state["used"])
    compressed = {name: state["compressed"][name]["full"].data for name in storage.compressed}
    put_full(storage, full, state["raw"]["full"].data, compressed)


def load_index(storage: Storage, state: Mapping[str, Any]) -> None:
    """Take in a state without the content of full blocks, for `put_full`."""
    storage.readings.settle()
    index, used = storage.blocks, state["used"]
    for name, field in _SLOTS.items():
        getattr(index, field)[:] = 0 if name in ("refs", "count") else -1
        getattr(index, field)[used] = state[name]
    for name in _STREAMS:
        getattr(index, name)[:] = state[name]
    index.counters[:] = state["counters"]
    added = 0 if "reserve" in state else storage.reserve
    index.counters[FREE] += added
    index.free[:added] = np.arange(storage.slots - added, storage.slots)
    index.free[added : storage.free_slots] = state["free"]
    _, filling = full_and_filling(storage, used)
    for array, saved in zip(_raw_blocks(storage), state["raw"]["filling"], strict=True):
        array[filling] = saved
    for name, column in storage.compressed.items():
        column.load(state["compressed"][name]["filling"])


def put_full(
    storage: Storage, slots: Ints, raw: Sequence[Bytes], compressed: Mapping[str, Sequence[Bytes]]
) -> None:
    """The content of full blocks, as a state has it: the raw columns together, and each compressed one."""
    RowBlobs(_raw_blocks(storage), slots).load(raw)
    for name, column in storage.compressed.items():
        column.put(slots, compressed[name])


def full_and_filling(storage: Storage, used: Ints) -> tuple[Ints, Ints]:
    """Which of these slots hold full blocks, by serial, and which ones a stream still fills."""
    index = storage.blocks
    full = used[index.open_stream[used] < 0]
    return full[np.argsort(index.serial[full])], used[index.open_stream[used] >= 0]


def _raw_blocks(storage: Storage) -> list[NDArray]:
    return [array.reshape(storage.slots, -1) for array in storage.raw.arrays]  # [slots, bytes]
