"""Environments behind one small interface: see `envs.make.make`. Imports nothing of the other packages.

Importing the package registers its own tasks with gymnasium.
"""

from typing import Any

import gymnasium as gym

from envs.goals import BitFlipping
from envs.memory.cartpole import MaskedCartPole
from envs.memory.chain import MemoryChain
from envs.memory.mountain_car import MaskedMountainCar
from envs.memory.pendulum import MaskedPendulum
from envs.memory.recall import Recall, Repeat
from envs.memory.task import MakeTask
from envs.memory.tmaze import TMaze

_TASKS: tuple[tuple[str, MakeTask, dict[str, Any]], ...] = (  # type: ignore[assignment]
    ("Recall-v0", Recall, {}),
    ("Copy-v0", Recall, {"length": 8, "delay": 4, "noise": 0.0}),
    ("Repeat-v0", Repeat, {}),
    ("TMaze-v0", TMaze, {}),
    ("MemoryChain-v0", MemoryChain, {}),
    ("MaskedCartPole-v0", MaskedCartPole, {}),
    ("MaskedPendulum-v0", MaskedPendulum, {}),
    ("MaskedMountainCar-v0", MaskedMountainCar, {}),
)

_GOAL_TASKS: tuple[tuple[str, MakeTask, dict[str, Any]], ...] = (  # type: ignore[assignment]
    ("BitFlipping-v0", BitFlipping, {}),
    ("BlindBitFlipping-v0", BitFlipping, {"blind": 1}),
)

for _tasks, _single, _vector in (
    (_TASKS, "envs.memory.task:TaskEnv", "envs.memory.task:TaskVectorEnv"),
    (_GOAL_TASKS, "envs.goals:GoalEnv", "envs.goals:GoalVectorEnv"),
):
    for _id, _task, _defaults in _tasks:
        gym.register(
            id=_id,
            entry_point=_single,
            vector_entry_point=_vector,
            kwargs={"task": _task, **_defaults},
        )
