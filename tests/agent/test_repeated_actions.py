"""The law of epsilon-z-greedy: how long random actions go on, and that none does beyond its episode."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from helpers import ACTIONS, Setup
from numpy.typing import NDArray

from r2d2.agent.choice import EpsilonGreedy
from r2d2.config import Config, check_config
from r2d2.config.presets import preset


def drawn(epsilon: float, exponent: float, steps: int, streams: int = 50) -> NDArray[np.int64]:
    """What was drawn [steps, streams], without ends of episodes."""
    choice, rng = EpsilonGreedy(10_000, exponent), np.random.default_rng(0)
    return np.array([choice.draw(np.full(streams, epsilon), 0.0, rng) for _ in range(steps)])


def lengths_of_runs(line: NDArray[np.int64]) -> list[int]:
    """Of a stream's random actions, but for the last. Two neighbors are hardly ever equal by chance."""
    changes = np.flatnonzero(np.diff(line)) + 1
    runs = np.split(line, changes)
    return [len(run) for run in runs[:-1] if run[0] >= 0]


def test_lengths_are_those_of_a_zeta_distribution_and_begin_with_chance_epsilon() -> None:
    found = drawn(0.05, 2.0, 20_000)
    lengths = np.array([n for line in found.T for n in lengths_of_runs(line)])
    zeta = np.pi**2 / 6
    for n in (1, 2, 3, 10):
        assert (lengths == n).mean() == pytest.approx(1 / n**2 / zeta, rel=0.1)
    greedy = (found < 0).sum()
    begun = len(lengths) / (greedy + len(lengths))  # steps at which a run could begin
    assert begun == pytest.approx(0.05, rel=0.05)


def test_without_an_exponent_each_step_draws_its_own() -> None:
    rng = np.random.default_rng(0)
    epsilon = np.full(50, 0.3)
    for line in drawn(0.3, 0.0, 100):
        explore = rng.random(50) < epsilon
        np.testing.assert_array_equal(line, np.where(explore, rng.integers(10_000, size=50), -1))


def test_a_run_ends_with_its_episode() -> None:
    """Also where a barrier cuts the episode: what is drawn after a reset does not depend on what was before."""
    setup = Setup(environments=4)
    actor = setup.actor(setup.network(0))
    actor.choice = EpsilonGreedy(ACTIONS, 1.05)  # long runs
    actor.epsilon = np.full(4, 0.2)
    for t in range(300):
        began = actor._ended.copy()
        cut = t % 40 == 39
        actor.step(cut=cut)
        assert not actor.choice._left[began].any()
        if cut:
            assert not actor.choice._left.any()
            actor.reset(t)


def test_nothing_of_it_is_left_behind_a_barrier() -> None:
    """An actor that goes on acts as one that was made there, as after a resume."""
    actor = Setup(environments=4).actor(Setup(environments=4).network(0))
    actor.choice, actor.epsilon = EpsilonGreedy(ACTIONS, 1.5), np.full(4, 0.3)
    for t in range(25):
        actor.step(cut=t == 24)
    other = copy.deepcopy(actor)
    other.choice = EpsilonGreedy(ACTIONS, 1.5)
    actor.reset(77)
    other.reset(77)
    for _ in range(30):
        one, two = (each.step()[0].values["action"] for each in (actor, other))
        np.testing.assert_array_equal(one, two)


def refused(name: str, **changes: float) -> Config:
    base = preset(name)
    return replace(base, actor=replace(base.actor, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "exponent", "words"), [
    ("memory", 1.0, "must be 0 or above 1, got 1.0"),
    ("memory+retrace", 2.0, "must be 0 with learner.target retrace"),
    ("rsac", 2.0, "must be 0 with learner.method sac"),
])  # fmt: skip
def test_what_cannot_be_is_refused(name: str, exponent: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_config(refused(name, repeat_exponent=exponent))
    check_config(preset("memory+ez-greedy"))
