"""One figure: speed and size of sequence batches, small transitions, growth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from experiments.bench.bars import PAPER_GB, Quantity, read
from experiments.bench.subjects import OURS, RIVALS
from experiments.bench.table import number

OUR_COLOR, RIVAL_COLOR = "#d1495b", "#8d99ae"
CODECS = ("raw", "lz4", "zstd")
LABELS = {"small": "ours, tiny observations"} | {codec: f"ours, {codec} frames" for codec in CODECS}


def draw(report: dict[str, Any], path: Path) -> None:
    """Panels whose part was not run stay empty and say so."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), constrained_layout=True)
    _batches(axes[0, 0], report)
    _gigabytes(axes[0, 1], report)
    _transitions(axes[1, 0], report)
    _growth(axes[1, 1], report)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _horizontal(axis: Axes, bars: list[tuple[str, float, bool]], title: str, unit: str) -> None:
    """Bars of (name, value, ours), best at the top, on a logarithmic axis with each value beside its bar."""
    axis.set_title(title, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    if not bars:
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    bars = sorted(bars, key=lambda bar: -bar[1])
    values = [value for _, value, _ in bars]
    colors = [OUR_COLOR if ours else RIVAL_COLOR for _, _, ours in bars]
    drawn = axis.barh([name for name, _, _ in bars], values, color=colors, height=0.7)
    axis.bar_label(drawn, [f" {number(value)}" for value in values], fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(min(values) / 2, max(values) * 3)
    axis.set_xlabel(unit)
    axis.tick_params(axis="y", labelsize=8)


def _positive(report: dict[str, Any], quantity: Quantity, subject: str, variant: str) -> float | None:
    value = read(report, quantity, subject, variant)
    return None if value is None or value.problem or value.median <= 0 else value.median


def _bars(
    report: dict[str, Any], ours: Quantity, rivals: Quantity, variants: tuple[str, ...]
) -> list[tuple[str, float, bool]]:
    asked = [(f"ours, {v}" if v else OURS, ours, OURS, v) for v in variants]
    asked += [(name, rivals, name, "") for name in RIVALS]
    found = [(label, _positive(report, q, subject, v), subject == OURS) for label, q, subject, v in asked]
    return [(label, value, is_ours) for label, value, is_ours in found if value is not None]


def _batches(axis: Axes, report: dict[str, Any]) -> None:
    quantity = Quantity("sequences", "sample", "copy")
    bars = _bars(report, quantity, quantity, CODECS)
    _horizontal(axis, bars, "(A) time of a batch of 64 sequences", "times a copy of the same bytes")
    if bars:
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")


def _gigabytes(axis: Axes, report: dict[str, Any]) -> None:
    rivals = Quantity("sequences", "bytes_per_step", scale=PAPER_GB)
    ours = Quantity("footprint", "all_mean", scale=1e-9)
    _horizontal(axis, _bars(report, ours, rivals, CODECS), "(A) memory for 4e6 Atari steps", "GB")


def _transitions(axis: Axes, report: dict[str, Any]) -> None:
    quantity = Quantity("transitions", "sample_512", scale=1e6)
    bars = _bars(report, quantity, quantity, ("",))
    _horizontal(axis, bars, "(B) prioritized sample of 512 from 1e6 transitions", "microseconds")


def _growth(axis: Axes, report: dict[str, Any]) -> None:
    """Time of a batch against steps held, each over its own smallest replay: flat is good."""
    axis.set_title("(D) a batch while the replay grows", loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    styles = {"small": "-", "raw": ":", "lz4": "--", "zstd": "-."}
    viridis = mpl.colormaps["viridis"]
    colors = {name: viridis(i / len(RIVALS)) for i, name in enumerate(RIVALS)}
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
            styles[r["variant"]],
            color=OUR_COLOR if ours else colors[r["subject"]],
            linewidth=1.8 if ours else 1.1,
            marker="o",
            markersize=3,
            label=LABELS[r["variant"]] if ours else f"{r['subject']}, tiny observations",
        )
    if not axis.lines:
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("steps held")
    axis.set_ylabel("batch time over that of the smallest")
    axis.legend(fontsize=7, frameon=False)
