"""Writes the tables of docs/configuration.md, from the dataclasses, while the pages are built."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from typing import Any, Literal

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from r2d2.config import Config
from r2d2.config.bounds import Bounds, bounds_of
from r2d2.config.changes import CHANGES
from r2d2.config.presets import PRESETS

PAGE = "configuration"
MARK = "<!-- the tables -->"
HEAD = "| field | values | default | other presets |\n|---|---|---|---|"


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    if name == PAGE:
        before, mark, after = source[0].partition(MARK)
        if not mark:
            raise ValueError(f"docs/{PAGE}.md must have the line {MARK}")
        source[0] = before + tables() + after


def tables() -> str:
    """All sections of the config, then the changes to presets, as Markdown."""
    sections = [_section(field.name, _class(field)) for field in dataclasses.fields(Config)]
    changes = [f"| `+{name}` | {_assignments(values)} |" for name, values in CHANGES.items()]
    head = "## Changes to a preset\n\nAs in `r2d2 train r2d2-small+gru+n3`.\n\n| change | sets |\n|---|---|"
    return "\n\n".join([*sections, "\n".join([head, *changes])]) + "\n"


def _class(field: Any) -> type:
    return typing.cast(type, typing.get_type_hints(Config)[field.name])


def _section(section: str, kind: type) -> str:
    meanings = ModuleAnalyzer.for_module(kind.__module__).find_attr_docs()
    hints, bounds = typing.get_type_hints(kind), bounds_of(kind)
    rows = []
    for field in dataclasses.fields(kind):
        meaning = " ".join(meanings[kind.__name__, field.name]).strip()
        default = getattr(getattr(Config(), section), field.name)
        cells = [
            f"`{section}.{field.name}`<br>{meaning}",
            _values(hints[field.name], bounds.get(field.name)),
            _shown(default),
            _others(section, field.name, default),
        ]
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join([f"## `{section}`\n\n{inspect.getdoc(kind)}\n", HEAD, *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _values(kind: Any, bounds: Bounds | None) -> str:
    """What a field may be."""
    if typing.get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        parts = [_values(part, bounds) for part in typing.get_args(kind) if part is not type(None)]
        return " or ".join([*parts, "none"])
    if kind is bool:
        return "yes, no"
    name = {int: "whole number", float: "number", str: "text"}.get(kind, "list")
    return f"{name} {bounds}" if bounds is not None else name


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"`{value}`"


def _others(section: str, field: str, default: Any) -> str:
    """The presets that do not have the default, by value."""
    by_value: dict[str, list[str]] = {}
    for name, config in PRESETS.items():
        value = getattr(getattr(config, section), field)
        if value != default:
            by_value.setdefault(_shown(value), []).append(name)
    return "; ".join(f"{value}: {', '.join(names)}" for value, names in by_value.items())


def _assignments(values: dict[str, Any]) -> str:
    return ", ".join(f"`{field}` {_shown(value)}" for field, value in values.items())
