"""The law of the actor: its rows tell exactly what happened, whatever ends an episode."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from helpers import ACTIONS, EPISODES, Ending, Played, ScriptedEnvironments, Setup

from r2d2.agent.actor import Actor, epsilon_ladder
from r2d2.types import Rows

Row = dict[str, Any]


def expected_rows(episodes: list[Played], life_loss: str, *, cut: bool) -> list[Row]:
    """The rows of one slot as plain dicts, from what the environment did. `cut`: the last episode was cut."""
    rows: list[Row] = []
    for number, episode in enumerate(episodes):
        previous: tuple[int, float] = (0, 0.0)
        steps = len(episode.actions)
        for t in range(steps):
            ended = episode.terminated[t] or episode.truncated[t]
            is_cut = cut and number == len(episodes) - 1 and t == steps - 1
            lost = episode.lives[t] and life_loss != "none"
            rows.append(
                row(
                    episode.observations[t],
                    previous,
                    episode.actions[t],
                    episode.rewards[t],
                    episode.terminated[t] or lost,
                    episode.truncated[t] or (is_cut and not ended),
                )
            )
            previous = (episode.actions[t] + 1, episode.rewards[t])
            if ended or is_cut or (lost and life_loss == "reset"):
                rows.append(row(episode.observations[t + 1], previous, 0, 0.0, False, False, last=True))
                previous = (0, 0.0)
    return rows


def row(
    observation: Any,
    previous: tuple[int, float],
    action: int,
    reward: float,
    terminated: bool,
    truncated: bool,
    last: bool = False,
) -> Row:
    return {
        "observation": observation,
        "previous_action": previous[0],
        "previous_reward": previous[1],
        "action": action,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "last": last,
    }


def by_stream(written: list[Rows], streams: int) -> list[list[Row]]:
    """Rows as they would lie in each stream."""
    found: list[list[Row]] = [[] for _ in range(streams)]
    for rows in written:
        for i, stream in enumerate(rows.streams):
            values = {name: value[i] for name, value in rows.values.items()}
            found[stream].append(values | {"last": rows.last[i], "core": rows.core[i]})
    return found


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("life_loss", ["none", "roll", "reset"])
def test_rows_are_the_truth(life_loss: str, cut: bool) -> None:
    """Observation, action, reward and flags of every step, the final observation of every episode, and
    nothing of one episode in the next. A cut at any step truncates what runs and keeps that step's reward."""
    for steps in range(20, 32):
        setup = Setup(life_loss=life_loss)  # type: ignore[arg-type]
        actor = setup.actor(setup.network(), seed=steps)
        written = [rows for _ in range(steps) for rows in actor.step()]
        if cut:
            written += actor.step(cut=True)
        environments = actor.environments
        assert isinstance(environments, ScriptedEnvironments)
        for slot, rows in enumerate(by_stream(written, setup.environments)):
            played = environments.played[slot]
            if cut and not played[-1].actions:  # the step of the cut only restarted this slot
                played = played[:-1]
                assert rows[-1]["last"]
            expected = expected_rows(played, life_loss, cut=cut)
            to_come = environments.done[slot] and not cut  # the final row is the next step's
            assert len(rows) == len(expected) - to_come
            for t, (got, wanted) in enumerate(zip(rows, expected, strict=False)):
                for name, value in wanted.items():
                    np.testing.assert_array_equal(got[name], value, err_msg=f"slot {slot}, row {t}: {name}")
                fresh = t == 0 or expected[t - 1]["last"]
                assert fresh == (not got["core"].any()), "the core state is zero at an episode's start only"


def test_a_cut_that_is_followed_by_a_restart_starts_afresh() -> None:
    setup = Setup()
    actor = setup.actor(setup.network())
    for _ in range(5):
        actor.step()
    actor.step(cut=True)
    actor.reset(7)
    (rows,) = actor.step()
    assert not rows.core.any()
    assert not rows.values["previous_action"].any()
    assert not rows.values["previous_reward"].any()
    assert not rows.last.any()


def test_rows_stay_as_they_were() -> None:
    """Rows may be kept: later steps do not write into them."""
    setup = Setup(life_loss="reset")
    actor = setup.actor(setup.network())
    kept, copies = deque[Any](), deque[Any]()
    for _ in range(60):
        for rows in actor.step():
            arrays = [*rows.values.values(), rows.last, rows.core, rows.streams]
            kept.append(arrays)
            copies.append([array.copy() for array in arrays])
    for arrays, before in zip(kept, copies, strict=True):
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


def test_each_environment_explores_with_its_own_epsilon() -> None:
    """Greedy where epsilon is 0; where it is e, a share e (A - 1) / A of the actions is not greedy, and the
    probability of each action is recorded if it is asked for."""
    setup = Setup(environments=3, episodes=(Ending(10_000),))
    actor = setup.actor(setup.network())
    actor.epsilon, actor.records_behavior = np.array([0.0, 0.3, 1.0]), True
    steps = 2000
    other = np.zeros(3)
    for _ in range(steps):
        (rows,) = actor.step()
        greedy = rows.values["q_taken"] == rows.values["q_greedy"]
        chance = np.where(greedy, 1.0 - actor.epsilon * (ACTIONS - 1) / ACTIONS, actor.epsilon / ACTIONS)
        np.testing.assert_allclose(np.exp(rows.values["log_probability"]), chance, rtol=1e-5)
        other += ~greedy
    expected = actor.epsilon * (ACTIONS - 1) / ACTIONS
    spread = np.sqrt(expected * (1 - expected) / steps)
    assert other[0] == 0
    assert (np.abs(other / steps - expected) <= 4 * spread).all()


def test_episodes_and_steps_are_counted() -> None:
    """Raw returns and lengths of finished episodes; rows with only a final observation are no steps."""
    setup = Setup(life_loss="reset")
    actor = setup.actor(setup.network())
    real = 0
    for _ in range(80):
        for rows in actor.step():
            real += int((~rows.last).sum())
    assert actor.steps == real
    environments = actor.environments
    assert isinstance(environments, ScriptedEnvironments)
    expected = {
        (slot, len(episode.actions), round(float(np.sum(episode.rewards)), 4))
        for slot, played in enumerate(environments.played)
        for episode in played
        if episode.actions and (episode.terminated[-1] or episode.truncated[-1])
    }
    assert {(e.slot, e.length, round(e.total, 4)) for e in actor.episodes} == expected
    assert {e.length for e in actor.episodes} >= {ending.length for ending in EPISODES[:6]}


def test_state_dict_carries_chance_and_steps_over_a_barrier() -> None:
    """After a restart with the same seed, an actor with the loaded state takes the same actions."""
    setup = Setup()
    network = setup.network()

    def go_on(actor: Actor) -> list[Any]:
        assert isinstance(actor.environments, ScriptedEnvironments)
        actor.environments.next_episode = [0] * setup.environments
        actor.reset(3)
        return [rows.values["action"].tolist() for _ in range(30) for rows in actor.step()]

    first = setup.actor(network)
    for _ in range(10):
        first.step()
    state = first.state_dict()
    second = setup.actor(network, seed=99)
    second.load_state_dict(state)
    assert second.steps == first.steps
    assert go_on(first) == go_on(second)


# -- exploration -------------------------------------------------------------------------------------------


def test_the_papers_ladder() -> None:
    """eps_i = 0.4^(1 + 7 i / 255) for 256 actors: from 0.4 to 0.4^8, falling, geometric."""
    ladder = epsilon_ladder(256)
    by_hand = [0.4 ** (1 + 7 * i / 255) for i in range(256)]
    np.testing.assert_allclose(ladder, by_hand, rtol=1e-12)
    assert ladder[0] == 0.4
    assert ladder[-1] == pytest.approx(0.4**8)
    np.testing.assert_allclose(ladder[1:] / ladder[:-1], ladder[1] / ladder[0])


def test_one_environment_gets_the_middle_of_the_ladder() -> None:
    """Neither 0.4, which learns to act at random, nor nearly 0, which never explores."""
    assert epsilon_ladder(1).tolist() == pytest.approx([epsilon_ladder(3)[1]])


def test_base_and_power() -> None:
    np.testing.assert_allclose(epsilon_ladder(2, base=0.5, power=3.0), [0.5, 0.5**4])
