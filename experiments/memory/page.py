"""The page that states what was found; every number is computed from the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from experiments.memory.rows import Row
from experiments.memory.tasks import TASKS
from experiments.stored_state.rows import chosen
from r2d2.report.intervals import interval

HEAD = """# How far memory reaches

Made by `{command}`; do not edit.

`memory` is the preset, with an LRU and whole episodes; other names are changes to it, `lstm-stored` is
`memory+lstm-stored`, what the preset was before. No number is changed for a task. `recurrent-ppo` is that of
sb3-contrib, with the settings of its zoo where it has the task, after the same steps and after the CPU seconds that
ours took. On {machine}, one core a run, up to {seeds} seeds a cell. Scores are means of the last fifth of a run's
evaluations (64 greedy episodes each), with 95 % bootstrap intervals over seeds.
**Held** counts the seeds whose evaluations stay at or above the solved return to the end; steps and CPU seconds
from which on it was held are medians over those seeds.

![Curves](figure.png)
"""


def page(score: Sequence[Row], reached: Sequence[Row], run: dict[str, Any]) -> str:
    """`run`: command, machine, and CPU minutes of all runs together."""
    seeds = len({row["seed"] for row in score})
    parts = [HEAD.format(command=run["command"], machine=run["machine"], seeds=seeds)]
    for task in [name for name in TASKS if chosen(score, task=name)]:
        parts.append(section(task, chosen(score, task=task), chosen(reached, task=task)))
    parts.append(
        f"Files: `curves.csv`, `scores.csv`, `reach.csv`. {run['minutes']:.0f} CPU minutes together.\n"
    )
    return "\n".join(parts)


def section(name: str, score: Sequence[Row], reached: Sequence[Row]) -> str:
    """One task: what it is, a table with a line for each agent, and the reach of memory."""
    task = TASKS[name]
    options = " ".join(f"{key} {value:g}" for key, value in task.options.items())
    guess = "" if math.isnan(task.guess) else f"; without memory at best {task.guess:.3g}"
    lines = [
        f"## {name}\n",
        f"`{task.env}` {options}: best return {task.best:g}{guess}; solved from {task.solved:g}."
        + (f" Published: {task.published}." if task.published else ""),
        "",
        "| agent | score | first solved (seeds) | held | from step | CPU s until then | CPU s of a run |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        line(agent, chosen(score, agent=agent)) for agent in dict.fromkeys(row["agent"] for row in score)
    ]
    lines += [""] + [
        reach_line(agent, chosen(reached, agent=agent), task.solved)
        for agent in dict.fromkeys(row["agent"] for row in reached)
    ]
    return "\n".join(lines) + "\n"


def line(agent: str, own: Sequence[Row]) -> str:
    """One agent's cell of the table."""
    found = interval([row["score"] for row in own])
    ends = "" if math.isnan(found.low) else f" [{found.low:.3g}, {found.high:.3g}]"
    held = [row for row in own if row["holds"] != ""]
    return (
        f"| {agent} | {found.mean:.3g}{ends} | {sum(row['first'] != '' for row in own)} of {len(own)} | "
        f"{len(held)} of {len(own)} | {median(held, 'holds')} | {median(held, 'seconds_to_hold')} | "
        f"{median(own, 'cpu_seconds')} |"
    )


def median(own: Sequence[Row], column: str) -> str:
    """The median of a column as text, nothing where it is known of no row."""
    values = sorted(v for row in own if not math.isnan(v := float(row[column])))
    return f"{values[len(values) // 2]:,.0f}" if values else ""


def reach_line(agent: str, own: Sequence[Row], level: float) -> str:
    """The fewest observations with which the policy still earns the solved return, and what one alone earns."""
    if not own:
        return ""
    means = {
        k: interval([r["score"] for r in chosen(own, history=k)]).mean for k in {r["history"] for r in own}
    }
    enough = sorted(k for k, mean in means.items() if k > 0 and mean >= level)
    fewest = f"the last {enough[0]} observations are enough" if enough else "no tested history is enough"
    return f"- Memory of `{agent}`: {fewest}; with the present one alone {means.get(1, math.nan):.3g}."
