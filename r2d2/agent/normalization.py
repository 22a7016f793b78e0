"""Normalization: observations in units of the standard deviation that they have had in training so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from r2d2.agent.inputs import Inputs
from r2d2.types import ObservationSpec

LARGEST = 10.0  # standard deviations that an input can be away from the mean (as in Stable-Baselines3)
EPSILON = 1e-5  # added to the variance; ours
MOST = 1e7  # steps after which the newest ones keep their weight; ours: float32 counts no further than 1.6e7


class RunningStatistics(nn.Module):
    """Mean and variance of each number of a vector, or of each channel of a grid.

    They are part of the network's state, so who acts with its weights normalizes as the learner does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.count: Tensor
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    @torch.no_grad()
    def update(self, values: Tensor, valid: Tensor) -> None:
        """Take in values [T, B, channels, ...] where `valid` [T, B] (Chan et al. 1979)."""
        values = values.float().reshape(*values.shape[:2], len(self.mean), -1).movedim(2, -1)
        weight = valid.float()[..., None, None].expand(*values.shape[:3], 1)
        count = weight.sum()
        own = count.clamp(min=1.0)
        mean = (values * weight).sum((0, 1, 2)) / own
        variance = ((values - mean).square() * weight).sum((0, 1, 2)) / own
        share = count / (self.count + count).clamp(min=1.0)
        step = mean - self.mean
        self.variance.lerp_(variance, share).add_(step.square() * (share * (1.0 - share)))
        self.mean.add_(step * share)
        self.count.add_(count).clamp_(max=MOST)

    def forward(self, values: Tensor) -> Tensor:
        """Values [K, channels, ...] around 0, in standard deviations."""
        shape = (-1, *[1] * (values.ndim - 2))
        deviation = (self.variance + EPSILON).sqrt()
        return ((values - self.mean.view(shape)) / deviation.view(shape)).clamp(-LARGEST, LARGEST)


class Normalization(nn.Module):
    """The statistics of every observation column but frames, which have their bounds."""

    def __init__(self, observations: Mapping[str, ObservationSpec], stack: int) -> None:
        super().__init__()
        self.columns = {
            name: name.replace(".", ":")  # torch allows no dots in names
            for name, spec in observations.items()
            if _has_no_scale(spec)
        }
        for name, module in self.columns.items():
            self.add_module(module, RunningStatistics(observations[name].input_shape(stack)[0]))

    def update(self, inputs: Inputs, valid: Tensor) -> None:
        """Take in the steps [T, B] of a batch that are not padding."""
        for name, module in self.columns.items():
            self.get_submodule(module).update(inputs.observation[name], valid)  # type: ignore[operator]

    def forward(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs [K, ...] of each column, normalized."""
        found = dict(observation)
        for name, module in self.columns.items():
            found[name] = self.get_submodule(module)(found[name].float())
        return found


def without_bounds(observations: Mapping[str, ObservationSpec]) -> dict[str, ObservationSpec]:
    """What torsos see behind a `Normalization`: floats that are scaled already."""
    return {
        name: replace(spec, dtype="float32", low=(), high=()) if _has_no_scale(spec) else spec
        for name, spec in observations.items()
    }


def _has_no_scale(spec: ObservationSpec) -> bool:
    return spec.kind != "frames" or (spec.dtype != "uint8" and not spec.low)
