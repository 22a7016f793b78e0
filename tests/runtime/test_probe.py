"""Laws of the probe: it keeps the actor's true states, and Delta-Q is what they say of training's states."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Ending, Setup, inputs_of, one_input
from numpy.typing import NDArray

from r2d2.agent.learner import InitialState
from r2d2.agent.networks import QNetwork
from r2d2.agent.staleness import delta_q
from r2d2.replay import Replay
from r2d2.runtime.probe import PERIOD, Probe
from r2d2.types import Batch

SETUPS = {
    "burn-in": Setup(),
    "no burn-in": Setup(burn_in=0),
    "burn-in longer than the period": Setup(burn_in=9, period=2),
    "no overlap, gru": Setup(core="gru", burn_in=2, period=6),
    "unroll of one step": Setup(burn_in=3, unroll=1, period=1, n_step=1),
    "lost lives end episodes": Setup(life_loss="reset", burn_in=3),
}


def probed(
    setup: Setup,
    network: QNetwork,
    *,
    steps: int = 150,
    items: int = 40,
    stride: int = 1,
    cut_every: int = 37,
) -> tuple[Replay, Probe]:
    """A replay that the network has filled, and the probe beside it; with barriers."""
    replay, actor = setup.replay(), setup.actor(network)
    probe = Probe(setup.environments, setup.layout, core_size=network.core_size, items=items, stride=stride)
    for step in range(1, steps + 1):
        cut = step % cut_every == 0
        for rows in actor.step(cut=cut):
            ids = replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
            probe.write(rows, ids)
        if cut:
            actor.reset(step)
    return replay, probe


def held(probe: Probe, replay: Replay) -> NDArray[np.int64]:
    """The probe's places whose items the replay still has."""
    places = np.flatnonzero(probe.ids >= 0)
    return places[replay.items.locate(probe.ids[places])[1]]


def slow_states(network: QNetwork, batch: Batch, b: int, setup: Setup) -> list[torch.Tensor]:
    """The state [C] before each row of item b, from its stored state, one step after the other."""
    core, states = torch.from_numpy(batch.core[b : b + 1]), []
    begin = setup.burn_in - int(batch.burn_in[b])
    for row in range(begin, setup.burn_in + int(batch.length[b])):
        states.append(core[0])
        frames = batch.columns["observation"][b, row : row + setup.stack]
        action = torch.tensor([[int(batch.columns["previous_action"][b, row])]])
        reward = torch.tensor([[float(batch.columns["previous_reward"][b, row])]])
        core = network.step(inputs_of(one_input(frames, pixels=setup.pixels), action, reward), core)[1]
    return states


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_the_probe_keeps_the_states_before_the_first_and_the_last_trained_step(setup: Setup) -> None:
    """With frozen weights they follow from the stored state: through burn-in, and through the item."""
    network = setup.network(0)
    replay, probe = probed(setup, network)
    places = held(probe, replay)
    assert len(places) > 10
    batch = replay.get(probe.ids[places])
    assert setup.unroll == 1 or len(set(batch.length)) > 2
    for b, place in enumerate(places):
        with torch.no_grad():
            states = slow_states(network, batch, b, setup)
        np.testing.assert_allclose(probe.first[place], states[int(batch.burn_in[b])], atol=1e-5)
        np.testing.assert_allclose(probe.last[place], states[-1], atol=1e-5)


def delta(
    setup: Setup, learning: QNetwork, mode: InitialState, replay: Replay, probe: Probe
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    places = held(probe, replay)
    learner = setup.learner(learning, initial_state=mode)
    return delta_q(learner, replay.get(probe.ids[places]), probe.first[places], probe.last[places])


def moved(network: QNetwork, size: float) -> QNetwork:
    """The network with its weights moved by noise, the same direction for every size."""
    other = copy.deepcopy(network)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=noise))
    return other


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_delta_q_of_stored_state_is_zero_with_frozen_weights_and_grows_when_they_move(setup: Setup) -> None:
    """At both steps, to rounding. At the first step without burn-in nothing is recomputed: exactly 0, always."""
    network = setup.network(0)
    replay, probe = probed(setup, network)
    sizes = (0.0, 0.01, 0.03, 0.1)
    found = [delta(setup, moved(network, size), "stored", replay, probe) for size in sizes]
    batch = replay.get(probe.ids[held(probe, replay)])
    for at, recomputed in enumerate((batch.burn_in, batch.burn_in + batch.length - 1)):
        assert found[0][at].max() < 1e-4  # relative to max Q, which comes near 0
        for values in found:
            assert not values[at][recomputed == 0].any()
        medians = [float(np.median(values[at][recomputed > 0])) for values in found if recomputed.any()]
        if medians:
            assert medians[0] < 1e-5 < medians[1] < medians[2] < medians[3]


def test_delta_q_of_zero_state_is_positive_and_burn_in_and_unroll_repair_a_part() -> None:
    """As the paper found: worst at the first step, better at the last, and better the longer the burn-in."""
    episodes = (Ending(60), Ending(45))
    medians = {}
    for burn_in in (0, 2, 12):
        setup = Setup(burn_in=burn_in, episodes=episodes, steps=400)
        network = setup.network(0)
        replay, probe = probed(setup, network)
        first, last = delta(setup, network, "zero", replay, probe)
        medians[burn_in] = float(np.median(first)), float(np.median(last))
    assert medians[0][0] > medians[2][0] > medians[12][0] > 1e-6
    assert medians[0][0] > 2 * medians[0][1] > 1e-4


def test_delta_q_is_the_formula() -> None:
    """At one item, from Q values that are computed one step at a time."""
    setup = Setup(burn_in=3)
    network, learning = setup.network(0), setup.network(1)
    replay, probe = probed(setup, network)
    places = held(probe, replay)
    batch = replay.get(probe.ids[places])
    first, last = delta(setup, learning, "stored", replay, probe)
    for b, place in enumerate(places):
        with torch.no_grad():
            states = slow_states(learning, batch, b, setup)
        for value, row, true in (
            (first[b], setup.burn_in, probe.first[place]),
            (last[b], setup.burn_in + int(batch.length[b]) - 1, probe.last[place]),
        ):
            state = states[row - setup.burn_in + int(batch.burn_in[b])]
            used, real = (q_of(learning, batch, b, row, core, setup) for core in (state, torch.tensor(true)))
            expected = np.sqrt(((used - real) ** 2).sum()) / abs(used.max())
            assert value == pytest.approx(expected, rel=1e-3, abs=1e-5)


def q_of(
    network: QNetwork, batch: Batch, b: int, row: int, core: torch.Tensor, setup: Setup
) -> NDArray[np.float64]:
    frames = batch.columns["observation"][b, row : row + setup.stack]
    action = torch.tensor([[int(batch.columns["previous_action"][b, row])]])
    reward = torch.tensor([[float(batch.columns["previous_reward"][b, row])]])
    with torch.no_grad():
        q = network.step(inputs_of(one_input(frames, pixels=setup.pixels), action, reward), core[None])[0][0]
    return q.double().numpy()


def test_the_probe_keeps_every_so_many_th_item_the_newest_of_them() -> None:
    setup = Setup()
    network = setup.network(0)
    every, probe = (probed(setup, network, items=n, stride=s)[1] for n, s in ((1000, 1), (10, 5)))
    ids = every.ids[every.ids >= 0]
    assert len(ids) > 60
    assert sorted(probe.ids) == sorted(ids[::5][-10:])
    assert every.offered == probe.offered == len(ids)


def test_a_measurement_is_of_all_ages_seldom_and_says_what_it_found() -> None:
    setup = Setup()
    network = setup.network(0)
    replay, probe = probed(setup, network)
    learner = setup.learner(moved(network, 0.05))
    assert probe.measure(learner, replay, 8) == {}
    learner.updates = PERIOD
    asked: list[NDArray[np.int64]] = []
    get = replay.get

    def spy(ids: NDArray[np.int64], names: Any = None) -> Batch:
        asked.append(ids)
        return get(ids, names)

    replay.get = spy  # type: ignore[method-assign]
    found = probe.measure(learner, replay, 8)
    assert set(found) == {
        "replay/delta_q_first",
        "replay/delta_q_first_median",
        "replay/delta_q_last",
        "replay/delta_q_last_median",
    }
    order = {id_: i for i, id_ in enumerate(np.roll(probe.ids, -(probe.offered % len(probe.ids))).tolist())}
    ages = [order[id_] for id_ in asked[0].tolist()]
    assert len(ages) == 8
    assert ages == sorted(ages)
    assert ages[-1] == len(probe.ids) - 1, "the newest is there"
    learner.updates += PERIOD - 1
    assert probe.measure(learner, replay, 8) == {}
    learner.updates += 1
    assert probe.measure(learner, replay, 8) == found


def test_without_items_the_probe_is_off() -> None:
    setup = Setup()
    replay, probe = probed(setup, setup.network(0), items=0)
    learner = setup.learner(setup.network(0))
    learner.updates = PERIOD
    assert probe.measure(learner, replay, 8) == {}
    assert probe.offered == 0
