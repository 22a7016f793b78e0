"""Resume with another number of actors or shards: the items of all replays are moved to new ones.

Items share steps, and the new shards have other streams. So each stored episode is rewritten, as a whole, into a
stream of its new shard. The sequencer cuts it where it was cut before, so the same items come out, and each gets
its recurrent state, priority and ages back. An episode may have lost its beginning: then the sequencer starts at
its first remaining row. Items that the first-in-first-out remover removed although all their rows are still
stored (the first ones of an episode) come back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.build import replays as build_replay
from r2d2.config import Config
from r2d2.replay import Combined, Proportional, RankBased, Replay, Selector
from r2d2.replay.episodes import Episodes, read_episode, stored_episodes
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.shard import ShardRole, shard_root
from r2d2.runtime.meter import Ages

Ints = NDArray[np.int64]


@dataclass
class Kept:
    """An item's saved state [C], priority (None where the selector has none), and age (`Ages`)."""

    core: NDArray[np.float32]
    priority: float | None
    inserted: int
    acted: int


@dataclass
class Episode:
    """What is left of an episode: its rows from row `began` on, and its items by number."""

    columns: dict[str, NDArray]  # [rows, ...]
    began: int
    items: dict[int, Kept]


class Stored:
    """The episodes of a replay, oldest first."""

    def __init__(self, replay: Replay, ages: Ages) -> None:
        self.replay = replay
        self.episodes: Episodes = stored_episodes(replay)
        self.places = replay.items.places
        table, storage = replay.items.table[self.places], replay.storage
        self._lead = (
            table["context"].astype(np.int64) + table["burn_in"]
        )  # rows of items before their trained ones
        # For each item, its episode and its first trained row in the rows that are left of it.
        position = np.full(storage.slots * storage.block, -1, np.int64)
        position[self.episodes.line] = np.arange(len(self.episodes.line))
        at = position[table["slot"].astype(np.int64) * storage.block + table["offset"]]
        by_position = np.argsort(self.episodes.first)
        self._episode = by_position[np.searchsorted(self.episodes.first[by_position], at, "right") - 1]
        self._trained = at - self.episodes.first[self._episode] + self._lead
        self._order = np.lexsort((self._trained, self._episode))
        self._ends = np.searchsorted(self._episode[self._order], np.arange(len(self.episodes) + 1))
        self._priorities = priorities_of(replay.selector, self.places)
        self._ages = ages.state_dict()

    def __len__(self) -> int:
        return len(self.episodes)

    def episode(self, index: int) -> Episode:
        """One episode, with its items."""
        items = self._order[self._ends[index] : self._ends[index + 1]].tolist()
        period, lead = self.replay.sequencer.period, self.replay.sequencer.lead
        # An item with fewer rows before it than others starts with its episode. Otherwise the beginning may be
        # lost, and any row at the same distance from an item's start will do.
        whole = self._lead[items[0]] == lead
        began = lead + int(-(lead + self._trained[items[0]]) % period) if whole else 0
        kept = {(began + int(self._trained[i])) // period: self._kept(i) for i in items}
        return Episode(read_episode(self.replay, self.episodes, index), began, kept)

    def _kept(self, item: int) -> Kept:
        place = self.places[item]
        return Kept(
            core=self.replay.items.core[place].copy(),
            priority=None if self._priorities is None else float(self._priorities[item]),
            inserted=int(self._ages["inserted"][place]),
            acted=int(self._ages["acted"][place]),
        )


def priorities_of(selector: Selector, places: Ints) -> NDArray[np.float64] | None:
    """The priorities [K] of these places, None if the selector has none."""
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


def write(episode: Episode, replay: Replay, stream: int, ages: Ages, rate: Callable[[Ints], Any]) -> None:
    """Write an episode into a stream without a running one.

    `rate` gives new items their first priorities; saved ones replace them.
    """
    cutter, streams = replay.sequencer.cutter, np.array([stream])
    replay.sequencer.enter(stream, episode.began)
    rows = len(episode.columns["action"])
    for row in range(rows):
        number = int(cutter.next_item[stream])
        values = {name: column[row : row + 1] for name, column in episode.columns.items()}
        ids = replay.write(values, np.array([row + 1 == rows]), streams=streams)
        if len(ids):
            rate(ids)
        for i in range(len(ids)):
            if kept := episode.items.get(number + i):
                _restore(ids[i : i + 1], kept, replay, ages)


def _restore(item: Ints, kept: Kept, replay: Replay, ages: Ages) -> None:
    """Restore the saved values of a new item, the id [1]."""
    replay.items.core[replay.held_places(item)] = kept.core
    ages.insert(item, updates=kept.inserted, actor_updates=kept.acted)
    if kept.priority is not None:
        replay.update_priorities(item, np.array([kept.priority]), initial=True)


def in_turn(replays: Sequence[Stored]) -> Iterator[tuple[Stored, int]]:
    """All episodes of all replays, interleaved, oldest first."""
    order = [(i / max(1, len(one)), j, i) for j, one in enumerate(replays) for i in range(len(one))]
    for _, j, i in sorted(order):
        yield replays[j], i


def check_reshards(config: Config) -> None:
    """Raise an error for configs whose items would not come out the same."""
    r = config.replay
    if r.remover not in ("fifo", "soft") or r.long_term or r.hindsight != "none":
        raise ValueError(
            "a run is resumed with other numbers of actors and shards only with replay.remover fifo or soft, and "
            "without replay.long_term and hindsight: elsewhere items that were removed would come back; put "
            "cluster.actors and cluster.shards back"
        )


def reshard_checkpoint(config: Config, before: Config, run_dir: Path, number: int) -> None:
    """Rewrite the shards' checkpoints `number` of a run if `config` has other numbers of actors or shards.

    Takes the memory of the whole replay and of one new shard, on this machine.
    """
    if (before.cluster.actors, before.cluster.shards) == (config.cluster.actors, config.cluster.shards):
        return
    check_reshards(config)
    roots = [shard_root(run_dir, Layout(before), i) for i in range(before.cluster.shards)]
    olds = [ShardRole(before, i, root, number) for i, root in enumerate(roots)]
    stored = [Stored(old.replay, old.ages) for old in olds if isinstance(old.replay, Replay)]
    layout = Layout(config)
    for shard in range(layout.shards):
        root = shard_root(run_dir, layout, shard)
        shutil.rmtree(root, ignore_errors=True)  # of an earlier attempt
        role = ShardRole(config, shard, root)
        replay = role.replay
        assert isinstance(replay, Replay)
        rate = partial(build_replay.set_initial_priorities, config, replay)
        for turn, (old, index) in enumerate(list(in_turn(stored))[shard :: layout.shards]):
            write(old.episode(index), replay, turn % replay.streams, role.ages, rate)
        role.save(number)
