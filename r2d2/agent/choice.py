"""Choice: which actions are taken, and what is recorded of them.

The only place, besides the learning methods, where discrete actions and vectors differ. A network returns an array
[N, K] for observations; `draw` decides beforehand how the step explores, so that halves of a vector and a network
on another machine give the same actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.actor_critic import ActorCritic, AgentNetwork

Floats = NDArray[np.float32]
Streams = slice | NDArray[np.bool_]
LONGEST = 10_000  # steps for which an action is repeated


class Choice(Protocol):
    """How actions are chosen from a network's answers."""

    def draw(self, epsilon: NDArray[np.float64], noise: float, rng: np.random.Generator) -> NDArray:
        """How each of N environments explores in the coming step [N, ...]; with chance epsilon [N] at random."""

    def begin(self, at: Streams) -> None:
        """The next step of the environments `at` is the first of an episode."""

    def asked(self, drawn: NDArray) -> Floats | None:
        """The part of it that is an input of the network."""

    def actions(self, answer: Floats, drawn: NDArray) -> NDArray:
        """The actions [N] or [N, A]."""

    def greedy(self, answer: Floats) -> NDArray:
        """The actions of an answer without exploration."""

    def recorded(self, answer: Floats, action: NDArray) -> Mapping[str, NDArray]:
        """The columns of these actions, in arrays of their own."""

    def nothing(self, count: int) -> tuple[Floats, NDArray]:
        """Answers and actions of rows that have none."""


class EpsilonGreedy:
    """Counted actions: the one with the highest Q value [N, A], or with probability epsilon any.

    With a `repeat_exponent` m, a random action is repeated for n steps with a chance proportional to n^-m, or until
    its episode ends (epsilon-z-greedy, Dabney et al. 2021): epsilon is the chance that such a run begins.
    """

    def __init__(self, count: int, repeat_exponent: float = 0.0) -> None:
        self.count, self.repeat_exponent = count, repeat_exponent
        # Of each environment [N]: the action of its run, and the steps for which that goes on.
        self._repeated = self._left = np.zeros(0, np.int64)

    def draw(self, epsilon: NDArray[np.float64], noise: float, rng: np.random.Generator) -> NDArray[np.int64]:
        """A random action, or -1 for the greedy one [N]."""
        explore = rng.random(len(epsilon)) < epsilon
        drawn = np.where(explore, rng.integers(self.count, size=len(epsilon)), -1)
        return self._with_repeats(drawn, rng) if self.repeat_exponent else drawn

    def _with_repeats(self, drawn: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """What was drawn where no run goes on."""
        if len(self._left) != len(drawn):
            self._repeated, self._left = np.zeros((2, len(drawn)), np.int64)
        lengths = np.minimum(rng.zipf(self.repeat_exponent, len(drawn)), LONGEST)
        free = self._left == 0
        self._repeated = np.where(free, drawn, self._repeated)
        self._left = np.where(free, np.where(drawn >= 0, lengths, 0), self._left)
        self._left -= self._left > 0
        return self._repeated

    def begin(self, at: Streams) -> None:
        if len(self._left):
            self._left[at] = 0

    def asked(self, drawn: NDArray) -> None:
        return None

    def actions(self, answer: Floats, drawn: NDArray) -> NDArray[np.int64]:
        return np.where(drawn < 0, answer.argmax(1), drawn)

    def greedy(self, answer: Floats) -> NDArray[np.int64]:
        return answer.argmax(1)

    def recorded(self, answer: Floats, action: NDArray) -> dict[str, NDArray]:
        return {
            "action": action.astype(np.int32),
            "q_taken": answer[np.arange(len(answer)), action],
            "q_greedy": answer.max(1),
        }

    def nothing(self, count: int) -> tuple[Floats, NDArray]:
        return np.zeros((count, 1), np.float32), np.zeros(count, np.int64)


class NoisyPolicy:
    """Vectors [N, A]: what `ActorCritic.answer` made of policy and noise, or with probability epsilon any."""

    def __init__(self, size: int, *, stochastic: bool) -> None:
        self.size, self.stochastic = size, stochastic

    def draw(self, epsilon: NDArray[np.float64], noise: float, rng: np.random.Generator) -> Floats:
        """Noise of this standard deviation, and a random action or NaN [N, 2 A]."""
        shape = len(epsilon), self.size
        random = rng.random(len(epsilon)) < epsilon
        given = np.where(random[:, None], rng.uniform(-1.0, 1.0, shape), math.nan)
        return np.concatenate([noise * rng.standard_normal(shape), given], 1, dtype=np.float32)

    def begin(self, at: Streams) -> None:
        """Each step explores on its own."""

    def asked(self, drawn: NDArray) -> Floats:
        return drawn

    def actions(self, answer: Floats, drawn: NDArray) -> Floats:
        return self.greedy(answer)

    def greedy(self, answer: Floats) -> Floats:
        return answer[:, : self.size]

    def recorded(self, answer: Floats, action: NDArray) -> dict[str, NDArray]:
        q_taken, q_greedy, log_probability = answer[:, self.size :].T
        found = {"action": action.astype(np.float32), "q_taken": q_taken, "q_greedy": q_greedy}
        return found | ({"log_probability": log_probability} if self.stochastic else {})

    def nothing(self, count: int) -> tuple[Floats, NDArray]:
        return np.zeros((count, self.size + 3), np.float32), np.zeros((count, self.size), np.float32)


def choice_of(network: AgentNetwork, repeat_exponent: float = 0.0) -> Choice:
    """How to choose from the answers of this network, or of one that stands in for it."""
    if not network.inputs.action_size:
        return EpsilonGreedy(network.actions, repeat_exponent)
    return NoisyPolicy(network.actions, stochastic=cast(ActorCritic, network).stochastic)
