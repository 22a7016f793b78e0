"""Training jobs: start a run in a new folder, or resume one."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from r2d2.build import agents as build
from r2d2.build import environments, sizes
from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.alike import restoring
from r2d2.config import Config, check_config, from_dict, to_dict
from r2d2.config.resumed import edits
from r2d2.runs import folder
from r2d2.runs.folder import RunError
from r2d2.runs.lock import owned
from r2d2.runtime import demonstrations, threads
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster.roles.conductor import ClusterRun
from r2d2.runtime.local import LocalRun
from r2d2.runtime.signals import stopping
from r2d2.tracking.scores import closing_lines
from r2d2.tracking.tracker import Tracker, open_tracker

STOPPED = 130  # exit code after a signal, as shells use for Ctrl-C


def start(config: Config, run_dir: Path, *, preset: str) -> int:
    """Start a run in a new folder; returns the exit code."""
    print(f"run folder: {run_dir}")
    with owned(run_dir):
        run = make_run(config, run_dir, preset)
        folder.create(run_dir, run.config, preset)
        return train(run)


def start_filled(
    config: Config, run_dir: Path, *, preset: str, fill: Callable[[LocalRun], Mapping[str, Any]]
) -> Path:
    """Start a run that `resume` will train; returns its first checkpoint, with the replay filled by `fill`.

    `run_dir` must be empty or absent. What `fill` returns is kept in the run's provenance. If anything fails,
    nothing is left behind.
    """
    with owned(run_dir):
        run = make_run(config, run_dir, preset, Tracker(run_dir))
        if isinstance(run, ClusterRun):
            raise RunError("a dataset fills a run in one process: use --run.runtime local or threads")
        origin = fill(run)
        try:
            folder.create(run_dir, run.config, preset, origin)
            path = run.save()
        except BaseException:
            shutil.rmtree(run_dir, ignore_errors=True)
            raise
        run.tracker.close()
        return path


def resume(
    run_dir: Path,
    path: Path | None,
    *,
    steps: int | None = None,
    track: str | None = None,
    processes: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Resume the run in `run_dir` from its newest checkpoint, or from `path`; returns the exit code.

    A run that was stopped before its first checkpoint starts again. `processes` replaces the run's own numbers of
    cluster processes, `actors` and `shards`.
    """
    written, preset = folder.read_config(run_dir)
    asked: dict[str, Any] = {"steps": steps, "track": track}
    changes = {name: value for name, value in asked.items() if value is not None}
    config = replace(
        written,
        run=replace(written.run, **changes),
        cluster=replace(written.cluster, **processes),
    )
    with owned(run_dir):
        path = folder.newest_checkpoint(run_dir) if path is None else path
        if path is not None:
            _say_edits(run_dir, path, written)
        run = make_run(config, run_dir, preset)
        if path is not None:
            run.load(path)
        if run.finished:
            run.tracker.close()
            print(f"{run_dir} has trained its {config.run.steps:,} steps; `--steps N` trains it further")
            return 0
        folder.write_config(run_dir, run.config, preset)
        folder.add_provenance(run_dir)
        if path is None:
            print(f"{run_dir} was stopped before its first checkpoint: it begins again")
        else:
            print(f"resumes from {path} at {run.env_steps:,} environment steps")
        return train(run)


def _say_edits(run_dir: Path, path: Path, config: Config) -> None:
    """Report edits of config.json, which are allowed."""
    saved = checkpoint.load_part(path, ["config"])["config"]
    with restoring(path):
        from_dict(saved)
        for edit in edits(saved, config):
            print(f"{run_dir / folder.CONFIG} was edited: {edit}", file=sys.stderr)


def make_run(
    config: Config, run_dir: Path, preset: str, tracker: Tracker | None = None
) -> LocalRun | ClusterRun:
    """All parts of a run, each built once, after checking that the config can run and fits into memory."""
    check_config(config)
    config = environments.with_folder(config)
    in_cluster = config.run.runtime == "cluster"
    vector = None if in_cluster else environments.vector(config, halves=config.actor.halves)
    spec = environments.spec(config) if vector is None else vector.spec
    print("\n".join(build.describe_observations(config, spec)))
    source = demonstrations.opened(build.resolved(config, spec), spec)
    sizes.check(config, spec, 0 if source is None else source.head["steps"])
    if tracker is None:
        env = config.env.id.split("/")[-1]
        tracker = open_tracker(
            run_dir,
            track=config.run.track,
            total_env_steps=config.run.steps,
            name=f"{env}-{preset}-s{config.run.seed}",
            group=config.run.group or config.env.id,
            job_type="train",
            tags=(preset, config.env.id, *config.run.tags),
            config=to_dict(config),
            policies={which: run_dir / folder.POLICIES / which for which in ("best", "last")}
            if config.run.upload_policy
            else {},
        )
    if vector is not None:
        return LocalRun(config, run_dir, tracker, vector, source)
    ray_environment.prepare(config.cluster.address)
    from r2d2.runtime.cluster import ray_fleet as cluster  # ray is an extra

    return cluster.make(config, run_dir, tracker, spec)


def train(run: LocalRun | ClusterRun) -> int:
    """Train until done or stopped; the tracker is closed whatever happens. Returns the exit code."""
    failed = True
    try:
        with stopping(run.schedule):
            if isinstance(run, LocalRun) and run.config.run.runtime == "threads":
                threads.train(run)
            else:
                run.train()
        failed = False
    finally:
        run.tracker.close(1 if failed else 0)
        if run.rescued:
            print(f"the environment failed; saved: `r2d2 resume {run.run_dir}` resumes", file=sys.stderr)
    stopped = run.schedule.stop
    ending = f"{'saved' if stopped else 'done'}: {run.env_steps:,} steps, {run.updates:,} updates"
    lines = [ending, *closing_lines(run.run_dir, stopped=stopped)]
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(*lines, sep="\n", file=sys.stderr if stopped else sys.stdout)
    return STOPPED if stopped else 0
