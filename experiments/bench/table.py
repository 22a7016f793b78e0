"""The results as a markdown table of bars, and as CSV of every measure."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from experiments.bench.bars import BARS, Bar, Value, read
from experiments.bench.subjects import OURS, RIVALS

VERDICT = {True: "met", False: "**missed**", None: "-"}


def write_csv(report: dict[str, Any], path: Path) -> None:
    """One line per measure; a part that did not run has one line with the reason."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["part", "subject", "variant", "measure", "unit", "median", "min", "max", "n", "problem"]
        )
        for r in report["results"]:
            key = [r["part"], r["subject"], r["variant"]]
            if r["status"] != "ok":
                writer.writerow([*key, "", "", "", "", "", "", f"{r['status']}: {r['reason']}"])
                continue
            for name, m in r["measures"].items():
                numbers = [f"{m[field]:.6g}" for field in ("median", "min", "max")]
                writer.writerow([*key, name, m["unit"], *numbers, m["n"], ""])


def write_table(report: dict[str, Any], path: Path) -> None:
    """Targets first, then the codec study, then the machine."""
    lines = [*_bars(report), "", *_problems(report), "", *_codecs(report), "", *_machine(report)]
    path.write_text("\n".join(lines) + "\n")


def _bars(report: dict[str, Any]) -> list[str]:
    judged = report["tier"] == "full"
    lines = [
        "Medians; ranges in brackets. A ratio is taken within one process, against the median of its floor.",
        *([] if judged else ["**The quick tier: sizes are not those named below, and no bar is judged.**"]),
        "",
        "| quantity | must reach | ours | | rivals |",
        "|---|---|---|---|---|",
    ]
    for bar in BARS:
        ours = read(report, bar.ours, OURS, bar.variant)
        if ours is not None:
            lines.append(
                f"| {bar.title} | {_limit(bar)} | {_ours(ours, bar.unit)} | "
                f"{VERDICT[bar.met(ours) if judged else None]} | "
                f"{_rivals(report, bar)} |"
            )
    return lines


def _limit(bar: Bar) -> str:
    return "-" if bar.limit is None else f"{'>=' if bar.more else '<='} {bar.limit:g} {bar.unit}"


def _ours(value: Value, unit: str) -> str:
    if value.problem:
        return value.problem
    spread = "" if value.low == value.high else f" ({number(value.low)} to {number(value.high)})"
    return f"{number(value.median)} {unit}{spread}"


def _rivals(report: dict[str, Any], bar: Bar) -> str:
    """Best first; those without a value are listed below the table."""
    if bar.rivals is None:
        return ""
    found = [(name, read(report, bar.rivals, name, bar.rivals_variant)) for name in RIVALS]
    values = [(value.median, name) for name, value in found if value is not None and not value.problem]
    return ", ".join(f"{name} {number(value)}" for value, name in sorted(values, reverse=bar.more))


def number(value: float) -> str:
    """Three digits.

    >>> number(1.23456), number(41234.0), number(0.0001234)
    ('1.23', '41,200', '0.000123')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def _problems(report: dict[str, Any]) -> list[str]:
    lines = ["Not measured:", ""]
    for r in report["results"]:
        if r["status"] != "ok":
            variant = f" ({r['variant']})" if r["variant"] else ""
            lines.append(f"- {r['subject']}, {r['part']}{variant}: {r['status']}: {r['reason']}")
    return lines if len(lines) > 2 else []


def _codecs(report: dict[str, Any]) -> list[str]:
    """One line per game: ratio, then encode and decode GB/s of each codec."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for r in report["results"]:
        if r["part"] == "codecs" and r["status"] == "ok":
            for name, m in r["measures"].items():
                game, codec, kind = name.rsplit("/", 2)
                table.setdefault(game, {}).setdefault(codec, {})[kind] = m["median"]
    if not table:
        return []
    codecs = list(next(iter(table.values())))
    lines = [
        "Codecs on blocks of 40 frames: ratio (encode / decode, GB/s of raw bytes on one thread)",
        "",
        "| game | " + " | ".join(codecs) + " |",
        "|---" * (len(codecs) + 1) + "|",
    ]
    for game, row in table.items():
        cells = (f"{row[c]['ratio']:.0f} ({row[c]['encode']:.1f} / {row[c]['decode']:.1f})" for c in codecs)
        lines.append(f"| {game} | " + " | ".join(cells) + " |")
    return lines


def _machine(report: dict[str, Any]) -> list[str]:
    m = report["machine"]
    packages: dict[str, str] = {}
    for r in report["results"]:
        packages = r.get("packages", {}) | packages  # numpy's version is ours: a rival may have its own
    versions = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    return [
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, "
        f"Python {m['versions']['python']}, load before the start {m['load']}, "
        f"{m['started']}, tier {report['tier']}.",
        "",
        f"Versions: {versions}.",
    ]
