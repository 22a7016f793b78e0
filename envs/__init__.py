"""Environments behind one small interface: see `r2d2.envs.make.make`. Imports none of the other packages.

Importing the package registers its own tasks with gymnasium. The folder lies beside `r2d2/`, where a link makes it
`r2d2.envs`. It is installed under that name, so a project's own `envs` never shadows it.
"""

from typing import Any

import gymnasium as gym

if __name__ != "r2d2.envs":  # a second copy of each module would not know the classes of the first
    raise ImportError("import r2d2.envs: the folder envs/ is linked from there")

from r2d2.envs.goals import BitFlipping
from r2d2.envs.memory.acrobot import MaskedAcrobotContinuous
from r2d2.envs.memory.cartpole import MaskedCartPole
from r2d2.envs.memory.chain import MemoryChain
from r2d2.envs.memory.cue import Cue
from r2d2.envs.memory.mountain_car import MaskedMountainCar, MaskedMountainCarContinuous
from r2d2.envs.memory.pendulum import MaskedPendulum
from r2d2.envs.memory.recall import Recall, Repeat
from r2d2.envs.memory.task import MakeTask
from r2d2.envs.memory.tmaze import TMaze, TMazeContinuous

_TASKS: tuple[tuple[str, MakeTask, dict[str, Any]], ...] = (  # type: ignore[assignment]
    ("Recall-v0", Recall, {}),
    ("Copy-v0", Recall, {"length": 8, "delay": 4, "noise": 0.0}),
    ("Repeat-v0", Repeat, {}),
    ("TMaze-v0", TMaze, {}),
    ("MemoryChain-v0", MemoryChain, {}),
    ("MaskedCartPole-v0", MaskedCartPole, {}),
    ("MaskedPendulum-v0", MaskedPendulum, {}),
    ("MaskedMountainCarContinuous-v0", MaskedMountainCarContinuous, {}),
    ("MaskedAcrobotContinuous-v0", MaskedAcrobotContinuous, {}),
    ("TMazeContinuous-v0", TMazeContinuous, {}),
    ("Cue-v0", Cue, {}),
    ("MaskedPendulumContinuous-v0", MaskedPendulum, {"torques": 0}),
    ("MaskedMountainCar-v0", MaskedMountainCar, {}),
)

_GOAL_TASKS: tuple[tuple[str, MakeTask, dict[str, Any]], ...] = (  # type: ignore[assignment]
    ("BitFlipping-v0", BitFlipping, {}),
    ("BlindBitFlipping-v0", BitFlipping, {"blind": 1}),
)

for _tasks, _single, _vector in (
    (_TASKS, "r2d2.envs.memory.task:TaskEnv", "r2d2.envs.memory.task:TaskVectorEnv"),
    (_GOAL_TASKS, "r2d2.envs.goals:GoalEnv", "r2d2.envs.goals:GoalVectorEnv"),
):
    for _id, _task, _defaults in _tasks:
        gym.register(
            id=_id,
            entry_point=_single,
            vector_entry_point=_vector,
            kwargs={"task": _task, **_defaults},
        )

for _name in ("HalfCheetah", "Hopper", "Walker2d"):
    gym.register(
        id=f"Masked{_name}-v5",
        entry_point="r2d2.envs.memory.mujoco:without_velocities",
        kwargs={"base": f"{_name}-v5"},
        max_episode_steps=1000,
    )
