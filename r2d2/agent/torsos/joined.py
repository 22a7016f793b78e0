"""Joined: one torso for each of several observation columns."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Joined(nn.Module):
    """The features of all columns side by side, in the order of `torsos`.

    Parameters are named after the columns: `torso.observation/image.0.weight`.
    """

    def __init__(self, torsos: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.columns = {name: name.replace(".", ":") for name in torsos}  # torch allows no dots in names
        for name, torso in torsos.items():
            self.add_module(self.columns[name], torso)
        self.features: int = sum(torso.features for torso in torsos.values())  # type: ignore[misc]

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """[K, features] of the inputs [K, ...] of each column."""
        return torch.cat([self.get_submodule(m)(observation[name]) for name, m in self.columns.items()], -1)
