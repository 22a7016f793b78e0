"""`--env.options`: keyword arguments of an environment as words of a command line."""

from __future__ import annotations

import json
from typing import Any

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

# What Python calls these, beside JSON's own words.
_PYTHON = {"None": None, "True": True, "False": False}

registry = ConstructorRegistry()
"""Within `with registry:`, tyro reads a field of type dict as the options of an environment."""


@registry.primitive_rule
def _options(field: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[dict[str, Any]] | None:
    if dict not in (field.type, field.type_origin):
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE ...",
        instance_from_str=parse_options,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda options: [f"{name}={json.dumps(value)}" for name, value in options.items()],
    )


def parse_options(words: list[str]) -> dict[str, Any]:
    """The options that NAME=VALUE or NAME VALUE name, each value as JSON, or as the word that it is.

    >>> parse_options(["map_name=8x8", "is_slippery=false", "delay", "20", "sizes=[3, 4]"])
    {'map_name': '8x8', 'is_slippery': False, 'delay': 20, 'sizes': [3, 4]}
    """
    options: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        name, equals, text = word.partition("=")
        if not name.isidentifier():
            raise ValueError(f"{word!r} is no NAME=VALUE, and {name!r} no name of an argument")
        value = text if equals else next(left, None)
        if value is None:
            raise ValueError(f"{name} has no value: write {name}=VALUE")
        if name in options:
            raise ValueError(f"{name} is given twice")
        options[name] = _value(value)
    return options


def _value(text: str) -> Any:
    if text in _PYTHON:
        return _PYTHON[text]
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
