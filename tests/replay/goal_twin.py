"""A world with goals as plain lists: what was written, and what each hindsight copy of it must say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from stream_twin import Cut, Sizes, StreamTwin

from r2d2.replay import Batch, Column, Hindsight, Replay
from r2d2.replay.relabelers.goals import Strategy
from r2d2.types import Codec

LONGEST = 12
NEVER = -1.0  # both numbers of the goal that every episode pursues: nothing achieves it


def columns(codec: Codec, context: int) -> dict[str, Column]:
    return {
        "observation": Column((6,), "float32", codec, context),
        "previous_action": Column((), "int32"),
        "previous_reward": Column(),
        "reward": Column(),
        "terminated": Column((), "bool"),
        "truncated": Column((), "bool"),
    }


def outcome(achieved: NDArray, goal: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A reward that tells how far it is [K], and whether it is there."""
    return -np.abs(achieved - goal).sum(1), (achieved == goal).all(1)


def hindsight(
    sizes: Sizes, streams: int, strategy: Strategy, copies: int, core_size: int = 2, seed: int = 5
) -> Hindsight:
    return Hindsight(
        sizes.sequencer(streams, core_size), goal_size=2, longest=LONGEST, outcome=outcome,
        rng=np.random.default_rng(seed), strategy=strategy, copies=copies,
    )  # fmt: skip


@dataclass
class GoalWorld:
    """Episodes of 1 to `LONGEST` actions on every stream. What is achieved in row t of episode e of stream s is
    (1000 s + e, t): a goal says where it comes from."""

    sizes: Sizes
    streams: int
    strategy: Strategy
    rng: np.random.Generator
    twins: list[StreamTwin] = field(default_factory=list)
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)  # by stream and first trained row
    starts: dict[tuple[int, int], int] = field(default_factory=dict)  # stream and episode: its first row
    ends: dict[tuple[int, int], int] = field(default_factory=dict)  # and its last one
    episode: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.twins = [StreamTwin(self.sizes, stream) for stream in range(self.streams)]
        self.episode = [0] * self.streams

    def achieved(self, stream: int, episode: int, row: int) -> list[float]:
        return [1000.0 * stream + episode, float(row - self.starts[stream, episode])]

    def write(self, *replays: Replay, end: bool = False) -> list[NDArray[np.int64]]:
        """The same row into every replay; returns the ids that each answered. `end`: the last row of every
        running episode and nothing else."""
        running = [stream for stream, twin in enumerate(self.twins) if len(twin.rows) > twin.start]
        streams = np.array(running if end else range(self.streams), np.int64)
        last, rows = [], []
        for stream in streams.tolist():
            twin = self.twins[stream]
            row, start, episode = len(twin.rows), twin.start, self.episode[stream]
            self.starts[stream, episode] = start
            at = row - start
            last.append(end or (at > 0 and (at == LONGEST or bool(self.rng.random() < 0.15))))
            observation = [stream, row, NEVER, NEVER, *self.achieved(stream, episode, row)]
            rows.append((observation, at > 0, 50.0 + row - 1 if at else 0.0, 50.0 + row))
            self.cuts |= {(c.stream, c.trained): c for c in twin.write(row, last[-1])}
            if last[-1]:
                self.ends[stream, episode] = row
                self.episode[stream] += 1
        observation, told, before, reward = (np.array(part) for part in zip(*rows, strict=True))
        values = {
            "observation": observation.astype(np.float32),
            "previous_action": told.astype(np.int32),
            "previous_reward": before.astype(np.float32),
            "reward": reward.astype(np.float32),
            "terminated": np.array([row == 1 for row in observation[:, 1] % 7]),
            "truncated": np.zeros(len(streams), np.bool_),
        }
        core, over = observation[:, :2].astype(np.float32), np.array(last)
        return [replay.write(values, over, streams=streams, core=core) for replay in replays]

    def check(self, batch: Batch, copies: NDArray[np.bool_]) -> None:
        """Every row of every item is what was written, or what it must be for the item's goal."""
        for b, copy in enumerate(copies.tolist()):
            stream, begin = (int(x) for x in batch.core[b])
            cut = self.cuts[stream, begin + int(batch.burn_in[b])]
            episode = max(e for s, e in self.starts if s == stream and self.starts[s, e] <= begin)
            goal = batch.columns["observation"][b, 0, 2:4].tolist()
            assert copy == (goal != [NEVER, NEVER])
            if copy:
                cut = self.check_goal(cut, episode, goal)
            assert (batch.burn_in[b], batch.length[b], batch.lookahead[b]) == (
                cut.burn_in,
                cut.length,
                cut.lookahead,
            )
            self.check_rows(batch, b, cut, episode, goal if copy else None)

    def check_goal(self, cut: Cut, episode: int, goal: list[float]) -> Cut:
        """The goal is one that the strategy allows; returns how a copy with it is cut."""
        source = int(goal[0]) // 1000, int(goal[0]) % 1000
        own, end = (cut.stream, episode), self.ends[cut.stream, episode]
        start = self.starts[own]
        assert 1 <= goal[1] <= self.ends[source] - self.starts[source]
        assert source == own or self.strategy == "random"
        if self.strategy == "final":
            assert goal[1] == end - start
        if self.strategy != "future":
            return cut
        reached = start + int(goal[1])
        length = min(cut.length, reached - cut.trained)
        assert length >= 1, "a goal from before the step"
        lookahead = min(self.sizes.n_step, end - (cut.trained + length - 1))
        return cut._replace(length=length, lookahead=lookahead)

    def check_rows(self, batch: Batch, b: int, cut: Cut, episode: int, goal: list[float] | None) -> None:
        s = self.sizes
        wanted = range(cut.trained - s.burn_in - s.context, cut.trained + s.unroll + s.n_step)
        rows = [min(max(row, cut.rows[0]), cut.rows[-1]) for row in wanted]
        aims = [NEVER, NEVER] if goal is None else goal
        expected = [[cut.stream, row, *aims, *self.achieved(cut.stream, episode, row)] for row in rows]
        assert batch.columns["observation"][b].tolist() == expected
        start, read = self.starts[cut.stream, episode], {n: batch.columns[n][b] for n in batch.columns}
        for t, row in enumerate(rows[s.context :]):
            if goal is None:
                rewards = [50.0 + row, 50.0 + row - 1 if row > start else 0.0]
                assert [read["reward"][t], read["previous_reward"][t]] == rewards
                assert (read["terminated"][t], read["truncated"][t]) == (row % 7 == 1, False)
                continue
            here, after = (
                outcome(np.array([self.achieved(cut.stream, episode, r)]), np.array([goal]))
                for r in (row, row + 1)
            )
            assert read["previous_reward"][t] == (here[0][0] if row > start else 0.0)
            inside = row < cut.rows[-1]  # the last row's outcome is not the item's
            assert read["reward"][t] == (after[0][0] if inside else 0.0)
            assert read["terminated"][t] == (bool(after[1][0]) and inside)
            assert read["truncated"][t] == (row % 7 == 1 and not read["terminated"][t])
