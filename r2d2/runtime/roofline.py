"""Roofline: the least time that an update or an acting step can take on this machine.

A floor is the time that the operations of a stage take at the rate of a large matrix product, or its bytes at
the rate of a large copy, both measured here on the same device with the same threads. Nothing can be faster
without computing less; the floor's share of the time shows how much could still be gained.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.networks import QNetwork

# Rows and columns of the measured product, and bytes of the measured copy, on a CPU and elsewhere: large enough
# for the best rate, and larger than the caches (ours).
MATRIX = (1024, 8192)
COPY = (64 * 2**20, 2**30)


@dataclass(frozen=True)
class Rates:
    """Rates of a device: operations per second of a product in float32 or bfloat16, bytes moved per second (each
    copied byte is read and written)."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Row:
    """Operations (multiplications and additions) of the forward pass of one row of one sequence."""

    encode: int
    first: int  # the part of `encode` that is the first layer: its inputs need no gradient
    core: int
    heads: int
    frozen: int = 0  # of a frozen encoder, which an update does not use


def measure_rates(device: torch.device, precision: torch.dtype, repeats: int = 5) -> Rates:
    """The best of `repeats` measurements, after a warm-up."""
    size, length = (sizes[device.type != "cpu"] for sizes in (MATRIX, COPY))
    a = torch.randn(size, size, device=device).to(precision)
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ a, device) for _ in range(1 + repeats))
    moved = min(seconds(lambda: target.copy_(source), device) for _ in range(1 + repeats))
    return Rates(2 * size**3 / product, 2 * length / moved)


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Wall time of a call, including the device's work."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Wait until the device has finished all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def row_operations(network: AgentNetwork) -> Row:
    """Counts layer by layer; only products, as everything else is negligible."""
    twin = copy.deepcopy(network).cpu()
    counts: dict[nn.Module, int] = {}

    def count(module: nn.Module, _: Any, out: Tensor) -> None:
        weight = module.get_parameter("weight")
        counts[module] = 2 * weight.numel() * (out[0, 0].numel() if isinstance(module, nn.Conv2d) else 1)

    for module in twin.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        twin.step(twin.inputs.zeros(), torch.zeros(1, twin.core_size))
    trunks: Any = [twin] if isinstance(twin, QNetwork) else twin.trunks
    heads = [twin.head] if isinstance(twin, QNetwork) else [twin.policy, *twin.critics]

    def layers(module: nn.Module) -> list[int]:
        return [counts[layer] for layer in module.modules() if layer in counts]

    torsos = [layers(trunk.torso) for trunk in trunks]
    cores = [2 * sum(p.numel() for p in trunk.core.parameters() if p.ndim == 2) for trunk in trunks]
    first = sum(sum(torso[:1]) for torso in torsos)
    frozen = 0
    if twin.frozen is not None:
        observation = twin.inputs.zeros().observation
        twin.frozen({name: value[0] for name, value in observation.items()})
        frozen = sum(layers(twin.frozen))
    return Row(sum(map(sum, torsos)), first, sum(cores), sum(sum(layers(head)) for head in heads), frozen)


def update_operations(row: Row, *, items: int, burn_in: int, unroll: int, n_step: int) -> dict[str, int]:
    """Operations of the stages of one update: two networks forward, one backward along the trained rows.

    >>> update_operations(Row(10, 4, 2, 1), items=1, burn_in=4, unroll=8, n_step=1)
    {'encode': 260, 'core': 52, 'heads': 18, 'backward': 176}
    """
    rows = items * (burn_in + unroll + n_step)
    encoded = items * (unroll + n_step) if row.frozen else rows
    return {
        "encode": 2 * encoded * row.encode,
        "core": 2 * rows * row.core,
        "heads": 2 * items * (unroll + n_step) * row.heads,
        "backward": items * unroll * (2 * (row.encode + row.core + row.heads) - row.first),
    }


def optimizer_bytes(network: AgentNetwork) -> int:
    """Adam reads parameter, gradient and both moments and writes three of them, float32; clipping reads the
    gradient for its norm, then reads and writes it."""
    return 10 * 4 * sum(parameter.numel() for parameter in network.parameters())
