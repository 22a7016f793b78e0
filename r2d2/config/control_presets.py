"""The presets of continuous control, with actions that are vectors, as part of `presets.PRESETS`."""

from __future__ import annotations

from dataclasses import replace

from r2d2.config import ActorConfig, Config, EnvConfig, LearnerConfig, NetworkConfig, ReplayConfig, RunConfig

# SAC (Haarnoja et al. 2018b) as Stable-Baselines3 2 has it, with the learning rate and the steps that RL Baselines3
# Zoo chose for Pendulum-v1: two layers of 256, batches of 256 after each step, automatic temperature.
SAC = Config(
    env=EnvConfig(id="Pendulum-v1", num_envs=1),
    network=NetworkConfig(stack=1, features=0, core="none", hidden=256, previous_inputs=False),
    replay=ReplayConfig(
        steps=1_000_000,
        burn_in=0,
        unroll=1,
        n_step=1,
        period=1,
        selector="uniform",
        beta=0.0,
        replay_ratio=256.0,
        min_steps=100,
        first_priority="highest",
    ),
    learner=LearnerConfig(
        method="sac",
        batch=256,
        discount=0.99,
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        max_grad_norm=0.0,
        target_period=1,
        target_averaging=0.005,
        rescaling=False,
    ),
    actor=ActorConfig(exploration="noise", random_steps=100, actor_update_period=1),
    run=RunConfig(
        steps=20_000, threads=1, log_period=1000, evaluate_period=5000, evaluate_episodes=20, video_period=0
    ),
)

# TD3 (Fujimoto et al. 2018) and DDPG (Lillicrap et al. 2016, with TD3's numbers, as in Stable-Baselines3), as RL
# Baselines3 Zoo tuned them for Pendulum-v1; two layers of 256 where the Zoo has 400 and 300.
TD3 = replace(
    SAC,
    replay=replace(SAC.replay, steps=200_000, min_steps=10_000),
    learner=replace(SAC.learner, method="td3", discount=0.98, policy_period=2, target_period=2),
    actor=replace(SAC.actor, random_steps=10_000, action_noise=0.1),
)
DDPG = replace(TD3, learner=replace(TD3.learner, method="ddpg", policy_period=1, target_period=1))

# The same with memory (ours): sequences of stored states and burn-in. A policy and critics with cores of their own.
RSAC = replace(
    SAC,
    env=EnvConfig(id="MaskedPendulumContinuous-v0", num_envs=4),
    network=replace(SAC.network, core="lstm", core_width=64, hidden=128, previous_inputs=True),
    replay=replace(
        SAC.replay,
        steps=200_000,
        burn_in=10,
        unroll=20,
        period=10,
        replay_ratio=160.0,
        min_steps=1000,
        block=20,
    ),
    learner=replace(SAC.learner, batch=32, max_grad_norm=40.0),
    actor=replace(SAC.actor, random_steps=1000),
    run=replace(SAC.run, steps=30_000),
)
RTD3 = replace(
    RSAC,
    learner=replace(RSAC.learner, method="td3", policy_period=2, target_period=2),
    actor=replace(RSAC.actor, action_noise=0.1),
)
RDPG = replace(RTD3, learner=replace(RTD3.learner, method="ddpg", policy_period=1, target_period=1))
