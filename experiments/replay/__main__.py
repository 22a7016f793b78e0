"""Runs the replay studies: `python -m experiments.replay [STUDY ...] [--quick] [--seeds N] [--jobs 2]`.

Writes STUDY.csv and STUDY.png for each study and README.md, the summary of all, to --out. `--redraw` remakes
figures and summary from the existing CSV files, without a run.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from experiments.replay import evidence
from experiments.replay.study import STUDIES, Row, Tier, load, run_seed

RESULTS = Path(__file__).resolve().parents[1] / "results" / "replay"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Job = tuple[str, int]  # study, seed


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a published shape does not hold."""
    options = _parse(arguments)
    tier: Tier = "quick" if options.quick else "full"
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.studies or list(STUDIES)
    if options.redraw:
        names = [name for name in names if (options.out / f"{name}.csv").exists()]
    else:
        counts = {name: options.seeds or load(name).seeds[tier] for name in names}
        _run(counts, tier, options.jobs, options.out)
    holds = [_report(name, options.out) for name in names]
    (options.out / evidence.PAGE).write_text(evidence.page(options.out))
    return int(not all(holds))


def _run(counts: dict[str, int], tier: Tier, jobs: int, out: Path) -> None:
    """All seeds of all studies, `jobs` processes at a time; a study is written once its last seed is done."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for the processes to come: one core each
    rows: dict[str, dict[int, list[Row]]] = {name: {} for name in counts}
    seconds = dict.fromkeys(counts, 0.0)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[tuple[list[Row], float]], Job] = {
            pool.submit(run_seed, name, tier, seed): (name, seed)
            for name, count in counts.items()
            for seed in range(count)
        }
        for future in as_completed(waiting):
            name, seed = waiting[future]
            rows[name][seed], spent = future.result()
            seconds[name] += spent
            print(f"{name:16} seed {seed:3} {spent:7.1f} s", file=sys.stderr)
            if len(rows[name]) == counts[name]:
                table = [{"seed": s, **row} for s in range(counts[name]) for row in rows[name][s]]
                evidence.write_rows(table, out / f"{name}.csv")
                run = {"tier": tier, "seeds": counts[name], "minutes": round(seconds[name] / 60, 1)}
                evidence.note_run(out, name, run)


def _report(name: str, out: Path) -> bool:
    """Draw a study from its CSV file and print its verdict."""
    study = load(name)
    rows = evidence.read_rows(out / f"{name}.csv")
    evidence.draw(study, rows, out / f"{name}.png")
    verdict = study.verdict(rows)
    print(f"{name}: {'holds' if verdict.holds else 'DOES NOT HOLD'}: {verdict.ours} {verdict.note}".rstrip())
    return verdict.holds


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="experiments.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"default all: {', '.join(STUDIES)}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, for a first look")
    parser.add_argument("--seeds", type=int, help="number of seeds instead of each study's own")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (default 2)")
    parser.add_argument("--redraw", action="store_true", help="figures and summary from the CSV files")
    parser.add_argument(
        "--out", type=Path, help="default experiments/results/replay, quick: runs/replay_quick"
    )
    options = parser.parse_args(arguments)
    for name in options.studies:
        if name not in STUDIES:
            parser.error(f"STUDY must be one of {', '.join(STUDIES)}, got {name}")
    for flag in ("seeds", "jobs"):
        value = getattr(options, flag)
        if value is not None and value < 1:
            parser.error(f"--{flag} must be at least 1, got {value}")
    if options.out is None:
        options.out = Path("runs/replay_quick") if options.quick else RESULTS
    return options


if __name__ == "__main__":
    sys.exit(main())
