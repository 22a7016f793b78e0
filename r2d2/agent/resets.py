"""Resets: now and then a network is made young again, so that it can follow what has changed (SR-SPR, BBF).

Many updates for each step overfit to early data, and later the network hardly learns any more (Nikishin et
al. 2022). Every so many updates heads are drawn anew, and torso and core shrink towards newly drawn weights;
the replay stays.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.torsos.spectral import AT_THE_START, spectral_layers
from r2d2.config.learner import LearnerConfig

# Children of a network; the others are torso and core.
HEADS = ("head", "policy", "critics", "log_temperature")
FIXED = "frozen"  # an encoder that is never trained, whose features are stored


def resets_until(config: LearnerConfig, updates: int) -> int:
    """How many resets there have been after so many updates.

    >>> [resets_until(LearnerConfig(reset_period=10, reset_last=25), n) for n in (0, 9, 10, 20, 99)]
    [0, 0, 1, 2, 2]
    """
    if not config.reset_period:
        return 0
    last = min(updates, config.reset_last) if config.reset_last else updates
    return last // config.reset_period


class Resets:
    """Resets networks and their optimizer when they are due. `fresh` makes a network with the weights of a new one,
    drawn for the reset of that number, from 1 on; so the n-th reset of a run is always the same."""

    def __init__(self, config: LearnerConfig, fresh: Callable[[int], AgentNetwork]) -> None:
        self.config, self._fresh = config, fresh

    def due(self, updates: int) -> int:
        """The number of the reset that must follow after so many updates; 0 if none must."""
        number = resets_until(self.config, updates)
        return number if number > resets_until(self.config, updates - 1) else 0

    @torch.no_grad()
    def __call__(self, number: int, networks: list[AgentNetwork], optimizer: torch.optim.Optimizer) -> None:
        """Reset the online network, the first, whose parameters are the optimizer's, and the target network.

        A weight of a torso or core becomes `reset_shrink` of itself and the rest of a new one, and its
        moments stay. One of a head is new if `reset_heads`, and its moments and step count begin at 0. Both
        networks get the same new weights. Nothing is reallocated.
        """
        shrink, new = self.config.reset_shrink, dict(self._fresh(number).named_parameters())
        for network in networks:
            for name, parameter in network.named_parameters():
                weight = new[name].to(parameter)
                if _child(name) == FIXED:
                    continue
                if _child(name) not in HEADS:
                    parameter.mul_(shrink).add_(weight, alpha=1.0 - shrink)
                elif self.config.reset_heads:
                    parameter.copy_(weight)
            _follow(network)
        if self.config.reset_heads:
            for name, parameter in networks[0].named_parameters():
                if _child(name) in HEADS:
                    for value in optimizer.state.get(parameter, {}).values():
                        value.zero_()


def _child(name: str) -> str:
    return name.partition(".")[0]


def _follow(network: nn.Module) -> None:
    """Let singular vectors follow weights that have jumped."""
    for layer in spectral_layers(network):
        for _ in range(AT_THE_START):
            layer.iterate(torch.tensor(True, device=layer.weight.device))
