"""Torsos: features of one observation, without memory.

A torso is an `nn.Module`, made by `torso(observation, config)` from the `ObservationSpec` of one column and the
`NetworkConfig`. It has `features`, the floats of one output, and maps network inputs [K, ...] of that column, of
the shape `observation.input_shape(config.stack)`, to features [K, features]. Frames and grids arrive as they are
stored, as bytes for instance, and vectors as floats; the torso scales them (`scaling`).

A torso of one's own is one file here and one line in `r2d2/config/parts.py`. Which torso a column gets is decided
by `torso_of` alone; the features of several columns are concatenated by `Joined`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from r2d2.config.network import NetworkConfig
from r2d2.config.parts import TORSOS, load
from r2d2.types import ObservationSpec

if TYPE_CHECKING:
    from torch import nn


# Pixels per side that the strides of a torso need.
LEAST = {"nature": 36, "small": 23}


def torso_name(observation: ObservationSpec, config: NetworkConfig) -> str:
    """The torso of one column: an MLP for vectors, `network.torso` for frames, if they are large enough for it. Of
    grids, `mlp` and `impala` see those too.

    >>> torso_name(ObservationSpec((30, 40), "uint8", "frames"), NetworkConfig(torso="nature"))
    'small'
    """
    if observation.kind == "vector" or config.torso == "mlp":
        return "mlp"
    if config.torso == "impala":
        return "impala"
    side = min(observation.shape[:2])
    fitting = [config.torso, "small", "grid"] if observation.kind == "frames" else ["grid"]
    return next(name for name in fitting if side >= LEAST.get(name, 1))


def torso_of(observation: ObservationSpec, config: NetworkConfig) -> nn.Module:
    """The module that `torso_name` names."""
    return load(TORSOS, torso_name(observation, config))(observation, config)
