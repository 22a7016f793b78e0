"""A run folder: what is in it, and how a run in it starts, stops, goes on and is evaluated.

config.json        everything that decides the run
provenance.json    commit, versions, host and command of the start and of each resume
metrics.jsonl      every number, a line a report
checkpoints/       the last two complete ones
evaluations/       results of `r2d2 evaluate`
videos/
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from r2d2.agent.networks import QNetwork
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.build.sizes import gigabytes, size_table
from r2d2.checkpoint import checkpoint
from r2d2.config import Config, from_dict, to_dict
from r2d2.config.checks import check_config, check_same_parts
from r2d2.envs.vector import EnvSpec, VectorEnv
from r2d2.runs.provenance import provenance
from r2d2.runtime import threads
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster.roles.conductor import ClusterRun
from r2d2.runtime.evaluate import film_set, make_greedy, play, record, summary
from r2d2.runtime.local import CHECKPOINTS, LocalRun
from r2d2.runtime.short_memory import memory_line, play_with_memory
from r2d2.tracking.scores import closing_lines
from r2d2.tracking.tracker import Tracker, open_tracker

STOPPED = 130  # exit code after Ctrl-C or SIGTERM, as shells have it


def start(config: Config, run_dir: Path, *, preset: str) -> int:
    """Begin a run in a new folder; returns the exit code."""
    print(f"run folder: {run_dir}")
    run = _make(config, run_dir, preset)
    _begin(run, preset)
    return _train(run)


def start_filled(
    config: Config, run_dir: Path, *, preset: str, fill: Callable[[LocalRun], Mapping[str, Any]]
) -> Path:
    """Begin a run that `resume` will train; returns its first checkpoint, whose replay `fill` has filled.

    `run_dir` must be empty or absent. What `fill` returns is kept in the run's provenance. Nothing is left
    behind when anything fails.
    """
    run = _make(config, run_dir, preset, Tracker(run_dir))
    if isinstance(run, ClusterRun):
        raise ValueError("a dataset fills a run in one process: use --run.runtime local or threads")
    origin = fill(run)
    try:
        _begin(run, preset, origin)
        path = run.save()
    except BaseException:
        shutil.rmtree(run_dir, ignore_errors=True)
        raise
    run.tracker.close()
    return path


def _begin(run: LocalRun | ClusterRun, preset: str, origin: Mapping[str, Any] | None = None) -> None:
    """Make the folder of a new run."""
    run.run_dir.mkdir(parents=True, exist_ok=True)
    _write_json(run.run_dir / "config.json", {"preset": preset, "config": to_dict(run.config)})
    _write_json(run.run_dir / "provenance.json", [provenance() | dict(origin or {})])


def size_report(config: Config) -> int:
    """Print what the replay will take at capacity; returns the exit code: 0 if it fits, 2 if not."""
    spec = environments.spec(config)
    sizes = build_replay.replay_bytes(config, spec)
    print(size_table(sizes, build.network_bytes(config, spec), steps=config.replay.steps))
    build.check_memory(config, spec, _in_memory(sizes, config))
    return 0


def _in_memory(sizes: dict[str, int], config: Config) -> dict[str, int]:
    """Without what lies in `replay.folder`: the disk is asked for it when the replay is made."""
    return {"index": sizes["index"]} if config.replay.folder else sizes


def resume(
    run_dir: Path, path: Path | None, *, steps: int | None = None, track: str | None = None,
    processes: Mapping[str, Any] = MappingProxyType({}),
) -> int:  # fmt: skip
    """Go on with the run in `run_dir` from its newest checkpoint, or from `path`. `processes` are numbers of the
    cluster runtime, `actors` and `shards`, that replace the run's own."""
    config, preset = read_config(run_dir)
    changes: dict[str, Any] = {}
    if steps is not None:
        changes["steps"] = steps
    if track is not None:
        changes["track"] = track
    now = replace(config.cluster, **processes)
    config = from_dict(to_dict(replace(config, run=replace(config.run, **changes), cluster=now)))
    path = checkpoint_of(run_dir, path)
    run = _make(config, run_dir, preset)
    run.load(path)
    if run.finished:
        run.tracker.close()
        print(f"{run_dir} has trained its {config.run.steps:,} steps; `--steps N` trains it further")
        return 0
    _write_json(run_dir / "config.json", {"preset": preset, "config": to_dict(config)})
    _write_json(run_dir / "provenance.json", [*read_provenance(run_dir), provenance()])
    print(f"resumes from {path} at {run.env_steps:,} environment steps")
    return _train(run)


def evaluate(
    run_dir: Path, path: Path | None, *, episodes: int, video: bool, seed: int
) -> tuple[dict[str, Any], Path]:
    """Greedy episodes of a run's network: the result, and its file in the run folder."""
    config, _ = read_config(run_dir)
    path = checkpoint_of(run_dir, path)
    state = checkpoint.load(path)
    check_same_parts(state["config"], config)
    single = film_set(config) if video else None  # what cannot be filmed is refused before playing
    vector, network = _trained(config, state, episodes)
    played = play(make_greedy(vector, network), seed)
    vector.close()
    result: dict[str, Any] = {
        "checkpoint": path.name,
        "env_steps": state["actor"]["steps"],
        "updates": state["learner"]["updates"],
        "seed": seed,
        "returns": [episode.total for episode in played],
        "lengths": [episode.length for episode in played],
        **summary(played),
    }
    if single is not None:
        file = run_dir / "videos" / f"{path.name}-seed{seed}.mp4"
        filmed = record(make_greedy(single, network), single, seed, file)
        result["video"] = {"file": str(file), "return": filmed.total}
    (run_dir / "evaluations").mkdir(exist_ok=True)
    written = run_dir / "evaluations" / f"{path.name}-{episodes}x-seed{seed}.json"
    _write_json(written, result)
    return result, written


def memory_test(run_dir: Path, path: Path | None, *, histories: list[int], episodes: int, seed: int) -> int:
    """Greedy episodes with memories of so many observations, then with all of it; printed and kept."""
    config, _ = read_config(run_dir)
    path = checkpoint_of(run_dir, path)
    state = checkpoint.load(path)
    check_same_parts(state["config"], config)
    vector, network = _trained(config, state, episodes)
    tests = []
    for history in (*histories, None):
        found = play_with_memory(vector, network, history, seed=seed)
        print(memory_line(found), flush=True)
        tests.append(found)
    vector.close()
    result = {
        "checkpoint": path.name,
        "env_steps": state["actor"]["steps"],
        "updates": state["learner"]["updates"],
        "seed": seed,
        "memory": tests,
    }
    (run_dir / "evaluations").mkdir(exist_ok=True)
    _write_json(run_dir / "evaluations" / f"{path.name}-memory-{episodes}x-seed{seed}.json", result)
    return 0


def _trained(config: Config, state: Mapping[str, Any], episodes: int) -> tuple[VectorEnv, QNetwork]:
    """Environments to evaluate in, and a checkpoint's network."""
    vector = environments.vector(config, episodes)
    network = build.network(config, vector.spec)
    network.load_state_dict(state["learner"]["network"])
    network.to(build.device(config))
    return vector, network


def read_config(run_dir: Path) -> tuple[Config, str]:
    """The config and preset name of a run; ValueError if the folder holds none or another version's."""
    file = run_dir / "config.json"
    if not file.is_file():
        raise ValueError(f"{run_dir} holds no run: there is no {file.name} in it")
    try:
        saved = json.loads(file.read_text())
        return from_dict(saved["config"]), str(saved["preset"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is damaged ({error!r}): put back the copy that the run began with"
        ) from None


def read_provenance(run_dir: Path) -> list[dict[str, Any]]:
    """Where the start and each resume of a run came from."""
    history: list[dict[str, Any]] = json.loads((run_dir / "provenance.json").read_text())
    return history


def _make(config: Config, run_dir: Path, preset: str, tracker: Tracker | None = None
          ) -> LocalRun | ClusterRun:  # fmt: skip
    check_config(config)
    config = environments.with_folder(config)
    if config.run.runtime == "cluster":
        vector, spec = None, environments.spec(config)
    else:
        vector = environments.vector(config, halves=config.actor.halves)
        spec = vector.spec
    print("\n".join(map(str, spec.parts)))
    _check_memory(config, spec)
    env = config.env.id.split("/")[-1]
    if tracker is None:
        tracker = open_tracker(
            run_dir,
            track=config.run.track,
            total_env_steps=config.run.steps,
            name=f"{env}-{preset}-s{config.run.seed}",
            group=config.run.group or config.env.id,
            job_type="train",
            tags=(preset, config.env.id, *config.run.tags),
            config=to_dict(config),
        )
    if config.run.runtime != "cluster":
        return LocalRun(config, run_dir, tracker, vector)
    ray_environment.prepare(config.cluster.address)
    from r2d2.runtime.cluster import ray_fleet as cluster  # ray is an extra

    return cluster.make(config, run_dir, tracker, spec)


def _check_memory(config: Config, spec: EnvSpec) -> None:
    """Say what the replay will take at capacity; MemoryError if it, or the network, cannot fit."""
    sizes = build_replay.replay_bytes(config, spec)
    if not config.cluster.address:  # else the shards may be anywhere
        build.check_memory(config, spec, _in_memory(sizes, config))
    print(f"replay of {config.replay.steps:,} steps: about {gigabytes(sum(sizes.values()))} at capacity")


def _train(run: LocalRun | ClusterRun) -> int:
    """Train until done or stopped; the tracker is closed whatever happens."""
    code = 1
    try:
        with _signals(run):
            if isinstance(run, LocalRun) and run.config.run.runtime == "threads":
                threads.train(run)
            else:
                run.train()
        code = STOPPED if run.stop else 0
    finally:
        run.tracker.close(code if code == 1 else 0)
    ending = f"{'saved' if run.stop else 'done'}: {run.env_steps:,} steps, {run.updates:,} updates"
    lines = [ending, *closing_lines(run.run_dir, stopped=run.stop)]
    print(*lines, sep="\n", file=sys.stderr if run.stop else sys.stdout)
    return code


@contextmanager
def _signals(run: LocalRun | ClusterRun) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM finishes the step and saves; a second one interrupts at once."""

    def ask(number: int, _: Any) -> None:
        if run.stop:
            raise KeyboardInterrupt
        run.stop = True
        print("\nfinishing the step and saving; once more interrupts without saving", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def checkpoint_of(run_dir: Path, path: Path | None) -> Path:
    """`path`, or the newest checkpoint of a run; ValueError if it has none."""
    if path is not None:
        return path
    newest = checkpoint.latest(run_dir / CHECKPOINTS)
    if newest is None:
        raise ValueError(f"{run_dir} holds no complete checkpoint to go on from: remove it and train again")
    return newest


def _write_json(path: Path, value: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(path)
