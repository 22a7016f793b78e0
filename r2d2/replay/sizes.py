"""Sizes: how many items and steps a replay has room for, and the blocks that these take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from r2d2.replay.checks import check_count
from r2d2.replay.kernels.blocks import MOST
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.rows import SMALL
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Column

RESERVE = 1 / 32  # of the blocks; memory is taken by those alone that readers held up; ours
SPARE = 1.25  # blocks for each one that `steps` needs: those at an episode's ends are not full; ours


class Sizes(NamedTuple):
    """The numbers of a replay: at first `capacity` items, at most `most`; `block` is in steps."""

    streams: int
    capacity: int
    most: int
    steps: int
    block: int
    core_size: int


def check_sizes(
    columns: Mapping[str, Column],
    sequencer: Sequencer,
    streams: Any,
    capacity: Any,
    max_capacity: Any,
    steps: Any,
    block: Any,
    core_size: Any,
) -> Sizes:
    """The sizes of a replay as integers; ValueError if one could not hold what one write makes."""
    streams, capacity = check_count("streams", streams), check_count("capacity", capacity)
    block = check_count("block", block, "step", most=MOST, units="steps")
    steps = check_count("steps", steps)
    core_size = check_count("core_size", core_size, least=0)
    most = capacity if max_capacity is None else check_count("max_capacity", max_capacity, least=capacity)
    if steps < sequencer.rows:
        raise ValueError(
            f"steps must be at least the {sequencer.rows} rows of one item "
            f"(context + burn_in + unroll + n_step), got {steps}"
        )
    at_once = streams * sequencer.items_at_once
    if capacity < at_once:
        raise ValueError(
            f"capacity must be at least {at_once} items, as many as one write can finish "
            f"(streams * items under construction), got {capacity}"
        )
    widest = max((column.context for column in columns.values()), default=0)
    if widest != sequencer.context:
        raise ValueError(
            f"the sequencer's context must be the columns' widest, {widest}, got {sequencer.context}"
        )
    for name, column in columns.items():
        if column.skipped > sequencer.burn_in:
            raise ValueError(
                f"column {name} must skip at most the burn_in={sequencer.burn_in} rows of the sequencer, got "
                f"skipped={column.skipped}: trained rows are read"
            )
    return Sizes(streams, capacity, most, steps, block, core_size)


def check_parts(sequencer: Sequencer, selector: Any, remover: Any, sizes: Sizes) -> None:
    """Raise ValueError if parts were made for a replay of another size, or are in use."""
    capacity = sizes.capacity
    wanted = [
        ("streams", sequencer, sizes.streams),
        ("core_size", sequencer, sizes.core_size),
        ("streams", selector, sizes.streams),
    ]
    for name, part, size in wanted:
        made_for = getattr(part, name, size)
        if made_for != size:
            raise ValueError(
                f"the {type(part).__name__} must be made for {name}={size} as the replay is, got {made_for}"
            )
    for kind, part in (("selector", selector), ("remover", remover)):
        room = getattr(part, "capacity", capacity)
        if room < capacity:
            raise ValueError(f"the {kind} must have room for capacity={capacity} items, got {room}")
    if len(selector):
        raise ValueError("the selector must be new, got one that has items: make one for each replay")
    drawing = getattr(remover, "selector", selector)
    if drawing is not selector:
        raise ValueError("the remover must be made for the replay's own selector, got one for another")


def room(
    columns: Mapping[str, Column], sequencer: Sequencer, relabeler: Hindsight | None, sizes: Sizes
) -> tuple[int, int, int]:
    """The slots that a storage needs, its reserve beside them, and the most rows that may be in them."""
    block = sizes.block
    writing = sizes.streams * (sequencer.window // block + 3)  # blocks that the writers may hold
    writing += 0 if relabeler is None else relabeler.blocks(block)
    full = -(-sizes.steps // block)
    spare = SPARE if any(column.codec != "raw" for column in columns.values()) else 1
    slots = int(full * spare) + writing
    return slots, _reserve(columns, sizes.streams, slots), (full + writing) * block


def _reserve(columns: Mapping[str, Column], streams: int, slots: int) -> int:
    """Slots beside the others, where batches are copied while rows are written."""
    large = any(column.codec == "raw" and column.row_bytes > SMALL for column in columns.values())
    return streams + int(slots * RESERVE) if large else 0
