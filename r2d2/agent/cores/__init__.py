"""Cores: what carries memory from one step to the next.

A core is an `nn.Module`, made by `core(inputs, config)` from the width of its inputs and the `NetworkConfig`, from
which it takes the numbers that it needs. It has

* `width`, the floats of one output;
* `state_size`, the floats of its state, which travels as one flat tensor [B, C] and is zero at the start of an
  episode. `state_size_of(config)` is the same number, known without building a network;
* `unroll(inputs [T, B, F], state [B, C]) -> (outputs [T, B, width], state [B, C])`, in float32. A sequence that
  is unrolled in one call or cut in two must give the same outputs;
* perhaps `step(inputs [B, F], state [B, C]) -> (outputs [B, width], state [B, C])`, where one step can be done
  faster than as a sequence of length 1. It must agree with `unroll`.

A core of one's own is one file here and one line in `r2d2/config/parts.py`. `tests/agent/test_cores.py` then holds
it to these laws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from r2d2.config.parts import CORES, load

if TYPE_CHECKING:
    from torch import Tensor

    from r2d2.config.network import NetworkConfig


class Core(Protocol):
    """What every core has; see the module."""

    width: int
    state_size: int

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int: ...

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Stepping(Protocol):
    """A core with a step of its own."""

    def step(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]: ...


def state_size(config: NetworkConfig) -> int:
    """The floats of the core state that a network of this config has; no network is built.

    >>> from r2d2.config.network import NetworkConfig
    >>> state_size(NetworkConfig(core="lstm", core_width=512))
    1024
    """
    return config.core_layers * load(CORES, config.core).state_size_of(config)


def core_of(inputs: int, config: NetworkConfig) -> Any:
    """The core of a network of this config, for inputs of that width."""
    part = load(CORES, config.core)
    if config.core_layers == 1:
        return part(inputs, config)
    from r2d2.agent.cores.layers import Layers

    first = part(inputs, config)
    return Layers([first, *(part(first.width, config) for _ in range(config.core_layers - 1))])
