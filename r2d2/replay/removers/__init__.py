"""Removers: which items leave when there is no room.

`REMOVERS` names all of them. A new one is a file here and a line there; the pair tests, the checks of the
config and what builds a run from it follow.
"""

from collections.abc import Callable
from typing import Any

from r2d2.replay.registry import make_part
from r2d2.replay.removers.fifo import Fifo
from r2d2.replay.removers.lowest_priority import LowestPriority
from r2d2.replay.removers.remover import Remover
from r2d2.replay.removers.reservoir import Reservoir
from r2d2.replay.removers.soft_fifo import SoftFifo

REMOVERS: dict[str, Callable[..., Remover]] = {
    "fifo": Fifo,
    "reservoir": Reservoir,
    "lowest": LowestPriority,
    "soft": SoftFifo,
}


def make_remover(name: str, **settings: Any) -> Remover:
    """The remover of that name, made with those of the settings that it knows: `capacity`, `selector` (the
    replay's), `rng` and `soft`."""
    return make_part("remover", REMOVERS, name, settings)
