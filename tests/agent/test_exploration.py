"""The law of exploration: epsilon as Ape-X and DQN state it."""

from __future__ import annotations

import numpy as np
import pytest

from r2d2.agent.exploration import epsilon_ladder


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
