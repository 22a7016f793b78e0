"""Policy: a trained network that acts without its training environment."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from r2d2.agent.acting_state import ActingState
from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.choice import choice_of
from r2d2.config import Config
from r2d2.envs.observations import Part
from r2d2.envs.vector import EnvSpec


@dataclass(frozen=True)
class Origin:
    """Where the weights of a policy come from."""

    run: str = ""
    env_steps: int = 0
    updates: int = 0
    score: float | None = None  # mean return of the greedy evaluation that chose it
    parameter_hash: str = ""


class Policy:
    """Acts greedily in N parallel environments, and keeps the network's state for each.

    Observations are those that the environment itself returns: an array [N, ...], or a dict or tuple of them where
    its space is a Dict or a Tuple. On Atari they are the frames [N, height, width] of `r2d2.envs`, as `config.env`
    describes them. Actions are those that the environment takes.

        policy = r2d2.load("runs/CartPole-v1-dqn-s0-20261124-101500")
        policy.reset(1)
        action = policy.act(observation[None])[0]
        ...
        action = policy.act(observation[None], [reward])[0]
    """

    def __init__(
        self,
        network: AgentNetwork,
        config: Config,
        spec: EnvSpec,
        origin: Origin = Origin(),
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.config, self.spec, self.origin = config, spec, origin
        self._choice = choice_of(self.network)
        self._rewards_are_missed = network.previous_inputs  # and a warning is still due
        self.reset(None)

    def __repr__(self) -> str:
        score = "" if self.origin.score is None else f", return {self.origin.score:,.2f}"
        return f"<Policy of {self.spec.id} after {self.origin.env_steps:,} environment steps{score}>"

    def reset(self, n: int | None = None) -> None:
        """Begins episodes in N environments; without N, in as many as the next observations are from."""
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1 environment, got {n}")
        self._n = n
        self._state: ActingState | None = None
        self._action: NDArray = np.zeros(0, np.int64)  # [N] or [N, A], the last ones taken
        self._core: torch.Tensor = torch.zeros(0)  # [N, C], after the last observations

    def act(
        self,
        observations: Any,
        rewards: ArrayLike | None = None,
        *,
        episode_start: ArrayLike | None = None,
        epsilon: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> NDArray:
        """The environment's own actions [N], or [N, ...] where one is several numbers, for observations [N, ...].

        `rewards` [N] are those that came with the observations; without them, a network that was trained with
        previous rewards sees zeros, and warns once. `episode_start` [N] marks the first observations of episodes:
        the state of these environments is reset first; after `reset` all are. With `epsilon`, actions are random
        with that probability, from `rng`.

        Raises ValueError for observations or rewards that do not fit, naming the shape that would.
        """
        columns = self._columns(observations)
        n = len(next(iter(columns.values())))
        self._n = n if self._n is None else self._n
        if self._state is None:
            self._state = ActingState(self.network, columns, self.device)
        else:
            self._state.advance(columns, self._action, self._rewards(rewards), self._core)
            if episode_start is not None:
                self._state.begin(_vector("episode_start", episode_start, n).astype(np.bool_))
        if epsilon:
            if rng is None:
                raise ValueError(f"epsilon={epsilon} needs an rng: pass numpy.random.default_rng(SEED)")
            drawn = self._choice.draw(np.full(n, epsilon), 0.0, rng)
            answer, self._core = self._state.forward(exploration=self._choice.asked(drawn))
            action = self._choice.actions(answer, drawn)
        else:
            answer, self._core = self._state.forward()
            action = self._choice.greedy(answer)
        self._action = action
        return action.copy() if self.spec.actions is None else self.spec.actions.of(action)

    def _columns(self, observations: Any) -> dict[str, NDArray]:
        return {part.name: self._read(part, observations) for part in self.spec.parts}

    def _read(self, part: Part, observations: Any) -> NDArray:
        """One column [N, ...] of the observations, in the shape that the network was trained with."""
        own = observations
        try:
            for key in part.keys[:1] or part.path:
                own = own[key]
            n = len(own) if self._n is None else self._n
        except (KeyError, IndexError, TypeError):
            raise ValueError(
                f"observations must hold {'/'.join(map(str, part.keys or part.path)) or 'an array [N, ...]'} as "
                f"{self.spec.id} gives it, got {type(observations).__name__}"
            ) from None
        shape = np.shape(own)
        if not part.keys and shape != (n, *part.own_shape):
            one = " (one environment: observation[None] has the axis of N)" if shape == part.own_shape else ""
            raise ValueError(
                f"{part.name} of N={n} environments must be {[n, *part.own_shape]}, got {list(shape)}{one}"
            )
        column = part.read(observations)
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"{part.name} must be finite, got NaN or infinity")
        return column

    def _rewards(self, rewards: ArrayLike | None) -> NDArray[np.float32]:
        assert self._n is not None
        if rewards is not None:
            return _vector("rewards", rewards, self._n).astype(np.float32)
        if self._rewards_are_missed:
            self._rewards_are_missed = False
            warnings.warn(
                "the network was trained with previous rewards and now sees zeros: pass rewards to policy.act",
                stacklevel=3,
            )
        return np.zeros(self._n, np.float32)


def _vector(name: str, values: ArrayLike, n: int) -> NDArray:
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(f"{name} must be [{n}], one of each environment, got {list(array.shape)}")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, got {array.dtype}: {array}")
    return array
