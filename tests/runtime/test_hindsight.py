"""Laws of hindsight in a whole run: what a copy shows is what an agent with that goal would have seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import inputs_of
from run_cases import call, lines, new_run, tiny

from r2d2.build import replays as build_replay
from r2d2.config import Config
from r2d2.config.presets import HER
from r2d2.runtime.local import LocalRun

BITS = 5
BLIND: dict[str, Any] = {
    "env__id": "BlindBitFlipping-v0", "env__options": {"bits": BITS}, "network__stack": 1,
    "replay__hindsight": "future", "replay__copies": 3, "replay__steps": 2000,
}  # fmt: skip
WHOLE = {"replay__burn_in": 0, "replay__unroll": BITS, "replay__period": BITS}


def filled(config: Config, folder: Path, steps: int = 60) -> tuple[LocalRun, Any, Any]:
    """A run that has acted only, all items in its replay and which of them are copies."""
    run = new_run(config, folder)
    run.actor.epsilon[:] = 0.5
    for _ in range(steps):
        run.actor.epsilon[:] = 0.5
        run.act(cut=False)
    assert not isinstance(run.replay, build_replay.Mixture)
    ids = run.replay.items.ids(run.replay.items.places)
    return run, run.replay.get(ids), run.replay.relabeled(ids)


@torch.no_grad()
def test_a_copy_of_a_whole_episode_is_the_episode_of_an_agent_with_that_goal(tmp_path: Path) -> None:
    """Played again step by step, from the same bits with the same actions and the copy's goal: observations,
    rewards, previous rewards and ends are the same up to the goal, and so are the recurrent network's Q values
    from the zero state."""
    run, batch, copies = filled(tiny(**BLIND, **WHOLE, replay__initial_state="episode"), tmp_path)
    network, outcome, columns = run.learner.network, run.environments.spec.goals.outcome, batch.columns  # type: ignore[union-attr]
    reached = 0
    for b in np.flatnonzero(copies):
        rows = int(batch.length[b]) + 1
        observation = columns["observation"][b, :rows]
        goal, bits = observation[0, -2 * BITS : -BITS], observation[0, -BITS:].copy()
        shown = [np.concatenate([bits, [1.0], goal, bits])]
        told, before = [0], [0.0]
        for t in range(rows - 1):
            action = int(columns["action"][b, t])
            bits[action] = 1.0 - bits[action]
            reward, over = outcome(bits[None], goal[None])
            assert (columns["reward"][b, t], columns["terminated"][b, t]) == (reward[0], over[0])
            shown.append(np.concatenate([np.zeros(BITS + 1), goal, bits]))
            told.append(action + 1)
            before.append(float(reward[0]))
        assert np.array_equal(observation, np.array(shown, np.float32))
        assert columns["previous_action"][b, :rows].tolist() == told
        assert columns["previous_reward"][b, :rows].tolist() == before
        assert columns["terminated"][b, rows - 2], "a copy is cut where its goal is reached"
        reached += 1
        read = {name: torch.from_numpy(columns[name][b : b + 1, :rows]) for name in network.inputs.columns}
        inputs = network.encode(network.inputs.read(read))
        q = network.values(network.unroll(inputs, torch.zeros(1, network.core_size))[0])
        core = torch.zeros(1, network.core_size)
        for t in range(rows):
            frame = torch.from_numpy(np.array(shown[t], np.float32))[None, None]
            one, core = network.step(
                inputs_of(frame, torch.tensor([[told[t]]]), torch.tensor([[before[t]]])), core
            )
            torch.testing.assert_close(one[0], q[t, 0])
    assert reached > 20


def test_a_copy_begins_in_the_state_that_the_actor_had(tmp_path: Path) -> None:
    """In mid-episode that is one of another goal: the original's, bit for bit. At an episode's start it is zero."""
    sizes = {"replay__burn_in": 1, "replay__unroll": 2, "replay__period": 1, "replay__n_step": 1}
    _, batch, copies = filled(tiny(**BLIND, **sizes), tmp_path)
    played = {row.tobytes() for row in batch.core[~copies]}
    assert all(row.tobytes() in played for row in batch.core[copies])
    first = batch.burn_in == 0
    assert not batch.core[first].any()
    moved = batch.core[copies & ~first].any(1)
    assert moved.mean() > 0.4  # those that begin with the second step; with the first the state is zero
    assert len(np.unique(batch.core[copies], axis=0)) > 10


def test_the_network_does_not_see_what_was_achieved(tmp_path: Path) -> None:
    """The achieved goal changes no Q value, in any frame of a stack; the desired one does."""
    config = tiny(**BLIND | {"network__stack": 2})
    run = new_run(config, tmp_path)
    size = run.environments.spec.observation_shape[0]
    x = torch.rand(1, 1, 2 * size)
    achieved = torch.zeros(2, size, dtype=torch.bool)
    achieved[:, -BITS:] = True
    zero = torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, run.learner.network.core_size)
    desired = achieved.roll(-BITS, 1).flatten()
    q = [
        run.learner.network.step(inputs_of(frame, zero[0].int(), zero[1]), zero[2])[0]
        for frame in (x, torch.where(achieved.flatten(), 9.0, x), torch.where(desired, 9.0, x))
    ]
    assert torch.equal(q[0], q[1])
    assert not torch.equal(q[0], q[2])


@pytest.mark.parametrize(
    ("state", "strategy"),
    [("stored", "future"), ("zero", "final"), ("refreshed", "random"), ("episode", "episode")],
)
def test_every_initial_state_trains_beside_hindsight(state: str, strategy: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = WHOLE if state == "episode" else {"replay__period": 2, "replay__unroll": 3}
    copies = 1 if strategy == "final" else 3
    changes = BLIND | sizes | {"replay__hindsight": strategy, "replay__copies": copies}
    run = new_run(tiny(**changes, replay__initial_state=state, replay__long_term=0.25), tmp_path)
    run.train()
    assert run.learner.updates > 5
    assert all(np.isfinite(v) for line in lines(tmp_path) for v in line.values() if isinstance(v, float))


def test_copies_begin_with_the_highest_priority(tmp_path: Path) -> None:
    """An actor's Q values are those of its own goal: only what was played has a priority from them."""
    run, batch, copies = filled(tiny(**BLIND), tmp_path)
    assert not isinstance(run.replay, build_replay.Mixture)
    values = run.replay.selector.values(batch.ids % run.replay.capacity)
    given = values[copies][np.argsort(batch.ids[copies])]
    given = given[np.flatnonzero(given != given[0])[0] :]  # the first ones came before any update
    assert (np.diff(given) >= 0).all(), "the highest so far never falls"
    assert given[-1] == values[~copies].max()
    assert len(np.unique(values[~copies])) > 10


def test_targets_are_clipped_to_possible_returns(tmp_path: Path) -> None:
    """With a target network that promises far too much or too little, errors are those of 0 and -1/(1-gamma)."""
    config = replace(HER, env=replace(HER.env, options={"bits": BITS}, num_envs=2))
    run, _, _ = filled(config, tmp_path)
    batch = run.replay.sample(32, np.random.default_rng(0))
    for promise, bound in ((1000.0, 0.0), (-1000.0, -50.0)):
        with torch.no_grad():
            for parameter in list(run.learner.target.head.parameters())[-1:]:  # type: ignore[operator, union-attr]
                parameter.fill_(promise)
        found = run.learner.errors(batch)
        target = (found.q_taken - found.error)[0].detach().numpy()
        over = batch.columns["terminated"][:, 0]
        np.testing.assert_allclose(target[~over], max(bound, -50.0) if promise < 0 else 0.0, rtol=1e-5)
        assert (~over).sum() > 5


def test_hindsight_without_goals_or_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="needs an environment with goals.*CartPole-v1 is not: try --env BitF"
    ):
        new_run(tiny(replay__hindsight="future"), tmp_path)
    with pytest.raises(ValueError, match="copies must be 1 with strategy final"):
        new_run(tiny(**BLIND | {"replay__hindsight": "final", "replay__copies": 4}), tmp_path)


def test_the_command_line_trains_on_bits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Preset `her`: with four bits, a few hundred updates and the network made small, goals are reached."""
    flags = "--env.options bits 4 --network.features 32 --network.hidden 32 --run.steps 1500 --run.log-period 500 "
    flags += "--replay.min-steps 200 --run.evaluate-period 1500 --learner.target-period 20 --learner.batch 64"
    made = call(capsys, "train", "her", "--env", "BitFlipping-v0", *flags.split(), "--run.track", "none",
                "--run-dir", tmp_path / "run")  # fmt: skip
    assert made.code == 0, made.err
    returns = [
        line["evaluate/mean_return"] for line in lines(tmp_path / "run") if "evaluate/mean_return" in line
    ]
    assert returns[-1] > -2.5  # a random agent gets about -3.4
    assert call(capsys, "evaluate", tmp_path / "run", "--episodes", "3").code == 0
