"""FrozenEncoder: features of observations that never change, so that they are computed once and kept.

RISE (Clark et al. 2025) gives a recurrent network two streams. The core sees features of a fixed encoder, and its
output is joined by features that are learned, of the present observation alone::

    observation -> frozen encoder -> core -> |
                                             | joined -> heads
    observation -> learned torso ----------> |

The actor computes the frozen features, and replay keeps them as a column. So the rows of the burn-in need no
observation, and no gradient goes through time into convolutions. The encoder itself is ours: a torso like the
learned one, with `network.context_features` units and random weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from r2d2.agent.precision import full_precision
from r2d2.agent.stages import stage
from r2d2.agent.torsos import torso_of
from r2d2.agent.torsos.joined import Joined
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

LARGEST = torch.finfo(torch.float16).max


class FrozenEncoder(nn.Module):
    """Features [K, G], float16, of stacked observations [K, ...], G = `frozen_size`.

    Weights are orthogonal with a gain of sqrt(2), as in random network distillation (Burda et al. 2019): with
    PyTorch's own the differences between observations shrink from layer to layer. They are never trained, and part
    of the network's state: actors, checkpoints and exported policies have the same ones. Computed in float32
    whatever the precision is.
    """

    def __init__(self, observations: Mapping[str, ObservationSpec], config: NetworkConfig) -> None:
        super().__init__()
        own = replace(config, features=config.context_features, spectral_norm=False)
        self.torso = Joined({name: torso_of(spec, own) for name, spec in observations.items()})
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                weight = torch.empty(module.weight.shape)  # `orthogonal_` takes no channels-last memory
                module.weight.data.copy_(nn.init.orthogonal_(weight, math.sqrt(2.0)))
                module.bias.data.zero_()  # type: ignore[union-attr]
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """See the class; features beyond what float16 can hold are the largest that it can."""
        device = next(iter(observation.values())).device
        with stage("encode"), full_precision(device):
            features: Tensor = self.torso(observation)
            return features.clamp(-LARGEST, LARGEST).half()


def frozen_size(columns: int, config: NetworkConfig) -> int:
    """The frozen features of an observation of so many columns; 0 where the context is learned.

    >>> frozen_size(1, NetworkConfig(context="frozen", context_features=64)), frozen_size(1, NetworkConfig())
    (64, 0)
    """
    return columns * config.context_features if config.context == "frozen" else 0
