"""The page with the findings; every sentence is computed from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.stored_state.cells import CONTROL, STRATEGIES, reach
from experiments.stored_state.rows import FIRST, LAST, SOLVED, Row, chosen, over_seeds
from r2d2.report.intervals import Interval

HEAD = """# Stored state against burn-in

Made by `{command}`; do not edit.

Kapturowski et al. (2019, section 3) ask how the recurrent state of a replayed sequence should begin: at zero, as
the actor stored it, or after a burn-in. Here the same question on {task}.

Scores are means of the last fifth of a run's greedy evaluations. Intervals are 95 % bootstrap intervals over
seeds, here {seeds} (with five they hold the truth about 85 % of the time). Delta-Q is |Q(state in training) -
Q(state the actor had)| over |max Q|, mean of the second half of a run.{more}
"""
OF_RECALL = f"""
A run with a score of {SOLVED} or more has solved the task. Where the whole window lies in an episode's beginning,
the strategies are the same runs."""


def page(score: Sequence[Row], run: dict[str, Any]) -> str:
    """`run`: command, task, minutes of all runs together."""
    seeds = len({row["seed"] for row in score})
    recall = any(row["delay"] for row in score)  # a game has no delay, and no score at which it is solved
    more = OF_RECALL if recall else ""
    parts = [HEAD.format(command=run["command"], task=run["task"], seeds=seeds, more=more)]
    parts.append("![Scores and Delta-Q](figure.png)\n")
    for delay in sorted({row["delay"] for row in score}):
        own = chosen(score, delay=delay)
        parts.append(f"## Delay {delay}\n" if delay else "## Results\n")
        parts.append(table(own))
        if delay:
            parts.append("\n".join(f"- {sentence}" for sentence in findings(own, delay)) + "\n")
    if run.get("memory"):
        parts.append(
            "## The memory test\n\nPlayed with the last k observations only (the paper's figure 5).\n"
        )
        parts.append("![Memory test](memory.png)\n")
    minutes = f"The runs took {run['minutes']:.0f} minutes together, some at a time."
    parts.append(f"Files: `curves.csv`, `scores.csv`, `memory.csv`. {minutes}\n")
    return "\n".join(parts)


def table(score: Sequence[Row]) -> str:
    """One line for each strategy and burn-in."""
    lines = [
        "| state | burn-in | score | solved | Delta-Q first | Delta-Q last |",
        "|---|---|---|---|---|---|",
    ]
    for strategy in (*STRATEGIES, CONTROL):
        for burn_in in sorted({row["burn_in"] for row in chosen(score, strategy=strategy)}):
            own = chosen(score, strategy=strategy, burn_in=burn_in)
            solved = f"{_solved(own)} of {len(own)}" if own[0]["delay"] else ""
            name = "whole episodes, zero" if strategy == CONTROL else strategy
            lines.append(
                f"| {name} | {burn_in} | {interval_text(over_seeds(own, 'score'))} | {solved} | "
                f"{_delta(own, FIRST)} | {_delta(own, LAST)} |"
            )
    return "\n".join(lines) + "\n"


def findings(score: Sequence[Row], delay: int) -> list[str]:
    """Sentences about one delay."""
    found = []
    for strategy in STRATEGIES:
        lengths = sorted({row["burn_in"] for row in chosen(score, strategy=strategy)})
        own = {n: chosen(score, strategy=strategy, burn_in=n) for n in lengths}
        always = [str(n) for n in lengths if _solved(own[n]) == len(own[n])]
        never = [str(n) for n in lengths if _solved(own[n]) == 0]
        some = [
            f"{n} ({_solved(own[n])} of {len(own[n])})" for n in lengths if str(n) not in (*always, *never)
        ]
        parts = [
            f"{verb} with burn-in {', '.join(names)}"
            for verb, names in (("solves every seed", always), ("some seeds", some), ("no seed", never))
            if names
        ]
        found.append(f"`{strategy}` {'; '.join(parts)}.")
    control = chosen(score, strategy=CONTROL)
    if control:
        found.append(
            f"The control, whole episodes from zero, solves {_solved(control)} of {len(control)} seeds"
            + (
                ": the task can be learned, so what fails above fails for its window."
                if _solved(control)
                else "."
            )
        )
    short = sorted(n for n in {row["burn_in"] for row in score} if n < reach(delay))
    for burn_in in short:
        pair = [chosen(score, strategy=s, burn_in=burn_in) for s in ("zero", "stored")]
        if all(pair):
            zero, stored = (over_seeds(rows, "score") for rows in pair)
            apart = stored.low > zero.high
            better = "is better than zero state" if apart else "does not differ clearly from zero state"
            found.append(
                f"With burn-in {burn_in}, which does not reach the cue, stored state {better}: "
                f"{interval_text(stored)} against {interval_text(zero)}."
            )
    return found + _against_the_paper(score, short)


def _against_the_paper(score: Sequence[Row], short: list[int]) -> list[str]:
    """The paper's order of Delta-Q and best strategy beside ours, if some burn-in does not reach the cue."""
    cells = {
        "zero": chosen(score, strategy="zero", burn_in=0),
        "burn-in alone": chosen(score, strategy="zero", burn_in=max(short, default=0)),
        "stored with burn-in": chosen(score, strategy="stored", burn_in=max(short, default=0)),
    }
    if max(short, default=0) == 0 or not all(cells.values()):
        return []
    delta = {name: over_seeds(rows, FIRST).mean for name, rows in cells.items()}
    order = " > ".join(f"{name} {delta[name]:.2f}" for name in sorted(delta, key=lambda name: -delta[name]))
    best = {name: over_seeds(rows, "score").mean for name, rows in cells.items()}
    return [
        f"Delta-Q at the first trained step: {order}. The paper has zero > burn-in alone > stored state.",
        f"The paper's best strategy is stored state with burn-in; here it has {best['stored with burn-in']:.2f}, "
        f"burn-in alone {best['burn-in alone']:.2f}, zero {best['zero']:.2f}.",
    ]


def _solved(score: Sequence[Row]) -> int:
    return sum(row["score"] >= SOLVED for row in score)


def _delta(score: Sequence[Row], name: str) -> str:
    values = [row[name] for row in score]
    return "" if any(value != value for value in values) else interval_text(over_seeds(score, name), 3)


def interval_text(found: Interval, digits: int = 2) -> str:
    """Mean and ends; one seed has no ends."""
    if found.low != found.low:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
