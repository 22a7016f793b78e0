"""Laws of losing processes and machines: whoever is killed, whenever, training goes on by itself, and no counter in
the log goes backwards. Real processes die by SIGKILL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_cases import TASK, ray, run_of
from role_cases import cluster as config_of
from run_cases import lines, state

from experiments.cluster.faults import CASES, Events, kill, one
from r2d2.runtime.cluster import ray_fleet as cluster

pytestmark = pytest.mark.slow  # 20 to 60 s each, most of it Ray's


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    cluster.connect(config_of())
    yield
    ray.shutdown()


def check_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log, of which no counter goes backwards."""
    found = lines(folder)
    names = (
        "env_steps",
        "updates",
        "cluster/lost_actors",
        "cluster/lost_shards",
        "cluster/lost_learners",
        "cluster/lost_steps",
        "cluster/lost_updates",
    )
    for name in names:
        counts = [line[name] for line in found if name in line]
        assert counts == sorted(counts), name
    return found


@pytest.mark.parametrize("kind", ["actor", "shard", "learner"])
def test_a_killed_process_comes_back_and_training_goes_on(kind: str, started: None, tmp_path: Path) -> None:
    """Killed after the first checkpoint: the run ends as it should, with the loss in its log."""
    run = run_of(config_of(**TASK, cluster__actors=2, run__steps=2000), tmp_path)
    events = Events(run, (lambda: run.schedule.saves >= 1 and run.env_steps > 500, lambda: kill(run, kind)))
    run.train()
    events.check()
    found = check_log(tmp_path)
    assert run.finished
    assert found[-1][f"cluster/lost_{kind}s"] == 1
    others = {"actor", "shard", "learner"} - {kind}
    assert all(found[-1][f"cluster/lost_{other}s"] == 0 for other in others)
    owed = (1 - found[-1]["replay/ratio"] / 0.5) * 0.5 * (found[-1]["env_steps"] - 40)
    assert owed < 4 * 8 + 1
    assert state(tmp_path)["limiter"]["limiter"]["inserted"] == run.env_steps


def test_processes_killed_before_the_first_checkpoint_begin_anew(started: None, tmp_path: Path) -> None:
    run = run_of(config_of(**TASK | {"run__checkpoint_period": 10**6}, run__steps=1500), tmp_path)
    events = Events(
        run,
        (lambda: run.env_steps > 300, lambda: kill(run, "shard")),
        (lambda: run.env_steps > 800, lambda: kill(run, "learner")),
    )
    run.train()
    events.check()
    assert check_log(tmp_path)[-1]["cluster/lost_shards"] == 1
    assert run.finished
    assert run.schedule.saves == 1


def test_everything_may_be_killed_at_once(started: None, tmp_path: Path) -> None:
    run = run_of(config_of(**TASK, cluster__actors=2, run__steps=2000), tmp_path)

    def all_of_them() -> None:
        for kind, index in (("actor", 0), ("learner", 0), ("shard", 0), ("actor", 1)):
            kill(run, kind, index)

    events = Events(run, (lambda: run.schedule.saves >= 1 and run.env_steps > 600, all_of_them))
    run.train()
    events.check()
    check_log(tmp_path)
    assert run.finished


def test_a_lost_machine_is_replaced_and_training_goes_on(tmp_path: Path) -> None:
    """Three nodes in this machine, one of them killed with all its processes; the others take them over."""
    assert "node" in CASES
    ray.shutdown()  # the cluster of the tests before; this one has its own
    found = one("node", tmp_path)
    assert found["processes_lost"] >= 1
    assert found["env_steps"] >= 12_000
    check_log(tmp_path)
