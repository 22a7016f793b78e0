"""Mixture: several replays of the same steps behind one, each with a fixed share of every batch.

A recent and a long-term one, say, as in CLEAR (Rolnick et al. 2019)::

    mixture = Mixture([recent, long_term], shares=[0.5, 0.5])

It is written, drawn from and saved like a `Replay`. Replays at the end of the list may be frozen: filled
before, with demonstrations say (R2D3, Paine et al. 2020), and never written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import frozen as frozen_states
from r2d2.replay.checks import check_core, check_draw, check_ids, check_names, check_priorities
from r2d2.replay.draw import FIELDS, Normalize, batch_shares, check_normalize
from r2d2.replay.replay import Replay
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.numbering import Numbering
from r2d2.replay.selectors.pending_mixture import PartOfDraw, PendingMixture, inverse_probabilities
from r2d2.replay.writing import Written
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

    The last `frozen` replays are not written, and nothing leaves them. Their priorities change as those of
    the others. The importance weights of each of them are computed among its own items, and those of the
    written ones among theirs: they correct for priorities and leave the share of a frozen replay as it is,
    whatever beta. A state holds the priorities of a frozen replay, not its steps, with which it must be
    filled again before it is loaded.
    """

    def __init__(
        self,
        replays: Sequence[Replay],
        shares: Sequence[float],
        *,
        normalize: Normalize = "batch",
        frozen: int = 0,
    ) -> None:
        if len(replays) == 0 or len(shares) != len(replays):
            raise ValueError(f"shares must have one number a replay, got {len(shares)} for {len(replays)}")
        if not min(shares) > 0.0 or not math.isclose(sum(shares), 1.0):
            raise ValueError(f"shares must be positive and sum to 1, got {list(shares)}")
        if not 0 <= frozen < len(replays):
            raise ValueError(
                f"frozen must leave at least one of {len(replays)} replays to write, got {frozen}"
            )
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
        end = len(replays) - frozen
        self.written, self.frozen = self.replays[:end], self.replays[end:]
        self.numbering = Numbering(self.replays)
        self.columns, self.streams, self.sequencer = first.columns, first.streams, first.sequencer

    def __len__(self) -> int:
        return sum(len(replay) for replay in self.replays)

    @property
    def ready(self) -> bool:
        """See `Replay.ready`: whether a replay that is written has an item."""
        return any(replay.ready for replay in self.written)

    @property
    def capacity(self) -> int:
        """See `Replay.capacity`; of the replays that are written."""
        return sum(replay.capacity for replay in self.written)

    @property
    def steps_written(self) -> int:
        """Steps, not copies of them: the replays are written alike."""
        return self.replays[0].steps_written

    @property
    def rows(self) -> int:
        """Rows that the first replay holds."""
        return self.replays[0].rows

    @property
    def mean_length(self) -> float:
        """See `Replay.mean_length`; of the first replay."""
        return self.replays[0].mean_length

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
        """See `Replay.write`; the ids of the new items of all replays that are written, one after the other."""
        rows = self.check_rows(values, last, streams, core)
        for replay in self.written:
            replay.check_turn(rows)
        ids = [replay.append(rows) for replay in self.written]
        return np.concatenate([self.numbering.outer(j, part) for j, part in enumerate(ids)])

    def check_rows(self, values: Any, last: Any, streams: Any, core: Any) -> Written:
        """See `Replay.check_rows`."""
        return self.replays[0].check_rows(values, last, streams, core)

    def truncate(self, streams: Ints) -> None:
        """See `Replay.truncate`."""
        for replay in self.written:
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
        items = [len(replay) for replay in self.replays]
        counts = batch_shares(n, [x if held else 0.0 for held, x in zip(items, self.shares, strict=True)])
        for replay, count in zip(self.replays, counts, strict=True):
            if count:
                replay.check_draw(count, rng, beta)
        shape = (n, self.sequencer.rows)
        arrays = self.replays[0].storage.room(shape, self.sequencer.context, out)
        inverses = inverse_probabilities(counts, items, len(self.written))
        smallest = None
        if self.normalize == "buffer":
            smallest = min(
                # `check_normalize` has seen to it that the selectors know this.
                inverse * (count / n * replay.selector.min_probability())  # type: ignore[attr-defined]
                for replay, count, inverse in zip(self.replays, counts, inverses, strict=True)
                if count
            )
        draws, start = [], 0
        for j, (replay, count) in enumerate(zip(self.replays, counts, strict=True)):
            if count:
                part = arrays.part(slice(start, start + count))
                draw = replay.draw_into(part, count, rng)
                draws.append(PartOfDraw(j, count / n, inverses[j], draw))
                start += count
        return PendingMixture(arrays, draws, self.numbering.outer, beta, smallest)

    def get(self, ids: Ints, names: list[str] | None = None) -> Batch:
        """See `Replay.get`."""
        chosen = check_names(names, self.columns)
        ids = self.numbering.checked(ids)
        shape, storage = (len(ids), self.sequencer.rows), self.replays[0].storage
        columns = storage.allocate(chosen, shape, self.sequencer.context).columns
        fields: dict[str, NDArray] = {}
        parts = self.numbering.inner(ids)
        for replay, where, inner in parts:
            gone = ids[where][~replay.holds(inner)]
            if len(gone):
                raise KeyError(f"item {int(gone[0])} was removed: read items while they are held")
        for replay, where, inner in parts:
            part = replay.get(inner, chosen)
            for name, column in columns.items():
                column[where] = part.columns[name]
            for name in (*FIELDS, "weight"):
                value = getattr(part, name)
                fields.setdefault(name, np.empty((len(ids), *value.shape[1:]), value.dtype))[where] = value
        return Batch(columns, ids=ids, **fields)

    def update_priorities(self, ids: Ints, priorities: NDArray, *, initial: bool = False) -> None:
        """See `Replay.update_priorities`; each id finds the replay that it came from."""
        ids, priorities = check_priorities(ids, priorities)
        for replay, where, inner in self.numbering.inner(self.numbering.checked(ids)):
            replay.update_priorities(inner, priorities[where], initial=initial)

    def priorities(self) -> NDArray[np.float64]:
        """See `Replay.priorities`."""
        return np.concatenate([replay.priorities() for replay in self.replays])

    def holds(self, ids: Ints) -> NDArray[np.bool_]:
        """See `Replay.holds`."""
        ids = self.numbering.checked(ids)
        held = np.zeros(len(ids), np.bool_)
        for replay, where, inner in self.numbering.inner(ids):
            held[where] = replay.holds(inner)
        return held

    def relabeled(self, ids: Ints) -> NDArray[np.bool_]:
        """See `Replay.relabeled`."""
        ids = self.numbering.checked(ids)
        copies = np.zeros(len(ids), np.bool_)
        for replay, where, inner in self.numbering.inner(ids):
            copies[where] = replay.relabeled(inner)
        return copies

    def successors(self, ids: Ints) -> Ints:
        """See `Replay.successors`; of a copy, the copy in the same replay."""
        ids = self.numbering.checked(ids)
        after = np.full(len(ids), -1, np.int64)
        for j, (replay, where, inner) in enumerate(self.numbering.inner(ids)):
            found = replay.successors(inner)
            after[where] = np.where(found < 0, -1, self.numbering.outer(j, found))
        return after

    def frozen_items(self, ids: Ints) -> NDArray[np.bool_]:
        """Which of these items [K] are in a frozen replay."""
        return self.numbering.home(check_ids("ids", ids)) >= len(self.written)

    def refresh(self, ids: Ints, core: NDArray[np.float32]) -> None:
        """See `Replay.refresh`."""
        ids = self.numbering.checked(ids)
        core = check_core(core, (len(ids), self.replays[0].items.core.shape[1]))
        parts = self.numbering.inner(ids)
        for replay, where, inner in parts:
            replay.locate_states(inner, core[where])
        for replay, where, inner in parts:
            replay.refresh(inner, core[where])

    def clear(self) -> None:
        """See `Replay.clear`; frozen replays keep their items."""
        for replay in self.written:
            replay.clear()

    def places(self, ids: Ints) -> Ints:
        """See `Replay.places`: up to the largest capacity of the replays times their number."""
        return self.numbering.places(ids)

    def state_dict(self) -> dict[str, Any]:
        states = [replay.state_dict() for replay in self.written]
        states += [frozen_states.state_of(replay) for replay in self.frozen]
        return {f"replay_{j}": state for j, state in enumerate(states)}

    def check_state(self, saved: Saved) -> None:
        """See `Replay.check_state`."""
        parts = [saved.part(f"replay_{j}") for j in range(len(self.replays))]
        for replay, part in zip(self.written, parts, strict=False):
            replay.check_state(part)
        for replay, part in zip(self.frozen, parts[len(self.written) :], strict=True):
            frozen_states.check_state(replay, part)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Replay.load_state_dict`."""
        self.check_state(Saved(state, "replay"))
        for j, replay in enumerate(self.written):
            replay.load_state_dict(state[f"replay_{j}"])
        for j, replay in enumerate(self.frozen, len(self.written)):
            frozen_states.load_state(replay, state[f"replay_{j}"])
        self.numbering.count()


def _shape(replay: Replay) -> tuple[Any, ...]:
    """What the replays of a mixture must have in common."""
    s = replay.sequencer
    sizes = (s.context, s.burn_in, s.unroll, s.n_step, s.period, replay.items.core.shape[1])
    return replay.columns, replay.streams, sizes
