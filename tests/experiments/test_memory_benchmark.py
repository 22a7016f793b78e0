"""Laws of the memory benchmark: its cells can run, its numbers follow from the evaluations, it goes on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from experiments.memory import cells, peer, rows
from experiments.memory.__main__ import main, write
from experiments.memory.cells import AGENTS, PEER
from experiments.memory.page import section
from experiments.memory.tasks import TASKS, TIERS
from experiments.replay.evidence import read_rows
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import check_config


def test_every_task_and_agent_of_our_own_environments_can_run() -> None:
    """Tasks of other packages need them installed; their configs are checked all the same."""
    made = cells.cells(list(TASKS), list(AGENTS), {})
    assert len({cell.name for cell in made}) == len(TASKS) * len(AGENTS)
    for cell in made:
        check_config(cell.config)
        assert cell.config.run.steps == TASKS[str(cell.labels["task"])].steps
    alone = [cell for cell in made if cell.labels["agent"] == "memory"]
    here = [c for c in alone if str(c.labels["task"]).startswith(("chain", "tmaze", "masked", "repeat"))]
    specs = {str(cell.labels["task"]): environments.spec(cell.config) for cell in here}
    assert len(specs) > 10
    for cell in made:
        if cell.config.replay.initial_state == "episode" and cell.labels["task"] in specs:
            spec = specs[str(cell.labels["task"])]
            assert build.resolved(cell.config, spec).replay.unroll >= (spec.max_episode_steps or 0)
    assert {task for tier in TIERS.values() for task in tier} == set(TASKS)


def run(agent: str, returns: list[float], seed: int = 0, every: int = 4000) -> list[dict[str, Any]]:
    return [
        {"task": "chain-10", "agent": agent, "seed": seed, "env_steps": every * (k + 1), "score": value,
         "cpu_seconds": 2.0 * (k + 1)}
        for k, value in enumerate(returns)
    ]  # fmt: skip


def test_solved_held_and_lost_are_told_apart() -> None:
    level = TASKS["chain-10"].solved
    found = rows.score(run("a", [0.0, 1.0, 0.2, 1.0, 1.0]), level)
    assert (found["first"], found["holds"], found["seconds_to_hold"]) == (8000, 16000, 8.0)
    assert (found["score"], found["best"], found["cpu_seconds"]) == (1.0, 1.0, 10.0)
    lost = rows.score(run("a", [1.0, 1.0, 0.9]), level)
    assert (lost["first"], lost["holds"], lost["score"]) == (4000, "", 0.9)
    assert rows.score(run("a", [1.0, 1.0]), level)["holds"] == 4000
    never = rows.score(run("a", [0.0, 0.9]), level)
    assert (never["first"], never["holds"]) == ("", "")


def test_the_peer_is_judged_at_the_same_steps_and_at_the_same_time() -> None:
    curve = run("memory", [0.0, 1.0]) + run(PEER, [0.0, 0.0, 0.0, 1.0])
    found = {row["agent"]: row for row in rows.scores(curve)}
    assert (found["memory"]["score"], found[PEER]["score"]) == (1.0, 0.0)
    assert found[f"{PEER}, same time"]["score"] == 1.0


def test_the_page_counts_seeds_and_states_the_reach() -> None:
    score = rows.scores(run("memory", [0.0, 1.0], 0) + run("memory", [1.0, 0.0], 1))
    reached = [
        {"task": "chain-10", "agent": "memory", "seed": 0, "history": k, "score": float(k in (0, 11))}
        for k in (0, 1, 10, 11)
    ]
    text = section("chain-10", score, reached)
    assert "| 2 of 2 | 1 of 2 | 8,000 | 4 |" in text
    assert "the last 11 observations are enough; with the present one alone 0" in text


def test_the_peer_trains_for_the_steps_and_the_seconds(tmp_path: Path, monkeypatch: Any) -> None:
    """On a task of ours, with greedy evaluations as our runs have them."""
    pytest.importorskip("sb3_contrib")
    monkeypatch.setattr(peer, "EPISODES", 3)
    monkeypatch.setattr(peer, "PERIOD", 400)
    file = tmp_path / "peer" / "seed1.jsonl"
    peer.train(TASKS["chain-10"], 1, 1100, 0.0, file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["env_steps"] for line in lines] == [400, 800, 1104]  # of 8 environments
    assert all(-1.0 <= line["score"] <= 1.0 for line in lines)
    assert lines[0]["cpu_seconds"] < lines[-1]["cpu_seconds"]
    curve = rows.curves([], {("chain-10", 1): file})
    assert [row["agent"] for row in curve] == [PEER] * 3


def test_runs_of_other_machines_stay_and_those_made_again_replace_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines make two tasks, the second makes one of the first's runs again."""
    out = tmp_path / "out"

    def make(*runs: tuple[str, int, float]) -> str:
        curve = [
            {
                "task": task,
                "agent": "memory",
                "seed": seed,
                "env_steps": 10,
                "score": score,
                "cpu_seconds": 60.0,
            }
            for task, seed, score in runs
        ]
        monkeypatch.setattr(rows, "curves", lambda jobs, peers: curve)
        monkeypatch.setattr(rows, "reach", lambda jobs: [])
        options = argparse.Namespace(out=out, tier="hour", tasks=["x"], agents=["x"], seeds=5, steps=None)
        write([], {}, options)
        return (out / "README.md").read_text()

    make(("chain-40", 10, 0.0), ("chain-40", 11, 1.0))
    page = make(("recall", 10, 1.0), ("chain-40", 10, 1.0))
    found = [(row["task"], row["seed"], row["score"]) for row in read_rows(out / "scores.csv")]
    assert found == [("recall", 10, 1.0), ("chain-40", 10, 1.0), ("chain-40", 11, 1.0)]
    assert '"--tasks recall chain-40 --agents memory"' in page
    assert "3 CPU minutes together" in page


@pytest.mark.slow
def test_a_minute_of_it_is_made_gone_on_with_and_redrawn(tmp_path: Path) -> None:
    arguments = ["--tier", "minute", "--seeds", "1", "--steps", "6000", "--workers", "1", "--runs",
                 str(tmp_path / "runs"), "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(arguments) == 0
    page = (tmp_path / "out" / "README.md").read_text()
    assert "## chain-10" in page
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
    assert main(arguments) == 0  # nothing is trained again
    assert main([*arguments, "--redraw"]) == 0
    assert (tmp_path / "out" / "README.md").read_text() == page
