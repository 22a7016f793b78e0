"""The peer: RecurrentPPO of sb3-contrib, evaluated as our runs are, in a process of its own.

    python -m experiments.memory.peer TASK SEED FILE [--steps N] [--seconds S]

Needs the extra `peer`. Settings are those of RL Baselines3 Zoo (hyperparams/ppo_lstm.yml) where it has the task,
the library's own with 8 environments elsewhere. FILE gets one JSON line an evaluation. It trains for the task's
steps and then on until S CPU seconds are over, so that it can be compared at the same steps and at the same time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym

from experiments.memory.tasks import TASKS, Task
from experiments.peers import SEEDS_APART, learn, returns
from r2d2.envs.extras import extra_of  # importing `r2d2.envs` registers our tasks

EPISODES, PERIOD = 64, 4000  # of evaluations, as in the preset `memory`

Settings = dict[str, Any]


MOST = 50  # times the task's steps, at most, until the seconds are over


def falling(start: float) -> Callable[[float], float]:
    """From `start` to 0 over the task's steps, of which the run may take `MOST` times as many.

    >>> falling(2.0)(1.0), falling(2.0)(1.0 - 0.5 / MOST), falling(2.0)(0.0)
    (2.0, 1.0, 0.0)
    """
    return lambda left: start * max(0.0, 1.0 - (1.0 - left) * MOST)


# Of the zoo; torques are chosen here, so that its generalized exploration of continuous ones does not apply.
ZOO: dict[str, tuple[int, bool, Settings]] = {  # environments, normalized, arguments
    "masked-cartpole": (
        8,
        False,
        {
            "n_steps": 32,
            "batch_size": 256,
            "gae_lambda": 0.8,
            "gamma": 0.98,
            "n_epochs": 20,
            "learning_rate": falling(1e-3),
            "clip_range": falling(0.2),
        },
    ),
    "masked-pendulum": (4, False, {"n_steps": 1024, "gamma": 0.9, "learning_rate": 1e-3}),
    "masked-mountain-car": (16, True, {"n_steps": 16, "gae_lambda": 0.98, "n_epochs": 4}),
}
OTHERS: tuple[int, bool, Settings] = (8, False, {})


def vector(task: Task, count: int) -> Any:
    """Environments of the task as Stable-Baselines3 wants them: the ones that our runs play."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    extra = extra_of(task.env)
    options: dict[str, Any] = dict(task.options)

    def one() -> gym.Env[Any, Any]:
        made: gym.Env[Any, Any]
        if extra is None:
            made = gym.make(task.env, disable_env_checker=True, **options)
        else:
            made = extra.build(task.env, options, 84)
        return made

    return DummyVecEnv([one] * count)


def train(task: Task, seed: int, steps: int, seconds: float, file: Path) -> None:
    """Train for the steps and the CPU seconds, whichever takes longer, and write the evaluations."""
    import torch
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    count, normalized, arguments = ZOO.get(task.name, OTHERS)
    training = vector(task, count)
    normalize = VecNormalize(training) if normalized else None
    model = RecurrentPPO(
        "MlpLstmPolicy", training if normalize is None else normalize, seed=seed, device="cpu", **arguments
    )

    def evaluate() -> float:
        return float(returns(model, vector(task, EPISODES), SEEDS_APART + seed, normalize).mean())

    learn(model, evaluate, file, period=PERIOD, steps=steps, seconds=seconds, most=MOST * steps)


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="experiments.memory.peer")
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("seed", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    chosen = parser.parse_args()
    task = TASKS[chosen.task]
    train(task, chosen.seed, chosen.steps or task.steps, chosen.seconds, chosen.file)


if __name__ == "__main__":
    main()
