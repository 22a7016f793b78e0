"""Presets: whole methods as Config values. A preset is data; none has code of its own."""

from __future__ import annotations

from dataclasses import replace

from r2d2.config import (
    ActorConfig,
    Config,
    EnvConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
    RunConfig,
    from_dict,
    to_dict,
)
from r2d2.config.changes import CHANGES
from r2d2.config.control_presets import DDPG, RDPG, RSAC, RTD3, SAC, TD3

# The paper's values are the defaults. docs/presets.md puts each preset beside its paper, number by number.
#
# Importance weights: table 2 of the R2D2 paper has an exponent of 0.6, its text says that they were left out. The
# default is the table's; `r2d2+no-weights` is the text's.
R2D2 = Config()

# The same algorithm, tuned for two CPU cores (ours): 42 x 42 frames, a small network, shorter sequences, and
# a replay ratio at which the learner and not the emulator takes most of the time. The target network is
# copied often: each copy carries values back by n steps, and few updates are made in an hour.
R2D2_SMALL = Config(
    env=EnvConfig(num_envs=32, frame_size=42),
    network=NetworkConfig(torso="small", features=256, core_width=128, hidden=128),
    replay=ReplayConfig(
        steps=400_000,
        burn_in=10,
        unroll=20,
        n_step=5,
        period=10,
        replay_ratio=8.0,
        min_steps=10_000,
        block=40,
    ),
    learner=LearnerConfig(batch=16, discount=0.99, learning_rate=5e-4, adam_epsilon=1e-4, target_period=60),
    actor=ActorConfig(actor_update_period=25),
    run=RunConfig(steps=2_000_000, checkpoint_period=250_000, evaluate_period=100_000),
)

# DQN (Mnih et al. 2015, extended data table 1). A "frame" of that paper is an agent's decision, a step here: its 50
# million frames are 38 days of 60 emulator frames a second, 4 for each.
DQN = Config(
    env=EnvConfig(
        num_envs=8,  # the paper has 1; ours, for batches of observations
        life_loss="reset",  # a lost life ends the episode in training (methods)
    ),
    network=NetworkConfig(features=0, core="none", previous_inputs=False, head="plain"),
    replay=ReplayConfig(
        steps=1_000_000,
        burn_in=0,
        unroll=1,
        n_step=1,
        period=1,
        selector="uniform",
        beta=0.0,
        replay_ratio=8.0,  # a batch of 32 every 4 steps
        min_steps=50_000,
    ),
    learner=LearnerConfig(
        batch=32,
        discount=0.99,
        optimizer="rmsprop",
        learning_rate=2.5e-4,
        min_squared_gradient=0.01 / 32**2,  # 0.01 in the paper, for gradients summed over the batch
        max_grad_norm=0.0,
        target_period=10_000,  # updates, as the table says; the authors' code counts steps: 2,500 updates
        double=False,
        rescaling=False,
        reward_clip=1.0,
        loss="huber",  # errors clipped to [-1, 1]
    ),
    actor=ActorConfig(exploration="linear", epsilon_end=0.1, epsilon_steps=1_000_000, actor_update_period=1),
)

# Double DQN (van Hasselt et al. 2016), tuned: the online network chooses the action that the target network values.
DOUBLE_DQN = replace(
    DQN,
    learner=replace(DQN.learner, double=True, target_period=7500),  # 30,000 steps, with an update every 4
    actor=replace(DQN.actor, epsilon_end=0.01),
)

# Prioritized replay (Schaul et al. 2016, section 4) on double DQN, proportional and rank-based.
PER = replace(
    DOUBLE_DQN,
    replay=replace(
        DOUBLE_DQN.replay,
        selector="proportional",
        alpha=0.6,
        beta=0.4,
        beta_steps=RunConfig().steps,  # the whole run, of 50 million steps in the paper
        first_priority="highest",
    ),
    learner=replace(DOUBLE_DQN.learner, learning_rate=2.5e-4 / 4),
)
PER_RANK = replace(PER, replay=replace(PER.replay, selector="rank", alpha=0.7, beta=0.5))

# Ape-X DQN (Horgan et al. 2018, section 4.1 and appendix): many actors with a ladder of epsilons, 3-step returns,
# batches of 512, a soft capacity.
APEX = Config(
    env=EnvConfig(
        num_envs=64,  # the paper has 360 actors with one each
        life_loss="reset",  # as the R2D2 paper says of Ape-X (section 2.3)
    ),
    network=NetworkConfig(features=0, core="none", previous_inputs=False),
    replay=ReplayConfig(
        steps=2_000_000,
        burn_in=0,
        unroll=1,
        n_step=3,
        period=1,
        alpha=0.6,
        beta=0.4,
        remover="soft",
        replay_ratio=0.78,  # 9,700 trained for 12,500 new transitions a second
        min_steps=50_000,
    ),
    learner=LearnerConfig(
        batch=512,
        discount=0.99,
        optimizer="rmsprop",
        learning_rate=2.5e-4 / 4,
        min_squared_gradient=1.5e-7,
        max_grad_norm=40.0,
        target_period=2500,
        rescaling=False,
        reward_clip=1.0,
    ),
    actor=ActorConfig(actor_update_period=100),  # steps; 400 emulator frames in the paper
)

# Memory tasks on one CPU core (ours): a small MLP and a linear core trained on whole episodes. docs/memory.md says
# what each number does.
MEMORY = Config(
    env=EnvConfig(id="Recall-v0", num_envs=16),
    network=NetworkConfig(stack=1, features=64, core="lru", core_width=64, hidden=64, forget_bias=4.0),
    replay=ReplayConfig(
        steps=20_000,
        burn_in=10,
        unroll=20,
        n_step=3,
        period=10,
        initial_state="episode",
        replay_ratio=48.0,
        min_steps=1000,
        block=10,
    ),
    learner=LearnerConfig(
        batch=8,
        batch_steps=600,
        discount=0.99,
        learning_rate=1e-3,
        learning_rate_end=0.0,
        adam_epsilon=1e-5,
        target_period=1,
        target_averaging=0.02,
        rescaling=False,
        value_rms=10.0,
    ),
    actor=ActorConfig(actor_update_period=4),
    run=RunConfig(
        steps=60_000, threads=1, log_period=2000, evaluate_period=4000, evaluate_episodes=64, video_period=0
    ),
)

# Hindsight replay on bit flipping (Andrychowicz et al. 2017, section 4.1 and appendix A): discount 0.98, epsilon
# 0.2, Adam 1e-3, batch 128, clipped targets, 4 copies with goals of the future, 40 updates for 16 episodes of 15
# steps. Ours: three hidden layers of 256 units instead of one, and a target network that is copied every 100
# updates instead of one that follows slowly (0.05 after every 40).
HER = Config(
    env=EnvConfig(id="BitFlipping-v0", num_envs=16),
    network=NetworkConfig(
        stack=1, features=256, core="none", hidden=256, previous_inputs=False, head="plain"
    ),
    replay=ReplayConfig(
        steps=100_000,
        burn_in=0,
        unroll=1,
        n_step=1,
        period=1,
        selector="uniform",
        beta=0.0,
        replay_ratio=20.0,
        min_steps=1000,
        hindsight="future",
    ),
    learner=LearnerConfig(
        batch=128,
        discount=0.98,
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        target_period=100,
        double=False,
        rescaling=False,
        target_clip=True,
    ),
    actor=ActorConfig(epsilon_base=0.2, epsilon_power=0.0, actor_update_period=1),
    run=RunConfig(
        steps=50_000, threads=1, log_period=5000, evaluate_period=5000, evaluate_episodes=64, video_period=0
    ),
)

PRESETS: dict[str, Config] = {
    "r2d2": R2D2,
    "r2d2-small": R2D2_SMALL,
    "memory": MEMORY,
    "dqn": DQN,
    "double-dqn": DOUBLE_DQN,
    "per": PER,
    "per-rank": PER_RANK,
    "apex": APEX,
    "her": HER,
    "sac": SAC,
    "td3": TD3,
    "ddpg": DDPG,
    "rsac": RSAC,
    "rtd3": RTD3,
    "rdpg": RDPG,
}


def name_of(config: Config) -> str:
    """The preset that a config is but for its environment and the run itself, or "custom".

    >>> name_of(preset("memory")), name_of(preset("memory+gru"))
    ('memory', 'custom')
    """
    for name, known in PRESETS.items():
        if replace(config, env=known.env, run=known.run, cluster=known.cluster) == known:
            return name
    return "custom"


def preset(name: str) -> Config:
    """A preset, with the changes after it made in turn; KeyError with the part that is not known.

    >>> preset("r2d2-small+gru+n3").replay.n_step
    3
    """
    base, *changes = name.split("+")
    values = to_dict(PRESETS[base])
    for change in changes:
        for key, value in CHANGES[change].items():
            section, _, field = key.partition(".")
            values[section][field] = value
    config: Config = from_dict(values)
    return config
