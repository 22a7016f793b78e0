"""The viewer's page: exported with some items, or served to this machine with all of them."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from r2d2.report.page import embedded, file, plotly_code, render
from r2d2.report.plot import FONT
from r2d2.report.style import COLORS
from r2d2.viewer.contents import COLUMNS, Contents
from r2d2.viewer.names import action_names
from r2d2.viewer.opened import opened
from r2d2.viewer.overview import charts, overview

HEADINGS = {
    "id": ("item", "its id: higher is newer, in one place"),
    "priority": (
        "priority",
        "what the selector holds for it; for proportional draws, priority to the power alpha",
    ),
    "probability": ("chance", "probability of each draw"),
    "weight": ("weight", "importance weight, over the largest of all items"),
    "age": ("age", "updates since it was inserted"),
    "lag": ("lag", "updates since the weights that acted on its last step"),
    "drawn": ("drawn", "times it was drawn"),
    "return": ("return", "sum of the rewards of its trained steps"),
    "delta_q_first": ("ΔQ first", "Delta-Q at the first trained step, of items whose true state was kept"),
    "delta_q_last": ("ΔQ last", "Delta-Q at the last trained step, of items whose true state was kept"),
    "length": ("steps", "trained steps"),
}
ITEM_CHARTS = (
    (
        "q-values",
        "Q values",
        "In the learner's units, with the weights of the checkpoint; crosses: when it acted.",
    ),
    ("all-q-values", "Q values of all actions", "From the state of training; dots are the actions taken."),
    ("td-errors", "TD errors and n-step targets", "Of the trained steps, as an update sees them."),
    ("rewards", "Rewards and actions", ""),
    (
        "states",
        "Stored against recomputed state",
        "Delta-Q: how far the Q values from the two states are apart, over the largest Q value.",
    ),
)
ORDERS = ("priority", "age", "return", "drawn", "delta_q_first", "delta_q_last")


def page(contents: Contents, *, live: bool, items: int = 0) -> str:
    """The page; an exported one holds `items` items, taken in turn from both ends of every order."""
    found = contents.items
    chosen = np.zeros(0, np.int64) if live else _choose(contents, items)
    data: dict[str, Any] = {
        "live": live,
        "total": len(found),
        "columns": list(COLUMNS),
        "colors": list(COLORS),
        "font": FONT,
        "actions": action_names(contents.config.env.id, contents.spec.num_actions),
        "overview": overview(found),
        "items": found.rows(chosen),
        "opened": {int(i): opened(contents, int(i)) for i in found.values["id"][chosen]},
    }
    where = f"{contents.run_dir.resolve().name}, {contents.path.name}"
    config = contents.config
    subtitle = (
        f"{config.env.id}, preset {contents.preset}, after {contents.env_steps:,} environment steps and "
    )
    subtitle += (
        f"{contents.updates:,} updates: {len(found):,} items of up to {config.replay.unroll} trained steps."
    )
    return render(
        own_file("viewer.html"),
        title=f"Replay of {where}",
        subtitle=subtitle,
        charts=charts(found),
        columns=[(name, *HEADINGS[name]) for name in COLUMNS],
        item_charts=ITEM_CHARTS,
        footer="Made by r2d2 inspect. Charts: drag to zoom, double-click to go back, click a name to hide it.",
        css=file("page.css") + own_file("viewer.css"),
        js=own_file("viewer.js"),
        data=embedded(data),
        plotly=plotly_code(),
    )


def own_file(name: str) -> str:
    """The text of a file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _choose(contents: Contents, count: int) -> np.ndarray:
    """`count` items, taken in turn from both ends of every order."""
    found = contents.items
    ends = []
    for column in ORDERS:
        for descending in (True, False):
            order = found.order(column, descending=descending)
            known = ~np.isnan(np.asarray(found.values[column], np.float64)[order])
            ends.append(order[known][:count].tolist())
    chosen: dict[int, None] = {}
    for rank in range(min(len(found), count)):
        for end in ends:
            if rank < len(end) and len(chosen) < count:
                chosen[end[rank]] = None
        if len(chosen) >= count:
            break
    return np.array(list(chosen), np.int64)
