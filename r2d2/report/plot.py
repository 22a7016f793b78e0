"""Figures as plotly's data and layout, for the page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from r2d2.report.figure import Dot, Figure, Heat, Line
from r2d2.report.style import GRAY, SCALE, color, dash

FONT = "'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def plot(figure: Figure) -> dict[str, Any]:
    """The arguments of `Plotly.newPlot`, as plain data."""
    traces = [trace for line in figure.lines for trace in _line(line)]
    layout: dict[str, Any] = {
        "font": {"family": FONT, "size": 13, "color": "#222"},
        "margin": {"l": 64, "r": 16, "t": 12, "b": 48},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "x unified",
        "xaxis": _axis(figure.x) | {"type": "log" if figure.log_x else "linear"},
        "yaxis": _axis(figure.y) | {"type": "log" if figure.log_y else "linear"},
        "showlegend": len(figure.lines) > 1,
        "legend": {"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom", "font": {"size": 12}},
        "hoverlabel": {"font": {"size": 12}},
    }
    if figure.mark is not None:
        layout["shapes"] = [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": figure.mark,
                "y1": figure.mark,
                "line": {"color": GRAY, "width": 1, "dash": "dot"},
            }
        ]
    if figure.log_y:
        layout["yaxis"] |= {"exponentformat": "power", "dtick": "D2"}
    if figure.dots:
        traces = [_dot(dot) for dot in reversed(figure.dots)]
        layout |= {"hovermode": "closest", "showlegend": False}
        layout["margin"]["l"] = 16
        layout["yaxis"] |= {"automargin": True, "showgrid": False}
    if figure.heat is not None:
        traces = [_heat(figure.heat)]
        layout["hovermode"] = "closest"
    return {"data": traces, "layout": layout}


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "#e8e8e8",
        "zerolinecolor": "#cccccc",
        "linecolor": GRAY,
        "ticks": "outside",
        "tickcolor": GRAY,
        "automargin": True,
    }


def _line(line: Line) -> list[dict[str, Any]]:
    """The interval, the seeds and the curve, which one legend entry shows and hides together."""
    tint = color(line.color)
    about = {"legendgroup": line.label, "visible": True if line.shown else "legendonly"}
    traces: list[dict[str, Any]] = []
    if line.low is not None and line.high is not None and np.isfinite(line.low).any():
        traces.append(
            about
            | {
                "x": _plain(np.concatenate([line.x, line.x[::-1]])),
                "y": _plain(np.concatenate([line.high, line.low[::-1]])),
                "fill": "toself",
                "mode": "lines",
                "line": {"width": 0},
                "fillcolor": _faint(tint),
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    traces += [
        about
        | {
            "x": _plain(x),
            "y": _plain(y),
            "mode": "lines",
            "line": {"color": tint, "width": 0.8},
            "opacity": 0.45,
            "hoverinfo": "skip",
            "showlegend": False,
        }
        for x, y in line.seeds
    ]
    pattern = dash(line.color) if line.dash == "solid" else line.dash
    curve = about | {
        "x": _plain(line.x),
        "y": _plain(line.y),
        "name": line.label,
        "mode": "lines+markers" if line.markers and len(line.x) <= 60 else "lines",
        "line": {"color": tint, "width": 2, "dash": pattern},
        "marker": {"size": 6},
        "hovertemplate": "%{y:.4g}%{customdata}",
        "customdata": _intervals(line),
    }
    return [*traces, curve]


def _faint(tint: str) -> str:
    """A color with low opacity.

    >>> _faint("#0072B2")
    'rgba(0,114,178,0.15)'
    """
    red, green, blue = bytes.fromhex(tint[1:])
    return f"rgba({red},{green},{blue},0.15)"


def _intervals(line: Line) -> list[str]:
    if line.low is None or line.high is None:
        return [""] * len(line.x)
    return [
        f" [{low:.4g}, {high:.4g}]" if math.isfinite(low) else ""
        for low, high in zip(line.low, line.high, strict=True)
    ]


def _dot(dot: Dot) -> dict[str, Any]:
    finite = math.isfinite(dot.low)
    return {
        "x": [dot.value],
        "y": [dot.label],
        "mode": "markers",
        "name": dot.label,
        "marker": {"size": 11, "color": color(dot.color)},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [dot.high - dot.value if finite else 0],
            "arrayminus": [dot.value - dot.low if finite else 0],
            "thickness": 2,
            "color": color(dot.color),
        },
        "hovertemplate": f"%{{x:.3f}} [{dot.low:.3f}, {dot.high:.3f}]<extra>%{{y}}</extra>"
        if finite
        else "%{x:.3f}<extra>%{y}</extra>",
    }


def _heat(heat: Heat) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": _plain(heat.x),
        "y": _plain(heat.edges),
        "z": [_plain(row) for row in heat.share],
        "colorscale": SCALE.capitalize(),
        "colorbar": {"title": {"text": "share", "side": "right"}, "thickness": 12},
        "hovertemplate": "%{x:,} steps<br>priority %{y:.3g}<br>share %{z:.3f}<extra></extra>",
    }


def _plain(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, with six digits."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values]
