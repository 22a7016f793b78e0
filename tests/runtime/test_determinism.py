"""Laws of chance: one seed is one run, and looking at a run does not change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_cases import PONG, differences, lines, new_run, state, tiny

CARTPOLE: dict[str, Any] = {"run__steps": 240}
ATARI: dict[str, Any] = {key.replace(".", "__"): value for key, value in PONG.items()} | {"run__steps": 200}


def trained(folder: Path, **changes: Any) -> dict[str, Any]:
    new_run(tiny(**changes), folder).train()
    return state(folder)


@pytest.mark.parametrize("case", [CARTPOLE, ATARI], ids=["cartpole", "pong"])
def test_a_seed_is_a_run_and_evaluations_do_not_change_it(case: dict[str, Any], tmp_path: Path) -> None:
    """Same seed: the same state and log, bit for bit. Greedy evaluations in between leave no trace in what is
    trained. Another seed is another run."""
    first = trained(tmp_path / "a", **case)
    assert first["learner"]["updates"] > 5
    watched = trained(tmp_path / "b", **case, run__evaluate_period=45)
    assert watched["evaluator"]["count"] >= 3
    for part in ("learner", "actor", "actor_network", "replay", "limiter", "rng", "meter", "parameter_hash"):
        assert differences(first[part], watched[part], part) == []
    curve = [line for line in lines(tmp_path / "b") if "replay/ratio" in line]
    assert curve == lines(tmp_path / "a")
    other = trained(tmp_path / "c", **case, run__seed=1)
    assert other["parameter_hash"] != first["parameter_hash"]


def test_two_runs_of_one_seed_are_equal_line_by_line(tmp_path: Path) -> None:
    case = CARTPOLE | {"run__evaluate_period": 60}
    assert differences(trained(tmp_path / "a", **case), trained(tmp_path / "b", **case)) == []
    assert lines(tmp_path / "a") == lines(tmp_path / "b")


def test_the_seed_decides_weights_exploration_draws_and_environments(tmp_path: Path) -> None:
    """Each on its own: an equal start of any of them in two seeds would couple runs that count as two."""
    a, b = (new_run(tiny(run__seed=seed), tmp_path / str(seed)) for seed in (0, 1))
    assert differences(a.learner.state_dict()["network"], b.learner.state_dict()["network"])
    assert a.rng.random() != b.rng.random()
    assert a.actor.rng.random() != b.actor.rng.random()
    assert (a.actor.state.observation["observation"] != b.actor.state.observation["observation"]).any()
    assert a.rng.random() != a.actor.rng.random()


def test_threads_of_the_emulator_do_not_change_a_run(tmp_path: Path) -> None:
    one = trained(tmp_path / "a", **ATARI | {"run__steps": 80})
    two = trained(tmp_path / "b", **ATARI | {"run__steps": 80, "env__threads": 2})
    assert differences(one["replay"], two["replay"]) == []
