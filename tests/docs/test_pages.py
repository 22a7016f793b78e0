"""What the pages tell a reader to do works as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import DOCS, ROOT, blocks, follow, run


def test_the_quick_start(tmp_path: Path) -> None:
    """A task of one's own is learned, looked at in every way, and used; docs/metrics.md reads the same run."""
    said = follow(DOCS / "quickstart.md", tmp_path)
    assert "mean return 1.00" in said
    assert said.endswith("return 1.0\n")
    for name in ("runs/signal/report/report.html", "signal.gif", "replay.html"):
        assert (tmp_path / name).stat().st_size > 10_000, name
    follow(DOCS / "metrics.md", tmp_path)


def test_a_continuous_task_of_ones_own(tmp_path: Path) -> None:
    """Trained with memory, evaluated, exported, and used where neither run nor config is."""
    assert follow(DOCS / "control.md", tmp_path).endswith("(2,) True\n")


def test_the_recipes(tmp_path: Path) -> None:
    """In a copy of the repository, which they change."""
    for name in ("r2d2", "envs", "experiments", "tests"):
        ignored = shutil.ignore_patterns("results", "data")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    said = follow(DOCS / "recipes.md", tmp_path, source=tmp_path)
    assert re.search(r"\d+ passed", said)
    assert (tmp_path / "runs" / "burn-in" / "report" / "report.html").exists()


def test_demonstrations_from_an_earlier_run(tmp_path: Path) -> None:
    (shell,) = [block for block in blocks(DOCS / "datasets.md") if block.kind == "bash"]
    assert "give 0.25 of every batch" in run(shell, tmp_path, ROOT)


def test_the_blocks_of_the_configuration_page(tmp_path: Path) -> None:
    assert follow(DOCS / "configuration.md", tmp_path) == "20 5\n"


def test_the_blocks_about_stable_baselines(tmp_path: Path) -> None:
    """With fewer steps than the page has."""
    pytest.importorskip("stable_baselines3")
    page = tmp_path / "page.md"
    text, count = re.subn(r"learn\([\d_]+", "learn(300", (DOCS / "sb3.md").read_text())
    assert count == len(blocks(DOCS / "sb3.md"))
    page.write_text(text)
    follow(page, tmp_path)
