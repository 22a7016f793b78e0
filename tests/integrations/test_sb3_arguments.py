"""Arguments that make no sense are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from r2d2.integrations.sb3 import ReplayBuffer
from tests.integrations.sb3_cases import ACTIONS, BOX, IMAGE

DISCRETE = ACTIONS["discrete"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimize_memory_usage": True}, "optimize_memory_usage must be False.*stored once"),
        ({"n_steps": 0}, "n_steps must be at least 1, got 0"),
        ({"n_steps": 3}, "gamma must be given with n_steps=3"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
        ({"selector": "best"}, "selector must be .*got 'best'"),
        ({"alpha": 0.5}, "alpha=0.5 needs selector="),
        ({"selector": "rank", "alpha": -1.0}, "alpha must be"),
        ({"block": 0}, "block must be at least 1"),
        ({"codec": "zip"}, "codec must be one of"),
        ({"buffer_size": 7, "n_envs": 2}, "buffer_size must be at least 8 .*got 7"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReplayBuffer(**{"buffer_size": 100, "observation_space": IMAGE, "action_space": DISCRETE} | arguments)


def test_observations_of_another_shape_are_refused() -> None:
    ours = ReplayBuffer(100, BOX, DISCRETE, device="cpu", n_envs=2)
    wrong = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"observation must have shape \(2, 3\), got \(2, 4\)"):
        ours.add(wrong, wrong, np.zeros(2, int), np.zeros(2), np.zeros(2, bool), [{}, {}])
