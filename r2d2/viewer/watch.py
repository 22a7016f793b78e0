"""Watch: a video of a policy, with its Q values beside the game. No window is opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.acting_state import ActingState
from r2d2.agent.choice import choice_of
from r2d2.runs.policy import Policy
from r2d2.runtime.greedy import LONGEST, film_set
from r2d2.types import observation_columns
from r2d2.viewer.panel import HISTORY, draw


@dataclass
class Moment:
    """What is drawn beside one frame: the policy's state when it chooses its action."""

    step: int
    q: NDArray[np.float32]  # [A], or the vector that is the action
    action: int  # the one taken; -1 once the episode is over
    reward: float  # of the step before
    total: float  # return so far
    best_q: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    norm: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))  # of the recurrent state


def film(policy: Policy, path: Path, *, names: list[str], seed: int, fps: int, most: int = LONGEST) -> Moment:
    """Record one greedy episode of at most `most` steps, as mp4 or gif by the file's suffix; returns its end.

    The file is renamed into place once complete. Raises ValueError, with the remedy, for an environment that does
    not render or if a package is missing.
    """
    single = film_set(policy.config)
    import imageio.v2 as imageio  # heavy, and only needed here

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    settings = (
        {"duration": 1000 / fps, "loop": 0} if path.suffix == ".gif" else {"fps": fps, "macro_block_size": 2}
    )
    moment = None
    try:
        with closing(single), imageio.get_writer(partial, **settings) as video:
            for frame, moment in play(policy, single, seed, most):
                video.append_data(draw(frame, moment, names))  # type: ignore[attr-defined]
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    assert moment is not None
    return moment


@torch.no_grad()
def play(policy: Policy, single: object, seed: int, most: int) -> Iterator[tuple[NDArray[np.uint8], Moment]]:
    """The frames [H, W, 3] of one greedy episode, each with the policy's state; the last one is the final frame."""
    network = policy.network
    state = ActingState(network, observation_columns(single.reset(seed)), policy.device)  # type: ignore[attr-defined]
    choice, counted = choice_of(network), not network.inputs.action_size
    moment = Moment(0, np.zeros(network.actions, np.float32), -1, 0.0, 0.0)
    over = False
    while True:
        answer, core = state.forward()
        action = choice.greedy(answer)
        moment.q = answer[0] if counted else action[0]
        moment.action = int(action[0]) if counted and not over else -1
        moment.best_q.append(float(choice.recorded(answer, action)["q_greedy"][0]))
        moment.norm.append(float(core.norm()))
        yield single.rgb_frame(), moment  # type: ignore[attr-defined]
        if over or moment.step == most:
            return
        result = single.step(action)  # type: ignore[attr-defined]
        moment.step += 1
        moment.reward = float(result.reward[0])
        moment.total += moment.reward
        over = bool(result.terminated[0] | result.truncated[0])
        state.advance(observation_columns(result.observation), action, result.reward.astype(np.float32), core)
