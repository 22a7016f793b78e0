"""Selectors: which items are replayed next.

`SELECTORS` names all of them. A new one is a file here and a line there; the pair tests, the checks of the
config and what builds a run from it follow.
"""

from collections.abc import Callable
from typing import Any

from r2d2.replay.registry import make_part
from r2d2.replay.selectors.proportional import Proportional
from r2d2.replay.selectors.rank_based import RankBased
from r2d2.replay.selectors.recency import Recency
from r2d2.replay.selectors.selector import Selector
from r2d2.replay.selectors.uniform import Uniform

SELECTORS: dict[str, Callable[..., Selector]] = {
    "proportional": Proportional,
    "rank": RankBased,
    "uniform": Uniform,
    "recency": Recency,
}


def make_selector(name: str, **settings: Any) -> Selector:
    """The selector of that name, made with those of the settings that it knows: `capacity` at least."""
    return make_part("selector", SELECTORS, name, settings)
