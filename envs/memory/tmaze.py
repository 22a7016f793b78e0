"""The T-maze: a sign at the start says which way to turn at the end of the corridor."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import Outcome, check_flag, check_whole

MAX_CORRIDOR = 10_000  # ours: the noise of an episode is drawn at once
STEPS_PER_PLACE = 4  # ours: how often the shortest way fits into an episode; Bakker names no limit
NORTH, EAST, SOUTH, WEST = range(4)


class TMaze:
    """Read the sign at the start, walk `corridor` places east, turn north or south as it said (Bakker 2002).

    The agent starts at place 0; the junction is place `corridor`. Actions: 0 north, 1 east, 2 south, 3 west,
    one place a step; a move into a wall leaves it where it is.
    Observation, float32 [3]: 0 1 1 at the start if the goal is north, 1 1 0 if it is south; 1 0 1 in the
    corridor; 0 1 0 at the junction. With `noise` the corridor shows a 0 b, a and b uniform in [0, 1) at every
    step, so that what is remembered must outlast distractors. The sign stands at the start only, and an agent
    that walks back sees it again.
    Reward: 4 for the right turn, -0.1 for the wrong one, both end the episode; -0.1 for a step that leaves
    the place unchanged, 0 otherwise. After 4 * (corridor + 1) steps the episode is truncated.

    Solving it takes one bit, kept for `corridor` steps. The best return is 4, in corridor + 1 steps. Without
    memory 1.95 is the optimum: walk east and always turn the same way. The previous action and reward reveal
    nothing: an agent at the junction got there by going east, bumping into its wall, or turning back and
    returning, whatever the sign was; encoding the sign in another action means leaving the junction.
    """

    def __init__(self, num_envs: int, *, corridor: int = 10, noise: float = 0) -> None:
        self.corridor = check_whole("corridor", corridor, 1, MAX_CORRIDOR, "it counts places, the start too")
        self.noise = check_flag("noise", noise)
        self.num_actions = 4
        self.max_episode_steps = STEPS_PER_PLACE * (self.corridor + 1)
        self.space = Box(0.0, 1.0, (3,), np.float32)
        self.north = np.zeros(num_envs, dtype=np.bool_)  # [N] where the goal is
        self._place = np.zeros(num_envs, dtype=np.int64)  # [N] 0 .. corridor
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode
        shown = self.max_episode_steps + 1 if self.noise else 1
        self._ends = np.ones((num_envs, shown, 2), dtype=np.float32)  # first and last number in the corridor
        self._rows = np.arange(num_envs)

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws the sign and the noise."""
        self.north[slot] = rng.integers(2)
        self._place[slot] = self._time[slot] = 0
        if self.noise:
            self._ends[slot] = rng.random(self._ends.shape[1:], dtype=np.float32)

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Moves one place, or turns at the junction."""
        turned = (self._place == self.corridor) & ((action == NORTH) | (action == SOUTH))
        right = turned & (self.north == (action == NORTH))
        move = (action == EAST).astype(np.int64) - (action == WEST)
        place = np.clip(self._place + move, 0, self.corridor)
        stayed = place == self._place  # the wrong turn, which moves no place either, costs the same
        self._place = place
        self._time += 1
        reward = np.where(right, np.float32(4.0), np.where(stayed, np.float32(-0.1), np.float32(0.0)))
        return Outcome(reward, turned, ~turned & (self._time >= self.max_episode_steps))

    def observe(self) -> NDArray[np.float32]:
        """What each place shows, [N, 3]; after a turn still the junction."""
        start, junction = self._place == 0, self._place == self.corridor
        ends = self._ends[self._rows, np.minimum(self._time, self._ends.shape[1] - 1)]  # [N, 2]
        sign = np.stack([~self.north, self.north], axis=1)  # [N, 2]
        ends = np.where(start[:, None], sign, np.where(junction[:, None], np.float32(0.0), ends))
        return np.stack([ends[:, 0], start | junction, ends[:, 1]], axis=1, dtype=np.float32)


class TMazeContinuous:
    """The T-maze for vectors: walk `corridor` units east, then turn north or south as the sign at the start said.

    Action, [2], -1 to 1: how far to walk east in this step, and the turn, which counts at the junction alone: north
    above 0.5, south below -0.5. The agent starts at 0 and cannot leave 0 .. `corridor`.
    Observation, float32 [4]: the sign, 1 north and -1 south, at the first step and 0 after it; 1 at the first step;
    the share of the corridor already walked; 1 at the junction.
    Reward: 4 for the right turn, -0.1 for the wrong one, both end the episode; -0.1 for every other step. After
    4 * (corridor + 1) steps the episode is truncated.

    Solving it takes one bit, kept for `corridor` steps. The best return is 4 - 0.1 `corridor`, in `corridor` + 1
    steps; without memory it is 2.05 less on average, as half of the turns are wrong. An agent that sees its
    previous action can encode the sign in the turn, which has no effect on the way: to test the core, set
    `network.previous_inputs` false.
    """

    num_actions = 0

    def __init__(self, num_envs: int, *, corridor: int = 10) -> None:
        self.corridor = check_whole("corridor", corridor, 1, MAX_CORRIDOR, "it counts units")
        self.max_episode_steps = STEPS_PER_PLACE * (self.corridor + 1)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        low = np.array([-1, 0, 0, 0], np.float32)
        self.space = Box(low, np.ones(4, np.float32), dtype=np.float32)
        self.north = np.zeros(num_envs, dtype=np.bool_)  # [N] where the goal is
        self._place = np.zeros(num_envs)  # [N] 0 .. corridor
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws the sign."""
        self.north[slot] = rng.integers(2)
        self._place[slot] = self._time[slot] = 0

    def act(self, action: NDArray[np.float32]) -> Outcome:
        """Walks, or turns at the junction."""
        walk, turn = np.asarray(action, np.float64).T
        turned = (self._place >= self.corridor) & (np.abs(turn) > 0.5)
        right = turned & (self.north == (turn > 0))
        self._place = np.where(turned, self._place, np.clip(self._place + walk, 0, self.corridor))
        self._time += 1
        reward = np.where(right, np.float32(4.0), np.float32(-0.1))
        return Outcome(reward, turned, ~turned & (self._time >= self.max_episode_steps))

    def observe(self) -> NDArray[np.float32]:
        """Sign, its flag, place and junction, [N, 4]."""
        first = self._time == 0
        sign = np.where(first, np.where(self.north, 1.0, -1.0), 0.0)
        share = self._place / self.corridor
        return np.stack([sign, first, share, share >= 1.0], axis=1, dtype=np.float32)
