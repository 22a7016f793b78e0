"""Mixture: several replays of the same steps behind one, each with a fixed share of every batch.

A recent and a long-term one, say, as in CLEAR (Rolnick et al. 2019)::

    mixture = Mixture([recent, long_term], shares=[0.5, 0.5])

It is written, drawn from and saved like a `Replay`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_core, check_draw, check_ids, check_names, check_priorities
from r2d2.replay.draw import FIELDS, Normalize, PendingMixture, batch_shares, check_normalize
from r2d2.replay.replay import Replay, Written
from r2d2.replay.saved import Saved
from r2d2.types import Batch

Ints = NDArray[np.int64]


class Mixture:
    """`replays` that are written alike; `shares` [R] of each batch come from them.

    Their copies of an item are items of their own, each with its own id, priority and probability. An item of
    replay j is drawn with P = share_j P_j(item), where share_j is the part of the batch that j really gave (n
    times the share, rounded to whole items: the largest remainders up). Over all items of all replays that
    sums to 1, and importance weights with beta = 1 restore the uniform mean over them, which takes the effect
    of the shares back: use a small beta, or 0.

    A replay that is empty (its remover refused everything) leaves its share to the others.
    """

    def __init__(
        self, replays: Sequence[Replay], shares: Sequence[float], *, normalize: Normalize = "batch"
    ) -> None:
        if len(replays) == 0 or len(shares) != len(replays):
            raise ValueError(f"shares must have one number a replay, got {len(shares)} for {len(replays)}")
        if not min(shares) > 0.0 or not math.isclose(sum(shares), 1.0):
            raise ValueError(f"shares must be positive and sum to 1, got {list(shares)}")
        for part in ("sequencer", "selector", "remover"):
            if len({id(getattr(replay, part)) for replay in replays}) < len(replays):
                raise ValueError(f"each replay of a mixture needs a {part} of its own: make one for each")
        first = replays[0]
        for replay in replays:
            check_normalize(normalize, replay.selector)
            if _shape(replay) != _shape(first):
                raise ValueError(
                    "the replays of a mixture must be alike in columns, streams, sequencer and core size, "
                    f"got {_shape(first)} and {_shape(replay)}"
                )
        self.replays, self.shares, self.normalize = list(replays), list(shares), normalize
        self.count_ids()
        self.columns, self.streams, self.sequencer = first.columns, first.streams, first.sequencer

    def __len__(self) -> int:
        return sum(len(replay) for replay in self.replays)

    @property
    def capacity(self) -> int:
        return sum(replay.capacity for replay in self.replays)

    @property
    def steps_written(self) -> int:
        """Steps, not copies of them: every replay is written the same."""
        return self.replays[0].steps_written

    @property
    def rows(self) -> int:
        """Rows that the first replay holds."""
        return self.replays[0].rows

    @property
    def late_updates(self) -> int:
        return sum(replay.late_updates for replay in self.replays)

    @property
    def nbytes(self) -> int:
        return sum(replay.nbytes for replay in self.replays)

    @property
    def step_nbytes(self) -> dict[str, float]:
        """See `Replay.step_nbytes`; the copies of a step together."""
        sizes: dict[str, float] = {}
        for replay in self.replays:
            for name, size in replay.step_nbytes.items():
                sizes[name] = sizes.get(name, 0.0) + size
        return sizes

    def write(
        self,
        values: Mapping[str, NDArray],
        last: NDArray[np.bool_],
        *,
        streams: Ints | None = None,
        core: NDArray[np.float32] | None = None,
    ) -> Ints:
        """See `Replay.write`; the ids of the new items of all replays, one replay after the other."""
        rows = self.check_rows(values, last, streams, core)
        for replay in self.replays:
            replay.check_turn(rows)
        ids = [replay.append(rows) for replay in self.replays]
        return np.concatenate([self.outer_ids(j, part) for j, part in enumerate(ids)])

    def check_rows(self, values: Any, last: Any, streams: Any, core: Any) -> Written:
        """See `Replay.check_rows`."""
        return self.replays[0].check_rows(values, last, streams, core)

    def truncate(self, streams: Ints) -> None:
        """See `Replay.truncate`."""
        for replay in self.replays:
            replay.truncate(streams)

    def sample(
        self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None
    ) -> Batch:
        """See `Replay.sample`."""
        return self.draw(n, rng, beta=beta, out=out).result()

    def draw(
        self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None
    ) -> PendingMixture:
        """See `Replay.draw`. The items of the first replay come first."""
        n, beta = check_draw(n, len(self), rng, beta)
        counts = batch_shares(
            n, [share if len(r) else 0.0 for r, share in zip(self.replays, self.shares, strict=True)]
        )
        for replay, count in zip(self.replays, counts, strict=True):
            if count:
                replay.check_draw(count, rng, beta)
        shape = (n, self.sequencer.rows)
        arrays = self.replays[0].storage.room(shape, self.sequencer.context, out)
        smallest = None
        if self.normalize == "buffer":
            smallest = min(
                count / n * replay.selector.min_probability()  # type: ignore[attr-defined]  # checked when made
                for replay, count in zip(self.replays, counts, strict=True)
                if count
            )
        draws, start = [], 0
        for j, (replay, count) in enumerate(zip(self.replays, counts, strict=True)):
            if count:
                part = arrays.part(slice(start, start + count))
                draws.append((j, count / n, replay.draw_into(part, count, rng)))
                start += count
        return PendingMixture(arrays, draws, self.outer_ids, len(self), beta, smallest)

    def get(self, ids: Ints, names: list[str] | None = None) -> Batch:
        """See `Replay.get`."""
        chosen = check_names(names, self.columns)
        ids = self._checked(ids)
        shape, storage = (len(ids), self.sequencer.rows), self.replays[0].storage
        columns = storage.allocate(chosen, shape, self.sequencer.context).columns
        fields: dict[str, NDArray] = {}
        parts = self._inner(ids)
        for replay, (where, inner) in zip(self.replays, parts, strict=True):
            gone = ids[where][~replay.holds(inner)]
            if len(gone):
                raise KeyError(f"item {int(gone[0])} was removed: read items while they are held")
        for j, (where, inner) in enumerate(parts):
            part = self.replays[j].get(inner, chosen)
            for name, column in columns.items():
                column[where] = part.columns[name]
            for name in (*FIELDS, "weight"):
                value = getattr(part, name)
                fields.setdefault(name, np.empty((len(ids), *value.shape[1:]), value.dtype))[where] = value
        return Batch(columns, ids=ids, **fields)

    def update_priorities(self, ids: Ints, priorities: NDArray, *, initial: bool = False) -> None:
        """See `Replay.update_priorities`; each id finds the replay that it came from."""
        ids, priorities = check_priorities(ids, priorities)
        for j, (where, inner) in enumerate(self._inner(self._checked(ids))):
            self.replays[j].update_priorities(inner, priorities[where], initial=initial)

    def priorities(self) -> NDArray[np.float64]:
        """See `Replay.priorities`."""
        return np.concatenate([replay.priorities() for replay in self.replays])

    def holds(self, ids: Ints) -> NDArray[np.bool_]:
        """See `Replay.holds`."""
        ids = self._checked(ids)
        held = np.zeros(len(ids), np.bool_)
        for replay, (where, inner) in zip(self.replays, self._inner(ids), strict=True):
            held[where] = replay.holds(inner)
        return held

    def relabeled(self, ids: Ints) -> NDArray[np.bool_]:
        """See `Replay.relabeled`."""
        ids = self._checked(ids)
        copies = np.zeros(len(ids), np.bool_)
        for replay, (where, inner) in zip(self.replays, self._inner(ids), strict=True):
            copies[where] = replay.relabeled(inner)
        return copies

    def successors(self, ids: Ints) -> Ints:
        """See `Replay.successors`; of a copy, the copy in the same replay."""
        ids = self._checked(ids)
        after = np.full(len(ids), -1, np.int64)
        for j, (where, inner) in enumerate(self._inner(ids)):
            found = self.replays[j].successors(inner)
            after[where] = np.where(found < 0, -1, self.outer_ids(j, found))
        return after

    def refresh(self, ids: Ints, core: NDArray[np.float32]) -> None:
        """See `Replay.refresh`."""
        ids = self._checked(ids)
        core = check_core(core, (len(ids), self.replays[0].items.core.shape[1]))
        parts = self._inner(ids)
        for replay, (where, inner) in zip(self.replays, parts, strict=True):
            replay.locate_states(inner, core[where])
        for replay, (where, inner) in zip(self.replays, parts, strict=True):
            replay.refresh(inner, core[where])

    def clear(self) -> None:
        """See `Replay.clear`."""
        for replay in self.replays:
            replay.clear()

    def count_ids(self) -> None:
        """An id is generation * most + place here too, the places that each replay may have one after the other."""
        self._most = [replay.items.most for replay in self.replays]
        self._first = np.cumsum([0, *self._most[:-1]])  # of their places

    def places(self, ids: Ints) -> Ints:
        """See `Replay.places`: up to the largest capacity of the replays times their number."""
        place = ids % sum(self._most)
        home = np.searchsorted(self._first, place, "right") - 1
        return (place - self._first[home]) * len(self.replays) + home

    def outer_ids(self, j: int, ids: Ints) -> Ints:
        """What this mixture calls the items [K] of replay j."""
        generation, place = np.divmod(ids, self._most[j])
        return generation * sum(self._most) + self._first[j] + place

    def _checked(self, ids: Any) -> Ints:
        """Ids [K] that were given out by this mixture, or a ValueError."""
        ids = check_ids("ids", ids)
        for replay, (where, inner) in zip(self.replays, self._inner(ids), strict=True):
            unknown = replay.items.unknown(inner)
            if unknown >= 0:
                raise ValueError(f"id {int(ids[where][unknown])} was never given out by this replay")
        return ids

    def _inner(self, ids: Ints) -> list[tuple[NDArray[np.bool_], Ints]]:
        """For each replay which ids are its own, and what it calls them."""
        generation, place = np.divmod(ids, sum(self._most))
        home = np.searchsorted(self._first, place, "right") - 1
        parts = []
        for j in range(len(self.replays)):
            mine = home == j
            parts.append((mine, generation[mine] * self._most[j] + place[mine] - self._first[j]))
        return parts

    def state_dict(self) -> dict[str, Any]:
        return {f"replay_{j}": replay.state_dict() for j, replay in enumerate(self.replays)}

    def check_state(self, saved: Saved) -> None:
        """See `Replay.check_state`."""
        for j, replay in enumerate(self.replays):
            replay.check_state(saved.part(f"replay_{j}"))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Replay.load_state_dict`."""
        self.check_state(Saved(state, "replay"))
        for j, replay in enumerate(self.replays):
            replay.load_state_dict(state[f"replay_{j}"])
        self.count_ids()


def _shape(replay: Replay) -> tuple[Any, ...]:
    """What the replays of a mixture must have in common."""
    s = replay.sequencer
    sizes = (s.context, s.burn_in, s.unroll, s.n_step, s.period, replay.items.core.shape[1])
    return replay.columns, replay.streams, sizes
