"""Name what was shown: once at the start (Recall, Copy), or some steps ago at every step (Repeat)."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import Outcome, check_probability, check_whole

MAX_STEPS = 100_000  # of each phase of an episode; ours: longer ones would take too much memory
MAX_SYMBOLS = 1_000  # ours: one action and one input each


def memoryless_return(symbols: int, answers: int) -> float:
    """The best mean return without memory: +1 for each right guess, -1 for the first wrong one, the last.

    p + p^2 + ... + p^answers - (1 - p^answers) with p = 1 / symbols.

    >>> memoryless_return(symbols=4, answers=1)
    -0.5
    >>> memoryless_return(symbols=2, answers=3)
    0.0
    """
    chances = (1.0 / symbols) ** np.arange(1, answers + 1)
    return float(chances.sum() - (1.0 - chances[-1]))


def recall_episode(
    rng: np.random.Generator, cues: int, delay: int, noise: float, length: int
) -> NDArray[np.int64]:
    """Draws what one episode of Recall shows: a symbol for each step, -1 for none, [2 * length + delay].

    >>> recall_episode(np.random.default_rng(0), cues=4, delay=3, noise=1.0, length=1)
    array([ 3,  2,  2,  1, -1])
    """
    symbols = rng.integers(cues, size=2 * length + delay)
    symbols[length : length + delay][rng.random(delay) >= noise] = -1
    symbols[length + delay :] = -1
    return symbols


class Script:
    """N episodes that show given symbols and ask for the symbol `lag` steps back; wrong answers end them."""

    def __init__(self, num_envs: int, steps: int, lag: int, symbols: int) -> None:
        self.symbols = np.full((num_envs, steps), -1)  # [N, steps] what each slot's episode shows, -1: none
        self.time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode
        self._steps, self._lag, self._count = steps, lag, symbols
        self._rows = np.arange(num_envs)

    def start(self, slot: int, symbols: NDArray[np.int64]) -> None:
        """Goes to the first step of an episode that shows `symbols` [steps]."""
        self.symbols[slot] = symbols
        self.time[slot] = 0

    def asked(self) -> NDArray[np.bool_]:
        """Whether an answer is due, [N]: from step `lag` to the last one."""
        return (self.time >= self._lag) & (self.time < self._steps)

    def answer(self, action: NDArray[np.int64]) -> Outcome:
        """+1 for a right answer, -1 for a wrong one; before the first question only 0 is not wrong."""
        asked = self.asked()
        expected = np.where(asked, self.symbols[self._rows, np.where(asked, self.time - self._lag, 0)], 0)
        wrong = action != expected
        self.time += 1
        reward = (asked & ~wrong).astype(np.float32) - wrong
        return Outcome(reward, wrong | (self.time >= self._steps), np.zeros(len(wrong), dtype=np.bool_))

    def shown(self) -> NDArray[np.float32]:
        """The symbol of each slot, one-hot [N, symbols]; zeros where there is none and after the end."""
        over = self.time >= self._steps
        symbol = np.where(over, -1, self.symbols[self._rows, np.minimum(self.time, self._steps - 1)])
        return (symbol[:, None] == np.arange(self._count)).astype(np.float32)


class Recall:
    """Remember the symbols shown first, keep still for `delay` steps, then name them in order when asked.

    The first `length` steps show the cues, symbols out of `cues`, with the flag "first". The next `delay`
    steps show a random symbol each (with probability `noise`), which must not overwrite the cues. The last
    `length` steps show no symbol but the flag "asked": the actions must equal the cues, in order. Before that
    only action 0 is allowed. Recall-v0 has one cue; Copy-v0 (after Hochreiter & Schmidhuber 1997; Graves et
    al. 2014) has eight, a delay of 4 and no distractors.
    Observation: one-hot symbol [cues], flag first, flag asked; float32 [cues + 2]. Actions: `cues`.
    Reward: +1 for a right answer, -1 for a wrong one, which ends the episode and includes any answer before
    the question; 0 otherwise. The longest episode has 2 * length + delay steps.

    Solving it takes one latch for each cue: store the symbol when "first" is set, hold it until asked. The
    best return is `length`. Without memory `memoryless_return(cues, length)` is the optimum, 2 / cues - 1 for
    one cue (-0.5 for 4 cues): say 0 and guess. The previous action and reward reveal nothing, because the only
    sequence of actions that does not end the episode repeats answers already given; if any action were free,
    an agent could encode a cue in it and read it back from its own input.
    """

    def __init__(
        self, num_envs: int, *, cues: int = 4, delay: int = 10, noise: float = 1.0, length: int = 1
    ) -> None:
        self.num_actions = check_whole("cues", cues, 2, MAX_SYMBOLS, "one symbol leaves nothing to recall")
        self.delay = check_whole("delay", delay, 0, MAX_STEPS, "it counts steps")
        self.length = check_whole("length", length, 1, MAX_STEPS, "it counts cues, one a step")
        self.noise = check_probability("noise", noise, "0 shows no distractors")
        self.max_episode_steps = 2 * self.length + self.delay
        self.space = Box(0.0, 1.0, (self.num_actions + 2,), np.float32)
        self.script = Script(num_envs, self.max_episode_steps, self.length + self.delay, self.num_actions)

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws an episode."""
        self.script.start(slot, recall_episode(rng, self.num_actions, self.delay, self.noise, self.length))

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Answers, or keeps still with 0."""
        return self.script.answer(action)

    def observe(self) -> NDArray[np.float32]:
        """Symbol and flags, [N, cues + 2]; nothing but zeros after the last answer."""
        flags = np.stack([self.script.time < self.length, self.script.asked()], axis=1)
        return np.concatenate([self.script.shown(), flags], axis=1, dtype=np.float32)


class Repeat:
    """At every step a new symbol is shown: name the one of `back` steps ago (k-back; Morad et al. 2023).

    The first `back` steps ask nothing: only action 0 is allowed. Then `length` answers are due, one a step,
    under the flag "asked", while new symbols keep appearing.
    Observation: one-hot symbol [symbols], flag asked; float32 [symbols + 1]. Actions: `symbols`.
    Reward: +1 for a right answer, -1 for a wrong one, which ends the episode and includes any answer before
    the first question; 0 otherwise. The longest episode has back + length steps.

    Solving it takes a queue of `back` symbols that moves at every step. The best return is `length`. Without
    memory `memoryless_return(symbols, length)` is the optimum: guess. A wrong answer ends the episode, unlike
    in POPGym, for a reason: if it only cost reward, an agent that sees its own previous action could encode a
    symbol in it at one step and be right at a later one without any memory.
    """

    def __init__(self, num_envs: int, *, symbols: int = 4, back: int = 4, length: int = 32) -> None:
        self.num_actions = check_whole("symbols", symbols, 2, MAX_SYMBOLS, "one symbol needs no memory")
        self.back = check_whole("back", back, 1, MAX_STEPS, "0 steps back would need no memory")
        length = check_whole("length", length, 1, MAX_STEPS, "it counts answers")
        self.max_episode_steps = self.back + length
        self.space = Box(0.0, 1.0, (self.num_actions + 1,), np.float32)
        self.script = Script(num_envs, self.max_episode_steps, self.back, self.num_actions)

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws an episode."""
        self.script.start(slot, rng.integers(self.num_actions, size=self.max_episode_steps))

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Answers, or keeps still with 0."""
        return self.script.answer(action)

    def observe(self) -> NDArray[np.float32]:
        """Symbol and flag, [N, symbols + 1]; nothing but zeros after the last answer."""
        return np.concatenate([self.script.shown(), self.script.asked()[:, None]], axis=1, dtype=np.float32)
