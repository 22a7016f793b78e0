"""The state of a LocalRun: what its checkpoint holds, and how it is restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2d2.agent.networks import parameter_hash
from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.alike import check_alike, restoring
from r2d2.config import to_dict
from r2d2.config.resumed import check_same_parts
from r2d2.runtime.demonstrations import check_demonstrations
from r2d2.runtime.meter import checked_ages
from r2d2.runtime.restored import check_hash, check_learner, check_records

if TYPE_CHECKING:
    from r2d2.runtime.local import LocalRun

FIXED = ("actor", "probe", "evaluator")  # parts whose states always have the same fields and shapes
PARTS = ("learner", "actor", "replay", "limiter", "meter", "ages", "probe", "evaluator", "recent")
COUNTERS = ("vector_steps", "actor_updates")


def state_of(run: LocalRun) -> dict[str, Any]:
    """Everything that determines how the run continues after a barrier."""
    return {name: getattr(run, name).state_dict() for name in (*PARTS, "tracker")} | {
        "config": to_dict(run.config),
        "parameter_hash": parameter_hash(run.learner.network),
        "demonstrations": run.demonstrations,
        **_own(run),
    }


def restore(run: LocalRun, path: Path) -> None:
    """Load a checkpoint into a run; CheckpointError, with the field, if it does not fit the run."""
    state = checkpoint.load(path)
    with restoring(path):
        check_records(state)
    check_same_parts(state["config"], run.config)
    check_demonstrations(state, run.config, run.demonstrations)
    with restoring(path):
        state["ages"] = checked_ages(state.get("ages"))
        check_alike(state, {name: getattr(run, name).state_dict() for name in FIXED} | _own(run), "")
        check_learner(state.get("learner"), run.learner)
        for name in PARTS:
            getattr(run, name).load_state_dict(state[name])
        run.actor.load_weights(state["actor_network"])
        run.rng.bit_generator.state = state["rng"]
        run.schedule.load_state_dict(state["counters"])
        for name in COUNTERS:
            setattr(run, name, state["counters"][name])
        check_hash(run.learner.network, state["parameter_hash"])
        run.tracker.load_state_dict(state["tracker"])  # drops log lines, so only once nothing else can fail


def _own(run: LocalRun) -> dict[str, Any]:
    """The state that belongs to no part."""
    return {
        "actor_network": run.actor.network.state_dict(),
        "rng": run.rng.bit_generator.state,
        "counters": {name: getattr(run, name) for name in COUNTERS} | run.schedule.state_dict(),
    }
