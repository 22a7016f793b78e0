"""The page with the findings; every sentence is computed from the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.cores.cells import BURN_INS, CORES, TASKS
from experiments.stored_state.cells import CONTROL, STRATEGIES, UNROLL
from experiments.stored_state.page import interval_text
from experiments.stored_state.rows import FIRST, SOLVED, Row, chosen, known, over_seeds

HEAD = """# Stored state with linear cores

Made by `{command}`; do not edit.

Does it still matter where the recurrent state of a replayed item begins, when the core is a linear recurrence?
`lru` (Orvieto et al. 2023) and `mingru` (Feng et al. 2024) are linear, `lstm` and `gru` are not. The preset
`memory` with items of {unroll} trained steps; nothing is set for a single core. Burn-in never reaches the cue.

Scores are means of the last fifth of a run's greedy evaluations, over {seeds} seeds, with 95 % bootstrap intervals.
The best return is 1, that of a guess 0; a run with {solved} or more has solved the task. Delta-Q at the first
trained step is |Q(state in training) - Q(state the actor had)| over |max Q|, mean of the second half of a run.
A cell of the tables is the score, the seeds that solved the task, and Delta-Q.

![Scores and Delta-Q](figure.png)
"""
KINDS = [(start, burn_in) for start in STRATEGIES for burn_in in BURN_INS] + [(CONTROL, 0)]
NAMES = {CONTROL: "whole episodes"}


def page(score: Sequence[Row], run: dict[str, Any]) -> str:
    """`run`: command, minutes of all runs together."""
    seeds = len({row["seed"] for row in score})
    parts = [HEAD.format(command=run["command"], unroll=UNROLL, seeds=seeds, solved=SOLVED)]
    for task in [name for name in TASKS if chosen(score, task=name)]:
        own = chosen(score, task=task)
        where = "inside the first item" if TASKS[task].inside else "beyond the item"
        shown = ", ".join(f"{name} {value:g}" for name, value in TASKS[task].options.items())
        parts.append(
            f"## {task}\n\n`{TASKS[task].env}` ({shown}): asked at step {TASKS[task].asked}, {where}.\n"
        )
        parts.append(table(own))
        if not TASKS[task].inside:
            parts.append("\n".join(f"- {sentence}" for sentence in findings(own)) + "\n")
    parts.append(
        f"Files: `curves.csv`, `scores.csv`. {run['minutes']:.0f} minutes together, some at a time.\n"
    )
    return "\n".join(parts)


def table(score: Sequence[Row]) -> str:
    """One line for each start and burn-in, a column for each core: the score, seeds that solved it, Delta-Q."""
    cores = [core for core in CORES if chosen(score, core=core)]
    lines = [
        "| state | burn-in |" + "".join(f" `{core}` |" for core in cores),
        "|---|---|" + "---|" * len(cores),
    ]
    for start, burn_in in KINDS:
        rows = [chosen(score, core=core, strategy=start, burn_in=burn_in) for core in cores]
        if any(rows):
            lines.append(
                f"| {NAMES.get(start, start)} | {burn_in} |" + "".join(f" {_entry(own)} |" for own in rows)
            )
    return "\n".join(lines) + "\n"


def findings(score: Sequence[Row]) -> list[str]:
    """What each core says about stored states, for one task."""
    found = []
    for core in [core for core in CORES if chosen(score, core=core)]:
        own = {kind: chosen(score, core=core, strategy=kind[0], burn_in=kind[1]) for kind in KINDS}
        better = [str(n) for n in BURN_INS if _apart(own["stored", n], own["zero", n])]
        verdict = (
            f"clearly better than a zero state with burn-in {' and '.join(better)}"
            if better
            else "not clearly better than a zero state"
        )
        solved = {
            start: [_solved(own[kind]) for kind in KINDS if kind[0] == start]
            for start in (*STRATEGIES, CONTROL)
        }
        words = "; ".join(
            f"{NAMES.get(start, start)} {' and '.join(counts)}" for start, counts in solved.items()
        )
        found.append(f"`{core}`: a stored state is {verdict}. Solved: {words}.")
    return found


def _apart(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether the first is better by more than both intervals."""
    return bool(one and other) and over_seeds(one, "score").low > over_seeds(other, "score").high


def _solved(own: Sequence[Row]) -> str:
    return f"{sum(row['score'] >= SOLVED for row in own)} of {len(own)}"


def _entry(own: Sequence[Row]) -> str:
    if not own:
        return ""
    delta = [row[FIRST] for row in known(own, FIRST)]
    return f"{interval_text(over_seeds(own, 'score'))}, {_solved(own)}" + (
        f"; {sum(delta) / len(delta):.2f}" if delta else ""
    )
