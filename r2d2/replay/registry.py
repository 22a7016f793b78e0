"""How a part is made from its name: a table of names stands in the room of each kind of part."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Part = TypeVar("Part")


def make_part(
    kind: str, parts: Mapping[str, Callable[..., Part]], name: str, settings: Mapping[str, Any]
) -> Part:
    """The part of that name, made with those of the `settings` that it has parameters for.

    So that one set of settings makes every part of a kind. Raises ValueError for an unknown name, and TypeError
    if a parameter without a default is not among the settings.
    """
    if name not in parts:
        raise ValueError(f"{kind} must be one of {', '.join(parts)}, got {name!r}")
    known = inspect.signature(parts[name]).parameters
    return parts[name](**{key: value for key, value in settings.items() if key in known})
