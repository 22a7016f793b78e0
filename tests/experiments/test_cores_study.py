"""Laws of the study of stored states with linear cores: its cells are what they say, and its sentences follow from
its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.cores.__main__ import main, report
from experiments.cores.cells import BURN_INS, CORES, TASKS, cells
from experiments.cores.page import findings, table
from experiments.replay.evidence import read_rows
from experiments.stored_state.cells import CONTROL, UNROLL
from experiments.stored_state.rows import FIRST
from r2d2.build import environments
from r2d2.config import check_config


def test_cells_of_a_task_differ_in_core_state_and_burn_in_alone() -> None:
    made = cells(list(TASKS), CORES, {})
    assert len({cell.name for cell in made}) == len(made) == 4 * (1 + 7 + 1 + 7)
    plain = set()
    for cell in made:
        check_config(cell.config)
        replay, labels = cell.config.replay, cell.labels
        assert (replay.initial_state, replay.burn_in) == (labels["strategy"], labels["burn_in"])
        assert cell.config.network.core == labels["core"]
        plain.add(repr(replace(
            cell.config,
            env=replace(cell.config.env, id="", options={}),
            network=replace(cell.config.network, core="none"),
            replay=replace(replay, initial_state="zero", burn_in=0),
            run=replace(cell.config.run, tags=()),
        )))  # fmt: skip
    assert len(plain) == 1


def test_no_burn_in_sees_the_cue_where_the_question_lies_beyond_the_item() -> None:
    for cell in cells(list(TASKS), CORES, {}):
        task = TASKS[str(cell.labels["task"])]
        assert environments.spec(cell.config).max_episode_steps == task.asked + 1
        first = task.asked // UNROLL * UNROLL  # row of the item that holds the question
        assert (first == 0) == task.inside
        if cell.labels["strategy"] != CONTROL:
            assert first - max(BURN_INS) > 0


def line(core: str, start: str, burn_in: int, seed: int, score: float, delta: float = 0.25) -> dict[str, Any]:
    return {"task": "recall-10", "core": core, "strategy": start, "burn_in": burn_in, "seed": seed,
            "score": score, FIRST: delta}  # fmt: skip


def test_sentences_and_table_follow_from_the_numbers() -> None:
    rows = [line("lru", "zero", burn_in, seed, 0.0) for burn_in in (0, 5) for seed in range(3)]
    rows += [line("lru", "stored", 0, seed, 1.0, float("nan")) for seed in range(3)]
    rows += [line("lru", "stored", 5, seed, (0.0, 0.0, 1.0)[seed]) for seed in range(3)]
    (sentence,) = findings(rows)
    assert sentence.startswith(
        "`lru`: a stored state is clearly better than a zero state with burn-in 0. Solved:"
    )
    assert "zero 0 of 3 and 0 of 3; stored 3 of 3 and 1 of 3;" in sentence
    text = table(rows)
    assert "| zero | 0 | 0.00 [0.00, 0.00], 0 of 3; 0.25 |" in text
    assert "| stored | 0 | 1.00 [1.00, 1.00], 3 of 3 |" in text
    swapped = [row | {"strategy": {"zero": "stored", "stored": "zero"}[row["strategy"]]} for row in rows]
    assert "a stored state is not clearly better" in findings(swapped)[0]


@pytest.mark.slow
def test_the_command_makes_all_files_and_keeps_the_rows_of_other_machines(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def study(core: str, seeds: int) -> None:
        words = f"--tasks recall-10 --cores {core} --seeds {seeds} --steps 2000 --out {out}"
        assert main([*words.split(), "--runs", str(tmp_path / core)]) == 0

    study("lru", 1)
    study("mingru", 2)
    score = read_rows(out / "scores.csv")
    assert [row["core"] for row in score] == 7 * ["lru"] + 14 * ["mingru"]
    text = (out / "README.md").read_text()
    assert 'ARGS="--steps 2000 --tasks recall-10 --cores lru mingru --seeds 2"' in text
    assert "| state | burn-in | `lru` | `mingru` |" in text
    (out / "figure.png").unlink()
    report(out)
    assert (out / "figure.png").stat().st_size > 500
    assert (out / "README.md").read_text() == text
