"""The published shape of each replay study holds in its quick tier, and a verdict sees when it does not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from experiments.replay import deadly_triad, evidence
from experiments.replay.__main__ import main
from experiments.replay.study import STUDIES, Row, load

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("replay studies")  # one process: every study is run once


@cache
def quick(name: str) -> list[Row]:
    return load(name).quick()


@pytest.mark.parametrize("name", STUDIES)
def test_the_published_shape_holds(name: str) -> None:
    verdict = load(name).verdict(quick(name))
    assert verdict.holds, verdict


def test_cliffwalk_needs_prioritized_draws() -> None:
    """With uniform's numbers in the place of proportional's, the verdict is no."""
    rows = [row for row in quick("cliffwalk") if row["method"] != "proportional"]
    swapped = [row | {"method": "proportional"} for row in rows if row["method"] == "uniform"]
    assert not load("cliffwalk").verdict(rows + swapped).holds


def test_weights_need_their_exponent() -> None:
    """With the values learned without weights in the place of those with, the verdict is no."""
    rows = [dict(row) for row in quick("weights")]
    plain = {(r["seed"], r["alpha"]): r["learned"] for r in rows if r["beta"] == 0.0}
    for row in rows:
        row["learned"] = plain[row["seed"], row["alpha"]]
    assert not load("weights").verdict(rows).holds


def test_random_walk_needs_its_lookahead() -> None:
    """With the errors of n = 4 and n = 32 exchanged, the verdict is no."""
    other = {1: 1, 4: 32, 32: 4}
    rows = [row | {"n": other[row["n"]]} for row in quick("random_walk")]
    assert not load("random_walk").verdict(rows).holds


def test_deadly_triad_needs_its_sides() -> None:
    """With the growth below and above each threshold exchanged, the verdict is no."""
    rows = quick("deadly_triad")
    grown = {(row["seed"], row["method"], row["rate"] > 0): row["grown"] for row in rows}
    exchanged = [row | {"grown": grown[row["seed"], row["method"], row["rate"] < 0]} for row in rows]
    assert not load("deadly_triad").verdict(exchanged).holds


@pytest.mark.parametrize(
    ("name", "other"),
    [("uniform", "rank, alpha 0.7"), ("proportional, alpha 1", "uniform"), ("rank, alpha 0.7", "uniform")],
)
def test_deadly_triad_needs_each_selector(name: str, other: str, monkeypatch) -> None:
    """With one selector in the place of another, the verdict is no."""
    other_make = deadly_triad.METHODS[other].make
    monkeypatch.setitem(
        deadly_triad.METHODS, name, dataclasses.replace(deadly_triad.METHODS[name], make=other_make)
    )
    assert not deadly_triad.verdict(deadly_triad.STUDY.quick()).holds


@pytest.mark.parametrize(
    ("name", "other"), [("actor", "maximum"), ("actor", "uniform"), ("maximum", "actor")]
)
def test_apex_priorities_need_the_actors(name: str, other: str) -> None:
    """With what one method measured in the place of another, the verdict is no."""
    rows = [dict(row) for row in quick("apex_priorities")]
    found = {(r["seed"], r["left"], r["inserts"], r["method"]): r for r in rows}
    for row in rows:
        if row["method"] == name:
            measured = found[row["seed"], row["left"], row["inserts"], other]
            row |= {key: measured[key] for key in ("share", "age", "age_over_uniform")}
    assert not load("apex_priorities").verdict(rows).holds


@pytest.mark.parametrize("other", ["none", "random"])
def test_bit_flipping_needs_hindsight(other: str) -> None:
    """With runs without copies, or with goals of any episode, in the place of `future` the verdict is no."""
    names = {"future": other, other: "future"}
    cycles = {row["cycles"] for row in quick("bit_flipping") if row["strategy"] == other}
    rows = [
        row | {"strategy": names[row["strategy"]], "copies": 4}
        if row["strategy"] in names and row["cycles"] in cycles
        else row
        for row in quick("bit_flipping")
    ]
    assert not load("bit_flipping").verdict(rows).holds


def test_sequences_need_hindsight() -> None:
    """With the numbers of the runs without copies in the place of those with, the verdict is no."""
    names = {"episodes, hindsight": "episodes, none", "episodes, none": "episodes, hindsight"}
    rows = [row | {"arm": names[row["arm"]]} for row in quick("hindsight_sequences")]
    assert not load("hindsight_sequences").verdict(rows).holds


@pytest.mark.parametrize("name", STUDIES)
def test_files_of_a_study(name: str, tmp_path) -> None:
    """What the page says comes from the CSV file alone, and says what the rows in memory say."""
    study, rows = load(name), quick(name)
    evidence.write_rows(rows, tmp_path / f"{name}.csv")
    evidence.note_run(tmp_path, name, {"tier": "quick", "seeds": 3, "minutes": 0.1})
    read = evidence.read_rows(tmp_path / f"{name}.csv")
    assert study.verdict(read).ours == study.verdict(rows).ours
    assert study.verdict(read).ours in evidence.page(tmp_path)
    evidence.draw(study, read, tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(ValueError, match="study must be one of cliffwalk.*got 'walk'"):
        load("walk")


def test_the_command_writes_what_a_run_in_one_process_gives(tmp_path) -> None:
    """As a program of its own, with a process for each seed."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "experiments.replay",
        "weights",
        "--quick",
        "--jobs",
        "2",
        "--out",
        str(out),
    ]
    assert subprocess.run(command, cwd=ROOT, timeout=300).returncode == 0
    evidence.write_rows([{"seed": row["seed"], **row} for row in quick("weights")], tmp_path / "one.csv")
    assert (out / "weights.csv").read_text() == (tmp_path / "one.csv").read_text()
    page = (out / "README.md").read_text()
    assert main(["--redraw", "--out", str(out)]) == 0
    assert (out / "README.md").read_text() == page


@pytest.mark.parametrize(
    ("column", "values", "turned"),
    [("method", ("uniform", "combined"), "rooms"), ("limit", ("ends", "bootstraps"), "tight limit")],
)
def test_combined_needs_the_newest_item_and_the_bootstrap(
    column: str, values: tuple[str, str], turned: str
) -> None:
    """With two methods swapped, or two meanings of the time limit, the verdict is no."""
    other = dict(zip(values, reversed(values), strict=True))
    rows = [row | {column: other[row[column]]} if row["task"] == turned else row for row in quick("combined")]
    assert not load("combined").verdict(rows).holds


@pytest.mark.parametrize(
    "swapped", [("fifo", "reservoir"), ("reservoir", "mixture"), ("fifo", "mixture")], ids="-".join
)
def test_forgetting_needs_both_halves(swapped: tuple[str, str]) -> None:
    """With the rows of two replays swapped, the verdict is no."""
    other = dict(zip(swapped, reversed(swapped), strict=True))
    rows = [row | {"method": other.get(row["method"], row["method"])} for row in quick("forgetting")]
    assert not load("forgetting").verdict(rows).holds


@pytest.mark.parametrize(
    "swapped", [("uniform", "recency"), ("uniform", "cleared"), ("recency", "cleared")], ids="-".join
)
def test_a_changing_task_needs_the_old_items_gone(swapped: tuple[str, str]) -> None:
    """With what two replays did swapped, the verdict is no; a method that has many mean ages gives the last."""
    found = {(r["method"], r["seed"], r["updates"]): r for r in quick("changing_task")}
    other = dict(zip(swapped, reversed(swapped), strict=True))
    rows = [
        row | {name: found[other[row["method"]], row["seed"], row["updates"]][name] for name in ("regret", "drawn")}
        if row["method"] in other else row
        for row in quick("changing_task")
    ]  # fmt: skip
    assert not load("changing_task").verdict(rows).holds
