"""Runs the benchmark: `python -m experiments.bench [--only A,B] [--rivals cpprb,torchrl] [--quick]`.

    A sequences of R2D2   B prioritized transitions   C uniform   D growth   E writer and reader at once
    S save and restore    K codec study               R rare leaves (with --slow)
    M one to 1,024 environments and small to large batches      I import and first calls

Writes results.json, results.csv, table.md and figure.png into --out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.bench import jobs
from experiments.bench.frames import recording
from experiments.bench.machine import machine
from experiments.bench.sizes import TIERS
from experiments.bench.subjects import OURS, RIVALS
from experiments.bench.table import write_csv, write_table
from r2d2.errors import how_to_install

RESULTS = "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a part of ours failed; what happens to rivals is in the table."""
    options = _parse(arguments)
    letters = options.only or [letter for letter in jobs.PARTS if options.slow or letter not in jobs.SLOW]
    tier = "quick" if options.quick else "full"
    rivals = options.rivals if options.rivals is not None else [] if options.quick else list(RIVALS)
    report: dict[str, Any] = {"tier": tier, "machine": machine(), "results": []}
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) if options.cache is None else options.cache.resolve()
        for game in TIERS[tier].games:
            recording(cache, TIERS[tier], game)
        policies = [str(run.resolve()) for run in options.policy]
        for job in jobs.plan(letters, rivals, policies, tier, cache):
            python = options.python.get(job.subject, sys.executable)
            sizes = TIERS[tier]
            limit = sizes.limit if job.subject == OURS else sizes.rival_limit
            result = jobs.run(job, python, limit=limit)
            print(
                f"{job.part:12} {job.subject:9} {Path(job.variant).name:6} {result['status']:7}"
                f"{result['seconds']:7.1f} s  {result.get('reason', '')}",
                file=sys.stderr,
            )
            report["results"].append(result | {"variant": Path(job.variant).name})
            (options.out / RESULTS).write_text(json.dumps(report, indent=1) + "\n")
    write_csv(report, options.out / "results.csv")
    write_table(report, options.out / "table.md")
    _draw(report, options.out / "figure.png")
    return int(any(r["subject"] == "ours" and r["status"] != "ok" for r in report["results"]))


def _draw(report: dict[str, Any], path: Path) -> None:
    try:
        from experiments.bench.figure import draw
    except ImportError as error:
        print(f"no figure: {error}; {how_to_install('report')}", file=sys.stderr)
        return
    draw(report, path)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", type=_letters, help="parts, such as A,B (default: all but R)")
    parser.add_argument("--rivals", type=_rivals, help=f"of {','.join(RIVALS)}; none: ours alone")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that only show that it runs")
    parser.add_argument("--slow", action="store_true", help="also R")
    parser.add_argument("--out", type=Path, default=Path("experiments/results/bench"), metavar="FOLDER")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="keeps recorded frames (1 GB); saves are timed on its disk",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        action="append",
        default=[],
        metavar="RUN_DIR",
        help="a run for the codec study",
    )
    parser.add_argument(
        "--python", type=_python, action="append", default=[], metavar="RIVAL=PATH",
        help="interpreter of a rival that needs packages of its own",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    options.python = dict(options.python)
    return options


def _letters(text: str) -> list[str]:
    letters = [letter.strip().upper() for letter in text.split(",")]
    unknown = [letter for letter in letters if letter not in jobs.PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"parts are {','.join(jobs.PARTS)}, got {','.join(unknown)}")
    return letters


def _rivals(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    unknown = [name for name in names if name not in RIVALS]
    if unknown:
        raise argparse.ArgumentTypeError(f"rivals are {','.join(RIVALS)} or none, got {','.join(unknown)}")
    return names


def _python(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if name not in RIVALS or not path:
        raise argparse.ArgumentTypeError(f"must be RIVAL=PATH with one of {','.join(RIVALS)}, got {text!r}")
    return name, path


if __name__ == "__main__":
    sys.exit(main())
