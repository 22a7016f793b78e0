"""Removers: which items leave when there is no room.

A new one is a file here and a line in `r2d2/parts.py`; the choices of the config, the pair tests and what builds a
run from it follow.
"""

from typing import Any

from r2d2.parts import REMOVERS, make
from r2d2.replay.removers.remover import Remover

__all__ = ["REMOVERS", "make_remover"]


def make_remover(name: str, **settings: Any) -> Remover:
    """The remover of that name, made with those of the settings that it knows: `capacity`, `selector` (the
    replay's), `rng` and `soft`."""
    remover: Remover = make(REMOVERS, name, settings)
    return remover
