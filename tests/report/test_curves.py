"""Laws of the curves and figures of a report: means where all seeds are, and every number in its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from folder_cases import write_run

from r2d2.report import figures
from r2d2.report.curves import POINTS, curve, kept
from r2d2.report.run import read_runs
from r2d2.report.settings import settings


def test_the_mean_goes_as_far_as_the_shortest_seed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0, scores=[0.0, 1.0, 2.0, 3.0])
    write_run(tmp_path / "b", seed=1, scores=[2.0, 3.0, 4.0])
    found = curve(read_runs([tmp_path]), "evaluate/mean_return")
    assert found is not None
    assert found.at[0] == 1000
    assert found.at[-1] == 3000
    np.testing.assert_allclose(found.mean, np.interp(found.at, [1000, 3000], [1.0, 3.0]))
    np.testing.assert_allclose([found.low[0], found.high[0]], [0.0, 2.0])
    assert [at[-1] for at, _ in found.seeds] == [4000, 3000]


def test_one_seed_is_drawn_as_it_is_without_an_interval(tmp_path: Path) -> None:
    write_run(tmp_path / "a", scores=[0.0, 5.0, 1.0])
    found = curve(read_runs([tmp_path]), "evaluate/mean_return", "wall_seconds")
    assert found is not None
    assert found.at.tolist() == [6.0, 12.0, 18.0]
    assert found.mean.tolist() == [0.0, 5.0, 1.0]
    assert np.isnan(found.low).all()


def test_seeds_without_a_common_moment_have_no_mean(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0, scores=[1.0], every=1000)
    write_run(tmp_path / "b", seed=1, scores=[1.0], every=5000)
    found = curve(read_runs([tmp_path]), "evaluate/mean_return")
    assert found is not None
    assert len(found.mean) == 0
    assert curve(read_runs([tmp_path]), "replay/delta_q_first") is None


def test_long_curves_keep_their_ends() -> None:
    chosen = kept(100_000)
    assert len(chosen) == POINTS
    assert (chosen[0], chosen[-1]) == (0, 99_999)
    assert kept(3).tolist() == [0, 1, 2]
    assert len(kept(0)) == 0


def test_priorities_keep_their_shares_in_other_bins(tmp_path: Path) -> None:
    write_run(tmp_path / "a", scores=[0.0, 0.0])
    (run,) = read_runs([tmp_path])
    figure = figures.priorities(run, "memory")
    assert figure is not None
    assert figure.heat is not None
    np.testing.assert_allclose(figure.heat.share.sum(0), 1.0)
    above = figure.heat.edges[:-1] >= 0.5  # two of four bins, with 3 of 15 items
    assert abs(figure.heat.share[above].sum(0)[0] - 3 / 15) < 0.05


def test_a_label_has_one_color_in_all_figures(tmp_path: Path) -> None:
    for task in ("Recall-v0", "CartPole-v1"):
        for name in ("memory", "memory+zero")[:: 1 if task == "Recall-v0" else -1]:
            write_run(tmp_path / task / name, name, env__id=task)
    found = settings(read_runs([tmp_path]))
    palette = figures.colors(found)
    for task in ("Recall-v0", "CartPole-v1"):
        own = [s for s in found if s.task == task]
        drawn = [*figures.learning(own, palette), *figures.diagnostics(own, palette)]
        for line in (line for figure in drawn for line in figure.lines):
            assert line.color == palette[line.label.partition(",")[0]]
    assert len(set(palette.values())) == 2
