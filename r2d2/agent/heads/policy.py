"""Policies: actions in [-1, 1] of core outputs, for continuous control."""

from __future__ import annotations

from torch import Tensor, nn

from r2d2.agent.precision import Output

# Of the logarithm of the standard deviation; the usual bounds, from Haarnoja et al.'s code.
LOWEST, HIGHEST = -20.0, 2.0


class GaussianPolicy(nn.Module):
    """Mean and log standard deviation [..., A] of the Gaussian that SAC squashes (Haarnoja et al. 2018)."""

    def __init__(self, inputs: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.hidden = two_layers(inputs, hidden)
        self.mean, self.log_deviation = Output(hidden, actions), Output(hidden, actions)

    def forward(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(outputs)
        return self.mean(features), self.log_deviation(features).clamp(LOWEST, HIGHEST)


class DeterministicPolicy(nn.Module):
    """The action [..., A] of DDPG (Lillicrap et al. 2016) and TD3 (Fujimoto et al. 2018)."""

    def __init__(self, inputs: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.hidden = two_layers(inputs, hidden)
        self.action = Output(hidden, actions)

    def forward(self, outputs: Tensor) -> Tensor:
        return self.action(self.hidden(outputs)).tanh()


def two_layers(inputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers of `hidden` units: what actors and critics of continuous control have in the field."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
