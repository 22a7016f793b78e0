"""Torsos: features of one observation, without memory.

A torso is an `nn.Module`, made by `torso(observation, config)` from the `ObservationSpec` of one column and the
`NetworkConfig`. It has `features`, the floats of one output, and maps network inputs [K, ...] of that column, of
the shape `observation.input_shape(config.stack)`, to features [K, features]. Frames arrive as they are stored, as
bytes for instance, and the torso scales them; anything else arrives as floats.

A torso of one's own is one file here and one line in `r2d2/parts.py`. Which torso a column gets is decided by
`torso_of` alone; the features of several columns are concatenated by `Joined`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from r2d2.parts import TORSOS, load
from r2d2.types import ObservationSpec

if TYPE_CHECKING:
    from torch import nn

    from r2d2.config.network import NetworkConfig


def torso_of(observation: ObservationSpec, config: NetworkConfig) -> nn.Module:
    """The torso of one column: `network.torso` for frames, an MLP for vectors."""
    name = config.torso if observation.kind == "frames" else "mlp"
    return load(TORSOS, name)(observation, config)
