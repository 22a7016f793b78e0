"""Inputs: what a network reads at each step, and how stored rows become it.

The only place where observations are stacked. A network has an `InputLayout`, so actors and learners pass it
columns as they are stored, whatever they hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.stages import stage
from r2d2.types import FROZEN, ObservationSpec, no_previous

Index = slice | Tensor  # of streams
ALL = slice(None)
LARGE = 256  # numbers in the observations of a step; ours


@dataclass(frozen=True)
class Inputs:
    """Network inputs of T steps of B sequences, time-major.

    Previous actions are as `types.as_previous` stores them: action + 1, or 1 and the vector; 0 stands for none.
    With `frozen` features the first S steps, those of the burn-in, may have no observation.
    """

    observation: Mapping[str, Tensor]  # of each observation column [T - S, B, ...], stacked
    previous_action: Tensor  # [T, B], or [T, B, 1 + A] of vectors
    previous_reward: Tensor  # [T, B]
    frozen: Tensor | None = None  # [T, B, G], see `agent.frozen`

    def __getitem__(self, steps: slice) -> Inputs:
        """The inputs of some of the steps."""
        count = len(self.previous_reward)
        begin, end, _ = steps.indices(count)
        observation = {}
        for name, value in self.observation.items():
            skipped = count - len(value)
            observation[name] = value[max(begin - skipped, 0) : max(end - skipped, 0)]
        return Inputs(
            observation,
            self.previous_action[steps],
            self.previous_reward[steps],
            None if self.frozen is None else self.frozen[steps],
        )


@dataclass(frozen=True)
class InputLayout:
    """The observation columns of a network, each of which is read as the newest `stack` rows.

    Actions are vectors of `action_size` numbers, or counted where that is 0. `frozen` is the number of frozen
    features, which are one more column; 0 is none.
    """

    observations: Mapping[str, ObservationSpec]
    stack: int
    action_size: int = 0
    frozen: int = 0

    @property
    def columns(self) -> list[str]:
        """The names of all columns that a network reads."""
        return [*self.observations, "previous_action", "previous_reward", *([FROZEN] if self.frozen else [])]

    @property
    def large(self) -> bool:
        """Whether the torso takes most of an update, and not the core."""
        return sum(math.prod(spec.shape) for spec in self.observations.values()) >= LARGE

    def read(self, columns: Mapping[str, Tensor]) -> Inputs:
        """Inputs of T steps from batch-major columns [B, T, ...], of observations [B, stack - 1 + T - S, ...]."""
        with stage("stack"):
            observation = {
                name: stack_rows(columns[name], spec, self.stack) for name, spec in self.observations.items()
            }
        action, reward = columns["previous_action"], columns["previous_reward"]
        frozen = columns[FROZEN].transpose(0, 1) if self.frozen else None
        return Inputs(observation, action.transpose(0, 1), reward.transpose(0, 1), frozen)

    def zeros(self, sequences: int = 1) -> Inputs:
        """Inputs of one step with the right shapes and dtypes, all zero, on the CPU."""
        columns = {
            name: torch.from_numpy(np.zeros((sequences, self.stack, *spec.shape), spec.dtype))
            for name, spec in self.observations.items()
        }
        columns["previous_action"] = torch.from_numpy(no_previous(sequences, self.action_size)).unsqueeze(1)
        columns["previous_reward"] = torch.zeros(sequences, 1)
        columns[FROZEN] = torch.zeros(sequences, 1, self.frozen, dtype=torch.float16)
        return self.read(columns)


class FrameStack:
    """The newest `stack` observations of N streams, on a device: what a network reads one step at a time.

    At an episode's start they are its first observation, repeated.
    """

    def __init__(self, layout: InputLayout, streams: int, device: torch.device) -> None:
        self.layout, self.device = layout, device
        self._rows = {  # of each column [N, stack, ...], newest last
            name: self._put(np.zeros((streams, layout.stack, *spec.shape), spec.dtype))
            for name, spec in layout.observations.items()
        }

    def push(self, observation: Mapping[str, NDArray], at: Index = ALL) -> None:
        """Take in the next observations [K, ...] of the streams `at`."""
        for name, rows in self._rows.items():
            new = self._put(observation[name]).to(rows.dtype)
            rows[at] = torch.cat([rows[at][:, 1:], new.unsqueeze(1)], 1)

    def begin(self, at: Index) -> None:
        """The newest observations of these streams are the first of an episode."""
        for rows in self._rows.values():
            rows[at] = rows[at][:, -1:]

    def stacked(self, at: Index = ALL) -> dict[str, Tensor]:
        """The newest observations of the streams `at`, stacked, of each column [K, ...]."""
        return {
            name: stack_rows(rows[at], self.layout.observations[name], self.layout.stack)[0]
            for name, rows in self._rows.items()
        }

    def read(
        self,
        previous_action: NDArray,
        previous_reward: NDArray,
        at: Index = ALL,
        frozen: NDArray | None = None,
    ) -> Inputs:
        """Inputs of the streams `at`, for one step, with their previous actions and rewards [K], and the frozen
        features [K, G] of the newest observations where there are any."""
        columns = {name: rows[at] for name, rows in self._rows.items()}
        if frozen is not None:
            columns[FROZEN] = self._put(frozen[:, None])
        columns["previous_action"] = self._put(previous_action[:, None])
        columns["previous_reward"] = self._put(previous_reward[:, None])
        return self.layout.read(columns)

    def _put(self, array: NDArray) -> Tensor:
        return to_device(array, self.device)


def to_device(array: NDArray, device: torch.device) -> Tensor:
    """The array on a device: a CUDA device copies it from page-locked memory while the host goes on."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def stack_rows(rows: Tensor, observation: ObservationSpec, stack: int) -> Tensor:
    """Stacked observations, time-major [T, B, ...], of rows [B, stack - 1 + T, ...].

    Frames and grids [H, W] and [H, W, C] give [stack * C, H, W], newest last, in channels-last memory and still in
    their dtype: bytes are a quarter of the memory, and the torso scales them. Vectors of D numbers give floats
    [stack * D].
    """
    frames = observation.kind != "vector"
    steps = rows.shape[1] - stack + 1
    if frames and rows.ndim == 4:
        rows = rows.unsqueeze(-1)
    rows = rows.transpose(0, 1)
    rows = torch.cat([rows[k : k + steps] for k in range(stack)], -1)
    return rows.movedim(-1, -3) if frames else rows.float().flatten(2)
