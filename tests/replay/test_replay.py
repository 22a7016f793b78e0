"""The law of the replay: what is read is what was written, whatever is written and given up between."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from checkpoint_cases import same
from helpers import snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stream_twin import Cut, Sizes, StreamTwin

from r2d2.replay import Batch, Column, Fifo, PendingBatch, Proportional, Replay, Selector, Uniform
from r2d2.types import Codec

EPSILON = 1e-6


@dataclass(frozen=True)
class Plan:
    """How a replay is built."""

    sizes: Sizes
    streams: int = 2
    block: int = 3
    codec: Codec = "raw"
    spare_steps: int = 0  # beyond one item
    spare_items: int = 0  # beyond what one write can finish
    selector: Literal["uniform", "proportional"] = "proportional"
    all_compressed: bool = False
    on_disk: bool = False

    @property
    def columns(self) -> dict[str, Column]:
        """Stamps that name each row, and noise in other shapes, dtypes, codecs and contexts."""
        narrow = min(1, self.sizes.context)
        other: Codec = self.codec if self.all_compressed else "raw"
        return {
            "stamp": Column((2,), "int32", other),
            "frame": Column((2, 3), "uint8", self.codec, self.sizes.context),
            "value": Column((), "float32", self.codec, narrow),
            "flag": Column((), "bool", other),
        }

    def build(self) -> Replay:
        sequencer = self.sizes.sequencer(self.streams, core_size=2)
        capacity = self.streams * sequencer.items_at_once + self.spare_items
        selector: Selector = Uniform(capacity)
        if self.selector == "proportional":
            selector = Proportional(capacity, alpha=1.0, epsilon=EPSILON)
        return Replay(
            self.columns, streams=self.streams, sequencer=sequencer, selector=selector,
            remover=Fifo(capacity), capacity=capacity, steps=sequencer.rows + self.spare_steps,
            block=self.block, core_size=2, folder=Path(tempfile.gettempdir()) if self.on_disk else None,
        )  # fmt: skip


@dataclass
class Twin:
    """A replay beside its model of plain lists; every operation checks the one against the other."""

    plan: Plan
    rng: np.random.Generator
    replay: Replay = field(init=False)
    streams: list[StreamTwin] = field(init=False)
    cuts: dict[int, Cut] = field(default_factory=dict)  # every item that ever was, by id, oldest first
    priority: dict[int, float] = field(default_factory=dict)
    highest: float | None = None
    late: int = 0
    steps: int = 0
    pending: list[PendingBatch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.replay = self.plan.build()
        plan = self.plan
        self.streams = [
            StreamTwin(plan.sizes, stream, plan.block, plan.codec != "raw") for stream in range(plan.streams)
        ]

    @property
    def live(self) -> list[int]:
        """The ids that are held: first in, first out."""
        return list(self.cuts)[len(self.cuts) - len(self.replay) :]

    def write(self, end_share: float) -> None:
        """One row to any of the streams, in any order."""
        plan, rng, replay = self.plan, self.rng, self.replay
        chosen = rng.permutation(plan.streams)[: rng.integers(1, plan.streams + 1)]
        twins = [self.streams[stream] for stream in chosen]
        last = np.array([len(twin.rows) > twin.start and rng.random() < end_share for twin in twins])
        count = len(chosen)
        values: dict[str, NDArray] = {
            "stamp": np.array([[twin.stream, len(twin.rows)] for twin in twins], np.int32),
            "frame": rng.integers(0, 256, (count, 2, 3), np.uint8),
            "value": rng.normal(size=count).astype(np.float32),
            "flag": rng.random(count) < 0.5,
        }
        short = sum(twin.opens for twin in twins) > replay.storage.free_blocks
        sequencer = replay.sequencer
        blocks = -(-(sequencer.rows + plan.spare_steps) // plan.block)
        blocks += plan.streams * (sequencer.window // plan.block + 3)
        short |= replay.storage.rows + count > blocks * plan.block
        before = len(replay)
        core = values["stamp"].astype(np.float32)
        ids = replay.write(values, last, streams=chosen, core=core).tolist()
        self.steps += int((~last).sum())
        new: list[Cut] = []
        for i, twin in enumerate(twins):
            new += twin.write({name: value[i].copy() for name, value in values.items()}, bool(last[i]))
        for value in values.values():
            value[:] = 0  # the replay keeps nothing of its caller's
        core[:] = 0
        assert len(ids) == len(new)
        assert not set(ids) & set(self.cuts), "an id came back"
        given_up = before + len(new) - len(replay)
        assert given_up >= 0
        assert given_up == 0 or short or before + len(new) > replay.capacity, "given up without need"
        self.cuts |= zip(ids, new, strict=True)
        self.priority |= dict.fromkeys(ids, 1.0 if self.highest is None else self.highest)
        self.check()

    def check(self) -> None:
        """Counts, priorities, and the free blocks, counted anew from the rows that somebody needs."""
        replay, live = self.replay, self.live
        assert replay.steps_written == self.steps
        assert replay.late_updates == self.late
        block = self.plan.block
        needed = {(twin.stream, number) for twin in self.streams for number in twin.held_blocks()}
        for name in live:
            cut = self.cuts[name]
            addresses = self.streams[cut.stream].addresses
            first, end = addresses[cut.rows[0]] // block, addresses[cut.rows[-1]] // block + 1
            needed |= {(cut.stream, number) for number in range(first, end)}
        assert replay.storage.free_blocks == replay.storage.slots - len(needed)
        assert replay.storage.rows == sum(self.streams[stream].rows_of(number) for stream, number in needed)
        if self.plan.selector == "proportional":
            wanted = sorted(self.priority[name] + EPSILON for name in live)
            np.testing.assert_allclose(np.sort(replay.priorities()), wanted, rtol=1e-12)

    def check_batch(self, batch: Batch) -> None:
        """Every column of every item, row by row: padding repeats the item's first and last rows."""
        sizes = self.plan.sizes
        for b, name in enumerate(batch.ids.tolist()):
            cut = self.cuts[name]
            assert batch.core[b].tolist() == [cut.stream, cut.begin]
            got = (batch.burn_in[b], batch.length[b], batch.lookahead[b])
            assert got == (cut.burn_in, cut.length, cut.lookahead)
            rows = self.streams[cut.stream].rows
            for key, column in self.plan.columns.items():
                first = cut.trained - sizes.burn_in - column.context
                wanted = [
                    rows[min(max(row, cut.rows[0]), cut.rows[-1])][key]
                    for row in range(first, cut.trained + sizes.unroll + sizes.n_step)
                ]
                np.testing.assert_array_equal(
                    batch.columns[key][b], np.stack(wanted), err_msg=f"{key} of {cut}"
                )

    def sample(self) -> None:
        if not self.live:
            return
        n = int(self.rng.integers(1, 5))
        batch = self.replay.sample(n, self.rng)
        assert set(batch.ids.tolist()) <= set(self.live)
        self.check_batch(batch)
        self.check_batch(self.replay.sample(n, self.rng, out=batch))

    def draw(self) -> None:
        """Start a draw that is only looked at later."""
        if self.live:
            self.pending.append(self.replay.draw(int(self.rng.integers(1, 5)), self.rng))

    def look(self) -> None:
        """Draws that were made before other writes and removals are what they were."""
        for draw in self.pending:
            self.check_batch(draw.result())
        self.pending.clear()

    def get(self) -> None:
        """Items by id; those given up raise."""
        live = self.live
        if live:
            chosen = self.rng.choice(live, size=3)
            self.check_batch(self.replay.get(chosen))
        dead = list(self.cuts)[: len(self.cuts) - len(live)]
        if dead:
            with pytest.raises(KeyError, match="was removed"):
                self.replay.get(np.array([self.rng.choice(dead)]))

    def update(self) -> None:
        """Priorities of any items that ever were, some twice: late ones are counted and touch nothing."""
        if not self.cuts:
            return
        ids = self.rng.choice(list(self.cuts), size=4)
        priorities = self.rng.exponential(size=4)
        self.replay.update_priorities(ids, priorities)
        live = set(self.live)
        for name, priority in zip(ids.tolist(), priorities.tolist(), strict=True):
            if name in live:
                self.priority[name] = priority
                self.highest = priority if self.highest is None else max(self.highest, priority)
            else:
                self.late += 1
        self.check()

    def reload(self) -> None:
        """Go on with a new replay that has the state of the old one."""
        state = snapshot(self.replay.state_dict())
        self.replay = self.plan.build()
        self.replay.load_state_dict(state)
        assert same(snapshot(self.replay.state_dict()), state)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    unroll = draw(st.integers(1, 5))
    sizes = Sizes(
        burn_in=draw(st.integers(0, 6)),
        unroll=unroll,
        n_step=draw(st.integers(1, 3)),
        period=draw(st.integers(1, unroll)),
        context=draw(st.integers(0, 3)),
    )
    return Plan(
        sizes,
        streams=draw(st.integers(1, 3)),
        block=draw(st.integers(1, 7)),
        codec=draw(st.sampled_from(["raw", "lz4", "zstd"])),
        spare_steps=draw(st.integers(0, 40)),
        spare_items=draw(st.integers(0, 12)),
        selector=draw(st.sampled_from(["uniform", "proportional"])),
        all_compressed=draw(st.booleans()),
        on_disk=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None)
@given(plans(), st.integers(0, 2**32 - 1), st.sampled_from([0.03, 0.2, 0.6]), st.integers(1, 120))
@example(Plan(Sizes(4, 6, 3, 4, 3), streams=3, block=5, codec="lz4", spare_steps=20), 0, 0.05, 250)
@example(Plan(Sizes(7, 4, 2, 2, 1), streams=2, block=7, codec="zstd", all_compressed=True), 1, 0.1, 250)
def test_what_is_read_is_what_was_written(plan: Plan, seed: int, end_share: float, steps: int) -> None:
    """Under any interleaving of writes to any streams, removals, draws, reads, priorities and reloads."""
    twin = Twin(plan, np.random.default_rng(seed))
    others = [twin.sample, twin.draw, twin.look, twin.get, twin.update, twin.reload]
    for _ in range(steps):
        twin.write(end_share)
        if twin.rng.random() < 0.4:
            others[twin.rng.integers(len(others))]()
    twin.look()
    twin.get()


def test_blocks_do_not_leak() -> None:
    """After 1e5 rows of 16 streams, the free blocks are exactly those that no item and no writer needs, and
    items have been given up only as far as that takes."""
    plan = Plan(
        Sizes(4, 6, 3, 4, 3), streams=16, block=5, spare_steps=500, spare_items=1000, selector="uniform"
    )
    replay = plan.build()
    twins = [StreamTwin(plan.sizes, stream, plan.block) for stream in range(16)]
    rng = np.random.default_rng(0)
    values: dict[str, NDArray] = {
        name: np.zeros((16, *column.shape), column.dtype) for name, column in plan.columns.items()
    }
    order: dict[int, Cut] = {}
    for step in range(6250):
        last = (rng.random(16) < 0.03) & np.array([len(twin.rows) > twin.start for twin in twins])
        ids = replay.write(values, last).tolist()
        new = [cut for twin, end in zip(twins, last, strict=True) for cut in twin.write(None, bool(end))]
        order |= zip(ids, new, strict=True)
        if step % 250 == 249:
            needed = {(twin.stream, number) for twin in twins for number in twin.held_blocks()}
            for cut in list(order.values())[-len(replay) :]:
                needed |= {(cut.stream, row // plan.block) for row in cut.rows}
            assert replay.storage.free_blocks == replay.storage.slots - len(needed)
            assert replay.storage.free_blocks < 40
    assert len(order) > 20 * len(replay)


@pytest.mark.parametrize("codec", ["raw", "lz4", "zstd"])
def test_an_older_state_can_be_loaded_into_a_used_replay(codec: Codec) -> None:
    """Nothing of what the replay held meanwhile shines through: it goes on like one that was new."""
    plan = Plan(Sizes(4, 6, 3, 4, 3), codec=codec, spare_steps=30, all_compressed=codec != "raw")
    twin = Twin(plan, np.random.default_rng(0))
    for _ in range(60):
        twin.write(0.1)
    state = snapshot(twin.replay.state_dict())
    used = plan.build()
    meanwhile = Twin(plan, np.random.default_rng(1))
    meanwhile.replay = used
    for _ in range(150):
        meanwhile.write(0.1)
    used.load_state_dict(state)
    assert used.nbytes == twin.replay.nbytes
    twin.replay = used
    for _ in range(100):
        twin.write(0.1)
        twin.sample()


@pytest.mark.parametrize("beta", [0.0, 0.6, 1.0])
def test_importance_weights(beta: float) -> None:
    """w_i = (1 / (N P(i)))^beta over the largest of the batch, by hand; 1 where beta is 0."""
    plan = Plan(Sizes(0, 1, 1, 1, 0), spare_items=40, spare_steps=60)
    twin = Twin(plan, np.random.default_rng(0))
    for _ in range(80):
        twin.write(0.1)
    live = np.array(twin.live)
    priorities = np.random.default_rng(1).exponential(size=len(live))
    twin.replay.update_priorities(live, priorities)
    share = {
        name: (p + EPSILON) / sum(priorities + EPSILON) for name, p in zip(live, priorities, strict=True)
    }
    batch = twin.replay.sample(32, twin.rng, beta=beta)
    weights = [(1 / (len(live) * share[name])) ** beta for name in batch.ids]
    np.testing.assert_allclose(batch.probability, [share[name] for name in batch.ids], rtol=1e-9)
    np.testing.assert_allclose(batch.weight, np.array(weights) / max(weights), rtol=1e-6)
    assert batch.weight.dtype == np.float32
    assert batch.weight.max() == 1.0


def test_states_do_not_share_memory_with_the_replay() -> None:
    """All but the blobs of raw blocks, which a checkpoint writes at once, is a copy."""
    twin = Twin(Plan(Sizes(2, 3, 2, 2, 1)), np.random.default_rng(0))
    for _ in range(40):
        twin.write(0.1)
    state = twin.replay.state_dict()
    before = snapshot(state)
    for _ in range(40):
        twin.write(0.1)
        twin.update()
    after = snapshot(state)
    for tree in (before, after):
        del tree["storage"]["raw"]["full"], tree["items"]["core"]
    assert same(after, before)


def test_a_batch_counts_its_trained_steps() -> None:
    """Padding left out: what the replay ratio counts."""
    twin = Twin(Plan(Sizes(2, 5, 2, 2, 0), spare_items=50, spare_steps=50), np.random.default_rng(0))
    for _ in range(60):
        twin.write(0.3)
    batch: Any = twin.replay.sample(20, twin.rng)
    assert batch.steps == sum(twin.cuts[name].length for name in batch.ids.tolist())
    assert batch.steps < 20 * 5
