"""Laws of composed presets: each ablation changes what it names and nothing else, on every recurrent preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gymnasium.spaces import Box
from run_cases import call, differences, new_run, tiny

from r2d2.build import agents as build
from r2d2.build import replays
from r2d2.config import to_dict
from r2d2.config.changes import CHANGES
from r2d2.config.checks import check_config
from r2d2.config.presets import PRESETS, preset
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvSpec


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("base", ["r2d2", "r2d2-small"])
def test_an_ablation_changes_the_fields_it_names(base: str, name: str) -> None:
    config = preset(f"{base}+{name}")
    before, after = to_dict(PRESETS[base]), to_dict(config)
    changed = {path[1:].replace("/", ".") for path in differences(before, after)}
    assert changed <= set(CHANGES[name])
    for key, value in CHANGES[name].items():
        section, field = key.split(".")
        assert after[section][field] == value
    check_config(config)


def test_every_ablation_changes_one_of_the_presets() -> None:
    for name in CHANGES:
        assert any(preset(f"{base}+{name}") != PRESETS[base] for base in ("r2d2", "r2d2-small", "memory")), (
            name
        )


def test_weights_can_be_left_out_as_the_text_of_the_paper_says() -> None:
    """Also where beta would rise."""
    for base in ("r2d2", "per"):
        config = preset(f"{base}+no-weights")
        assert [replays.beta(config, steps) for steps in (0, 10**6, 10**8)] == [0.0, 0.0, 0.0]


def test_changes_are_made_in_turn() -> None:
    config = preset("r2d2-small+n1+gru+n3")
    assert (config.replay.n_step, config.network.core) == (3, "gru")
    assert preset("dqn") == PRESETS["dqn"]


def test_an_unknown_change_is_named_with_what_may_have_been_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = call(capsys, "train", "r2d2-small+burn-in-02")
    assert output.code == 2
    assert "unknown change 'burn-in-02' of a preset: did you mean burn-in-0" in output.err
    assert "unknown preset 'r2d': did you mean r2d2?" in call(capsys, "train", "r2d+gru").err


def test_the_help_names_every_ablation(capsys: pytest.CaptureFixture[str]) -> None:
    out = call(capsys, "train", "--help").out.replace(",", " ").split()
    assert set(CHANGES) <= set(out)


EPISODE: dict[str, Any] = {
    "env__id": "Recall-v0",
    "env__options": {"delay": 5},
    "replay__initial_state": "episode",
}


def test_whole_episodes_are_refused_where_they_would_not_be_whole(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"at least the longest .*\(7 steps\), got 6: use --replay\.unroll 7"
    ):
        new_run(tiny(**EPISODE, replay__burn_in=0, replay__unroll=6), tmp_path)
    unbounded = tiny(replay__initial_state="episode", replay__burn_in=0)
    with pytest.raises(
        ValueError, match=r"got 8: use --env.options max_episode_steps=8, or use --replay\.initial-state"
    ):
        build.check_initial_state(unbounded, EnvSpec("CartPole-v1", parts_of(Box(-1, 1, (4,)), ""), 2, None))
    run = new_run(tiny(**EPISODE, replay__burn_in=0, replay__unroll=7), tmp_path)
    run.train()
    assert run.learner.updates > 3
