"""Hindsight: what was reached by chance is replayed as if it had been the goal (Andrychowicz et al. 2017).

When an episode ends, each of its items gets `copies` more: items of their own that share the stored steps and
differ in the goal, as in the paper's algorithm 1. They have their own ids and priorities, are drawn, weighed
and removed like all others, and cost an index entry, a goal and a recurrent state each. Goals are drawn once,
when the copy is made, so a priority is always for one goal. (Libraries that draw a new goal whenever a
batch is read save the copies, but one priority then stands for all goals of an item.) Nothing stored is
changed: `rewrite` puts goal and rewards into the batch that was read.

One copy has one goal for all its rows, burn-in, unroll and lookahead. With `future`, every trained step comes
before the goal is reached: the copy is cut short where its goal was. The goal is one of those achieved after
the copy's first trained step, so a sequence as long as its episode has as many goals as single steps have.

The recurrent state before a copy's first row is the one that the actor had under its own goal. Its memory of the
world still holds, its memory of the goal does not: burn-in under the new goal corrects that.
An item that begins with its episode has the state zero, which is exact under every goal; whole episodes
(`initial_state="episode"`) and zero states are exact or stale just as without hindsight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count, check_rng
from r2d2.replay.kernels.table import ITEM_FIELDS, NEW_ITEM
from r2d2.replay.relabelers.goals import STRATEGIES, GoalBank, Goals, Source, Strategy
from r2d2.replay.saved import Saved
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage
from r2d2.types import Batch, Column

Ints = NDArray[np.int64]
Outcome = Callable[[Goals, Goals], tuple[NDArray[np.float32], NDArray[np.bool_]]]

BANK = 10_000  # achieved goals that strategy `random` draws from, a uniform sample of all; ours
NEEDED = ("observation", "reward", "terminated")  # columns without which nothing can be relabeled
_SAVED = ("stream", "slot", *ITEM_FIELDS, "number", "offset", "rows")  # of an item, in a checkpoint
TOLD = ("previous_action", "previous_reward")  # rewritten together: the first says where episodes begin


class Hindsight:
    """Makes `copies` of every item of an episode, with goals of that `strategy`, once the episode ends.

    `final`: what the episode achieved in the end. `future`: what it achieved after the item's first trained
    step. `episode`: what it achieved at any time. `random`: what any episode so far achieved.

    The column `observation` must be [D] with the goal that the agent pursues and the one that it has achieved
    as its last 2 * `goal_size` numbers, in this order. `outcome` maps achieved goals and goals [K, G] to the
    rewards [K] for arriving there and whether that terminates [K]. `longest` is the most actions of an
    episode: the steps of a running episode are kept, whatever the remover does, until its copies are made.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        *,
        goal_size: int,
        longest: int,
        outcome: Outcome,
        rng: np.random.Generator,
        strategy: Strategy = "future",
        copies: int = 4,
    ) -> None:
        goal_size, copies = check_count("goal_size", goal_size), check_count("copies", copies)
        longest = check_count("longest", longest)
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        if not callable(outcome):
            raise ValueError(f"outcome must be a function of achieved goals and goals, got {outcome!r}")
        check_rng(rng)
        if strategy == "final" and copies > 1:
            raise ValueError(
                f"copies must be 1 with strategy final, which has one goal an episode, got {copies}"
            )
        streams, most = sequencer.streams, -(-longest // sequencer.period)
        self.sequencer, self.outcome, self.rng = sequencer, outcome, rng
        self.strategy, self.copies = strategy, copies
        self.goal_size, self.longest = goal_size, longest
        # Of each running episode, by number: its items and their recurrent states.
        self._items = np.zeros((streams, most), NEW_ITEM)
        self.core = np.zeros((streams, most, sequencer.core_size), np.float32)
        self._count = np.zeros(streams, np.int64)  # items of each running episode
        self._achieved = np.zeros((streams, longest + 1, goal_size), np.float32)  # of each running episode
        self._row = np.zeros(streams, np.int64)
        self.bank = GoalBank(BANK if strategy == "random" else 0, goal_size)

    @property
    def at_once(self) -> int:
        """The most copies that the end of one episode makes."""
        return self.copies * self._items.shape[1]

    def blocks(self, block: int) -> int:
        """The most blocks, of `block` steps each, that the running episodes may hold."""
        return len(self._row) * (self.longest // block + 3)

    def check_columns(self, columns: Mapping[str, Column]) -> None:
        """Raise ValueError if steps of these columns cannot be relabeled."""
        missing = [name for name in NEEDED if name not in columns]
        if missing:
            raise ValueError(f"columns must have {', '.join(NEEDED)} for hindsight, got no {missing[0]}")
        if (TOLD[0] in columns) != (TOLD[1] in columns):
            raise ValueError(f"columns must have both or none of {' and '.join(TOLD)} for hindsight")
        shape, dtype = columns["observation"].shape, columns["observation"].numpy_dtype
        if len(shape) != 1 or shape[0] < 2 * self.goal_size or dtype.kind != "f":
            raise ValueError(
                f"observation must be floats [D] whose last {2 * self.goal_size} are the desired and the "
                f"achieved goal of {self.goal_size} each, got {dtype} {shape}"
            )

    def check_replay(self, columns: Mapping[str, Column], sequencer: Sequencer, capacity: int) -> None:
        """Raise ValueError if a replay of these parts could not make or hold the copies of one episode."""
        self.check_columns(columns)
        if any(column.skipped for column in columns.values()):
            raise ValueError("a relabeler rewrites all rows of an item: no column may have skipped ones")
        if self.sequencer is not sequencer:
            raise ValueError("relabeler must be made for the replay's own sequencer, got one for another")
        if capacity < self.at_once:
            raise ValueError(
                f"capacity must be at least {self.at_once} items, the copies of one episode "
                f"(copies={self.copies} * items of {self.longest} actions), got {capacity}"
            )

    def check(self, streams: Ints) -> None:
        """Refuse a row of an episode that is longer than `longest`; call before anything is written."""
        over = self._row[streams] > self.longest
        if over.any():
            raise ValueError(
                f"an episode must have at most longest={self.longest} actions, got more in stream "
                f"{int(streams[over][0])}: raise longest"
            )

    def write(
        self,
        values: Mapping[str, NDArray],
        last: NDArray[np.bool_],
        streams: Ints,
        new: NDArray,
        storage: Storage,
    ) -> list[tuple[NDArray, Goals]]:
        """Record one row of each stream and the items `new` (`NEW_ITEM`) that it completed, before these
        can be removed; returns the copies [n] and goals [n, G] of each episode that ends.

        The copies refer to their steps already; their recurrent states are in `core`.
        """
        self._achieved[streams, self._row[streams]] = values["observation"][:, -self.goal_size :]
        self._row[streams] += 1
        if len(new):
            storage.incref(new)  # until the episode ends
            stream, number = new["stream"], new["number"]
            self._items[stream, number] = new
            self.core[stream, number] = self.sequencer.pending_of(new)
            np.maximum.at(self._count, stream, number + 1)
        ended = []
        for stream in streams[last].tolist():
            held = self._items[stream, : self._count[stream]]
            copies, goals = self._copies(held, self._achieved[stream, : self._row[stream]])
            storage.incref(copies)
            storage.decref(held)
            ended.append((copies, goals))
            self._count[stream] = self._row[stream] = 0
        return ended

    def _copies(self, items: NDArray, achieved: Goals) -> tuple[NDArray, Goals]:
        """`copies` of each item of an episode that achieved these goals [L + 1, G], and their goals."""
        copies = np.repeat(items, self.copies)
        return copies, STRATEGIES[self.strategy](
            copies, achieved, Source(self.sequencer, self.rng, self.bank)
        )

    def rewrite(self, batch: Batch, goals: Goals) -> None:
        """Give items of a batch these goals [B, G], those that are not NaN; only its own arrays are changed.

        The reward of a row is that of arriving in the next one. The last row of an item, whose next one lies
        outside, gets 0; nothing reads it. An actor's own Q values stay those of the goal that it pursued.
        """
        chosen = np.flatnonzero(~np.isnan(goals[:, 0]))
        if len(chosen) == 0:
            return
        columns, g, goals = batch.columns, self.goal_size, goals[chosen]
        columns["observation"][chosen, :, -2 * g : -g] = goals[:, None]
        achieved = columns["observation"][chosen, :, -g:]
        achieved = achieved[:, achieved.shape[1] - columns["reward"].shape[1] :]  # [K, T, G] without context
        rows = achieved.shape[1]
        reward, terminated = self.outcome(achieved.reshape(-1, g), np.repeat(goals, rows, 0))
        reward, terminated = reward.reshape(-1, rows), terminated.reshape(-1, rows)  # of arriving in each row
        if TOLD[1] in columns:
            told = columns[TOLD[0]][chosen].reshape(*reward.shape, -1)[..., 0]  # 0 at the start of an episode
            columns[TOLD[1]][chosen] = np.where(told > 0, reward, 0.0)
        trained = rows - self.sequencer.unroll - self.sequencer.n_step
        begin = trained - batch.burn_in[chosen, None]
        end = trained + batch.length[chosen, None] + batch.lookahead[chosen, None] - 1
        row = np.clip(np.arange(rows), begin, end)  # padding repeats
        inside, after = row < end, np.minimum(row + 1, rows - 1)
        over = np.take_along_axis(terminated, after, 1) & inside
        if "truncated" in columns:  # what ended for the goal of its own is cut off for this one
            ended = columns["truncated"][chosen] | columns["terminated"][chosen]
            columns["truncated"][chosen] = ended & ~over
        columns["terminated"][chosen] = over
        columns["reward"][chosen] = np.where(inside, np.take_along_axis(reward, after, 1), 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Everything, of the running episodes too."""
        running = [
            {"items": _saved(items[:n]), "core": core[:n].copy(), "achieved": achieved[:rows].copy()}
            for items, core, achieved, n, rows in zip(
                self._items, self.core, self._achieved, self._count, self._row, strict=True
            )
        ]
        return {"running": running, "rng": self.rng.bit_generator.state, "bank": self.bank.state_dict()}

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError if this is not the state of a relabeler like this one."""
        for running in saved.parts("running", len(self._row)):
            items = running.array("items", np.int64, (None, len(_SAVED)), low=0)
            running.array("core", np.float32, (len(items), self.core.shape[2]))
            achieved = running.array("achieved", np.float32, (None, self.goal_size))
            if len(items) > self._items.shape[1] or len(achieved) > self._achieved.shape[1]:
                raise running.refuse("achieved", f"must have at most {self._achieved.shape[1]} rows")
        saved.generator("rng", self.rng)
        self.bank.check_state(saved.part("bank"))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "relabeler"))
        for stream, saved in enumerate(state["running"]):
            n, rows = len(saved["items"]), len(saved["achieved"])
            for i, name in enumerate(_SAVED):
                self._items[name][stream, :n] = saved["items"][:, i]
            self.core[stream, :n] = saved["core"]
            self._achieved[stream, :rows] = saved["achieved"]
            self._count[stream], self._row[stream] = n, rows
        self.rng.bit_generator.state = state["rng"]
        self.bank.load_state_dict(state["bank"])


def _saved(items: NDArray) -> Ints:
    """Items (`NEW_ITEM`) as checkpoints have them [K, 9]."""
    return np.stack([items[name] for name in _SAVED], -1)
