"""Laws of the loop: how much is learned for each step, and with which weights the actor acts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from run_cases import differences, lines, new_run, state, tiny

from r2d2.runs.folder import CHECKPOINTS
from r2d2.runtime import threads
from r2d2.runtime.local import LocalRun


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_the_replay_ratio_is_kept_to_within_a_batch(ratio: float, tmp_path: Path) -> None:
    """Trained steps, padding left out, follow ratio * (steps - min_steps) and are never ahead."""
    config = tiny(replay__replay_ratio=ratio, run__steps=500)
    run = new_run(config, tmp_path)
    counted: list[int] = []
    update = run.learner.update

    def counting(batch: Any) -> Any:
        counted.append(int(batch.length.sum()))
        return update(batch)

    run.learner.update = counting  # type: ignore[method-assign]
    run.train()
    assert len(counted) == run.learner.updates > 3
    owed = ratio * (run.actor.steps - config.replay.min_steps)
    batch = config.learner.batch * config.replay.unroll
    assert owed - batch < sum(counted) <= owed
    assert lines(tmp_path)[-1]["replay/ratio"] == pytest.approx(
        sum(counted) / (run.actor.steps - config.replay.min_steps)
    )


def test_nothing_is_learned_before_min_steps(tmp_path: Path) -> None:
    run = new_run(tiny(replay__min_steps=100), tmp_path)
    while run.actor.steps < 100:
        assert run.learner.updates == 0
        run.act(cut=False)
        run._learn()
    while run.learner.updates == 0:
        run.act(cut=False)
        run._learn()
    assert 100 < run.actor.steps < 130


def test_the_actor_has_the_learners_weights_after_a_refresh_and_older_ones_until_the_next(
    tmp_path: Path,
) -> None:
    """They are a copy: an update in between must not reach the actor."""
    run = new_run(tiny(actor__actor_update_period=7, replay__replay_ratio=8.0), tmp_path)
    lagged = refreshed = 0
    for _ in range(60):
        before, updates = run.learner.network.state_dict(), run.learner.updates
        before = {name: value.clone() for name, value in before.items()}
        acting = {name: value.clone() for name, value in run.actor.network.state_dict().items()}
        run.act(cut=False)
        run._learn()
        run._refresh_actor()
        now = dict(run.actor.network.state_dict())
        if run.vector_steps % 7 == 0:
            assert differences(now, dict(run.learner.network.state_dict())) == []
            refreshed += run.learner.updates > 0
        else:
            assert differences(now, acting) == []
            lagged += run.learner.updates > updates and bool(differences(now, before))
    assert refreshed >= 3
    assert lagged >= 3


def test_every_step_and_episode_is_counted_once(tmp_path: Path) -> None:
    """Steps that the log counts are those that the replay was given; so is their sum over environments."""
    run = new_run(tiny(run__steps=300), tmp_path)
    run.train()
    assert run.actor.steps == run.replay.steps_written == run.limiter.inserted
    assert 290 < run.actor.steps <= 300
    finished = sum(line.get("train/episodes", 0) for line in lines(tmp_path))
    assert finished >= len(run.recent) > 5


def test_a_checkpoint_is_a_barrier(tmp_path: Path) -> None:
    """Running episodes are cut and bootstrapped, environments and core states start anew from a seed of the
    checkpoint's number."""
    run = new_run(tiny(run__steps=60), tmp_path)
    first, write = run.actor.state.observation["observation"], run.replay.write
    over: dict[int, list[tuple[bool, bool]]] = {
        0: [],
        1: [],
    }  # stream -> (cut or terminated, last) of each row

    def watching(values: Any, last: Any, *, streams: Any, core: Any) -> Any:
        for i, stream in enumerate(streams.tolist()):
            over[stream].append((bool(values["terminated"][i] | values["truncated"][i]), bool(last[i])))
        return write(values, last, streams=streams, core=core)

    run.replay.write = watching  # type: ignore[method-assign, assignment]
    run.train()
    for rows in over.values():
        assert rows[-1][1]  # the stream ends with a final observation
        assert rows[-2] == (True, False)
    assert run.schedule.saves == 1
    assert (run.actor.state.observation["observation"] != first).any()
    assert not run.actor.state.core.any()
    again = new_run(tiny(run__steps=60), tmp_path / "again")
    again.schedule.saves = 1
    again._reset()
    assert (again.actor.state.observation["observation"] == run.actor.state.observation["observation"]).all()


def test_a_run_stops_once_an_evaluation_reaches_the_goal(tmp_path: Path) -> None:
    config = tiny(run__stop_return=5.0, run__evaluate_period=50, run__steps=100_000)
    run = new_run(config, tmp_path)
    run.train()
    assert 50 <= run.actor.steps < 60
    assert run.finished
    assert state(tmp_path)["actor"]["steps"] == run.actor.steps
    longer = new_run(
        dataclasses.replace(config, run=dataclasses.replace(config.run, steps=200_000)), tmp_path
    )
    longer.load(tmp_path / CHECKPOINTS / "ckpt-00000001")
    assert not longer.finished
    longer.train()  # with more steps it goes on, to the next evaluation that reaches the goal
    assert run.actor.steps + 50 <= longer.actor.steps < run.actor.steps + 60


@pytest.mark.parametrize("runtime", ["local", "threads"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_that_is_solved_logs_what_came_since_the_last_line(
    runtime: str, asynchronous: bool, tmp_path: Path
) -> None:
    """Every episode and every update is in some line, those just before the end too."""
    config = tiny(run__stop_return=5.0, run__evaluate_period=110, run__log_period=80, run__steps=100_000)
    run = new_run(config, tmp_path)
    run.learner.asynchronous = asynchronous
    (threads.train if runtime == "threads" else LocalRun.train)(run)
    logged = [line for line in lines(tmp_path) if "replay/fill" in line]
    assert logged[-1]["env_steps"] == run.actor.steps
    assert logged[-1]["updates"] == run.learner.updates > 0
    assert "learner/loss" in logged[-1]
    assert run.meter.take() == new_run(config, tmp_path / "new").meter.take()


def test_the_log_has_a_line_for_each_period_and_the_end(tmp_path: Path) -> None:
    new_run(tiny(run__steps=210, run__log_period=50), tmp_path).train()
    steps = [line["env_steps"] for line in lines(tmp_path)]
    assert len(steps) == 5
    assert all(50 * k <= s < 50 * k + 4 for k, s in enumerate(steps[:4], 1))
    assert 200 < steps[4] <= 210


def test_batches_of_short_episodes_have_as_many_steps_as_were_asked_for(tmp_path: Path) -> None:
    """CartPole may take 500 steps, a random policy takes about 20: a batch is several times what the limit says."""
    config = tiny(
        env__id="CartPole-v1",
        network__stack=1,
        replay__initial_state="episode",
        replay__steps=2000,
        replay__min_steps=200,
        learner__batch=2,
        learner__batch_steps=200,
        replay__replay_ratio=4.0,
        run__steps=500,
    )
    run, steps = new_run(config, tmp_path), []
    update = run.learner.update

    def counting(batch: Any) -> Any:
        steps.append(int(batch.length.sum()))
        return update(batch)

    run.learner.update = counting  # type: ignore[method-assign]
    run.train()
    assert run.resolved.learner.batch == 2
    assert 120 < sum(steps) / len(steps) < 280
