"""Selectors: which items are replayed next.

A new one is a file here and a line in `r2d2/parts.py`; the choices of the config, the pair tests and what builds a
run from it follow.
"""

from typing import Any

from r2d2.parts import SELECTORS, make
from r2d2.replay.selectors.selector import Selector

__all__ = ["SELECTORS", "make_selector"]


def make_selector(name: str, **settings: Any) -> Selector:
    """The selector of that name, made with those of the settings that it knows: `capacity` at least."""
    selector: Selector = make(SELECTORS, name, settings)
    return selector
