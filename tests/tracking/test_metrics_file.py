"""Laws of `metrics.jsonl`: what was lost of it is said, and no line that could be kept is lost with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from r2d2.tracking.metrics import MetricsFile, read_metrics
from r2d2.tracking.tracker import Tracker


def logged(folder: Path, count: int = 5) -> dict[str, Any]:
    """The state of a tracker with so many lines."""
    tracker = Tracker(folder)
    for i in range(count):
        tracker.log({"a": i}, env_steps=10 * i, updates=i)
    state = tracker.state_dict()
    tracker.close()
    return state


def values(path: Path) -> list[Any]:
    return [line["a"] for line in read_metrics(path)]


@pytest.mark.parametrize("damage", ["deleted", "cut", "one line", "one garbled"])
def test_lines_that_were_lost_before_a_resume_are_missed(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, file = logged(tmp_path), tmp_path / "metrics.jsonl"
    content = file.read_bytes()
    all_lines = content.splitlines(keepends=True)
    match damage:
        case "deleted":
            file.unlink()
        case "cut":
            file.write_bytes(content[:-9])
        case "one line":
            file.write_bytes(b"".join([*all_lines[:2], *all_lines[3:]]))
        case "one garbled":
            file.write_bytes(b"".join([*all_lines[:2], b"{...\n", *all_lines[3:]]))
    left = file.read_bytes() if file.exists() else None
    tracker = Tracker(tmp_path)
    tracker.load_state_dict(state)
    tracker.log({"a": 99}, env_steps=99, updates=9)
    lost = 5 if damage == "deleted" else 1
    assert f"metrics.jsonl has lost {lost} of its 5 lines: a new one begins" in capsys.readouterr().err
    assert values(file) == [99]
    assert tracker.state_dict()["lines"] == 1
    aside = tmp_path / "metrics.jsonl.1"
    assert (aside.read_bytes() if aside.exists() else None) == left


@pytest.mark.parametrize("damage", ["deleted", "cut", "replaced"])
def test_a_file_that_is_lost_during_a_run_is_missed_at_the_next_line(damage: str, tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path, say=said.append)
    file.write({"a": 1})
    match damage:
        case "deleted":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:3])
        case "replaced":
            path.rename(tmp_path / "kept")
            path.write_text("{}\n")
    file.write({"a": 2})
    file.write({"a": 3})
    assert len(said) == 1
    assert "a new one begins" in said[0]
    assert values(path) == [2, 3]
    assert file.lines == 2


def test_a_whole_file_is_nothing_to_speak_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with lines after the checkpoint, the last one torn: they are logged again."""
    state, file = logged(tmp_path), tmp_path / "metrics.jsonl"
    with open(file, "a") as late:
        late.write('{"a": 5, "env_steps": 50}\n{"a": 6, "env_')
    tracker = Tracker(tmp_path)
    tracker.load_state_dict(state)
    assert values(file) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_lines_wait_for_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And come in order, each whole; a checkpoint that needs them says that it cannot be."""
    said: list[str] = []
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path, say=said.append)
    file.write({"a": 1})

    class Full:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def write(self, line: bytes) -> int:
            return int(self.inner.write(line[:4]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    inner, file._file = file._file, Full(file._file)  # type: ignore[assignment]
    file.write({"a": 2})
    file.write({"a": 3})
    with pytest.raises(OSError, match="there is no room"):
        file.sync()
    assert values(path) == [1]
    assert len(said) == 1
    file._file = inner
    file.write({"a": 4})
    assert values(path) == [1, 2, 3, 4]


def test_no_chart_ends_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Priorities after a reward of 1e30, and a sink that fails."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("the network is down")

    tracker = Tracker(tmp_path, {"broken": Broken()})  # type: ignore[dict-item]
    for array in (np.full(9, 1e30), np.array([1e30, 1e30 * (1 + 1e-15)]), np.array([-1e308, 1e308]), []):
        tracker.log_histogram("replay/priorities", array, env_steps=1)
    tracker.log({"a": 1}, env_steps=2, updates=1)
    tracker.close()
    assert capsys.readouterr().err.count("nothing goes to broken from now on") == 1
    for line in read_metrics(tmp_path)[:-1]:
        found = line["replay/priorities"]
        assert sum(found["counts"]) in (9, 2, 0)
        assert np.isfinite(found["edges"]).all()
