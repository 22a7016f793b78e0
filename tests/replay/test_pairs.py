"""The law of composition: any selector, remover, codec and cut work together or are refused at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import get_args, get_type_hints

import numpy as np
import pytest
from checkpoint_cases import same
from goal_twin import GoalWorld, columns, hindsight
from helpers import snapshot
from numpy.typing import NDArray
from stream_twin import Cut, Sizes, StreamTwin

from r2d2.config import Config, ReplayConfig, check_config
from r2d2.config.parts import REMOVERS, SELECTORS, load, make
from r2d2.replay import Batch, Column, Combined, Remover, Replay, Selector
from r2d2.replay.codecs import CODECS
from r2d2.replay.relabelers.goals import STRATEGIES, Strategy
from r2d2.types import Codec

STREAMS, BATCH, CAPACITY, BLOCK = 3, 6, 45, 4

# All that are registered, and each selector within a `Combined` too.
DRAWING = [*SELECTORS, *(f"combined-{name}" for name in SELECTORS)]


def selector_of(name: str) -> Selector:
    settings = {"capacity": CAPACITY, "alpha": 0.7, "refresh": 0.05, "decay": 0.2}
    made = make(SELECTORS, name.removeprefix("combined-"), settings)
    return Combined(made, capacity=CAPACITY, streams=STREAMS) if name.startswith("combined-") else made


def remover_of(name: str, selector: Selector) -> Remover:
    settings = {"capacity": CAPACITY, "selector": selector, "rng": np.random.default_rng(7)}
    made: Remover = make(REMOVERS, name, settings | {"soft": CAPACITY // 2, "period": 3})
    return made


CUTS = {
    "one step": Sizes(0, 1, 1, 1, 0),
    "three steps, stacked": Sizes(0, 1, 3, 1, 3),
    "overlapping sequences": Sizes(4, 6, 3, 3, 1),
    "sequences end to end": Sizes(0, 5, 1, 5, 0),
}
TIGHT, AMPLE = 60, 3000  # steps kept: the storage, or the places, run out first


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("hindsight", ["none", *STRATEGIES]),
        ("codec", ["raw", *CODECS]),
    ],
)
def test_the_command_line_offers_all_that_is_registered(field: str, names: list[str]) -> None:
    """And nothing else, in the same order: the choices of the config are literals, which a type checker reads."""
    assert list(get_args(get_type_hints(ReplayConfig)[field])) == names


def test_types_name_all_that_is_registered() -> None:
    assert get_args(Codec) == ("raw", *CODECS)
    assert get_args(Strategy) == tuple(STRATEGIES)


@pytest.mark.parametrize("name", SELECTORS)
def test_alpha_may_change_where_the_selector_can_follow(name: str) -> None:
    """The config refuses it for the others, by name: it knows no replay."""
    config = Config(replay=ReplayConfig(selector=name, alpha_steps=100))
    if hasattr(load(SELECTORS, name), "set_alpha"):
        check_config(config)
        return
    with pytest.raises(ValueError, match=r"alpha_steps=100 needs replay\.selector"):
        check_config(config)


def build(
    selector: str, remover: str, codec: Codec, cut: str, steps: int, normalize: str = "batch"
) -> Replay:
    made = selector_of(selector)
    return Replay(
        {"stamp": Column((2,), "int32", codec, CUTS[cut].context)}, streams=STREAMS,
        sequencer=CUTS[cut].sequencer(STREAMS, core_size=2), selector=made, remover=remover_of(remover, made),
        capacity=CAPACITY, steps=steps, block=BLOCK, core_size=2, normalize=normalize,
    )  # fmt: skip


@dataclass
class Witness:
    """Knows every row that was written and every item that could be."""

    sizes: Sizes
    aligned: bool  # episodes begin in a block of their own
    rng: np.random.Generator
    twins: list[StreamTwin] = field(init=False)
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)  # by stream and first trained row
    names: dict[int, Cut] = field(default_factory=dict)  # which item an id is, for good
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.twins = [StreamTwin(self.sizes, stream, BLOCK, self.aligned) for stream in range(STREAMS)]

    def write(self, *replays: Replay) -> None:
        """The same row into every replay: they answer the same ids, none of which was there before."""
        last = np.array([len(t.rows) > t.start and self.rng.random() < 0.08 for t in self.twins])
        stamp = np.array([[twin.stream, len(twin.rows)] for twin in self.twins], np.int32)
        for twin, end in zip(self.twins, last, strict=True):
            self.cuts |= {(c.stream, c.trained): c for c in twin.write(len(twin.rows), bool(end))}
        for replay in replays:
            ids = replay.write({"stamp": stamp}, last, core=stamp.astype(np.float32))
            new = {i for i in ids.tolist() if i >= 0}
            assert not new & self.seen or replay is not replays[0], "an id came back"
            assert new <= self.seen or replay is replays[0], "the reloaded replay answered other ids"
            self.seen |= new

    def check(self, batch: Batch) -> None:
        """Every row of every item is what was written, and an id is always the same item."""
        s = self.sizes
        for b, name in enumerate(batch.ids.tolist()):
            assert name in self.seen
            stream, begin = (int(x) for x in batch.core[b])
            cut = self.cuts[stream, begin + int(batch.burn_in[b])]
            sizes = (batch.burn_in[b], batch.length[b], batch.lookahead[b])
            assert sizes == (cut.burn_in, cut.length, cut.lookahead)
            assert self.names.setdefault(name, cut) == cut
            wanted = range(cut.trained - s.burn_in - s.context, cut.trained + s.unroll + s.n_step)
            rows = [min(max(row, cut.rows[0]), cut.rows[-1]) for row in wanted]
            assert batch.columns["stamp"][b].tolist() == [[stream, row] for row in rows]

    def newest(self, names: list[int]) -> set[int]:
        """The newest of each stream among these ids."""
        found: dict[int, tuple[int, int]] = {}
        for name in names:
            cut = self.names[name]
            found[cut.stream] = max(found.get(cut.stream, (-1, -1)), (cut.trained, name))
        return {name for _, name in found.values()}

    def held(self, replay: Replay) -> list[int]:
        found = []
        for name in sorted(self.seen):
            try:
                self.check(replay.get(np.array([name])))
            except KeyError:
                continue
            found.append(name)
        return found


def sample(replays: list[Replay], seed: int) -> Batch:
    batches = [r.sample(BATCH, np.random.default_rng(seed), beta=0.5) for r in replays]
    plain = [vars(batch) | {"columns": dict(batch.columns)} for batch in batches]
    assert all(same(plain[0], other) for other in plain[1:])
    return batches[0]


def free_blocks_without_items(witness: Witness, replay: Replay) -> int:
    return replay.storage.slots - sum(len(twin.held_blocks()) for twin in witness.twins)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("codec", get_args(Codec))
@pytest.mark.parametrize("remover", REMOVERS)
@pytest.mark.parametrize("selector", DRAWING)
def test_every_pair_works_together(selector: str, remover: str, codec: Codec, cut: str) -> None:
    """Written, evicted, sampled, updated, saved and restored, with storage tight and ample: what is read is
    what was written, nothing leaks, and a restored replay goes on bit for bit."""
    for steps in (TIGHT, AMPLE):
        replay = build(selector, remover, codec, cut, steps)
        replays, witness = [replay], Witness(CUTS[cut], codec != "raw", np.random.default_rng(0))
        for step in range(80):
            witness.write(*replays)
            assert {len(r.selector) for r in replays} == {len(replay)}
            assert len(replay) <= CAPACITY
            if len(replay) and step % 3 == 0:
                batch = sample(replays, step)
                witness.check(batch)
                assert batch.weight.max() == 1.0
                priorities = witness.rng.exponential(size=BATCH)
                for r in replays:
                    r.update_priorities(batch.ids, priorities)
            if step == 40:
                replays.append(build(selector, remover, codec, cut, steps))
                replays[1].load_state_dict(snapshot(replay.state_dict()))
        held = witness.held(replay)
        assert len(held) == len(replay) > 0
        if selector.startswith("combined"):
            newest = witness.newest(held)
            assert set(sample(replays, 0).ids[: len(newest)].tolist()) == newest
        replay.clear()
        assert len(replay) == len(replay.selector) == len(replay.remover.pop(1)) == 0
        assert replay.storage.free_blocks == free_blocks_without_items(witness, replay)
        for _ in range(20):
            witness.write(replay)
        assert len(replay) > 0
        witness.check(sample([replay], 1))


@pytest.mark.parametrize(("selector", "remover"), itertools.product(DRAWING, REMOVERS))
def test_the_buffer_maximum_works_or_is_refused_at_construction(selector: str, remover: str) -> None:
    """With it, the weights are those of the batch's maximum times one factor, at most 1."""
    if selector.startswith("combined") or selector == "recency":
        with pytest.raises(ValueError, match='normalize="buffer" needs the smallest probability'):
            build(selector, remover, "raw", "one step", AMPLE, "buffer")
        return
    replay = build(selector, remover, "raw", "one step", AMPLE, "buffer")
    witness = Witness(CUTS["one step"], False, np.random.default_rng(0))
    for step in range(40):
        witness.write(replay)
        if len(replay):
            batch = replay.sample(BATCH, np.random.default_rng(step), beta=0.5)
            scaled: NDArray[np.float64] = batch.weight * np.sqrt(batch.probability)
            np.testing.assert_allclose(scaled, scaled[0], rtol=1e-5)
            assert batch.weight.max() <= 1.0 + 1e-6
            replay.update_priorities(batch.ids, witness.rng.exponential(size=BATCH))


@pytest.mark.parametrize(
    ("number", "selector", "remover", "cut"),
    [(i, *names) for i, names in enumerate(itertools.product(DRAWING, REMOVERS, CUTS))],
)
def test_hindsight_works_with_every_pair(number: int, selector: str, remover: str, cut: str) -> None:
    """Copies are items like all others: nothing leaks, and a restored replay goes on with the same goals.
    Strategies, codecs and sizes take turns over the pairs."""
    strategy: Strategy = list(STRATEGIES)[number % 4 - number // 4 % 4]  # type: ignore[assignment]
    codec: Codec = ("raw", "lz4", "zstd")[number % 3]  # type: ignore[assignment]

    def make() -> Replay:
        relabeler = hindsight(CUTS[cut], STREAMS, strategy, 1 if strategy == "final" else 2)
        chosen = selector_of(selector)
        return Replay(
            columns(codec, CUTS[cut].context), streams=STREAMS, sequencer=relabeler.sequencer, selector=chosen,
            remover=remover_of(remover, chosen), capacity=CAPACITY, steps=(TIGHT, AMPLE)[number // 4 % 2],
            block=BLOCK, core_size=2, relabeler=relabeler,
        )  # fmt: skip

    replays = [make()]
    world = GoalWorld(CUTS[cut], STREAMS, strategy, np.random.default_rng(0))
    for step in range(60):
        world.write(*replays)
        assert len(replays[0]) == len(replays[0].selector) <= CAPACITY
        if len(replays[0]) and step % 3 == 0:
            batch = sample(replays, step)
            world.check(batch, replays[0].relabeled(batch.ids))
            priorities = world.rng.exponential(size=BATCH)
            for r in replays:
                r.update_priorities(batch.ids, priorities)
        if step == 30:
            replays.append(make())
            replays[1].load_state_dict(snapshot(replays[0].state_dict()))
    world.write(*replays, end=True)
    replays[0].clear()
    storage = replays[0].storage
    assert storage.slots - storage.free_blocks <= STREAMS, "more than the block that each stream fills"
