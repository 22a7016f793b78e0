"""Laws of the cluster runtime, on real Ray processes: a run is whole, bound to this machine, and inserts what the
local runtime inserts. (Faults: test_cluster_faults.py.)"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_cases import TASK, listening, ray, run_of
from role_cases import cluster as config_of
from role_cases import items
from run_cases import arguments, call, differences, lines, new_run, state, tiny

from experiments.cluster.faults import Events, kill
from r2d2.checkpoint import checkpoint
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster import ray_fleet as cluster
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.shard import ShardRole, shard_root
from r2d2.tracking.names import METRICS


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """A local cluster, as `r2d2 train` starts one."""
    cluster.connect(config_of())
    yield
    ray.shutdown()


def test_a_short_run_on_a_cluster(started: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line trains, logs, evaluates, saves and resumes with other numbers of processes; counters never
    go backwards and the replay ratio is kept to within a batch."""
    run_dir = tmp_path / "run"
    changes = TASK | {
        "run__runtime": "cluster",
        "cluster__actors": 2,
        "run__steps": 600,
        "run__evaluate_period": 300,
    }
    done = call(capsys, "train", "r2d2", *arguments(**changes), "--run-dir", run_dir)
    assert done.code == 0, done.err
    first = lines(run_dir)
    assert first[-1]["env_steps"] >= 600
    assert first[-1]["updates"] > 3
    assert any("evaluate/mean_return" in line for line in first)
    logged = {name for line in first for name in line}
    assert {name for name in METRICS if name.startswith("cluster/")} <= logged
    for name in ("env_steps", "updates"):
        counts = [line[name] for line in first]
        assert counts == sorted(counts)
    last = next(line for line in reversed(first) if "replay/ratio" in line)
    owed = 0.5 * (last["env_steps"] - 40) - last["replay/ratio"] * (last["env_steps"] - 40)
    assert 0 <= owed < 4 * 8
    assert last["cluster/packet_bytes_per_step"] > 20
    saved = state(run_dir)
    assert saved["actor"]["steps"] == first[-1]["env_steps"]
    goal = first[-1]["env_steps"] + 400  # a run goes past its end by what the actors do until they hear of it
    again = call(capsys, "resume", run_dir, "--steps", goal, "--actors", 1)
    assert again.code == 0, again.err
    assert lines(run_dir)[: len(first)] == first
    assert lines(run_dir)[-1]["env_steps"] >= goal
    assert lines(run_dir)[-1]["updates"] > first[-1]["updates"]
    assert call(capsys, "evaluate", run_dir, "--episodes", 2).code == 0


@pytest.mark.slow
def test_a_run_on_a_cluster_stops_at_its_goal_and_can_be_extended(started: None, tmp_path: Path) -> None:
    """A goal that every policy reaches: the first evaluation ends the run, long before its steps are made. With
    more steps it goes on to the next one."""
    config = config_of(**TASK, run__steps=20_000, run__evaluate_period=200, run__stop_return=5.0)
    run = run_of(config, tmp_path)
    run.train()
    assert run.finished
    path = checkpoint.latest(tmp_path / "checkpoints")
    assert path is not None
    again = run_of(dataclasses.replace(config, run=dataclasses.replace(config.run, steps=40_000)), tmp_path)
    again.load(path)
    assert not again.finished
    again.train()
    assert again.finished
    assert run.env_steps + 200 <= again.env_steps < 20_000


def test_central_inference_acts_for_all_and_comes_back_when_it_is_killed(
    started: None, tmp_path: Path
) -> None:
    """In a process of its own, which takes new weights and costs no step when it is lost."""
    config = config_of(
        **TASK, cluster__actors=2, cluster__inference="central", cluster__inference_cpus=0.25, run__steps=1200
    )
    run = run_of(config, tmp_path)
    events = Events(run, (lambda: run.env_steps > 300, lambda: kill(run, "inference")))
    run.train()
    events.check()
    last = next(line for line in reversed(lines(tmp_path)) if "cluster/updates_behind" in line)
    assert run.finished
    assert last["cluster/lost_steps"] == last["cluster/lost_actors"] == 0
    assert last["cluster/updates_behind"] < last["updates"] / 2  # new weights act


def test_a_cluster_started_here_listens_on_loopback_alone(started: None) -> None:
    addresses = listening()
    assert addresses
    assert all(address.rpartition(":")[2].startswith("127.") for address in addresses), addresses
    assert ray.util.get_node_ip_address() == "127.0.0.1"


STRANGER = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False)
    print("let in", ray.get(ray.remote(lambda: 1).remote()))
except BaseException as error:
    print(type(error).__name__, error)
"""


def test_a_stranger_without_the_token_is_not_let_into_a_cluster_started_here(started: None) -> None:
    """Another user of this machine reaches loopback too. Who has no token, a wrong one, or the right one tries at
    the same time: a refusal takes twenty seconds."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    own = os.environ["RAY_AUTH_TOKEN"]
    tokens = [{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} for token in ("0" * 64, own)]
    command = [sys.executable, "-c", STRANGER, ray.get_runtime_context().gcs_address]
    strangers = [
        subprocess.Popen(
            command, env=environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for more in ({"RAY_AUTH_MODE": "disabled"}, *tokens)
    ]
    said = [stranger.communicate(timeout=120)[0] for stranger in strangers]
    assert ["let in 1" in text for text in said] == [False, False, True], said


def test_local_and_cluster_insert_the_same_items(started: None, tmp_path: Path) -> None:
    """Through packets, the object store and another process: bit for bit, with one actor and fixed weights."""
    changes = TASK | {"replay__min_steps": 10**9, "run__steps": 500, "run__checkpoint_period": 10**6}
    local = new_run(tiny(**changes), tmp_path / "local")
    local.train()
    config = config_of(cluster__actors=1, **changes)
    fleet = cluster.RayFleet(config, tmp_path, None, None, kinds=["shard", "actor"])
    for _ in range(60):
        acted = ray.get(fleet.call("actor", 0, "run", 0.2))
        if acted.steps > 500:
            break
    ray.get(fleet.call("actor", 0, "finish", 10.0))
    ray.get(fleet.call("shard", 0, "save", 1))
    fleet.close()
    shard = ShardRole(config, 0, shard_root(tmp_path, Layout(config), 0))
    (ids, ours), (_, theirs) = items(shard.replay), items(local.replay)
    same = len(local.replay) - 4 * 4  # the local run cut its episodes at its end
    assert len(ids) > same > 60

    def first(found: dict) -> dict:  # type: ignore[type-arg]
        columns = {name: column[:same] for name, column in found["columns"].items()}
        return {name: value[:same] for name, value in found.items() if name != "columns"} | columns

    assert differences(first(ours), first(theirs)) == []


def test_wider_than_this_machine_without_a_token_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    cluster.connect(config_of(cluster__address="10.0.0.1:6379"))
    assert asked[0]["address"] == "10.0.0.1:6379"
    said = capsys.readouterr().err
    assert "RAY_AUTH_MODE=token" in said
    assert "firewall" in said
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    cluster.connect(config_of(cluster__address="10.0.0.1:6379"))
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    cluster.connect(config_of())
    assert "listens on all interfaces of this machine" in capsys.readouterr().err
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    cluster.connect(config_of())
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster.connect(config_of())
    assert "other users of this machine can run code" in capsys.readouterr().err


def test_a_cluster_that_is_too_small_is_refused(started: None, tmp_path: Path) -> None:
    """Instead of waiting for a place for ever."""
    config = config_of(env__num_envs=200, cluster__actors=200, cluster__actor_cpus=3.0)
    with pytest.raises(ValueError, match=r"reserve 602\.5 CPUs"):
        cluster.RayFleet(config, tmp_path, None, None)


def test_no_use_is_reported_and_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    ray_environment.prepare("10.0.0.1:6379")
    assert [os.environ.get(name) for name in names] == ["0", "0", None]
    os.environ[names[1]] = "5"
    ray_environment.prepare("")
    assert [os.environ.get(name) for name in names] == ["0", "5", "0"]
    for name in names:
        monkeypatch.setenv(name, "0")


@pytest.mark.parametrize(
    "env_id", [pytest.param("strolls:Stroll-v0", marks=pytest.mark.slow), "strolls.py:Stroll"]
)
def test_every_process_of_a_cluster_finds_a_task_of_ones_own(
    started: None,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    env_id: str,
) -> None:
    """The workers import it from the folder in which the run was begun."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "strolls.py").write_text(
        "import gymnasium as gym\n"
        "class Stroll(gym.Wrapper):\n"
        "    def __init__(self, speed='slow'):\n"
        "        assert speed == 'fast'\n"
        "        super().__init__(gym.make('CartPole-v1'))\n"
        "gym.register('Stroll-v0', entry_point=Stroll)\n"
    )
    monkeypatch.chdir(tmp_path)
    changes = TASK | {"run__runtime": "cluster", "run__steps": 200, "env__id": env_id}
    args = [*arguments(**changes), "--env.options", "speed=fast"]
    done = call(capsys, "train", "r2d2", *args, "--run-dir", tmp_path / "run")
    assert done.code == 0, done.err
    assert lines(tmp_path / "run")[-1]["env_steps"] >= 200
