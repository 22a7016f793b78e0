"""Laws of `r2d2.report.scores`: the statistics of Agarwal et al. 2021, by numbers that can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folder_cases import write_run

from r2d2.report.run import read_runs
from r2d2.report.scores import atari, human, interquartile_mean, normalized, profile
from r2d2.report.settings import settings


def test_there_are_57_games_and_people_beat_chance_in_all() -> None:
    games = atari()
    assert len(games) == 57
    assert all(game.human > game.random for game in games.values())
    ale_py = pytest.importorskip("ale_py")
    del ale_py
    import gymnasium

    ids = {env_id for env_id in gymnasium.registry if env_id.startswith("ALE/")}
    assert all(f"ALE/{name}-v5" in ids for name in games)


def test_a_game_is_found_by_its_id_and_nothing_else_is() -> None:
    pong = human("ALE/Pong-v5")
    assert pong is not None
    assert pong.normalized(-20.7) == 0
    assert pong.normalized(14.6) == 1
    assert human("CartPole-v1") is human("Pong-v5") is human("ALE/Nothing-v5") is None


def test_atari_scores_are_human_normalized(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "r2d2-small", env__id="ALE/Pong-v5", scores=[14.6])
    write_run(tmp_path / "b", "r2d2-small", env__id="ALE/Breakout-v5", scores=[1.7])
    found, meaning = normalized(settings(read_runs([tmp_path])))
    assert found == {"r2d2-small": {"ALE/Pong-v5": [1.0], "ALE/Breakout-v5": [0.0]}}
    assert "human-normalized" in meaning


def test_other_scores_go_from_the_lowest_to_the_highest_of_their_task(tmp_path: Path) -> None:
    for seed, score in enumerate([2.0, 3.0, 4.0]):
        write_run(tmp_path / f"a{seed}", seed=seed, scores=[score])
    write_run(tmp_path / "b", env__id="CartPole-v1", scores=[7.0])
    found, _ = normalized(settings(read_runs([tmp_path])))
    assert found == {"memory": {"Recall-v0": [0.0, 0.5, 1.0], "CartPole-v1": [0.0]}}


def test_the_interval_of_the_interquartile_mean_ignores_the_spread_between_tasks() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 8))
    near = interquartile_mean({"a": noise[0].tolist(), "b": noise[1].tolist()})
    # Far apart, the middle half is the upper half of one task and the lower half of the other.
    far = interquartile_mean({"a": noise[0].tolist(), "b": (noise[1] + 1000).tolist()})
    assert far.high - far.low < 5 * (near.high - near.low)
    assert near.low < near.mean < near.high
    assert np.isnan(interquartile_mean({"a": [1.0], "b": [2.0]}).low)


def test_a_profile_falls_from_one_to_zero_and_weighs_tasks_alike() -> None:
    shares = profile({"a": [0.2, 0.4, 0.6, 0.8], "b": [0.5]}, np.array([0.0, 0.3, 0.55, 1.0]))
    np.testing.assert_allclose(shares[0], [1.0, (0.75 + 1) / 2, 0.25, 0.0])
    assert (shares[1] <= shares[0]).all()
    assert (shares[0] <= shares[2]).all()
