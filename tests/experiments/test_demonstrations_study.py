"""The study of demonstrations: they are the right way, every agent may be trained, and the page says what
came of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.demonstrations.__main__ import main, page
from experiments.demonstrations.cells import AGENTS, SOLVED, cell, dataset
from experiments.demonstrations.expert import demonstrations
from experiments.replay.evidence import read_rows
from r2d2.build import agents, environments
from r2d2.config import check_config
from r2d2.runtime.demonstrations import opened


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_may_be_trained_with_what_is_shown(name: str, tmp_path: Path) -> None:
    """Both turns are among the episodes, each earns the most, and a run takes them."""
    config = cell(name, tmp_path, {"env.options": {"corridor": 9}}).config
    check_config(config)
    shown = AGENTS[name]
    spec = environments.spec(config)
    if not shown.episodes:
        assert opened(agents.resolved(config, spec), spec) is None
        return
    made = demonstrations(config, shown.episodes, dataset(tmp_path, shown))
    assert demonstrations(config, shown.episodes, dataset(tmp_path, shown)).checksum == made.checksum
    assert made.index["steps"].tolist() == [10] * shown.episodes
    np.testing.assert_allclose(made.index["episode_return"], 4.0, atol=1e-5)
    assert made.whole.all()
    turns = {int(episode["action"][-2]) for episode in made.read()}
    assert turns == {0, 2}
    source = opened(agents.resolved(config, spec), spec)
    assert source is not None
    assert source.checksum == made.checksum


def test_a_short_study_writes_its_page_and_goes_on(tmp_path: Path) -> None:
    arguments = ["--agents", "without", "few", "--seeds", "1", "--steps", "900", "--workers", "1"]
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main([*arguments, *folders]) == 0
    rows = read_rows(tmp_path / "out" / "scores.csv")
    assert [(row["agent"], int(row["seed"])) for row in rows] == [("without", 0), ("few", 0)]
    assert all(float(row["cpu_seconds"]) > 0 for row in rows)
    before = (tmp_path / "out" / "README.md").read_text()
    assert "| few | 5 | 0.25 | 1 |" in before
    assert main([*arguments, *folders]) == 0
    assert (tmp_path / "out" / "README.md").read_text() == before


def test_the_page() -> None:
    row = {
        "agent": "few", "seed": 0, "last": 3.9, "best": 4.0, "solved_at": 20_000, "env_steps": 200_000,
        "updates": 1, "cpu_seconds": 100.0,
    }  # fmt: skip
    other = row | {"seed": 1, "last": SOLVED - 2, "solved_at": None, "cpu_seconds": None}
    (line,) = [text for text in page([row, other]).splitlines() if text.startswith("| few")]
    assert line == "| few | 5 | 0.25 | 2 | 2.85 | 1.8 | 1 of 2 | 20,000 | 200,000 | 100 |"
