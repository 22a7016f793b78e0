"""The law of alignment: what the learner computes from a stored item is what the actor computed then.

Four public R2D2s store the recurrent state 1 or 40 steps off. Here an actor with frozen weights plays
scripted episodes into a replay that is evicted and wraps around many times; from each item's stored core
state, through its burn-in, the Q values are computed again and must equal those that the actor recorded.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers import Ending, Setup, items_of, play, recompute, select

from r2d2.agent.networks import QNetwork
from r2d2.agent.q_learning import QLearning
from r2d2.agent.targets import initial_priorities
from r2d2.replay import Replay
from r2d2.types import Batch, Rows

TOLERANCE = 1e-5
FRAMES = {"shape": (24, 27), "dtype": "uint8", "stack": 4, "steps": 90}

SETUPS = {
    "burn-in as long as the period": Setup(),
    "no burn-in": Setup(burn_in=0),
    "burn-in shorter than the period": Setup(burn_in=3, block=1),
    "burn-in longer than the period": Setup(burn_in=7, block=7),
    "burn-in longer than most episodes": Setup(burn_in=20, block=3),
    "period as long as the unroll": Setup(burn_in=2, period=6, stack=1),
    "period of one step": Setup(burn_in=2, period=1, n_step=5),
    "unroll of one step": Setup(burn_in=5, unroll=1, period=1, n_step=1),
    "compressed vectors": Setup(codec="lz4", burn_in=5),
    "gru": Setup(core="gru", burn_in=5),
    "gru, no burn-in": Setup(core="gru", burn_in=0, codec="zstd"),
    "feed-forward": Setup(core="none"),
    "life loss ignored": Setup(life_loss="none", burn_in=3),
    "life loss cuts the bootstrap": Setup(life_loss="roll", burn_in=3),
    "life loss ends the episode": Setup(life_loss="reset", burn_in=3),
    "refreshed": Setup(linked=True),
    "refreshed, no burn-in": Setup(linked=True, burn_in=0, core="gru"),
    "refreshed, burn-in longer than the period": Setup(linked=True, burn_in=7, codec="lz4"),
    "raw frames": Setup(**FRAMES),  # type: ignore[arg-type]
    "lz4 frames": Setup(**FRAMES, codec="lz4", burn_in=7, block=4),  # type: ignore[arg-type]
    "zstd frames, gru": Setup(**FRAMES, codec="zstd", core="gru", burn_in=3),  # type: ignore[arg-type]
    "lz4 frames, life loss ends the episode": Setup(**FRAMES, codec="lz4", life_loss="reset"),  # type: ignore[arg-type]
    "frozen context": Setup(**FRAMES, frozen=6),  # type: ignore[arg-type]
    "frozen context, no burn-in": Setup(**FRAMES, frozen=6, burn_in=0),  # type: ignore[arg-type]
    "frozen context, lz4": Setup(**FRAMES, frozen=300, codec="lz4", burn_in=7, block=4),  # type: ignore[arg-type]
    "frozen context, zstd, gru": Setup(**FRAMES, frozen=6, codec="zstd", core="gru", burn_in=9),  # type: ignore[arg-type]
    "frozen context, refreshed": Setup(**FRAMES, frozen=6, linked=True, burn_in=7),  # type: ignore[arg-type]
    "frozen context, life loss ends the episode": Setup(**FRAMES, frozen=6, life_loss="reset"),  # type: ignore[arg-type]
}


def check_rows(network: QNetwork, batch: Batch, setup: Setup) -> None:
    """At every row of every item, one step after the other: the recorded Q(s, a) and max Q."""
    column = batch.columns
    for b in range(len(batch.ids)):
        with torch.no_grad():
            values = recompute(network, batch, b, setup)
        for row, q in values.items():
            if setup.life_loss == "reset" and column["terminated"][b, row - 1]:
                continue  # such a final observation has no value, so the actor need not compute one
            where = f"item {b}, row {row - setup.burn_in} of length {batch.length[b]}"
            assert abs(float(q.max()) - column["q_greedy"][b, row]) < TOLERANCE, where
            taken = q - float(column["q_taken"][b, row])
            if row < setup.burn_in + batch.length[b]:
                taken = taken[int(column["action"][b, row])]
            assert float(taken.abs().min()) < TOLERANCE, where  # a final row's action is not recorded


def check_learner(network: QNetwork, batch: Batch, setup: Setup) -> None:
    """The learner's own path: Q(s, a) of trained rows, and over the lookahead the actor's priorities."""
    learner = setup.learner(network)
    with torch.no_grad():
        _, q_taken, mask = learner.errors(batch)[:3]
    recorded = batch.columns["q_taken"][:, setup.burn_in : setup.burn_in + setup.unroll].T
    difference = np.abs(q_taken.numpy() - recorded) * mask.numpy()
    assert difference.max() < TOLERANCE, f"items {np.unique(np.argwhere(difference >= TOLERANCE)[:, 1])}"
    for kind in ("n-step", "peng", "watkins"):
        config = dataclasses.replace(learner.config, target=kind)  # type: ignore[arg-type]
        learner.method = QLearning(config, learner.priority)
        with torch.no_grad():
            error = learner.errors(batch).error
        from_actor = initial_priorities(batch, config, setup.layout, learner.priority)
        from_learner = learner.priority(error, mask).numpy()
        np.testing.assert_allclose(from_actor, from_learner, rtol=1e-4, atol=TOLERANCE, err_msg=kind)


def kinds(batch: Batch, setup: Setup) -> Counter[str]:
    """How many items are the first, a middle or the last one of their episode, and how many have one step."""
    first = batch.columns["previous_action"][:, setup.burn_in] == 0
    last = (batch.length < setup.unroll) | (batch.lookahead < setup.n_step)
    return Counter(
        first=int(first.sum()),
        middle=int((~first & ~last).sum()),
        last=int((~first & last).sum()),
        one_step=int((batch.length == 1).sum()),
    )


def refresh(network: QNetwork, replay: Replay, batch: Batch, setup: Setup) -> int:
    """Writes the learner's states over those of the batch's successors; returns how many there are."""
    found = setup.learner(network, initial_state="refreshed").update(batch).refreshed
    assert found is not None
    after = replay.successors(batch.ids)
    replay.refresh(after[after >= 0], found[after >= 0])
    return int((after >= 0).sum())


def played_checks(setup: Setup, *, steps: int, cut_every: int = 0) -> Counter[str]:
    """Plays, and checks samples on the way; returns which kinds of items were seen."""
    network = setup.network()
    replay, actor = setup.replay(), setup.actor(network)
    rng = np.random.default_rng(1)
    seen: Counter[str] = Counter()
    given = 0
    for step, ids in enumerate(play(actor, replay, steps, cut_every=cut_every), 1):
        given += len(ids)
        if step % (steps // 4) == 0:
            if setup.linked:
                frozen = copy.deepcopy(network)  # the update moves its weights after the states are found
                seen["refreshed"] += refresh(frozen, replay, replay.sample(60, rng), setup)
            batch = replay.sample(24, rng)
            check_rows(network, batch, setup)
            check_learner(network, batch, setup)
            seen += kinds(batch, setup)
    assert given > len(replay), "items must have been given up"
    rows = replay.storage.slots * setup.block
    assert replay.steps_written > 1.5 * rows, "every slot must have been used again"
    return seen


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
def test_the_learner_sees_what_the_actor_saw(setup: Setup) -> None:
    """Recorded and recomputed Q values agree to 1e-5 at burn-in, trained and lookahead rows of first, middle
    and last items, whatever the lengths, the codec, the core and the meaning of a lost life."""
    seen = played_checks(setup, steps=320)
    assert seen["first"] > 0
    assert seen["last"] > 0 or setup.unroll == 1
    assert seen["middle"] > 0
    assert seen["one_step"] > 0
    assert (seen["refreshed"] > 20) is setup.linked


@pytest.mark.parametrize("life_loss", ["none", "roll", "reset"])
def test_it_holds_across_barriers(life_loss: str) -> None:
    """A cut truncates the running episodes: their last items end there, and the restart begins at zero."""
    setup = Setup(life_loss=life_loss, burn_in=5, codec="lz4")  # type: ignore[arg-type]
    played_checks(setup, steps=320, cut_every=13)


def test_it_holds_at_the_papers_proportions() -> None:
    """Burn-in 40, unroll 80, period 40, n-step 5 and blocks of 40, with episodes around those lengths."""
    lengths = (200, 40, 39, 41, 81, 80, 125, 1, 119, 120, 121, 160)
    setup = Setup(
        burn_in=40,
        unroll=80,
        n_step=5,
        period=40,
        block=40,
        steps=600,
        environments=2,
        codec="lz4",
        episodes=tuple(Ending(length, truncated=i % 2 == 0) for i, length in enumerate(lengths)),
    )
    network = setup.network()
    _, batch = items_of(setup, network, steps=1000)
    check_rows(network, batch, setup)
    check_learner(network, batch, setup)
    assert set(batch.burn_in) == {0, 40}


# -- the test must notice the mistakes that public code makes ----------------------------------------------


def earlier_core() -> Callable[[Rows], Rows]:
    """Stores the recurrent state of the step before: off by one."""
    before: list[Rows] = []

    def change(rows: Rows) -> Rows:
        before.append(rows)
        return dataclasses.replace(rows, core=before[-2].core if len(before) > 1 else rows.core)

    return change


def other_column(name: str, shift: int) -> Callable[[Batch], Batch]:
    """A column that is read `shift` rows off."""

    def change(batch: Batch) -> Batch:
        shifted = np.roll(batch.columns[name], shift, axis=1)
        return dataclasses.replace(batch, columns=dict(batch.columns) | {name: shifted})

    return change


MISTAKES: dict[str, Callable[[Batch], Batch]] = {
    "burn-in skipped": lambda batch: dataclasses.replace(batch, burn_in=np.zeros_like(batch.burn_in)),
    "burn-in one step short": lambda batch: dataclasses.replace(
        batch, burn_in=np.maximum(0, batch.burn_in - 1)
    ),
    "state zeroed": lambda batch: dataclasses.replace(batch, core=np.zeros_like(batch.core)),
    "state of another item": lambda batch: dataclasses.replace(batch, core=np.roll(batch.core, 1, 0)),
    "stack one frame late": other_column("observation", 1),
    "stack one frame early": other_column("observation", -1),
    "action instead of previous action": lambda batch: dataclasses.replace(
        batch, columns=dict(batch.columns) | {"previous_action": batch.columns["action"] + np.int32(1)}
    ),
    "previous reward one step off": other_column("previous_reward", 1),
}


@pytest.mark.parametrize("check", [check_rows, check_learner])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize("pixels", [False, True], ids=["vectors", "frames"])
def test_alignment_notices_mistakes(
    pixels: bool, mistake: Callable[[Batch], Batch], check: Callable[[QNetwork, Batch, Setup], None]
) -> None:
    setup = Setup(**FRAMES) if pixels else Setup()  # type: ignore[arg-type]
    network = setup.network()
    _, batch = items_of(setup, network, steps=40)
    batch = select(batch, np.arange(0, len(batch.ids), 3))
    check(network, batch, setup)
    with pytest.raises(AssertionError):
        check(network, mistake(batch), setup)


@pytest.mark.parametrize("check", [check_rows, check_learner])
@pytest.mark.parametrize("burn_in", [0, 4])
def test_alignment_notices_a_state_of_the_step_before(
    burn_in: int, check: Callable[[QNetwork, Batch, Setup], None]
) -> None:
    setup = Setup(burn_in=burn_in, episodes=(Ending(50),))  # one length: every write has all streams
    network = setup.network()
    replay = setup.replay()
    ids = np.concatenate(list(play(setup.actor(network), replay, 40, change=earlier_core())))
    with pytest.raises(AssertionError):
        check(network, replay.get(ids), setup)
