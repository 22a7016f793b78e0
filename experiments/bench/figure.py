"""One figure: speed and size of sequence batches, small transitions, growth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from experiments import style
from experiments.bench.bars import PAPER_GB, Quantity, Value, read
from experiments.bench.subjects import OURS, RIVALS
from experiments.bench.table import number

CODECS = ("raw", "lz4", "zstd")
NAMES = {"small": "R2D2, tiny"} | {codec: f"R2D2, {codec} frames" for codec in CODECS}
DASHES = {"small": "-", "raw": ":", "lz4": "--", "zstd": "-."}

Point = tuple[str, Value, bool]  # name, value, whether it is ours


def draw(report: dict[str, Any], path: Path) -> None:
    """Panels whose part was not run stay empty and say so."""
    with style.styled():
        figure, axes = style.panels(4, height=3.3)
        _batches(axes[0], report)
        _gigabytes(axes[1], report)
        _transitions(axes[2], report)
        _growth(axes[3], report)
        style.finish(figure, axes, path, names=False)


def _ranked(axis: Axes, points: list[Point], title: str, unit: str) -> None:
    """Medians with their ranges on a logarithmic axis, the best at the top, each with its number."""
    axis.set_title(title)
    if not points:
        _empty(axis)
        return
    points = sorted(points, key=lambda point: -point[1].median)
    for row, (_, value, ours) in enumerate(points):
        color = style.ORANGE if ours else style.GRAY
        axis.plot([value.low, value.high], [row, row], color=color, lw=4, alpha=0.3, solid_capstyle="butt")
        axis.plot([value.median], [row], "o", color=color, ms=5.5)
        axis.annotate(number(value.median), (max(value.median, value.high), row), (6, 0),
                      textcoords="offset points", va="center", size=9)  # fmt: skip
    axis.set_yticks(range(len(points)), [name for name, _, _ in points])
    for label, (_, _, ours) in zip(axis.get_yticklabels(), points, strict=True):
        label.set_color(style.ORANGE if ours else "black")
    axis.set_xscale("log")
    axis.set_xlim(min(value.low for _, value, _ in points) / 1.5, max(v.high for _, v, _ in points) * 4)
    axis.set_xlabel(unit)
    axis.grid(visible=False, axis="y")


def _empty(axis: Axes) -> None:
    axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
    axis.set_axis_off()


def _points(
    report: dict[str, Any], ours: Quantity, rivals: Quantity, variants: tuple[str, ...]
) -> list[Point]:
    asked = [(f"R2D2, {v}" if v else "R2D2", ours, OURS, v) for v in variants]
    asked += [(name, rivals, name, "") for name in RIVALS]
    found = [(label, read(report, q, subject, v), subject == OURS) for label, q, subject, v in asked]
    return [(name, v, own) for name, v, own in found if v is not None and not v.problem and v.median > 0]


def _batches(axis: Axes, report: dict[str, Any]) -> None:
    quantity = Quantity("sequences", "sample", "copy")
    points = _points(report, quantity, quantity, CODECS)
    _ranked(axis, points, "A batch of 64 sequences", "time, over a copy of the same bytes")
    if points:
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")


def _gigabytes(axis: Axes, report: dict[str, Any]) -> None:
    rivals = Quantity("sequences", "bytes_per_step", scale=PAPER_GB)
    ours = Quantity("footprint", "all_mean", scale=1e-9)
    _ranked(axis, _points(report, ours, rivals, CODECS), "Memory for 4e6 Atari steps", "GB")


def _transitions(axis: Axes, report: dict[str, Any]) -> None:
    quantity = Quantity("transitions", "sample_512", scale=1e6)
    points = _points(report, quantity, quantity, ("",))
    _ranked(axis, points, "512 of 1e6 transitions, by priority", "microseconds")


def _growth(axis: Axes, report: dict[str, Any]) -> None:
    """Time of a batch against steps held, each over its own smallest replay: flat is good."""
    axis.set_title("A batch while the replay grows")
    for r in report["results"]:
        if r["part"] != "growth" or r["status"] != "ok":
            continue
        points = sorted(
            (int(name.split("@")[1]), m["median"]) for name, m in r["measures"].items() if "sample@" in name
        )
        ours = r["subject"] == OURS
        axis.plot(
            [n for n, _ in points],
            [seconds / points[0][1] for _, seconds in points],
            DASHES[r["variant"]],
            color=style.ORANGE if ours else style.GRAY,
            linewidth=1.8 if ours else 1.1,
            label=NAMES[r["variant"]] if ours else f"{r['subject']}, tiny",
        )
    if not axis.lines:
        _empty(axis)
        return
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set(xlabel="steps held", ylabel="time, over that of the smallest")
    style.name_ends(axis, size=8.5)
