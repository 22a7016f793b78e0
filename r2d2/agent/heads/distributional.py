"""Distributional heads: a histogram or quantiles of each action's return, of which the Q value is the mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.agent.histograms import smoothed_histogram
from r2d2.agent.losses import rescale, unrescale
from r2d2.agent.precision import Output
from r2d2.config.network import NetworkConfig


class C51(nn.Module):
    """The distribution of the return, over `network.atoms` atoms (Bellemare et al. 2017).

    The atoms z lie evenly from `network.value_low` to `network.value_high`. With value rescaling h they stand for
    returns of h^-1(z), and Q(s, a) in the network's units is h(sum_k p_k h^-1(z_k)): h of the mean return, not the
    mean of h, which would shun risk.
    """

    def __init__(self, inputs: int, actions: int, config: NetworkConfig, rescaling: bool) -> None:
        super().__init__()
        self.rescaling, self.low, self.high = rescaling, config.value_low, config.value_high
        self.logits = Streams(inputs, actions, config)
        atoms = torch.linspace(self.low, self.high, config.atoms)
        self.returns: Tensor  # [K]
        self.register_buffer("returns", unrescale(atoms) if rescaling else atoms, persistent=False)

    def expected(self, logits: Tensor) -> Tensor:
        """Q values [..., A] of logits [..., A, K]."""
        mean = (logits.softmax(-1) * self.returns).sum(-1)
        return rescale(mean) if self.rescaling else mean

    def forward(self, outputs: Tensor) -> Tensor:
        return self.expected(self.logits(outputs))


class HLGauss(nn.Module):
    """Q(s, a) as the mean of a histogram with `network.atoms` bins (Farebrother et al. 2024).

    The bins lie evenly from `network.value_low` to `network.value_high`, z are their centers, and Q(s, a) in the
    network's units is sum_k p_k z_k. It is trained by cross-entropy towards the histogram of a Gaussian around the
    target, which value rescaling has brought into these units as for any other head. So any target will do.
    """

    def __init__(self, inputs: int, actions: int, config: NetworkConfig) -> None:
        super().__init__()
        self.logits = Streams(inputs, actions, config)
        edges = torch.linspace(config.value_low, config.value_high, config.atoms + 1)
        self.deviation = config.smoothing * (config.value_high - config.value_low) / config.atoms
        self.edges: Tensor  # [K + 1]
        self.centers: Tensor  # [K]
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("centers", 0.5 * (edges[1:] + edges[:-1]), persistent=False)

    def expected(self, logits: Tensor) -> Tensor:
        """Q values [..., A] of logits [..., A, K]."""
        return (logits.softmax(-1) * self.centers).sum(-1)

    def histogram(self, target: Tensor) -> Tensor:
        """The shares [..., K] that the logits of an action are trained towards, for targets [...]."""
        return smoothed_histogram(target, self.edges, self.deviation)

    def forward(self, outputs: Tensor) -> Tensor:
        return self.expected(self.logits(outputs))


class Quantiles(nn.Module):
    """Quantiles of the return at the shares (2 i + 1) / (2 K), K = `network.atoms` (QR-DQN, Dabney et al. 2018).

    What it puts out are the quantiles in the network's units: with value rescaling h, which is monotone, those of
    h(return). Q(s, a) is h of the mean return, not the mean of h, as C51's is. There are no bounds.
    """

    def __init__(self, inputs: int, actions: int, config: NetworkConfig, rescaling: bool) -> None:
        super().__init__()
        self.rescaling = rescaling
        self.logits = Streams(inputs, actions, config)  # quantiles, under the name of the other heads

    def returns(self, quantiles: Tensor) -> Tensor:
        """Returns in true units, of quantiles of any shape."""
        return unrescale(quantiles) if self.rescaling else quantiles

    def expected(self, quantiles: Tensor) -> Tensor:
        """Q values [..., A] of quantiles [..., A, K]."""
        mean = self.returns(quantiles).mean(-1)
        return rescale(mean) if self.rescaling else mean

    def forward(self, outputs: Tensor) -> Tensor:
        return self.expected(self.logits(outputs))


class Streams(nn.Module):
    """Logits or quantiles [..., A, K] of core outputs: V + A - mean A for each of K, as in Rainbow (Hessel et al.
    2018)."""

    def __init__(self, inputs: int, actions: int, config: NetworkConfig) -> None:
        super().__init__()
        hidden, self.shape = config.hidden, (actions, config.atoms)
        self.value = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, config.atoms))
        self.advantage = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, actions * config.atoms)
        )

    def forward(self, outputs: Tensor) -> Tensor:
        advantage = self.advantage(outputs).unflatten(-1, self.shape)
        return self.value(outputs).unsqueeze(-2) + advantage - advantage.mean(-2, keepdim=True)
