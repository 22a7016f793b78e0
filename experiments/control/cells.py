"""What is run: tasks, agents and the changes to their presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.study import Cell
from r2d2.config import from_dict, to_dict
from r2d2.config.presets import preset


@dataclass(frozen=True)
class Agent:
    """One agent on one task: a preset with changes, and the return at which it is called solved."""

    task: str
    preset: str
    solved: float
    changes: Mapping[str, Any] = field(default_factory=dict)


# The velocity is hidden: whoever holds the pendulum up gets about -150.
MASKED: dict[str, Any] = {
    "env.id": "MaskedPendulumContinuous-v0", "run.steps": 30_000, "run.evaluate_period": 2500,
}  # fmt: skip
# The number lies 21 steps before the question, twice what a sequence with its burn-in spans.
CUE: dict[str, Any] = {
    "env.id": "Cue-v0", "env.options": {"delay": 20}, "env.num_envs": 8, "network.core": "lru",
    "replay.burn_in": 4, "replay.unroll": 6, "replay.period": 3, "replay.replay_ratio": 96.0, "run.steps": 32_000,
    "run.evaluate_period": 4000, "run.evaluate_episodes": 64, "learner.learning_rate_end": 0.0,
}  # fmt: skip
# HalfCheetah without its velocities (extra `mujoco`); a random policy gets about -280, and 1,000 is our level.
CHEETAH: dict[str, Any] = {
    "env.id": "MaskedHalfCheetah-v5", "run.steps": 60_000, "run.evaluate_period": 10_000,
    "run.evaluate_episodes": 5,
}  # fmt: skip

AGENTS: dict[str, Agent] = {
    "sac": Agent("pendulum", "sac", -200.0),
    "td3": Agent("pendulum", "td3", -200.0),
    "ddpg": Agent("pendulum", "ddpg", -200.0),
    "masked-rsac": Agent("masked", "rsac", -200.0, MASKED),
    # As `rsac`, but without memory: neither a core nor the previous action and reward.
    "masked-feed-forward": Agent("masked", "rsac+feed-forward+no-previous", -200.0, MASKED),
    "masked-rsac-no-previous": Agent("masked", "rsac+no-previous", -200.0, MASKED),
    "masked-rsac-burn-in-0": Agent("masked", "rsac+burn-in-0", -200.0, MASKED),
    "masked-rsac-zero": Agent("masked", "rsac+zero", -200.0, MASKED),
    "masked-rsac-zero-burn-in-0": Agent("masked", "rsac+zero+burn-in-0", -200.0, MASKED),
    "masked-rsac-refreshed": Agent("masked", "rsac+refreshed", -200.0, MASKED),
    "masked-rsac-refreshed-burn-in-0": Agent("masked", "rsac+refreshed+burn-in-0", -200.0, MASKED),
    **{
        f"masked-rsac-{core}": Agent("masked", f"rsac+{core}", -200.0, MASKED)
        for core in ("gru", "lru", "mingru", "ffm")
    },
    "masked-rsac-shared": Agent("masked", "rsac", -200.0, MASKED | {"network.shared_core": True}),
    "masked-rtd3": Agent("masked", "rtd3", -200.0, MASKED),
    "masked-rdpg": Agent("masked", "rdpg", -200.0, MASKED),
    "cue-stored": Agent("cue", "rsac", 0.8, CUE),
    "cue-refreshed": Agent("cue", "rsac+refreshed", 0.8, CUE),
    "cue-zero": Agent("cue", "rsac+zero", 0.8, CUE),
    "cheetah-rsac": Agent("cheetah", "rsac", 1000.0, CHEETAH),
    "cheetah-feed-forward": Agent("cheetah", "rsac+feed-forward+no-previous", 1000.0, CHEETAH),
}


def cell(name: str, changes: Mapping[str, Any]) -> Cell:
    """An agent as a cell of the study."""
    agent = AGENTS[name]
    values = to_dict(preset(agent.preset))
    for key, value in {**agent.changes, **changes}.items():
        section, _, key = key.partition(".")
        values[section][key] = value
    return Cell(name, agent.preset, from_dict(values), {"task": agent.task, "agent": name})
