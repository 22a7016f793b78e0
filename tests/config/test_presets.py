"""Laws of composed presets: each ablation changes what it names and nothing else, on every recurrent preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gymnasium.spaces import Box
from run_cases import call, differences, new_run, tiny

from r2d2.build import agents as build
from r2d2.build import replays
from r2d2.config import check_config, to_dict
from r2d2.config.changes import CHANGES
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


def test_whole_episodes_need_no_unroll_and_are_refused_where_there_is_no_longest_one(tmp_path: Path) -> None:
    """Burn-in, unroll and period of any preset are replaced; an unroll that is long enough stays."""
    asked = tiny(**EPISODE, replay__unroll=6)
    run = new_run(asked, tmp_path)
    found = run.resolved.replay
    assert (found.burn_in, found.unroll, found.period) == (0, 7, 7)
    assert run.config == asked  # as it is saved
    long = build.resolved(tiny(**EPISODE, replay__unroll=9, replay__period=3), run.environments.spec)
    assert (long.replay.burn_in, long.replay.unroll, long.replay.period) == (0, 9, 3)
    other = tiny(replay__unroll=6)
    assert build.resolved(other, run.environments.spec) == other
    unbounded = tiny(replay__initial_state="episode")
    with pytest.raises(
        ValueError, match=r"needs a longest episode, which CartPole-v1 does not have: .*max_episode"
    ):
        build.resolved(unbounded, EnvSpec("CartPole-v1", parts_of(Box(-1, 1, (4,)), ""), 2, None))
    run.train()
    assert run.learner.updates > 3
    assert set(run.replay.get(run.replay.items.ids(run.replay.items.places)).length) <= set(range(1, 8))
