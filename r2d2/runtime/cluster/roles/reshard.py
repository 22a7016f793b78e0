"""Carries the steps of replays with some streams into one with others, items, states and priorities included.

An item belongs to the grid of its episode, and an episode may have lost its beginning. So each stored episode
is written again from the row on that is left of it, with the sequencer told where in the episode that is: the
same items come out. Those that the first-in-first-out remover gave up although all their rows are still there
(the first ones of an episode) come back.
"""

from __future__ import annotations

import itertools
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.build import replays as build_replay
from r2d2.config import Config
from r2d2.replay import Combined, Proportional, RankBased, Replay, Selector, Sequencer
from r2d2.replay.episodes import Episodes, read_episode, stored_episodes
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.shard import ShardRole, shard_root
from r2d2.runtime.meter import Ages

Ints = NDArray[np.int64]


@dataclass
class Kept:
    """An item as it was: state [C], priority (None where the selector has none), and its age (`Ages`)."""

    core: NDArray[np.float32]
    priority: float | None
    inserted: int
    acted: int


@dataclass
class Segment:
    """What is left of an episode. `began` is the row of the episode at which it begins."""

    columns: dict[str, NDArray]  # [rows, ...]
    began: int
    items: dict[int, Kept]  # by number in the episode
    first: int = 0  # number of the first item whose rows are all here
    at: int = 0

    def __len__(self) -> int:
        return len(self.columns["action"])


def check_carries(config: Config) -> None:
    """Refuse configs whose items would not come out the same."""
    r = config.replay
    if r.remover not in ("fifo", "soft") or r.long_term or r.hindsight != "none":
        raise ValueError(
            "a run goes on with other numbers of actors and shards only with replay.remover fifo or soft, without "
            "replay.long_term and hindsight: elsewhere items that were given up would come back; put "
            "cluster.actors and cluster.shards back"
        )


class Source:
    """A replay whose steps are carried away, oldest episode first."""

    def __init__(self, replay: Replay, ages: Ages) -> None:
        self.replay = replay
        self.episodes: Episodes = stored_episodes(replay)
        sequencer, table = replay.sequencer, replay.items.table
        where = np.full(replay.storage.slots * replay.storage.block, -1, np.int64)
        where[self.episodes.line] = np.arange(len(self.episodes.line))
        places = replay.items.places
        line = where[table["slot"][places].astype(np.int64) * replay.storage.block + table["offset"][places]]
        by_line = np.argsort(self.episodes.first)
        episode = by_line[np.searchsorted(self.episodes.first[by_line], line, "right") - 1]
        row = line - self.episodes.first[episode]  # of each item, in what is left of its episode
        before = table["context"][places].astype(np.int64) + table["burn_in"][places]
        self._items: dict[int, list[tuple[int, int, int]]] = {}
        for place, e, start, lead in zip(
            places.tolist(), episode.tolist(), row.tolist(), before.tolist(), strict=True
        ):
            self._items.setdefault(e, []).append((start + lead, lead, place))
        self._lead = sequencer.context + sequencer.burn_in
        self._period = sequencer.period
        self._priorities = priorities_of(replay.selector, places)
        self._at_place = {place: i for i, place in enumerate(places.tolist())}
        self._ages = ages.state_dict()

    def __len__(self) -> int:
        return len(self.episodes)

    def segment(self, index: int) -> Segment:
        """One episode, with its items."""
        found = sorted(self._items[index])
        start, lead, place = found[0]
        # With its whole lead, an item may have any number: only the grid matters then.
        whole = lead == self._lead
        number = -(-start // self._period) + -(-lead // self._period) if whole else self._number(place, lead)
        began = number * self._period - start
        items = {(began + start) // self._period: self._kept(place) for start, _, place in found}
        return Segment(read_episode(self.replay, self.episodes, index), began, items)

    def _number(self, place: int, lead: int) -> int:
        """The number of an item whose lead is cut short by the beginning of its episode."""
        table, sequencer = self.replay.items.table, self.replay.sequencer
        burn_in, context = int(table["burn_in"][place]), int(table["context"][place])
        full = burn_in == sequencer.burn_in
        return (burn_in + (context if full else 0)) // self._period

    def _kept(self, place: int) -> Kept:
        priority = None if self._priorities is None else float(self._priorities[self._at_place[place]])
        ages = self._ages
        core = self.replay.items.core[place].copy()
        return Kept(core, priority, int(ages["inserted"][place]), int(ages["acted"][place]))


def priorities_of(selector: Selector, places: Ints) -> NDArray[np.float64] | None:
    """The priorities [K] that these places were given, None from a selector that knows none."""
    match selector:
        case Combined():
            return priorities_of(selector.rest, places)
        case RankBased():
            found: NDArray[np.float64] = selector.state_dict()["priority"][places]
            return found
        case Proportional():
            state = selector.state_dict()
            if "priority" in state:
                return np.asarray(state["priority"][places])
            if selector.alpha == 0.0:
                return None
            powers = np.maximum(selector.values(places), 0.0)
            return np.maximum(powers ** (1.0 / selector.alpha) - selector.epsilon, 0.0)
        case _:
            return None


def in_turn(sources: Sequence[Source]) -> Iterator[tuple[Source, int]]:
    """All episodes of all sources, side by side from the oldest to the newest ones."""
    order = [(i / max(1, len(source)), j, i) for j, source in enumerate(sources) for i in range(len(source))]
    for _, j, i in sorted(order):
        yield sources[j], i


def carry(segments: Iterator[Segment], replay: Replay, ages: Ages, rate: Callable[[Ints], Any]) -> int:
    """Write episodes into a replay none of whose streams has an episode running; returns the steps written.

    `rate` gives items their first priorities; those that were known before replace them.
    """
    sequencer = replay.sequencer
    twin = Sequencer(
        replay.streams,
        burn_in=sequencer.burn_in,
        unroll=sequencer.unroll,
        n_step=sequencer.n_step,
        period=sequencer.period,
        context=sequencer.context,
    )
    rows = np.zeros(replay.streams, np.int64)
    lanes: list[Segment | None] = [None] * replay.streams
    free = deque(range(replay.streams))
    steps = 0
    while True:
        while free and (segment := next(segments, None)) is not None:
            stream = free.popleft()
            lanes[stream] = segment
            begin(segment, sequencer, stream)
            begin(segment, twin, stream)
        playing = {stream: segment for stream, segment in enumerate(lanes) if segment is not None}
        if not playing:
            return steps
        streams = np.array(list(playing))
        values, last, core = _row(list(playing.values()), replay.items.core.shape[1], sequencer)
        ids = replay.write(values, last, streams=streams, core=core)
        made, _ = twin.advance(streams, rows[streams], last, np.zeros((len(streams), 0), np.float32))
        rows[streams] += 1
        steps += int(np.count_nonzero(~last))
        if len(ids):
            rate(ids)
            numbers = zip(made.stream.tolist(), made.number.tolist(), strict=True)
            _restore(ids, [playing[stream].items.get(k) for stream, k in numbers], replay, ages)
        for stream in streams[last].tolist():
            lanes[stream] = None
            free.append(stream)


def begin(segment: Segment, sequencer: Sequencer, stream: int) -> None:
    """Tell a sequencer where in its episode a stream goes on: which row, and which item is the next."""
    cutter = sequencer.cutter
    k = 0
    while _needs(k, sequencer) < segment.began:
        k += 1
    cutter.episode_row[stream], cutter.next_item[stream] = segment.began, k
    segment.first = k


def _needs(number: int, sequencer: Sequencer) -> int:
    """The first row of the episode that an item needs, context included."""
    first = max(0, number * sequencer.period - sequencer.burn_in)
    return first - min(sequencer.context, first)


def _row(
    segments: list[Segment], core_size: int, sequencer: Sequencer
) -> tuple[dict[str, NDArray], NDArray[np.bool_], NDArray[np.float32]]:
    """The next row of each segment: columns, which are final, and states where an item begins."""
    values = {name: np.stack([s.columns[name][s.at] for s in segments]) for name in segments[0].columns}
    last = np.array([s.at + 1 == len(s) for s in segments])
    core = np.zeros((len(segments), core_size), np.float32)
    for i, s in enumerate(segments):
        row = s.began + s.at
        number = (row + sequencer.burn_in) // sequencer.period  # of the item that begins here, if one does
        kept = s.items.get(number)
        if row > 0 and (row + sequencer.burn_in) % sequencer.period == 0 and kept is not None:
            core[i] = kept.core
        s.at += 1
    return values, last, core


def _restore(ids: Ints, kept: list[Kept | None], replay: Replay, ages: Ages) -> None:
    """Give new items [K] the ages and priorities that they had."""
    known = [i for i, item in enumerate(kept) if item is not None]
    items = [item for item in kept if item is not None]
    if not items:
        return
    for i, item in zip(known, items, strict=True):
        ages.insert(ids[i : i + 1], updates=item.inserted, actor_updates=item.acted)
    rated = [(i, item.priority) for i, item in zip(known, items, strict=True) if item.priority is not None]
    if rated:
        places = np.array([i for i, _ in rated])
        replay.update_priorities(ids[places], np.array([p for _, p in rated]), initial=True)


def reshard_checkpoint(config: Config, before: Config, run_dir: Path, number: int) -> None:
    """Write the shards' checkpoints `number` of a run anew, for the actors and shards of `config`.

    Takes the memory of the whole replay and of one new shard, on this machine.
    """
    check_carries(config)
    olds = [
        ShardRole(before, i, shard_root(run_dir, Layout(before), i), number)
        for i in range(before.cluster.shards)
    ]
    sources = [Source(old.replay, old.ages) for old in olds if isinstance(old.replay, Replay)]
    layout = Layout(config)
    for shard in range(layout.shards):
        root = shard_root(run_dir, layout, shard)
        shutil.rmtree(root, ignore_errors=True)  # of an earlier attempt
        role = ShardRole(config, shard, root)
        assert isinstance(role.replay, Replay)
        chosen = itertools.islice(in_turn(sources), shard, None, layout.shards)
        segments = (source.segment(i) for source, i in chosen)
        carry(
            segments,
            role.replay,
            role.ages,
            partial(build_replay.set_initial_priorities, config, role.replay),
        )
        role.save(number)
