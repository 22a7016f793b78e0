"""Laws of the scores: those of the metrics file, over all resumes, and what a run's last lines say."""

from __future__ import annotations

from pathlib import Path

from r2d2.tracking.scores import Score, closing_lines, scores
from r2d2.tracking.tracker import Tracker


def test_the_last_lines_name_scores_folder_and_commands(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    for steps, score in ((1000, 3.0), (2000, 9.5), (2500, 9.5), (3000, float("nan")), (4000, 7.0)):
        tracker.log({"evaluate/mean_return": score}, env_steps=steps, updates=1)
        tracker.log({"train/mean_return": 1.0}, env_steps=steps, updates=1)
    assert scores(tmp_path) == [Score(3.0, 1000), Score(9.5, 2000), Score(9.5, 2500), Score(7.0, 4000)]
    score, *rest = closing_lines(tmp_path, stopped=False)
    assert score == "final evaluation: return 7.00 at 4,000 steps; best: 9.50 at 2,000 steps"
    assert rest[0] == f"run folder: {tmp_path}"
    assert [line.split()[:3] for line in rest[1:]] == [
        ["r2d2", "evaluate", str(tmp_path)],
        ["r2d2", "resume", str(tmp_path)],
    ]
    assert f"r2d2 resume {tmp_path}  " in closing_lines(tmp_path, stopped=True)[-1]


def test_a_run_without_evaluations_has_no_score(tmp_path: Path) -> None:
    assert closing_lines(tmp_path, stopped=False)[0] == f"run folder: {tmp_path}"
