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
        features, shape = self.hidden(outputs.flatten(0, -2)), (*outputs.shape[:-1], -1)
        mean, log_deviation = self.mean(features), self.log_deviation(features)
        return mean.view(shape), log_deviation.clamp(LOWEST, HIGHEST).view(shape)


class DeterministicPolicy(nn.Module):
    """The action [..., A] of DDPG (Lillicrap et al. 2016) and TD3 (Fujimoto et al. 2018)."""

    def __init__(self, inputs: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.hidden = two_layers(inputs, hidden)
        self.action = Output(hidden, actions)

    def forward(self, outputs: Tensor) -> Tensor:
        action = self.action(self.hidden(outputs.flatten(0, -2))).tanh()
        return action.view(*outputs.shape[:-1], -1)


def two_layers(inputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers of `hidden` units: what actors and critics of continuous control have in the field.

    For inputs [N, inputs]; in place, which costs copies where a linear layer returns a view, as of [T, B, inputs].
    """
    first, second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
