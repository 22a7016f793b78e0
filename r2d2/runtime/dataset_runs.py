"""Runs and datasets: export a run's replay as a dataset, and start a run with a replay filled from one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.acting_state import CoreStates, FrozenFeatures
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.build.sizes import check_fits, replay_bytes
from r2d2.checkpoint import checkpoint
from r2d2.config import Config, to_dict
from r2d2.config.resumed import check_same_parts
from r2d2.dataset.dataset import Dataset, Spec, export, fill
from r2d2.replay import Mixture, Replay
from r2d2.replay.episodes import stored_episodes
from r2d2.runs import folder
from r2d2.runs.provenance import provenance
from r2d2.runtime import training
from r2d2.runtime.demonstrations import recorded_values
from r2d2.runtime.local import LocalRun

CoreState = Literal["recompute", "zero"]


def export_run(
    run_dir: Path, out: Path, path: Path | None, *, steps: int | None, min_return: float | None
) -> Dataset:
    """Write the replay in a run's newest checkpoint, or in `path`, or a part of it (`dataset.export`).

    Demonstrations are left out. Takes as much memory as resuming the run.
    """
    if out.exists():
        raise ValueError(f"{out} exists: a dataset never replaces anything, name another folder")
    config, preset = folder.read_config(run_dir)
    path = folder.checkpoint_of(run_dir, path)
    spec = environments.spec(config)
    resolved = build.resolved(config, spec)
    if not config.replay.folder:  # its disk space is checked when the replay is made
        check_fits(replay_bytes(resolved, spec))
    state = checkpoint.load_part(
        path, ["config", "replay", "parameter_hash", "actor/steps", "learner/updates"]
    )
    check_same_parts(state["config"], config)
    replay, saved = build_replay.replay(resolved, spec), state.pop("replay")
    replay.load_state_dict(
        saved["replay_0"] if config.replay.demonstrations and isinstance(replay, Replay) else saved
    )
    source = {
        "run": run_dir.resolve().name,
        "checkpoint": path.name,
        "env_steps": state["actor/steps"],
        "updates": state["learner/updates"],
        "parameter_hash": state["parameter_hash"],
        "preset": preset,
        "config": state["config"],
        "runs": folder.read_provenance(run_dir),
        "exported": provenance(),
        "steps": steps,
        "min_return": min_return,
    }
    wanted = Spec.of(to_dict(config.env), spec.num_actions, replay.columns)
    return export(_single(replay), out, wanted, source=source, steps=steps, min_return=min_return)


def import_run(
    config: Config,
    run_dir: Path,
    dataset: Dataset,
    *,
    preset: str,
    core_state: CoreState,
    other_protocol: bool,
) -> Path:
    """Start a run whose replay holds a dataset's steps; returns its first checkpoint.

    The recurrent states of the items are computed by the run's own new network along each episode, or are
    zero. Priorities come from the recorded Q values, as an actor's do. The imported steps let learning start
    (`replay.min_steps`), but the replay ratio counts only the run's own steps.
    """

    def put(run: LocalRun) -> dict[str, Any]:
        spec = run.environments.spec
        wanted = Spec.of(to_dict(config.env), spec.num_actions, run.replay.columns)
        wanted.check_takes(dataset, other_protocol=other_protocol)
        rates = recorded_values(config, dataset)

        def rate(ids: NDArray[np.int64]) -> None:
            run.ages.insert(ids, updates=0, actor_updates=0)
            if rates and len(ids):
                build_replay.set_initial_priorities(run.resolved, run.replay, ids)

        states = None
        if (
            core_state == "recompute"
            and config.replay.initial_state in ("stored", "refreshed")
            and config.network.core != "none"
        ):
            states = CoreStates(run.learner.network, run.replay.streams)
        network, streams = run.learner.network, run.replay.streams
        frozen = None if network.frozen is None else FrozenFeatures(network, streams)
        first = _first(run, dataset)
        fill(_single(run.replay), dataset, first=first, frozen=frozen, core=states, written=rate)
        run.limiter.insert(min(dataset.head["steps"], config.replay.min_steps))
        _say(run, dataset)
        return {
            "dataset": {"path": str(dataset.path), "checksum": dataset.checksum, "core_state": core_state}
        }

    return training.start_filled(config, run_dir, preset=preset, fill=put)


def _single(replay: Replay | Mixture) -> Replay:
    if isinstance(replay, Mixture):
        raise ValueError(
            "a dataset is made of, and goes into, one replay: set replay.long_term to 0, and import it "
            "into a run without replay.demonstrations"
        )
    return replay


def _first(run: LocalRun, dataset: Dataset) -> int:
    """The first episode that the replay could still hold at the end: earlier ones need not be read. A remover
    that does not remove the oldest first may keep any."""
    if run.config.replay.remover not in ("fifo", "soft"):
        return 0
    storage = _single(run.replay).storage
    newer = np.cumsum(dataset.index["steps"][::-1])[::-1] - dataset.index["steps"]
    return int(np.count_nonzero(newer >= storage.slots * storage.block))


def _say(run: LocalRun, dataset: Dataset) -> None:
    held, steps = int(stored_episodes(_single(run.replay)).steps.sum()), dataset.head["steps"]
    print(f"the replay holds {held:,} of the {steps:,} steps of {dataset.path}, in {len(run.replay):,} items")
    if held < steps:
        print("the oldest had no room: raise --replay.steps to keep more of them", file=sys.stderr)
