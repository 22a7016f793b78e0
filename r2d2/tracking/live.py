"""The live summary of a run on a screen: at most four lines, drawn by rich, that fit its width."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=*#"  # where the terminal has no block characters
KEPT = 512  # points of a curve, at most: more than a terminal is wide
GAP = "   "
LABEL = 12  # columns of a curve's name


@dataclass(frozen=True)
class Curve:
    """A number with its history, and a note to show beside it."""

    name: str
    now: str
    values: Sequence[float]
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """The content of the lines."""

    progress: str
    share: float | None = None  # of the run, in [0, 1]; None if its end is unknown
    left: str = ""
    curves: Sequence[Curve] = ()
    numbers: Sequence[str] = field(default_factory=tuple)  # the most important first


class Screen:
    """Shows a summary in place, and lines of text above it."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=False)
        self._live: Live | None = None
        utf = "utf" in (self._console.encoding or "").lower()
        self._ramp = BLOCKS if utf else ASCII

    def show(self, summary: Summary) -> None:
        """Replace what was shown."""
        if self._live is None:
            # Other output to the same terminal would garble the summary: rich writes it above.
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                redirect_stdout=self._console.file is sys.stdout,
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start()
            self._console.show_cursor(True)  # a killed run must not leave a terminal without a cursor
        self._live.update(self._lines(summary), refresh=True)

    def say(self, text: str) -> None:
        """Write text above the summary."""
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Stop updating, and leave the last summary on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _lines(self, summary: Summary) -> Group:
        width = self._console.width
        lines: list[Table | Text] = [self._progress(summary, width)]
        lines += [self._curve(curve, width) for curve in summary.curves]
        lines.append(Text(fit(summary.numbers, GAP, width), no_wrap=True, overflow="crop"))
        return Group(*lines)

    def _progress(self, summary: Summary, width: int) -> Table | Text:
        room = width - len(summary.progress) - len(summary.left) - 2 * len(GAP)
        if summary.share is None or room < 10:
            return Text(
                fit([part for part in (summary.progress, summary.left) if part], GAP, width),
                no_wrap=True,
                overflow="crop",
            )
        line = Table.grid(padding=(0, len(GAP), 0, 0), pad_edge=False)
        bar = ProgressBar(total=1.0, completed=summary.share, width=room)
        line.add_row(Text(summary.progress, no_wrap=True), bar, Text(summary.left, no_wrap=True))
        return line

    def _curve(self, curve: Curve, width: int) -> Text:
        head = f"{curve.name:<{LABEL}}{curve.now:>10}  "
        line = Text(no_wrap=True, overflow="crop")
        line.append(head[:width], style="bold")
        room = width - len(head)
        note = GAP + curve.note if curve.note and room - len(curve.note) > 15 else ""
        line.append(spark(curve.values, max(0, room - len(note)), self._ramp), style="cyan")
        return line.append(note)


def spark(values: Sequence[float], width: int, ramp: str = BLOCKS) -> str:
    """A curve as one line of text, at most `width` characters; each shows the mean of its share of the values.

    >>> spark([0, 1, 2, 3], 4), spark([5, 5], 4), spark([0, 0, 9, 9], 2)
    ('▁▃▆█', '▁▁', '▁█')
    """
    count = min(width, len(values))
    bounds = [round(number * len(values) / count) for number in range(count + 1)] if count else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    scale = (len(ramp) - 1) / (high - low) if high > low else 0.0
    return "".join(ramp[round((mean - low) * scale)] for mean in means)


def fit(parts: Sequence[str], separator: str, width: int) -> str:
    """As many of the first parts as fit into a line of `width` characters; the very first is cut if it must be.

    >>> fit(["12,000 steps (12.0%)", "return 3.00", "loss 0.1"], " | ", 36)
    '12,000 steps (12.0%) | return 3.00'
    """
    line = parts[0][: max(width, 1)] if parts else ""
    for part in parts[1:]:
        if len(line) + len(separator) + len(part) > width:
            break
        line += separator + part
    return line
