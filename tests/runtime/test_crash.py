"""Laws of a crash: what an environment raises is shown as it is, and costs no step that was made before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_cases import differences, lines, new_run, state, tiny

from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.runtime import threads, training
from r2d2.runtime.evaluator import Evaluator
from r2d2.runtime.local import LocalRun


def crashing(config: Any, folder: Path, after: int) -> LocalRun:
    """A run whose environments raise in step `after`."""
    run = new_run(config, folder)
    step, made = run.environments.step, [0]

    def crash(action: Any) -> Any:
        made[0] += 1
        if made[0] == after:
            raise IndexError("a fault of the user's own")
        return step(action)

    run.environments.step = crash  # type: ignore[method-assign]
    return run


@pytest.mark.parametrize("runtime", ["local", "threads"])
@pytest.mark.parametrize("halves", [False, True])
def test_a_run_is_saved_when_its_environment_crashes(runtime: str, halves: bool, tmp_path: Path) -> None:
    """All that was learned and stored is there, and the run goes on from it."""
    config = tiny(run__runtime=runtime, actor__halves=halves, run__checkpoint_period=10_000)
    run = crashing(config, tmp_path, 90)
    if halves:
        part: Any = run.environments._environments[1]  # type: ignore[attr-defined]
        part.step = lambda action, step=part.step: step(action) if run.actor.steps < 150 else 1 / 0
    with pytest.raises(ZeroDivisionError if halves else IndexError):
        training.train(run)
    saved = state(tmp_path)
    assert saved["actor"]["steps"] == run.actor.steps > 140
    assert saved["learner"]["updates"] == run.learner.updates > 5
    resumed = new_run(config, tmp_path)
    resumed.load(tmp_path / "checkpoints" / "ckpt-00000001")
    assert differences(resumed.state_dict()["replay"], saved["replay"]) == []
    training.train(resumed)
    assert resumed.actor.steps > 390


def test_episodes_end_with_the_last_observation_before_the_crash(tmp_path: Path) -> None:
    """As at any checkpoint: truncated, bootstrapped from the observation reached, each action in an item."""
    for after in range(60, 64):
        run = crashing(tiny(run__checkpoint_period=10_000, replay__steps=400), tmp_path / str(after), after)
        with pytest.raises(IndexError):
            run.train()
        stored = stored_episodes(run.replay)  # type: ignore[arg-type]
        assert int(stored.steps.sum()) == run.actor.steps == run.replay.steps_written
        for index in range(len(stored)):
            episode = read_episode(run.replay, stored, index)  # type: ignore[arg-type]
            ends = episode["terminated"] | episode["truncated"]
            assert ends.tolist() == [False] * (len(ends) - 2) + [True, False]
            assert not (episode["terminated"] & episode["truncated"]).any()
        assert run.actor.end() == []  # nothing is running any more


@pytest.mark.parametrize("runtime", ["local", "threads"])
def test_a_crash_in_an_evaluation_costs_no_step_either(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(Evaluator, "_play", crash)
    run = new_run(tiny(run__runtime=runtime, run__evaluate_period=100), tmp_path)
    with pytest.raises(RuntimeError, match="no more"):
        (threads.train if runtime == "threads" else LocalRun.train)(run)
    assert state(tmp_path)["actor"]["steps"] >= 100


def test_a_fault_of_the_learner_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters that went wrong must not become the newest checkpoint."""
    run = new_run(tiny(), tmp_path)
    monkeypatch.setattr(run.learner, "update", lambda batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.train()
    assert not (tmp_path / "checkpoints").exists()


def test_the_error_comes_through_also_when_there_is_no_room_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> Path:
        raise OSError("no space left")

    run = crashing(tiny(), tmp_path, 20)
    monkeypatch.setattr(run, "write", full)
    with pytest.raises(IndexError, match="a fault of the user's own"):
        training.train(run)
    err = capsys.readouterr().err
    assert "could not be saved" in err
    assert "resumes" not in err
    assert lines(tmp_path) == [] or lines(tmp_path)[-1]["env_steps"] <= 40
