"""Laws of the committed figures: they come from the committed numbers, in one style."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from experiments import figures, returns

RESULTS = figures.RESULTS


def test_every_committed_figure_has_a_command() -> None:
    folders = {file.relative_to(RESULTS).parts[0] for file in RESULTS.rglob("*.png")}
    assert set(figures.FIGURES) <= folders


@pytest.mark.parametrize(
    "file", sorted(RESULTS.rglob("*.png")), ids=lambda file: str(file.relative_to(RESULTS))
)
def test_it_is_as_wide_as_a_page(file: Path) -> None:
    """800 pixels, twice as dense."""
    assert Image.open(file).size[0] == 1600


@pytest.mark.parametrize("name", figures.GOALS)
def test_the_curves_are_those_of_the_summaries(name: str, tmp_path: Path) -> None:
    """The best evaluation of each seed; and the figure can be drawn from them."""
    file = RESULTS / name / "curves.csv"
    curves = returns.read(file, returns.GREEDY, "env_steps")
    for seed, (_, values) in curves.items():
        summary = json.loads((RESULTS / name / f"summary{seed}.json").read_text())
        assert max(values) == pytest.approx(summary["best_evaluation"], abs=1e-3)
    (tmp_path / "curves.csv").write_bytes(file.read_bytes())
    returns.main([str(tmp_path), "--goal", "3.5"])
    assert Image.open(tmp_path / "curve.png").size[0] == 1600
