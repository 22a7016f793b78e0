"""DDPG, TD3 and SAC of Stable-Baselines3 on Pendulum-v1, on its own buffer and on ours.

The adapter (`r2d2.integrations.sb3`) claims that with uniform draws nothing changes: the same transitions, drawn
with the same random numbers. Then learned parameters are equal bit for bit, which is asserted here for whole runs,
and so are returns. Prediction: the three algorithms solve the task (a mean return of at least -200; the
tuned agents of RL Baselines3 Zoo reach about -152, -152 and -157 after 20,000 steps), and do so as well with
prioritized draws, whose weights and errors go through SB3's own losses (`PrioritizedLoss`).

To fit into minutes of one core the networks are smaller than the Zoo's (64 x 64 instead of 400 x 300 or
256 x 256), training begins after 500 steps (Zoo: 10,000 for DDPG and TD3) and ends after 8,000, SAC's after 5,000;
batches of 128, a fused Adam. Discount 0.98, learning rate 1e-3 and exploration noise 0.1 are the Zoo's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from matplotlib.axes import Axes
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise

from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, ORANGE, steps_axis
from r2d2.integrations.sb3 import PrioritizedLoss, ReplayBuffer

ALGORITHMS: dict[str, Callable[..., Any]] = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC}
STEPS: dict[Tier, dict[str, int]] = {
    "quick": {"TD3": 1000},
    "full": {"DDPG": 8000, "TD3": 8000, "SAC": 5000},
}
LONG = 5000  # least steps after which a run should have solved the task
SOLVED = -200.0  # mean return; ours, a little below the Zoo's -150 to -160
LENGTH = 200  # steps of every episode of Pendulum-v1
AT_ONCE = 5  # training episodes per point of the curve
EPISODES = 20  # of the evaluation, from the same states for all
EVALUATION_SEED = 10_000  # ours: far from the training seeds

SB3, UNIFORM, PRIORITIZED = "SB3's", "uniform", "prioritized"
COLORS = {SB3: GRAY, UNIFORM: ORANGE, PRIORITIZED: BLUE}
STYLES = {SB3: "-", UNIFORM: ":", PRIORITIZED: "-"}


def train(name: str, buffer: str, steps: int, seed: int) -> tuple[Any, list[float]]:
    """The trained model, and the return of each training episode."""
    environment = Monitor(gymnasium.make("Pendulum-v1"))
    more: dict[str, Any] = {}
    if buffer != SB3:
        more["replay_buffer_class"] = ReplayBuffer
    if buffer == PRIORITIZED:
        more["replay_buffer_kwargs"] = {"selector": "proportional"}
    if name != "SAC":
        more["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, 0.1))
    model = ALGORITHMS[name](
        "MlpPolicy", environment, seed=seed, device="cpu", buffer_size=20_000, gamma=0.98, learning_rate=1e-3,
        learning_starts=500, batch_size=128,
        policy_kwargs={"net_arch": [64, 64], "optimizer_kwargs": {"fused": True}}, **more,
    )  # fmt: skip
    model.learn(steps, callback=PrioritizedLoss(beta=0.4) if buffer == PRIORITIZED else None)
    return model, environment.get_episode_rewards()


def evaluate(model: Any) -> float:
    """The mean return of the policy without noise."""
    environments = make_vec_env("Pendulum-v1", n_envs=EPISODES, seed=EVALUATION_SEED)
    observation, total = environments.reset(), np.zeros(EPISODES)
    for _ in range(LENGTH):
        observation, reward, _, _ = environments.step(model.predict(observation, deterministic=True)[0])
        total += reward
    return float(total.mean())


def checksum(model: Any) -> int:
    """A checksum of all parameters of the policy, including targets."""
    return zlib.crc32(b"".join(value.detach().numpy().tobytes() for value in model.policy.parameters()))


def run(tier: Tier, seed: int) -> list[Row]:
    """Training returns, the evaluation at the end and the checksum of each algorithm on each buffer."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name, steps in STEPS[tier].items():
        for buffer in COLORS:
            model, returns = train(name, buffer, steps, seed)
            means = np.reshape(returns, (-1, AT_ONCE)).mean(1)
            found = [("training", (i + 1) * AT_ONCE * LENGTH, mean) for i, mean in enumerate(means.tolist())]
            found += [("evaluation", steps, evaluate(model)), ("checksum", steps, checksum(model))]
            rows += [
                {"algorithm": name, "buffer": buffer, "measure": measure, "steps": at, "value": value}
                for measure, at, value in found
            ]
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Returns of training episodes by algorithm and buffer."""
    for axis, name in zip(axes, ALGORITHMS, strict=True):
        chosen = select(rows, algorithm=name, measure="training")
        for buffer in distinct(chosen, "buffer"):
            label = "SB3's buffer" if buffer == SB3 else f"this replay, {buffer}"
            color, style = COLORS[buffer], STYLES[buffer]
            curve(
                axis, select(chosen, buffer=buffer), "steps", "value", label=label, color=color, style=style
            )
        axis.axhline(SOLVED, color="0.5", ls="--", lw=0.9)
        axis.set_title(f"{name}, {len(distinct(rows, 'seed'))} seeds")
        steps_axis(axis)
        axis.set_ylabel(f"return, mean of {AT_ONCE}")


def verdict(rows: list[Row]) -> Verdict:
    """Equal parameters for SB3's buffer and ours, and the task is solved where there was time for it."""
    names, seeds = distinct(rows, "algorithm"), distinct(rows, "seed")
    sums = select(rows, measure="checksum")
    equal = [
        select(sums, algorithm=name, seed=seed, buffer=SB3)[0]["value"]
        == select(sums, algorithm=name, seed=seed, buffer=UNIFORM)[0]["value"]
        for name in names
        for seed in seeds
    ]
    evaluations = select(rows, measure="evaluation")
    means = {
        (name, buffer): over_seeds(evaluations, "value", algorithm=name, buffer=buffer)
        for name in names
        for buffer in distinct(rows, "buffer")
    }
    long = min(row["steps"] for row in evaluations) >= LONG
    solved = not long or all(found.mean >= SOLVED for found in means.values())
    said = "; ".join(
        f"{name} {means[name, SB3].mean:.0f} on SB3's buffer, {means[name, UNIFORM].mean:.0f} on ours "
        f"[{means[name, UNIFORM].low:.0f}, {means[name, UNIFORM].high:.0f}], "
        f"{means[name, PRIORITIZED].mean:.0f} prioritized"
        for name in names
    )
    return Verdict(
        all(equal) and solved,
        f"learned parameters equal to the bit in {sum(equal)} of {len(equal)} runs; mean return {said}",
        "" if long else f"runs of less than {LONG} steps are not expected to have solved the task.",
    )


STUDY = Study(
    name="pendulum",
    method="Stable-Baselines3 adapter",
    experiment="Pendulum-v1 with DDPG, TD3, SAC",
    question="Do SB3's algorithms learn the same on our replay as on SB3's own buffer, and do they solve Pendulum?",
    published="mean return about -152, -152, -157 after 20,000 steps (RL Baselines3 Zoo); solved here: -200",
    seeds={"quick": 1, "full": 3},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=3,
)
