"""The random walk learns exactly what n-step TD, written by hand, learns."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.replay import random_walk
from experiments.replay.random_walk import MIDDLE, STATES, learn, play, truth, walks


def paths(positions: np.ndarray, walker: int) -> list[list[int]]:
    """The episodes of one walker, each from the middle to the outside."""
    found: list[list[int]] = [[]]
    for position in positions[positions[:, walker] >= 0, walker].tolist():
        found[-1].append(position)
        if position in (0, STATES + 1):
            found.append([])
    return found[:-1]


def td_by_hand(played: list[list[int]], n: int, alpha: float, gamma: float) -> tuple[list[float], float]:
    """The page of n-step TD in the book (section 7.1), with its times; values [STATES] and the errors' sum."""
    value = [0.0] * (STATES + 2)
    errors = []
    for path in played:
        end = len(path) - 1  # T
        rewards = [0.0] * end
        rewards[-1] = -1.0 if path[-1] == 0 else 1.0
        time = 0
        while True:
            updated = time - n + 1  # tau: the time whose state is updated
            if updated >= 0:
                stop = min(updated + n, end)
                target = sum(gamma ** (i - updated) * rewards[i] for i in range(updated, stop))
                if updated + n < end:
                    target += gamma**n * value[path[updated + n]]
                value[path[updated]] += alpha * (target - value[path[updated]])
            if updated == end - 1:
                break
            time += 1
        wrong = [value[s] - (s - MIDDLE) / MIDDLE for s in range(1, STATES + 1)]
        errors.append((sum(w * w for w in wrong) / STATES) ** 0.5)
    return value[1:-1], sum(errors)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("n", [1, 2, 3, 8, 64])
def test_the_replay_path_is_n_step_td(n: int, gamma: float) -> None:
    """Values and errors of every walker and alpha to 1e-12, episodes shorter and longer than n."""
    positions = walks(4, 5, np.random.default_rng(n))
    alphas = np.array([0.1, 0.4, 1.0])
    value, error = learn(*play(positions, n), alphas, gamma)
    played = [paths(positions, walker) for walker in range(4)]
    lengths = [len(path) - 1 for walker in played for path in walker]
    assert len(lengths) == 20
    assert min(lengths) < 64 < max(lengths)
    for walker in range(4):
        for k, alpha in enumerate(alphas.tolist()):
            by_hand, total = td_by_hand(played[walker], n, alpha, gamma)
            np.testing.assert_allclose(value[walker, k], by_hand, rtol=0, atol=1e-12)
            assert error[walker, k] == pytest.approx(total, abs=1e-12)


def test_walks_step_left_and_right_alike() -> None:
    """From the middle, one state at a time, until outside; 100 steps on average, left and right as often."""
    positions = walks(500, 4, np.random.default_rng(0))
    played = [path for walker in range(500) for path in paths(positions, walker)]
    assert len(played) == 2000
    assert all(path[0] == MIDDLE and set(np.abs(np.diff(path))) == {1} for path in played)
    steps = np.array([len(path) - 1 for path in played])
    assert steps.mean() == pytest.approx(100.0, abs=4 * steps.std() / 2000**0.5)
    assert np.mean([path[-1] > 0 for path in played]) == pytest.approx(0.5, abs=0.045)  # 4 sigma


def test_the_true_values_solve_the_walk() -> None:
    """Every value is the mean of its neighbors', with the outcomes -1 and 1 outside."""
    around = np.concatenate([[-1.0], truth(), [1.0]])
    np.testing.assert_allclose(around[1:-1], (around[:-2] + around[2:]) / 2, rtol=0, atol=1e-15)


def test_verdict_wants_the_best_n_inside() -> None:
    """Errors that only fall, or only rise, with n are refused; so is a best alpha at the end of its range."""

    def rows(errors: dict[int, float], best_alpha: float) -> list[dict]:
        return [
            {"seed": seed, "n": n, "alpha": alpha, "error": error + 0.1 * abs(alpha - best_alpha) + 1e-4 * seed}
            for seed in range(3)
            for n, error in errors.items()
            for alpha in (0.1, 0.5, 0.9)
        ]  # fmt: skip

    assert random_walk.verdict(rows({1: 0.4, 4: 0.3, 64: 0.5}, 0.5)).holds
    assert not random_walk.verdict(rows({1: 0.4, 4: 0.3, 64: 0.2}, 0.5)).holds
    assert not random_walk.verdict(rows({1: 0.2, 4: 0.3, 64: 0.5}, 0.5)).holds
    assert not random_walk.verdict(rows({1: 0.4, 4: 0.3, 64: 0.5}, 0.1)).holds
