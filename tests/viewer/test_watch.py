"""Laws of `r2d2 watch`: the filmed episode is the one that an evaluation plays, with every step in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_cases import PONG, call, new_run, tiny

from r2d2.build import environments
from r2d2.report.style import COLORS
from r2d2.runs import folder
from r2d2.runs.policy_files import load
from r2d2.runtime.greedy import make_greedy
from r2d2.runtime.greedy import play as play_greedily
from r2d2.viewer.panel import HEIGHT, WIDTH, draw
from r2d2.viewer.watch import Moment, play

imageio = pytest.importorskip("imageio.v2")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def pong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "pong"
    config = tiny(**{name.replace(".", "__"): value for name, value in PONG.items()})
    folder.create(run_dir, config, "r2d2")
    run = new_run(config, run_dir)
    run.train()
    run.tracker.close()
    return run_dir


def test_it_plays_what_an_evaluation_plays(pong: Path) -> None:
    policy = load(pong)
    for seed in (3, 4):
        (played,) = play_greedily(make_greedy(environments.single(policy.config), policy.network), seed)
        moments = [
            (m.step, m.total) for _, m in play(policy, environments.single(policy.config), seed, 10**6)
        ]
        assert moments[-1] == (played.length, played.total)
        assert [step for step, _ in moments] == list(range(played.length + 1))


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_every_step_is_in_the_film(pong: Path, tmp_path: Path, capsys: Capture, suffix: str) -> None:
    file = tmp_path / "films" / f"play{suffix}"
    shown = call(capsys, "watch", pong, "--out", file, "--steps", 5)
    assert shown.code == 0, shown.err
    assert "in 5 steps" in shown.out
    frames = imageio.mimread(file)
    assert len(frames) == 6
    assert frames[0].shape[0] == HEIGHT
    assert list(file.parent.iterdir()) == [file]


def test_wrong_use_leaves_nothing(pong: Path, tmp_path: Path, capsys: Capture) -> None:
    assert (
        "--out must end in one of .mp4, .gif" in call(capsys, "watch", pong, "--out", tmp_path / "a.avi").err
    )
    assert "holds no policy" in call(capsys, "watch", tmp_path).err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(210, 160), (97, 333), (600, 401)])
def test_the_panel_marks_the_action_and_both_sides_are_even(size: tuple[int, int]) -> None:
    """In one color, which no other bar has."""
    q = np.array([0.5, -1.0, 2.0], np.float32)
    mark = np.array(list(bytes.fromhex(COLORS[1][1:])))
    rows = []
    for action in range(3):
        moment = Moment(7, q, action, 1.0, 3.0)
        moment.best_q.extend([1.0, 2.0])
        moment.norm.extend([0.0, 0.0])
        picture = draw(np.zeros((*size, 3), np.uint8), moment, ["left", "right", "stay"])
        assert picture.shape[0] == HEIGHT
        assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
        bars = picture[:120, picture.shape[1] - WIDTH :]
        rows.append(np.flatnonzero((bars == mark).all(-1).any(1)).mean())
    assert rows == sorted(rows)
    assert len(set(rows)) == 3
