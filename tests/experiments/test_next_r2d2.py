"""The study of R2D2's successors: every run may be made, and its page says what came of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.next_r2d2.__main__ import main
from experiments.next_r2d2.cells import GAMES, TASKS, VARIANTS, applies, cell, variants
from experiments.next_r2d2.page import page
from experiments.next_r2d2.rows import Row, pooled, scores
from experiments.replay.evidence import read_rows
from experiments.study_options import parsed, study_parser
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import check_config


@pytest.mark.parametrize("variant", ["base", *VARIANTS])
@pytest.mark.parametrize("task", ["breakout", "chain-20"])
def test_every_variant_may_be_trained(task: str, variant: str) -> None:
    if task in GAMES:
        pytest.importorskip("minatar")
    config = cell(task, variant, {"run.threads": 1}).config
    check_config(config)
    spec = environments.spec(config)
    build.check_actions(config, spec)
    if applies(task, variant):
        build.network(config, spec)
    else:
        with pytest.raises(ValueError, match="frozen"):
            build.network(config, spec)


def test_combinations_come_with_each_change_left_out() -> None:
    assert variants(["peng+adamw", "c51"], minus_one=True) == ["base", "peng+adamw", "c51", "adamw", "peng"]
    assert variants(["peng+adamw"], minus_one=False) == ["base", "peng+adamw"]


def curve(task: str, variant: str, seed: int, last: float, seconds: float) -> list[Row]:
    """Five evaluations that rise to `last`, the last three equal."""
    values = [0.0, last / 2, last, last, last]
    return [
        {
            "task": task,
            "variant": variant,
            "seed": seed,
            "env_steps": 100 * k,
            "score": value,
            "cpu_seconds": seconds * k / 5,
        }
        for k, value in enumerate(values, 1)
    ]


def test_scores_are_normalized_and_compared_at_the_same_time() -> None:
    rows: list[Row] = []
    for seed in range(3):
        for task in GAMES:
            rows += curve(task, "base", seed, 10.0, 100.0)
            rows += curve(task, "peng", seed, 20.0, 200.0)
    found = scores(rows)
    one = next(row for row in found if (row["task"], row["variant"], row["seed"]) == ("breakout", "peng", 1))
    zero = TASKS["breakout"].random
    assert one["score"] == 20.0
    assert one["same_time"] == 5.0  # of the first two evaluations: 0 and 10
    assert one["normalized_score"] == pytest.approx((20.0 - zero) / (10.0 - zero))
    together = pooled(found, GAMES, "base", "normalized_score")
    assert together is not None
    assert together == (1.0, 1.0, 1.0)
    assert pooled(found[:-1], GAMES, "peng", "normalized_score") is None  # a seed of one game is missing
    text = page(found, command="make next-r2d2", machine="here")
    assert "| `base` | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] | 100 |" in text
    assert "| `peng` |" in text


def test_the_command_writes_its_files_and_keeps_rows_of_other_machines(tmp_path: Path) -> None:
    words: list[Any] = [
        "--tasks",
        "chain-20",
        "--variants",
        "peng",
        "--steps",
        "300",
        "--workers",
        "1",
        "--seeds",
        "1",
    ]
    out = tmp_path / "out"
    assert main([*words, "--runs", str(tmp_path / "a"), "--out", str(out)]) == 0
    assert {row["variant"] for row in read_rows(out / "scores.csv")} == {"base", "peng"}
    assert (out / "figure.png").stat().st_size > 5_000
    second = [*words, "--variants", "--first-seed", "1", "--runs", str(tmp_path / "b"), "--out", str(out)]
    assert main(second) == 0
    kept = {(row["variant"], row["seed"]) for row in read_rows(out / "scores.csv")}
    assert kept == {("base", 0), ("base", 1), ("peng", 0)}


def test_an_unknown_change_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--variants", "peng+nonsense"])
    assert "peng+nonsense has the unknown change 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "least"), [("seeds", 0, 1), ("first-seed", -1, 0), ("steps", 0, 1), ("workers", -3, 1)]
)
def test_a_number_out_of_its_bounds_is_named(
    name: str, value: int, least: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(study_parser("any", None, tmp_path), [f"--{name}", str(value)])
    assert f"--{name} must be at least {least}, got {value}" in capsys.readouterr().err
