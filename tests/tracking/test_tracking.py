"""Laws of `r2d2.tracking.tracker`: one curve without gaps or duplicates, always valid, tidily shown."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from r2d2.tracking.metrics import Record
from r2d2.tracking.terminal import Terminal
from r2d2.tracking.tracker import Tracker, open_tracker, read_metrics


def log_steps(tracker: Tracker, steps: range) -> None:
    for step in steps:
        tracker.log({"learner/loss": step / 2}, env_steps=step, updates=step // 10)


def steps(run_dir: Path) -> list[int]:
    return [record["env_steps"] for record in read_metrics(run_dir)]


# --- metrics.jsonl ------------------------------------------------------------------------------------------


def test_each_line_has_the_clocks_and_the_metrics(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.log({"learner/loss": np.float32(0.5), "mine": np.int64(3)}, env_steps=100, updates=7)
    (record,) = read_metrics(tmp_path / "metrics.jsonl")  # read while the tracker is open: lines do not wait
    assert record["env_steps"] == 100
    assert record["updates"] == 7
    assert record["learner/loss"] == 0.5
    assert record["mine"] == 3
    assert 0 <= record["wall_seconds"] < 5
    assert abs(record["unix_time"] - time.time()) < 5


def test_what_is_not_finite_is_null_and_the_line_stays_valid_json(tmp_path: Path) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    tracker = Tracker(tmp_path)
    tracker.log({"a": float("nan"), "b": np.float64("-inf"), "c": 1.0}, env_steps=1, updates=0)
    record = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    assert record["a"] is None
    assert record["b"] is None
    assert record["c"] == 1.0


@pytest.mark.parametrize("metrics", [{"loss": "high"}, {"loss": [1.0]}, {"loss": None}])
def test_what_is_not_a_number_is_refused_by_name(tmp_path: Path, metrics: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="loss must be one number"):
        Tracker(tmp_path).log(metrics, env_steps=1, updates=0)
    with pytest.raises(ValueError, match="env_steps"):
        Tracker(tmp_path).log({"env_steps": 3}, env_steps=1, updates=0)


def test_a_resumed_curve_has_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    log_steps(tracker, range(0, 50, 10))
    state = json.loads(json.dumps(tracker.state_dict()))  # it must fit into a checkpoint
    tracker.log({"evaluation": 1.0}, env_steps=40, updates=4)  # after the save, at the same step
    log_steps(tracker, range(50, 80, 10))  # no close: killed

    resumed = Tracker(tmp_path)
    resumed.load_state_dict(state)
    assert steps(tmp_path) == [0, 10, 20, 30, 40]
    assert "evaluation" not in read_metrics(tmp_path)[-1]
    resumed.log({"evaluation": 1.0}, env_steps=40, updates=4)
    log_steps(resumed, range(50, 60, 10))
    assert steps(tmp_path) == [0, 10, 20, 30, 40, 40, 50]
    seconds = [record["wall_seconds"] for record in read_metrics(tmp_path)]
    assert seconds == sorted(seconds)
    assert not list(tmp_path.glob("*.tmp"))


def test_training_time_goes_on_over_a_resume(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    state = tracker.state_dict() | {"wall_seconds": 1000.0}
    resumed = Tracker(tmp_path)
    resumed.load_state_dict(state)
    resumed.log({}, env_steps=1, updates=1)
    assert 1000 <= read_metrics(tmp_path)[-1]["wall_seconds"] < 1005


@pytest.mark.parametrize("torn", ['{"env_steps": 99', '{"env_steps": 9}', "garbage\n", "[1]\n", "\xff\n"])
def test_a_torn_line_is_left_out_and_gone_after_a_resume(tmp_path: Path, torn: str) -> None:
    tracker = Tracker(tmp_path)
    log_steps(tracker, range(3))
    state = tracker.state_dict()
    with open(tmp_path / "metrics.jsonl", "a", encoding="latin1") as file:
        file.write(torn)
    assert steps(tmp_path) == [0, 1, 2]
    resumed = Tracker(tmp_path)
    resumed.load_state_dict(state)
    log_steps(resumed, range(3, 5))
    assert steps(tmp_path) == [0, 1, 2, 3, 4]


def test_a_new_start_in_a_used_folder_mixes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    for attempt in range(3):
        log_steps(Tracker(tmp_path), range(attempt, attempt + 2))
    assert steps(tmp_path) == [2, 3]
    assert [r["env_steps"] for r in read_metrics(tmp_path / "metrics.jsonl.2")] == [1, 2]


def test_a_state_is_refused_once_something_is_logged(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    state = tracker.state_dict()
    with pytest.raises(RuntimeError, match="before anything is logged"):
        tracker.load_state_dict(state)


def test_histograms_and_videos_leave_a_trace(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.log_histogram("priority", [0.0, 1.0, 1.0, float("nan")], env_steps=5)
    tracker.log_video("evaluation", tmp_path / "videos" / "a.mp4", env_steps=6)
    histogram, video = read_metrics(tmp_path)
    assert sum(histogram["priority"]["counts"]) == 3
    assert histogram["priority"]["edges"][-1] == 1.0
    assert video["evaluation"] == "videos/a.mp4"
    assert video["env_steps"] == 6


# --- the terminal -------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


REPORT = {"replay/fill": 0.5, "replay/ratio": 0.8, "train/mean_return": 12.5, "learner/loss": 0.0123}


def evaluation(env_steps: int, mean: float, least: float, most: float) -> Record:
    scores = {"mean_return": mean, "min_return": least, "max_return": most}
    return record(env_steps, 2.0, **{f"evaluate/{name}": score for name, score in scores.items()})


def record(env_steps: int, seconds: float, **metrics: float) -> Record:
    return Record(env_steps, env_steps // 100, seconds, 0.0, metrics)


def test_a_pipe_gets_one_tidy_line_a_report() -> None:
    out = io.StringIO()
    terminal = Terminal(out, total_env_steps=40_000)
    terminal.log(record(0, 0.0))
    terminal.log(record(0, 1.0, **{"train/mean_length": 5.0}))  # nothing that is shown: no line
    terminal.log(record(10_000, 10.0, **REPORT))
    terminal.log(record(20_000, 20.0, **{"learner/loss": 0.01}))
    terminal.close(0)
    first, second, third = out.getvalue().splitlines()
    assert first == "0 steps (0.0%)"
    assert second == (
        "10,000 steps (25.0%) | return 12.50 | loss 0.0123 | 0:00:30 left | 1,000 steps/s | 10.0 updates/s | "
        "ratio 0.80 | replay 50%"
    )
    assert "return 12.50 | loss 0.01 | 0:00:20 left" in third
    assert "\r" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


def drawn(text: str, columns: int) -> list[str]:
    """What a terminal of that width shows in the end, line by line: as much of one as rich's codes need."""
    rows, row, column = [""], 0, 0
    for code, word in re.findall(r"(\x1b\[[0-9?;]*[A-Za-z])|([^\x1b])", text):
        if code.endswith("A"):
            row -= int(code[2:-1])
        elif code.endswith("K"):
            rows[row] = ""
        elif word == "\r":
            column = 0
        elif word == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif word:
            if column == columns:
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row][:column].ljust(column) + word + rows[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in rows]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_a_screen_shows_four_lines_that_fit(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns all is there: return and evaluation with their curves, speed, loss, fill, time left."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Screen()
    terminal = Terminal(out, total_env_steps=10_000_000)
    for step in range(1, 101):
        terminal.log(record(step * 10_000, 3.0 * step, **REPORT | {"train/mean_return": step / 2}))
    terminal.log(evaluation(1_000_000, 41.0, 40.0, 42.0))  # at another time
    lines = drawn(out.getvalue(), columns)
    head = next(k for k, line in enumerate(lines) if line.startswith("1,000,000"))
    shown = [line for line in lines[head:] if line]
    assert len(shown) == 4
    assert max(map(len, shown)) <= columns
    if columns >= 80:
        progress, returns, scores, numbers = shown
        assert progress.startswith("1,000,000 steps (10.0%)")
        assert progress.endswith("0:45:00 left")
        assert returns.startswith("return           50.00  ▁")
        assert "█" in returns
        assert scores.startswith("evaluation       41.00")
        assert "best 41.00 at 1,000,000" in scores
        assert numbers == "3,333 steps/s   33.3 updates/s   loss 0.0123   replay 50%   ratio 0.80"


def test_an_evaluation_is_a_line_of_its_own() -> None:
    """In a pipe and above the live line; the best is remembered over a resume."""
    for kind in (io.StringIO, Screen):
        out, later = kind(), kind()
        terminal = Terminal(out)
        terminal.log(record(100, 1.0, **REPORT))
        terminal.log(evaluation(1000, 5.0, 4.0, 7.0))
        again = Terminal(later)
        again.load_state_dict(json.loads(json.dumps(terminal.state_dict())))
        again.log(evaluation(2000, 3.0, 3.0, 3.0))
        lines = [drawn(text.getvalue(), 80) for text in (out, later)]
        assert "evaluation at 1,000 steps: return 5.00 (4.00 to 7.00), the best so far" in lines[0]
        assert "evaluation at 2,000 steps: return 3.00 (3.00 to 3.00), best 5.00 at 1,000" in lines[1]


def test_a_notice_stands_above_the_summary() -> None:
    out = Screen()
    terminal = Terminal(out)
    for step in range(3):
        terminal.log(record(step, float(step)))
    terminal.say("notice [of] a path/to/something")
    terminal.close(0)
    assert [line for line in drawn(out.getvalue(), 80) if line] == [
        "notice [of] a path/to/something", "2 steps", "1 steps/s   0.0 updates/s",
    ]  # fmt: skip
    assert out.getvalue().count("\x1b[?25h") > 0, "the cursor is shown"


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_terminal_that_asks_for_it_gets_plain_lines(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    out = Screen()
    terminal = Terminal(out)
    terminal.log(record(1, 1.0))
    terminal.close(0)
    assert out.getvalue() == "1 steps\n"


def test_training_goes_on_when_nobody_reads_the_terminal() -> None:
    out = io.StringIO()
    terminal = Terminal(out)
    out.close()
    terminal.log(record(1, 1.0))


def test_open_tracker_says_where_the_numbers_go(tmp_path: Path) -> None:
    out = io.StringIO()
    tracker = open_tracker(tmp_path, track="none", stream=out, total_env_steps=10)
    tracker.log({"learner/loss": 1.0}, env_steps=5, updates=1)
    tracker.close()
    tracker.close()
    assert out.getvalue().splitlines() == ["wandb: not used", "5 steps (50.0%) | loss 1"]
