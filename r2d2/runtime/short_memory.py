"""The memory test (R2D2, figure 5): how well a policy does whose state covers only the last k observations.

At every step the state is computed from zero over the last k observations, and the greedy action is taken from
it: the policy really acts with the short memory, so it also sees the consequences. The state of the whole
episode so far is kept beside it, and the two are compared at every step.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from r2d2.agent.actor import Environments
from r2d2.agent.actor_critic import ActorCritic, AgentNetwork
from r2d2.agent.inputs import Inputs
from r2d2.agent.networks import QNetwork
from r2d2.runtime.greedy import make_greedy, play

EQUAL = 0.05  # of the range from -1 to 1; ours


class ShortMemory(nn.Module):
    """A Q network that remembers `history` observations, including the current one; None means all.

    Its core state holds history + 1 states of the network: of the whole episode, and of the last 1, 2, ...
    `history` observations. Each step advances them all in one batch and drops the oldest, so a step costs
    `history` + 1 recurrent steps and no sequence is computed twice. An episode's first `history` steps are
    exact.
    """

    def __init__(self, network: AgentNetwork, history: int | None) -> None:
        super().__init__()
        self.network = network
        self.inputs, self.actions, self.frozen = network.inputs, network.actions, network.frozen
        self.stochastic = getattr(network, "stochastic", False)
        self.states = 1 if history is None else history + 1
        self.core_size = self.states * network.core_size
        self.max_q: list[Tensor] = []  # of each step: max Q [N, 2] with the whole and with the short memory
        self.equal: list[Tensor] = []  # and whether both would act alike [N]

    def step(self, inputs: Inputs, state: Tensor, exploration: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`QNetwork.step` with the short memory; the comparison is appended to the lists."""
        encoded = self.network.encode(inputs)  # [1, N, F]
        n = encoded.shape[1]
        before = state.view(n, self.states, -1)
        if self.states > 1:
            before = torch.cat([before[:, :1], torch.zeros_like(before[:, :1]), before[:, 1:-1]], 1)
        outputs, after = self.network.unroll(encoded.repeat_interleave(self.states, 1), before.flatten(0, 1))
        outputs = outputs.view(n, self.states, -1)
        whole, short = outputs[:, 0], outputs[:, -1]
        q_whole, q_short = self.network.values(whole), self.network.values(short)
        self.max_q.append(torch.stack([q_whole.amax(-1), q_short.amax(-1)], -1))
        if isinstance(self.network, ActorCritic):
            apart = (self.network.action(whole) - self.network.action(short)).abs().amax(-1)
            self.equal.append(apart <= EQUAL)
        else:
            self.equal.append(q_whole.argmax(-1) == q_short.argmax(-1))
        return self.network.answer(short, exploration), after.view(n, -1)


def play_with_memory(
    environments: Environments, network: AgentNetwork, history: int | None, *, seed: int
) -> dict[str, Any]:
    """Greedy episodes, one per environment, with a memory of `history` observations (None: unlimited).

    `max_q_difference` is the mean of |max Q short - max Q whole| over all steps, `max_q` that of max Q whole,
    `equal_actions` the share of steps at which both memories take the same greedy action, or vectors that differ by
    at most `EQUAL` in every number. Q values of vectors are those of the policy's action.
    """
    if network.core_size == 0:
        raise ValueError("the memory test needs a recurrent network, got network.core none")
    if history is not None and history < 1:
        raise ValueError(f"history must be at least 1 observation, the present one, got {history}")
    memory = ShortMemory(network, history)
    policy = cast(QNetwork, memory)  # it has all that an actor uses
    played = play(make_greedy(environments, policy), seed)
    steps = len(memory.equal)
    own = np.arange(steps)[:, None] < [episode.length for episode in played]  # of each first episode [T, N]
    max_q = torch.stack(memory.max_q).cpu().numpy()[own]
    returns = [episode.total for episode in played]
    return {
        "history": history,
        "mean_return": float(np.mean(returns)),
        "max_q_difference": float(np.abs(max_q[:, 1] - max_q[:, 0]).mean()),
        "max_q": float(max_q[:, 0].mean()),
        "equal_actions": float(torch.stack(memory.equal).cpu().numpy()[own].mean()),
        "returns": returns,
        "lengths": [episode.length for episode in played],
    }


def memory_line(found: dict[str, Any]) -> str:
    """One result for a person.

    >>> memory_line({"history": 2, "mean_return": -0.5, "max_q_difference": 0.25, "equal_actions": 0.75})
    'memory of 2 observations: mean return -0.5, max Q differs by 0.25, 75 % equal actions'
    """
    history = found["history"]
    size = "the whole episode" if history is None else f"{history} observations"
    return (
        f"memory of {size}: mean return {found['mean_return']:.4g}, max Q differs by "
        f"{found['max_q_difference']:.4g}, {found['equal_actions']:.0%} equal actions"
    ).replace("%", " %")
