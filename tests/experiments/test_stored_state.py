"""Laws of the study of stored state: its cells are what they say, its sentences follow from its numbers, and the
sweep files are the same study."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.stored_state import cells, rows
from experiments.stored_state.__main__ import main, report
from experiments.stored_state.page import findings, page, table
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.cli import main as cli
from r2d2.config import Config, check_config

SWEEPS = Path(__file__).resolve().parents[2] / "experiments" / "sweeps"


def test_cells_differ_in_state_and_burn_in_alone() -> None:
    """And the control's windows are whole episodes."""
    made = cells.recall_cells(cells.FULL, {})
    assert len({cell.name for cell in made}) == len(made) == 6 + 6 + 12 + 3
    for cell in made:
        check_config(cell.config)
        delay, r = int(cell.labels["delay"]), cell.config.replay
        resolved = build.resolved(cell.config, environments.spec(cell.config))
        assert resolved == cell.config  # the control's windows are whole episodes as they are
        assert (r.initial_state, r.burn_in) == (cell.labels["strategy"], cell.labels["burn_in"])
        assert cell.config.env.options["delay"] == delay
        assert r.unroll == (delay + 2 if r.initial_state == "episode" else cells.UNROLL)
    plain = {
        delay: {
            replace(c.config, replay=replace(c.config.replay, initial_state="zero", burn_in=0),
                    env=replace(c.config.env, options={}), run=replace(c.config.run, tags=()))
            .__repr__()
            for c in made if c.labels["delay"] == delay and c.labels["strategy"] != "episode"
        }
        for delay in cells.FULL.delays
    }  # fmt: skip
    assert all(len(configs) == 1 for configs in plain.values())


def test_the_longest_burn_in_reaches_the_cue_and_the_shortest_windows_do_not() -> None:
    """Of the item that answers: the one that holds the last step, `delay` + 1."""
    for delay, burn_ins in cells.FULL.burn_ins.items():
        first_row = (delay + 1) // cells.UNROLL * cells.UNROLL
        assert (first_row == 0) == (delay == 3)  # alone with delay 3 the cue lies in the window
        assert max(burn_ins) >= first_row
    assert first_row == 10
    assert sorted(burn_ins) == [0, 5, 10, 15]


def test_games_take_the_burn_in_of_their_preset() -> None:
    made = cells.game_cells("ALE/Pong-v5", "r2d2", {"run.steps": 7})
    assert [(c.labels["strategy"], c.labels["burn_in"]) for c in made] == list(
        itertools.product(("zero", "stored"), (0, 20, 40))
    )
    assert {(c.config.env.id, c.config.run.steps) for c in made} == {("ALE/Pong-v5", 7)}


def configs_of_sweep(name: str, monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """What the agents of a sweep would train: every point of the grid through the command line."""
    sweep = yaml.safe_load((SWEEPS / name).read_text())
    made: list[Config] = []

    def start(config: Config, run_dir: Path, *, preset: str) -> int:
        made.append(config)
        return 0

    monkeypatch.setattr("r2d2.runtime.training.start", start)
    names = list(sweep["parameters"])
    for point in itertools.product(*(sweep["parameters"][name]["values"] for name in names)):
        given = [f"--{name}={value}" for name, value in zip(names, point, strict=True)]
        words = [w for word in sweep["command"] for w in (given if word == "${args}" else [word])]
        assert words[0] == sweep["program"] == "r2d2"
        assert cli.main(words[1:]) == 0
    return made


@pytest.mark.slow
def test_the_sweep_of_recall_is_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(config: Config) -> str:
        return repr(replace(config, run=replace(config.run, tags=(), track="none")))

    made = configs_of_sweep("recall.yaml", monkeypatch)
    study = [
        replace(cell.config, run=replace(cell.config.run, seed=seed))
        for cell in cells.recall_cells(cells.Grid({10: cells.FULL.burn_ins[10]}), {})
        for seed in range(10, 15)
        if cell.labels["strategy"] != "episode"
    ]
    assert sorted(map(key, made)) == sorted(map(key, study))


@pytest.mark.slow
def test_the_sweep_of_atari_is_the_papers_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    made = configs_of_sweep("atari.yaml", monkeypatch)
    assert len(made) == 3 * 2 * 3 * 3
    assert {(c.replay.initial_state, c.replay.burn_in) for c in made} == set(
        itertools.product(("zero", "stored"), (0, 20, 40))
    )


def line(strategy: str, burn_in: int, seed: int, score: float, delta: float = 0.1) -> dict[str, Any]:
    row: dict[str, Any] = {
        "strategy": strategy,
        "burn_in": burn_in,
        "delay": 10,
        "seed": seed,
        "score": score,
    }
    return row | {rows.FIRST: delta, rows.LAST: delta}


def test_a_score_is_the_mean_of_the_last_fifth_of_the_evaluations() -> None:
    head = {"strategy": "zero", "burn_in": 0, "delay": 10, "seed": 3, "updates": 1}
    curve = [head | {"env_steps": 10 * i, rows.SCORE: float(i)} for i in range(1, 11)]
    curve += [head | {"env_steps": 10 * i + 1, rows.FIRST: float(i), rows.LAST: ""} for i in range(10)]
    (score,) = rows.scores(curve)
    assert score["score"] == 9.5
    assert score[rows.FIRST] == 7.0  # of 5 to 9, the second half of the run
    assert score[rows.LAST] != score[rows.LAST]


def test_sentences_follow_from_the_numbers() -> None:
    good = [line("stored", 5, seed, 1.0) for seed in range(5)]
    bad = [line("zero", 5, seed, 0.0) for seed in range(5)]
    some = [line("stored", 0, seed, float(seed > 2)) for seed in range(5)]
    text = " ".join(findings(good + bad + some, 10))
    assert "`stored` solves every seed with burn-in 5; some seeds with burn-in 0 (2 of 5)." in text
    assert "`zero` no seed with burn-in 5." in text
    assert "stored state is better than zero state: 1.00 [1.00, 1.00] against 0.00 [0.00, 0.00]" in text
    swapped = [
        row | {"strategy": {"zero": "stored", "stored": "zero"}[row["strategy"]]} for row in good + bad
    ]
    text = " ".join(findings(swapped, 10))
    assert "`zero` solves every seed" in text
    assert "does not differ clearly" in text  # it is worse
    control = " ".join(findings([line("episode", 0, seed, 0.5) for seed in range(5)], 10))
    assert "solves 0 of 5 seeds." in control
    assert "for its window" not in control
    assert "| stored | 0 | 0.40 [0.00, 0.80] | 2 of 5 |" in table(good + bad + some)


def test_two_rows_of_one_seed_are_no_interval() -> None:
    with pytest.raises(ValueError, match="one row a seed"):
        rows.over_seeds([line("zero", 0, 1, 1.0), line("zero", 0, 1, 1.0)], "score")


@pytest.mark.slow
def test_the_command_makes_all_files_and_runs_nothing_twice(tmp_path: Path) -> None:
    out, runs = tmp_path / "out", tmp_path / "runs"
    words = f"--quick --seeds 2 --steps 1200 --runs {runs} --out {out}".split()
    assert main(words) == 0
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*")}
    text = (out / "README.md").read_text()
    for name in ("figure.png", "memory.png", "curves.csv", "scores.csv", "memory.csv"):
        assert (out / name).stat().st_size > 500
    assert "seeds, here 2" in text
    assert "| whole episodes, zero | 0 |" in text
    score, memory = rows.load(out, "scores.csv"), rows.load(out, "memory.csv")
    assert len(score) == 2 * 7
    assert {row["history"] for row in memory} == {0, *cells.histories(10)}
    whole = {row["seed"]: row["equal_actions"] for row in memory if row["history"] == 12}
    assert set(whole.values()) == {1}  # a memory of the whole episode is no other memory
    assert main(words) == 0
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("*")} == before
    (out / "figure.png").unlink()
    report(out)
    assert (out / "figure.png").exists()
    assert (out / "README.md").read_text() == text


def test_a_page_without_a_memory_test_shows_none() -> None:
    run = {"command": "make ablation", "task": "a game", "minutes": 1.0, "memory": False}
    score = [line("zero", 0, seed, 1.0) | {"delay": 0} for seed in range(2)]
    assert "memory.png" not in page(score, run)
    assert "Delay" not in page(score, run)
    assert "solved the task" not in page(score, run)
    assert "| zero | 0 | 1.00 [1.00, 1.00] |  |" in page(score, run)
