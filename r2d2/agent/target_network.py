"""Target network: the copy of the online network that values what comes next, and how it follows."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.stages import stage
from r2d2.agent.torsos.spectral import spectral_layers
from r2d2.agent.update import Update


class TargetNetwork:
    """`network` begins as a copy of `online` and follows it: the share `averaging` of the way, 1 is all of it."""

    def __init__(self, online: AgentNetwork, averaging: float) -> None:
        self.online, self.averaging = online, averaging
        self.network = copy.deepcopy(online).requires_grad_(False)
        self.network.normalization = online.normalization  # both see what there is in the same units
        self.network.frozen = online.frozen
        self.network.flatten_core()
        self._spectral = spectral_layers(self.network)
        self._parameters = [[*map(Tensor.detach, net.parameters())] for net in (online, self.network)]

    def follow(self, update: Update, *, asynchronous: bool) -> None:
        """Copy the online network after this update, or move a share of the way to it: if `asynchronous`, without
        waiting for the device."""
        if self.averaging == 1.0:
            update.wait()  # raises if this update must not count
            with stage("target copy"):
                self.network.load_state_dict(self.online.state_dict())
            return
        with torch.no_grad(), stage("target copy"):
            online, own = self._parameters
            if asynchronous:
                weight = torch.where(update.finite, self.averaging, 0.0)
                for parameter, newer in zip(own, online, strict=True):
                    parameter.lerp_(newer, weight)
            else:  # it is finite, or the learner had raised
                torch._foreach_lerp_(own, online, self.averaging)
            for layer in self._spectral:
                layer.iterate(update.finite)
