"""Laws of central inference: everybody gets his own answer, and acting is as with an own network."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from role_cases import CONTROL, InlineFleet, cluster, replays_differ

from r2d2.config import Config
from r2d2.runtime.cluster.roles.acting import ActorRole
from r2d2.runtime.cluster.roles.inference import Answered, Asked, InferenceRole
from r2d2.runtime.cluster.roles.messages import Published
from r2d2.types import OBSERVATION

UNTRAINED: dict[str, Any] = {"replay__min_steps": 10**9}  # weights that never change


class Central:
    """The central inference in the same process."""

    def __init__(self, config: Config) -> None:
        self.role = InferenceRole(config, dict)

    def step(self, asked: Asked) -> Answered:
        return self.role.step(asked)


@pytest.mark.parametrize("task", [{}, CONTROL], ids=["cartpole", "pendulum"])
def test_central_inference_makes_the_items_of_an_actors_own_network(
    task: dict[str, Any], tmp_path: Path
) -> None:
    """One actor, the same weights: bit for bit, and the updates in the weights that acted are those that it had."""
    config = cluster(cluster__actors=1, **UNTRAINED, **task)
    own, central = (InlineFleet(config, tmp_path / name) for name in ("own", "central"))
    central.actors = [ActorRole(config, 0, central.actors[0].port, inference=Central(config))]
    for _ in range(12):
        own.act()
        central.act()
    assert len(own.shards[0].replay) > 20
    assert replays_differ(own.shards[0].replay, central.shards[0].replay) == []


def test_whoever_waits_is_answered_in_one_batch_and_gets_his_own_answer() -> None:
    config = cluster(env__num_envs=4)
    role = InferenceRole(config, dict)
    rng = np.random.default_rng(0)
    size = role.network.core_size
    asked = [
        Asked(
            {OBSERVATION: rng.normal(size=(1, n, 8)).astype(np.float32)},
            np.zeros((1, n), np.int32),
            rng.normal(size=(1, n)).astype(np.float32),
            rng.normal(size=(n, size)).astype(np.float32),
            None,
        )
        for n in (1, 3, 2, 5)
    ]
    alone = [role.step(one) for one in asked]
    batches, answers = role.batches, [None] * 4
    assert batches == 4
    with role._turn, ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(role.step, one) for one in asked]
        while len(role._queue) < 4:
            time.sleep(0.001)
        role._turn.release()
        answers = [future.result() for future in futures]
        role._turn.acquire()
    assert role.batches == batches + 1
    for a, b in zip(alone, answers, strict=True):
        assert np.allclose(a.q, b.q, atol=1e-5)
        assert np.allclose(a.core, b.core, atol=1e-5)


def test_central_weights_are_the_newest_that_anybody_offered() -> None:
    config = cluster(env__num_envs=4)
    role = InferenceRole(config, dict)
    newer = {name: w.numpy() + 1 for name, w in role.network.state_dict().items()}
    newest = {name: w.numpy() + 2 for name, w in role.network.state_dict().items()}
    for offered, updates in ((Published(5, newer), 5), (Published(9, newest), 9), (Published(5, newer), 9)):
        role._refresh([None, offered])
        assert role.updates == updates
    assert all(np.array_equal(role.network.state_dict()[name], w) for name, w in newest.items())
