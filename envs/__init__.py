"""Environments behind one small interface: see `envs.make.make`. Imports nothing of the other packages.

Importing the package registers its own tasks with gymnasium.
"""

import gymnasium as gym

gym.register(
    id="Recall-v0",
    entry_point="envs.memory:RecallEnv",
    vector_entry_point="envs.memory:RecallVectorEnv",
)
