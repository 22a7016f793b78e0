"""The laws of the initial states: what each mode starts from, and which state a refreshed item is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers import Ending, Setup, inputs_of, items_of, one_input
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.agent.learner import InitialState
from r2d2.agent.networks import QNetwork
from r2d2.replay import Replay
from r2d2.types import Batch

TOLERANCE = 1e-5
LENGTHS = (31, 1, 7, 17, 2, 24, 5, 12)
LONG = tuple(Ending(length, truncated=i % 2 == 0) for i, length in enumerate(LENGTHS))

SETUPS = {
    "burn-in as long as the period": Setup(),
    "no burn-in": Setup(burn_in=0),
    "no burn-in, nor overlap": Setup(burn_in=0, period=6),
    "burn-in shorter than the period": Setup(burn_in=3),
    "burn-in longer than the period": Setup(burn_in=7),
    "burn-in of many periods": Setup(burn_in=20, period=3),
    "period of one step": Setup(burn_in=2, period=1, stack=1),
    "unroll of one step": Setup(burn_in=5, unroll=1, period=1, n_step=1),
    "gru": Setup(core="gru", burn_in=5),
    "gru, no overlap": Setup(core="gru", burn_in=2, period=6),
    "frames, ends at lost lives": Setup(
        shape=(24, 27), dtype="uint8", burn_in=3, life_loss="reset", steps=120
    ),
}


def item_numbers(replay: Replay, ids: NDArray[np.int64]) -> dict[int, int]:
    """Which item of its episode each item is, by following the links from first items."""
    first = replay.get(ids).columns["previous_action"]
    burn_in = replay.sequencer.burn_in
    after = dict(zip(ids.tolist(), replay.successors(ids).tolist(), strict=True))
    numbers = {}
    for id_, begins in zip(ids.tolist(), first[:, burn_in] == 0, strict=True):
        number, at = 0, id_ if begins else -1
        while at >= 0:
            numbers[at] = number
            number, at = number + 1, after[at]
    return numbers


def slow_state(network: QNetwork, batch: Batch, b: int, steps: int, setup: Setup) -> torch.Tensor:
    """The state [C] after the first `steps` rows of item b, one step after the other."""
    core = torch.from_numpy(batch.core[b : b + 1])
    begin = setup.burn_in - int(batch.burn_in[b])
    for row in range(begin, begin + steps):
        frames = batch.columns["observation"][b, row : row + setup.stack]
        action = torch.tensor([[int(batch.columns["previous_action"][b, row])]])
        reward = torch.tensor([[float(batch.columns["previous_reward"][b, row])]])
        core = network.step(inputs_of(one_input(frames, pixels=setup.pixels), action, reward), core)[1]
    return core[0]


def check_refreshed(setup: Setup, *, network: QNetwork, learning: QNetwork) -> int:
    """The learner's state before each successor's first row is the slow twin's; returns how many there were.

    The twin knows rows by their number in the episode: item k begins at max(0, k period - burn_in).
    """
    replay, batch = items_of(setup, network)
    numbers = item_numbers(replay, batch.ids)
    learner = setup.learner(learning, initial_state="refreshed")
    refreshed = learner.errors(batch).refreshed
    assert refreshed is not None
    checked = 0
    for b, after in enumerate(replay.successors(batch.ids).tolist()):
        number = numbers.get(int(batch.ids[b]))
        if after < 0 or number is None:
            continue
        start, following = (max(0, k * setup.period - setup.burn_in) for k in (number, number + 1))
        with torch.no_grad():
            expected = slow_state(learning, batch, b, following - start, setup)
        torch.testing.assert_close(
            refreshed[b], expected, rtol=0, atol=TOLERANCE, msg=f"item {b}, number {number}"
        )
        if learning is network:  # frozen weights: it is the state that the actor stored
            stored = torch.from_numpy(replay.get(np.array([after])).core[0])
            torch.testing.assert_close(refreshed[b], stored, rtol=0, atol=TOLERANCE)
        checked += 1
    return checked


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_the_refreshed_state_is_that_before_the_successors_first_row(setup: Setup) -> None:
    """With the actor's weights it is the actor's stored state, with others what the slow twin finds."""
    setup = dataclasses.replace(setup, linked=True, episodes=LONG)
    network = setup.network(0)
    assert check_refreshed(setup, network=network, learning=network) > 3
    assert check_refreshed(setup, network=network, learning=setup.network(1)) > 3


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_burn_in_unroll_and_period_go_together(data: st.DataObject) -> None:
    unroll = data.draw(st.integers(1, 8), "unroll")
    setup = Setup(
        burn_in=data.draw(st.integers(0, 12), "burn_in"),
        unroll=unroll,
        period=data.draw(st.integers(1, unroll), "period"),
        n_step=data.draw(st.integers(1, 4), "n_step"),
        linked=True,
        episodes=LONG,
        steps=200,
    )
    check_refreshed(setup, network=setup.network(0), learning=setup.network(1))


@pytest.mark.parametrize("burn_in", [0, 3, 4, 9])
def test_refreshing_changes_nothing_else(burn_in: int) -> None:
    """Errors, gradients and priorities are those of stored state: the cut is none for the gradient."""
    setup = Setup(burn_in=burn_in, episodes=LONG)
    _, batch = items_of(setup, setup.network(0))
    stored, refreshed = (
        setup.learner(setup.network(1), initial_state=mode) for mode in ("stored", "refreshed")
    )
    updates = [learner.update(batch) for learner in (stored, refreshed)]
    assert updates[0].refreshed is None
    assert updates[1].refreshed is not None
    np.testing.assert_allclose(updates[0].priorities, updates[1].priorities, rtol=1e-4, atol=1e-5)
    for one, other in zip(stored.network.parameters(), refreshed.network.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "uses"), [("zero", False), ("episode", False), ("stored", True), ("refreshed", True)]
)
def test_each_mode_begins_with_the_stored_or_the_zero_state(mode: InitialState, uses: bool) -> None:
    """Stored state is proven row by row in test_alignment.py; every mode is it, from its own state."""
    setup = Setup(burn_in=2)
    _, batch = items_of(setup, setup.network(0))
    own = dataclasses.replace(batch, core=batch.core if uses else np.zeros_like(batch.core))
    network = setup.network(1)
    error = setup.learner(network, initial_state=mode).errors(batch).error
    torch.testing.assert_close(error, setup.learner(network).errors(own).error)
    other = setup.learner(network, initial_state=mode).errors(dataclasses.replace(batch, core=batch.core + 1))
    assert bool((error - other.error).abs().max() > 1e-3) is uses


def test_whole_episodes_begin_where_the_state_is_zero() -> None:
    """With an unroll as long as the longest episode there is one item an episode, and stored state is zero."""
    setup = Setup(burn_in=0, unroll=31, period=4, episodes=LONG, steps=300)
    _, batch = items_of(setup, setup.network(0), steps=200)
    assert (batch.columns["previous_action"][:, 0] == 0).all()
    assert set(batch.length) == set(LENGTHS)
    assert not batch.core.any()
