"""ActorConfig: acting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import COUNT, COUNT_OR_NEVER, SHARE, Bounds


@dataclass(frozen=True)
class ActorConfig:
    """Acting."""

    exploration: Literal["ladder", "linear", "noise"] = "ladder"
    """`ladder`: one fixed epsilon per environment (Ape-X); `linear`: one that falls (DQN); `noise`: none, but for
    `random_steps` at the beginning."""
    epsilon_base: Annotated[float, SHARE] = 0.4
    """Ladder: epsilon of the first environment."""
    epsilon_power: Annotated[float, Bounds(0, 1000)] = 7.0
    """Ladder: the last environment has base^(1 + power)."""
    epsilon_end: Annotated[float, SHARE] = 0.01
    """Linear: final epsilon, from 1."""
    epsilon_steps: Annotated[int, COUNT] = 250_000
    """Linear: environment steps until the final epsilon."""
    repeat_exponent: Annotated[float, Bounds(0, 100)] = 0.0
    """Counted actions: a random one is repeated for n steps with a chance proportional to n^-exponent, or until the
    episode ends (epsilon-z-greedy, Dabney et al. 2021, who use 2); 0: each is for one step. Otherwise above 1."""
    random_steps: Annotated[int, COUNT_OR_NEVER] = 0
    """Noise: environment steps of uniformly random actions, before the policy acts."""
    action_noise: Annotated[float, Bounds(0, 100)] = 1.0
    """Vector actions: standard deviation of the noise added to DDPG's and TD3's, which go from -1 to 1; of SAC's
    policy in units of its own."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Precision of torso and heads when acting, as in `learner`."""
    halves: bool = False
    """Two half vectors in turn: one plays while the network works on the other. The actions are the same; pays
    where the network has cores or a GPU of its own."""
    actor_update_period: Annotated[int, COUNT] = 400
    """Steps of each environment between refreshes of the actor's weights."""
