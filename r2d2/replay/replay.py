"""Replay: storage, sequencer, selector and remover put together.

Write one row for each stream, sample a batch, send priorities back::

    sequencer = Sequencer(64, burn_in=40, unroll=80, n_step=5, period=40)
    replay = Replay(columns, streams=64, sequencer=sequencer, selector=Proportional(100_000),
                    remover=Fifo(100_000), capacity=100_000, steps=4_000_000)
    replay.write(values, last)
    batch = replay.sample(64, rng, beta=0.6)
    replay.update_priorities(batch.ids, priorities)

It is independent of networks, environments and training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import checks
from r2d2.replay.draw import BatchArrays, Normalize, PendingBatch, check_normalize
from r2d2.replay.held import Held
from r2d2.replay.items import ItemTable
from r2d2.replay.kernels.table import ITEM
from r2d2.replay.reading import Reader
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.removers.remover import Remover
from r2d2.replay.rows import made_folder
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.selector import Selector
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.sizes import check_parts, check_sizes, room
from r2d2.replay.storage import Storage
from r2d2.replay.updating import Updater
from r2d2.replay.writing import Writer, Written
from r2d2.types import Batch, Column

Ints = NDArray[np.int64]

_PARTS = ("storage", "sequencer", "items", "selector", "remover", "relabeler")


class Replay:
    """Sequences of steps that can be written, sampled by priority and removed.

    `capacity` is the most items, `steps` the most steps that are kept; whichever is reached first makes the
    remover choose items that leave. With `max_capacity` the capacity doubles, up to that, whenever items run out
    before `steps` are held, as they do where episodes are short. `block` is the number of steps stored (and
    compressed) together. `linked` lets `successors` and `refresh` work. With `folder`, an empty one, steps and
    recurrent states are kept in files there instead of in memory; these are scratch files, and a checkpoint still
    holds everything. With a `relabeler` made for the sequencer, the items of an episode get hindsight copies when
    it ends.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        streams: int,
        sequencer: Sequencer,
        selector: Selector,
        remover: Remover,
        capacity: int,
        steps: int,
        max_capacity: int | None = None,
        block: int = 40,
        core_size: int = 0,
        linked: bool = False,
        normalize: Normalize = "batch",
        relabeler: Hindsight | None = None,
        folder: Path | None = None,
    ) -> None:
        sizes = check_sizes(columns, sequencer, streams, capacity, max_capacity, steps, block, core_size)
        streams, capacity, most, steps, block, core_size = sizes
        check_parts(sequencer, selector, remover, sizes)
        check_normalize(normalize, selector)
        if relabeler is not None:
            relabeler.check_replay(columns, sequencer, capacity)
        folder = made_folder(folder)
        slots, reserve, rows = room(columns, sequencer, relabeler, sizes)
        self.columns, self.streams, self.normalize = dict(columns), streams, normalize
        self.sequencer, self.selector, self.remover, self.relabeler = sequencer, selector, remover, relabeler
        self.storage = Storage(
            columns, streams=streams, slots=slots, block=block, window=sequencer.window, lead=sequencer.lead,
            reserve=reserve, folder=folder,
        )  # fmt: skip
        goals = 0 if relabeler is None else relabeler.goal_size
        self.items = ItemTable(
            capacity, core_size, streams=streams, most=most, linked=linked, folder=folder, goal_size=goals
        )
        self._held = Held(self.items, self.storage, sequencer, selector, remover, rows)
        self._writer = Writer(columns, streams, sequencer, self._held, relabeler)
        self._reader = Reader(sequencer, self._held, normalize, relabeler)
        self._updater = Updater(self._held)
        self._parts = _PARTS if relabeler is not None else _PARTS[:-1]
        self.late_updates = 0  # priorities that arrived after their item was removed

    @property
    def steps_written(self) -> int:
        """Steps written so far."""
        return self._writer.steps

    @property
    def rows(self) -> int:
        """Rows that are held: steps, and the final observation of each episode."""
        return self.storage.rows

    @property
    def capacity(self) -> int:
        """The most items, as long as it does not grow."""
        return self.items.capacity

    def __len__(self) -> int:
        return len(self.items)

    @property
    def mean_length(self) -> float:
        """Mean trained steps of the items; 0 if there are none."""
        lengths = self.items.table["length"][self.items.places]
        return float(lengths.mean()) if len(lengths) else 0.0

    @property
    def ready(self) -> bool:
        """Whether a batch can be drawn."""
        return len(self.items) > 0

    def places(self, ids: Ints) -> Ints:
        """A number in [0, capacity) for each of these ids [K]; no two items that are held have the same."""
        return ids % self.items.most

    def write(
        self,
        values: Mapping[str, NDArray],
        last: NDArray[np.bool_],
        *,
        streams: Ints | None = None,
        core: NDArray[np.float32] | None = None,
    ) -> Ints:
        """Append one row to each stream (or `streams`, all different); returns the new items' ids [K], copies last.

        `values` holds every column [K, ...]. `last` [K] marks rows that hold only the final observation of
        their episode; the stream's next row begins a new one. `core` [K, C] is the recurrent state before
        the row's observation. Nothing is stored when an argument is refused.
        """
        return self._writer.write(values, last, streams, core)

    def check_rows(self, values: Any, last: Any, streams: Any, core: Any) -> Written:
        """The arguments of `write` as rows of this replay's columns, or the ValueError that it would raise for
        them; nothing is changed."""
        return self._writer.check_rows(values, last, streams, core)

    def check_turn(self, rows: Written) -> None:
        """Raise ValueError for rows that cannot come next in their episodes."""
        self._writer.check_turn(rows)

    def append(self, rows: Written) -> Ints:
        """`write` of rows that have been checked."""
        return self._writer.append(rows)

    def truncate(self, streams: Ints) -> None:
        """Mark the newest row of these streams as a truncation, where that became known after it was written. The
        rows of their final observations must be written next."""
        self._writer.truncate(streams)

    def clear(self) -> None:
        """Remove all items. Running episodes continue, and no id is used again."""
        self._held.remove(self.remover.pop(len(self)))

    def sample(
        self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None
    ) -> Batch:
        """Draw n items; importance weights are (N P)^-beta over the largest, see `importance_weights`.

        With `out`, an earlier batch of n items, its columns are filled again instead of allocating new ones.
        """
        return self.draw(n, rng, beta=beta, out=out).result()

    def draw(
        self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None
    ) -> PendingBatch:
        """Like `sample`, but blocks are decoded in the background until `result` is called.

        The draw is complete at once: writes, removals and priorities that come later do not change it.
        """
        n, beta = self.check_draw(n, rng, beta)
        return self.draw_into(self._reader.room(n, out), n, rng, beta)

    def check_draw(self, n: int, rng: np.random.Generator, beta: float = 0.0) -> tuple[int, float]:
        """n and beta of a draw, or the ValueError that it would raise; nothing is changed and `rng` not used."""
        n, beta = checks.check_draw(n, len(self), rng, beta)
        self.selector.check(n)
        return n, beta

    def draw_into(
        self, arrays: BatchArrays, n: int, rng: np.random.Generator, beta: float = 0.0
    ) -> PendingBatch:
        """`draw` of n items that has been checked, into these arrays."""
        return self._reader.draw(arrays, n, rng, beta)

    def get(self, ids: Ints, names: list[str] | None = None) -> Batch:
        """Read items by id, all columns or some; raises KeyError for an id that is no longer held."""
        chosen = checks.check_names(names, self.columns)
        return self._reader.get(self.held_places(ids), chosen)

    def held_places(self, ids: Ints) -> Ints:
        """The places [K] of items that are still held; KeyError for one that is not."""
        ids = checks.check_ids("ids", ids)
        places, held = self.items.locate(ids)
        if not held.all():
            raise KeyError(f"item {int(ids[~held][0])} was removed: read items while they are held")
        return places

    def update_priorities(self, ids: Ints, priorities: NDArray, *, initial: bool = False) -> None:
        """Set priorities [K] by id. Items removed since are counted in `late_updates` and ignored.

        `initial`: those of new items, which do not count as an update (some removers act after every N updates).
        """
        self.late_updates += self._updater.update(ids, priorities, initial=initial)

    def priorities(self) -> NDArray[np.float64]:
        """What the selector holds for each item, in no order: for a histogram."""
        return self.selector.values(self.items.places)

    def holds(self, ids: Ints) -> NDArray[np.bool_]:
        """Which of these items [K] are still held."""
        return self.items.locate(checks.check_ids("ids", ids))[1]

    def relabeled(self, ids: Ints) -> NDArray[np.bool_]:
        """Which of these items [K] are hindsight copies that are still held."""
        return self.items.relabeled(checks.check_ids("ids", ids))

    def successors(self, ids: Ints) -> Ints:
        """The ids [K] of the next items of the same episodes; -1 where none is held (needs `linked`)."""
        return self.items.successors(checks.check_ids("ids", ids))

    def refresh(self, ids: Ints, core: NDArray[np.float32]) -> None:
        """Replace the recurrent states [K, C] before the items' first rows (needs `linked`).

        Items removed since are ignored. Nothing changes when an argument is refused.
        """
        self._updater.refresh(ids, core)

    def locate_states(
        self, ids: Ints, core: NDArray[np.float32]
    ) -> tuple[Ints, NDArray[np.bool_], NDArray[np.float32]]:
        """What `refresh` needs, or the ValueError that it would raise; nothing is changed."""
        return self._updater.locate_states(ids, core)

    @property
    def nbytes(self) -> int:
        """Bytes held now: steps, items and index."""
        return self._held.nbytes

    @property
    def step_nbytes(self) -> dict[str, float]:
        """Bytes that a step takes now, by column, with its share of recurrent states and index."""
        return self._held.step_nbytes

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what this replay will do next."""
        parts = {name: getattr(self, name).state_dict() for name in self._parts}
        return {"steps_written": self.steps_written, "late_updates": self.late_updates, **parts}

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError, naming the field, if this is not the state of a replay that was built alike.

        If that one has grown, this one grows.
        """
        self.fit(saved)
        saved.count("steps_written")
        saved.count("late_updates")
        for name in self._parts:
            if name != "remover":
                getattr(self, name).check_state(saved.part(name))
        self.remover.check_state(saved.part("remover"), saved.part("items")["order"])

    def fit(self, saved: Saved) -> None:
        """Grow as the replay of this state has grown."""
        items = saved.part("items")
        if "most" in items:
            self._held.grow(len(items.part("table").array("slot", ITEM["slot"], (None,))))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume exactly where `state_dict` was taken; the replay must have been built alike.

        Raises ValueError, and nothing has changed, for a state of another replay.
        """
        self.storage.check_process()
        self.check_state(Saved(state, "replay"))
        self._writer.steps = state["steps_written"]
        self.late_updates = state["late_updates"]
        for name in self._parts:
            getattr(self, name).load_state_dict(state[name])
        self._held.frame.refresh()
