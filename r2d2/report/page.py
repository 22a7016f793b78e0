"""The page of a report: one HTML file that opens offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2

from r2d2.report.figure import Figure
from r2d2.report.plot import plot
from r2d2.report.table import Origin, Table


@dataclass(frozen=True)
class Group:
    """Figures under a heading."""

    title: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Section:
    """A part of the page, with an entry in its navigation."""

    id: str
    title: str
    text: str = ""
    tables: Sequence[Table] = field(default_factory=tuple)
    groups: Sequence[Group] = field(default_factory=tuple)
    origins: Sequence[Origin] = field(default_factory=tuple)


def page(title: str, subtitle: str, sections: Sequence[Section], footer: str, *, files: bool) -> str:
    """The page. With `files`, each figure links to the PNG file of its name, in the page's folder."""
    figures = {f.name: plot(f) for s in sections for group in s.groups for f in group.figures}
    return render(
        file("page.html"),
        title=title,
        subtitle=subtitle,
        sections=sections,
        footer=footer,
        files=files,
        css=file("page.css"),
        js=file("page.js"),
        data=embedded(figures),
        plotly=plotly_code(),
    )


def render(template: str, **values: Any) -> str:
    """A template with these values, which are escaped unless it marks them as safe."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(**values)


def file(name: str) -> str:
    """The text of a file of this package, which is trusted."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def embedded(value: Any) -> str:
    """JSON that is safe inside a script element: no text in it can close the element.

    >>> embedded("</script>")
    '"<\\\\/script>"'
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")


def plotly_code() -> str:
    """Plotly's own code, to be embedded."""
    from plotly.offline import get_plotlyjs

    code: str = get_plotlyjs()
    return code
