"""The panel beside a game: Q values, action, and curves of the highest Q value and the recurrent state's norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2d2.report.style import COLORS

if TYPE_CHECKING:
    from r2d2.viewer.watch import Moment

# Pixels, ours: legible at the video's own size.
HEIGHT, WIDTH = 480, 380  # of the panel; the game is scaled to the same height
HISTORY = 150  # steps of the two curves
MARGIN, LINE, CHART = 14, 17, 74
INK, SOFT, RULE = "#222222", "#707070", "#d9d9d9"


def draw(frame: NDArray[np.uint8], moment: Moment, names: Sequence[str]) -> NDArray[np.uint8]:
    """The frame with the panel to its right, [HEIGHT, width, 3]; both sides are even, as video codecs require."""
    from PIL import Image, ImageDraw, ImageFont

    scale = HEIGHT / frame.shape[0]
    width = max(2, round(frame.shape[1] * scale / 2) * 2)
    way = Image.Resampling.NEAREST if frame.shape[0] <= HEIGHT // 2 else Image.Resampling.LANCZOS
    game = Image.fromarray(frame).resize((width, HEIGHT), way)
    canvas = Image.new("RGB", (width + WIDTH, HEIGHT), "white")
    canvas.paste(game, (0, 0))
    pen = ImageDraw.Draw(canvas)
    pen.fontmode = "L"
    font, small_font = ImageFont.load_default(14), ImageFont.load_default(11)
    left, right = width + MARGIN, width + WIDTH - MARGIN
    head = f"step {moment.step:,}    return {moment.total:,.4g}    reward {moment.reward:,.3g}"
    pen.text((left, 8), head, INK, font)
    _bars(pen, small_font, (left, 32, right), moment, names)
    upper, lower = HEIGHT - 2 * (CHART + 22), HEIGHT - (CHART + 22)
    _curve(pen, small_font, (left, upper, right), "highest Q value", list(moment.best_q), COLORS[0])
    _curve(pen, small_font, (left, lower, right), "norm of the recurrent state", list(moment.norm), COLORS[1])
    return np.asarray(canvas)


def _bars(pen: Any, font: Any, box: tuple[int, int, int], moment: Moment, names: Sequence[str]) -> None:
    """One bar per action, from the lowest Q value; the action taken is filled and marked."""
    left, top, right = box
    room = HEIGHT - 2 * (CHART + 22) - top - 8
    each = min(LINE, room / len(moment.q))
    low, high = float(moment.q.min()), float(moment.q.max())
    start, end = left + 112, right - 56
    for k, value in enumerate(moment.q.tolist()):
        y = top + k * each
        taken = k == moment.action
        length = (value - low) / ((high - low) or 1.0) * (end - start)
        pen.text((left, y), ("> " if taken else "   ") + names[k][:15], INK if taken else SOFT, font)
        pen.rectangle((start, y + 2, start + max(length, 1), y + each - 3), COLORS[1] if taken else "#b9d4e6")
        pen.text((end + 6, y), f"{value:.3g}", INK if taken else SOFT, font)


def _curve(
    pen: Any, font: Any, box: tuple[int, int, int], title: str, values: list[float], tint: str
) -> None:
    """The last values as a line, with its range beside it."""
    left, top, right = box
    pen.text((left, top), title, SOFT, font)
    top, bottom, end = top + 16, top + 16 + CHART - 8, right - 56
    pen.rectangle((left, top, end, bottom), outline=RULE)
    low, high = min(values), max(values)
    pen.text((end + 6, top - 2), f"{high:.3g}", SOFT, font)
    pen.text((end + 6, bottom - 12), f"{low:.3g}", SOFT, font)
    across = (end - left) / (HISTORY - 1)
    up = (bottom - top - 6) / ((high - low) or 1.0)
    points = [(left + k * across, bottom - 3 - (value - low) * up) for k, value in enumerate(values)]
    if len(points) > 1:
        pen.line(points, tint, 2)
