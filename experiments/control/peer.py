"""The peers, evaluated as our runs are, in a process of its own: SAC, TD3 and DDPG of Stable-Baselines3 on Pendulum
and RecurrentPPO of sb3-contrib where the velocity is hidden.

    python -m experiments.control.peer AGENT SEED FILE [--steps N]

Needs the extra `peer`. SAC, TD3 and DDPG have the numbers of our presets, which are the library's with the learning
rate, discount and noise of RL Baselines3 Zoo; RecurrentPPO those of the Zoo's PendulumNoVel-v1
(hyperparams/ppo_lstm.yml). FILE gets one JSON line an evaluation.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import r2d2.envs  # noqa: F401  (registers the masked pendulum)
from experiments.peers import SEEDS_APART, learn, returns

EPISODES = 20


@dataclass(frozen=True)
class Peer:
    """What is trained, on what, for how long."""

    kind: str
    task: str
    env: str
    steps: int
    period: int  # of evaluations
    solved: float = -200.0


PEERS: dict[str, Peer] = {
    "sb3-sac": Peer("SAC", "pendulum", "Pendulum-v1", 20_000, 5000),
    "sb3-td3": Peer("TD3", "pendulum", "Pendulum-v1", 20_000, 5000),
    "sb3-ddpg": Peer("DDPG", "pendulum", "Pendulum-v1", 20_000, 5000),
    "masked-recurrent-ppo": Peer("RecurrentPPO", "masked", "MaskedPendulumContinuous-v0", 100_000, 5000),
}


def model(kind: str, environments: Any, seed: int) -> Any:
    """The untrained peer."""
    same: dict[str, Any] = {"learning_rate": 1e-3, "seed": seed, "device": "cpu"}
    if kind == "RecurrentPPO":
        from sb3_contrib import RecurrentPPO

        settings: dict[str, Any] = {
            "n_steps": 1024,
            "gamma": 0.9,
            "use_sde": True,
            "sde_sample_freq": 4,
            "n_epochs": 10,
        }
        return RecurrentPPO("MlpLstmPolicy", environments, **settings, **same)
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise

    if kind == "SAC":
        return stable_baselines3.SAC("MlpPolicy", environments, batch_size=256, **same)
    settings = {
        "policy_kwargs": {"net_arch": [256, 256]},
        "batch_size": 256,
        "buffer_size": 200_000,
        "gamma": 0.98,
        "learning_starts": 10_000,
        "action_noise": NormalActionNoise(np.zeros(1), np.full(1, 0.1)),
    }
    return getattr(stable_baselines3, kind)("MlpPolicy", environments, **settings, **same)


def vector(env: str, count: int) -> Any:
    """Environments as Stable-Baselines3 wants them."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: gym.make(env)] * count)


def main() -> None:
    """One run."""
    import torch

    parser = argparse.ArgumentParser(prog="experiments.control.peer")
    parser.add_argument("agent", choices=list(PEERS))
    parser.add_argument("seed", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int)
    chosen = parser.parse_args()
    peer = PEERS[chosen.agent]
    torch.set_num_threads(1)
    trained = model(peer.kind, vector(peer.env, 4 if peer.kind == "RecurrentPPO" else 1), chosen.seed)

    def evaluate() -> float:
        return float(returns(trained, vector(peer.env, EPISODES), SEEDS_APART + chosen.seed).mean())

    learn(trained, evaluate, chosen.file, period=peer.period, steps=chosen.steps or peer.steps)


if __name__ == "__main__":
    main()
